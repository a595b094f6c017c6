package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	variable      = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)
	errNoVariable = errors.New("a variable is written ${NAME} or ${NAME:-default}; write $${ for a literal ${")
)

// expand replaces ${NAME} by the environment variable and ${NAME:-default} by
// the default when the variable is unset or empty. $${ stands for a literal ${,
// and every other $ for itself, so that argon2id hashes and passwords with a
// dollar need no care. It works on single values after the YAML is parsed:
// whatever a variable holds, it cannot add keys. What it inserts is not expanded
// again.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		m := variable.FindStringSubmatch(text[i:])
		if m == nil {
			return "", errNoVariable
		}
		value, set := env(m[1])
		switch hasDefault := m[2] != ""; {
		case hasDefault && value == "":
			value = m[3]
		case !set:
			return "", fmt.Errorf("the environment variable %s is not set and has no default", m[1])
		}
		out.WriteString(value)
		text = text[i+len(m[0]):]
	}
}
