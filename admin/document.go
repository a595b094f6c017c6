package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A tenant's file is edited as a tree of YAML, so that comments and the order of what is not
// changed stay as whoever keeps the files has written them.

// deepest is how deep JSON may be nested: a tenant's configuration is four levels deep.
const deepest = 16

// treeOf reads JSON as YAML. Keys that come twice are refused, since JSON does not say which one counts.
func treeOf(body []byte) (*yaml.Node, error) {
	if body == nil {
		return nil, problem("bad-request", "there is no body")
	}
	d := &jsonText{json.NewDecoder(bytes.NewReader(body)), body}
	d.UseNumber()
	n, err := readValue(d, 0)
	if err != nil {
		return nil, problem("bad-request", jsonFault(body, d.InputOffset(), err))
	}
	end := d.InputOffset()
	if _, err := d.Token(); err != io.EOF {
		return nil, problem("bad-request", position(body, end)+": there is something after the JSON")
	}
	if n.Kind != yaml.MappingNode {
		return nil, problem("bad-request", "the body is not a JSON object")
	}
	return n, nil
}

// jsonText is JSON that is being read.
type jsonText struct {
	*json.Decoder
	text []byte
}

// misplaced is what is wrong at one place.
type misplaced struct {
	line, column int
	text         string
}

func (m *misplaced) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", m.line, m.column, m.text)
}

// next is where the next token begins.
func (d *jsonText) next() (line, column int) {
	at := d.InputOffset()
	for at < int64(len(d.text)) && strings.IndexByte(" \t\r\n,", d.text[at]) >= 0 {
		at++
	}
	return lineAndColumn(d.text, at)
}

func readValue(d *jsonText, depth int) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > deepest {
		return nil, fmt.Errorf("it is nested more than %d deep", deepest)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return readObject(d, depth)
		}
		return readArray(d, depth)
	case string:
		return literal(t), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// literal is a text that stands for itself: files may have variables of the environment in
// them, requests may not look into the environment.
func literal(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ReplaceAll(text, "${", "$${")}
	if strings.ContainsAny(text, "\n\r") {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func readObject(d *jsonText, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	seen := map[string]bool{}
	for d.More() {
		line, column := d.next()
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, isText := t.(string)
		if !isText {
			return nil, errors.New("a key is not a text")
		}
		if seen[key] {
			return nil, &misplaced{line, column, "the key " + quoted(key) + " is given twice"}
		}
		seen[key] = true
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: line, Column: column}, v)
	}
	_, err := d.Token()
	return n, err
}

func readArray(d *jsonText, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for d.More() {
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, v)
	}
	_, err := d.Token()
	return n, err
}

// parseTree reads a tenant's file.
func parseTree(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, problem("conflict", "the tenant's file is not YAML at the moment")
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode || aliased(top) {
		return nil, problem("conflict", "the tenant's file has anchors or is no mapping; it can only be edited by hand")
	}
	return top, nil
}

func aliased(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return true
	}
	for _, c := range n.Content {
		if aliased(c) {
			return true
		}
	}
	return false
}

// merge changes a mapping as RFC 7396 says: null takes a key away, a mapping changes the one that is
// there, anything else takes its place.
func merge(to, patch *yaml.Node) {
	for i := 0; i+1 < len(patch.Content); i += 2 {
		key, v := patch.Content[i], patch.Content[i+1]
		at := indexOf(to, key.Value)
		switch {
		case v.Tag == "!!null":
			if at >= 0 {
				to.Content = append(to.Content[:at], to.Content[at+2:]...)
			}
		case v.Kind == yaml.MappingNode:
			if at < 0 {
				to.Content = append(to.Content, key, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
				at = len(to.Content) - 2
			}
			if to.Content[at+1].Kind != yaml.MappingNode {
				to.Content[at+1] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			}
			merge(to.Content[at+1], v)
		case at >= 0:
			v.HeadComment, v.LineComment, v.FootComment = to.Content[at+1].HeadComment, to.Content[at+1].LineComment, to.Content[at+1].FootComment
			to.Content[at+1] = v
		default:
			to.Content = append(to.Content, key, v)
		}
	}
}

// indexOf is where a key of a mapping stands, or -1.
func indexOf(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// child is the mapping at a key, made if there is none.
func child(m *yaml.Node, key string) *yaml.Node {
	if i := indexOf(m, key); i >= 0 && m.Content[i+1].Kind == yaml.MappingNode {
		return m.Content[i+1]
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	set(m, key, n)
	return n
}

// set gives a key of a mapping a value.
func set(m *yaml.Node, key string, v *yaml.Node) {
	if i := indexOf(m, key); i >= 0 {
		m.Content[i+1] = v
		return
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
}

// text is the file for a tree.
func text(top *yaml.Node) ([]byte, error) {
	if len(top.Content) == 0 {
		return []byte("{}\n"), nil
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := errors.Join(e.Encode(top), e.Close())
	return b.Bytes(), err
}
