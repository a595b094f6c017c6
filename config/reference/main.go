// Command reference writes docs/configuration.md from the schema in package config: its types, the comments of their
// fields, and the defaults. Of a field's comment the first paragraph is for operators; further ones are for programmers and left out.
package main

//go:generate go run .

import (
	"fmt"
	"os"
)

// Where it is run from is where this file is, as go generate does.
const (
	source = ".."
	target = "../../docs/configuration.md"
)

func main() {
	text, err := reference(source)
	if err == nil {
		err = os.WriteFile(target, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}
