package admin

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// saying is what a tree says, without how it is written.
func saying(n *yaml.Node) string {
	if len(n.Content) == 0 {
		return fmt.Sprintf("%d:%q", n.Kind, n.Value)
	}
	parts := make([]string, len(n.Content))
	for i, c := range n.Content {
		parts[i] = saying(c)
	}
	return fmt.Sprintf("%d(%s)", n.Kind, strings.Join(parts, " "))
}
