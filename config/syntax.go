package config

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseYAML gives the top node of a file's only document, nil if it is empty.
// It reports what keeps the file from being read, and false.
func (s *source) parseYAML(data []byte) (*yaml.Node, bool) {
	line, problem := unreadableText(data)
	if problem == "" {
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		var doc, next yaml.Node
		err := decoder.Decode(&doc)
		if err == io.EOF {
			return nil, true
		}
		if err == nil {
			err = decoder.Decode(&next)
		}
		switch {
		case err == io.EOF:
			return doc.Content[0], true
		case err != nil:
			line, problem = syntaxError(err, data)
		default:
			line, problem = next.Line, "a second YAML document begins here, but a file has only one"
		}
	}
	s.unreadable = true
	s.errorAt(line, "", "%s", problem)
	return nil, false
}

// unreadableText finds what the YAML library would refuse without naming a line.
func unreadableText(data []byte) (line int, problem string) {
	for i := 0; i < len(data); {
		r, width := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			problem = "is not UTF-8 text"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			problem = "has a control character"
		}
		if problem != "" {
			return lineOf(data, i), problem
		}
		i += width
	}
	return 0, ""
}

var (
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

	// For these the library counts lines from 0.
	countedFromZero = regexp.MustCompile(`^did not find expected (key|node content|<|'-'|',')|^found (undefined|duplicate|incompatible)`)

	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxError takes a message of the YAML library apart.
func syntaxError(err error, data []byte) (line int, text string) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, err.Error()
	}
	if a := unknownAnchor.FindStringSubmatch(m[2]); a != nil {
		// The name is not shown: it may be a password that begins with *.
		line = lineOf(data, max(0, bytes.Index(data, []byte("*"+a[1]))))
		return line, "a value begins with * but names no anchor; quote it if it is not an alias"
	}
	line, _ = strconv.Atoi(m[1])
	if line == 0 || countedFromZero.MatchString(m[2]) {
		line++
	}
	text = "is not YAML: " + strings.TrimSpace(m[2])
	if bareVariable.Match(lineAt(data, line)) {
		text += ` (within { } and [ ] a variable stands in quotes: "${NAME}")`
	}
	return line, text
}

// bareVariable is one without quotes in a mapping or list that is written on one line.
var bareVariable = regexp.MustCompile(`[{\[,].*[:,\[{]\s*\$\{`)

// lineAt is a line, by its number from 1.
func lineAt(data []byte, line int) []byte {
	for range line - 1 {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	return first
}

func lineOf(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }
