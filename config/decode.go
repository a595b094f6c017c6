package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// The YAML library decodes into structs by itself, but it stops at some
// mistakes, knows keys by line only and says nothing about misspelt ones. This
// decoder walks the parsed nodes next to the Go value, notes the line of every
// path and goes on after a mistake. How deep it goes is bounded by the types,
// which do not recurse, and how much it does by the file and by maxAliased.

// maxAliased is how many nodes may be reached through aliases: enough to share
// a list among thousands of tenants, too few for a file that unfolds without end.
const maxAliased = 100_000

// defaulter is a type whose zero value is not its default.
type defaulter interface{ setDefaults() }

// value decodes node n, found at path, into v.
func (s *source) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		if s.aliased > maxAliased {
			return
		}
		if s.aliased += nodes(n.Alias, maxAliased); s.aliased > maxAliased {
			s.errorf(path, "the aliases of this file unfold to too much")
			return
		}
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		s.errorf(path, "YAML tags are not supported; quote a value that begins with !")
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		if n.Anchor != "" {
			s.errorf(path, "the value is an empty YAML anchor; quote a value that begins with &")
		}
		s.empty[path] = true
		return // an empty value leaves the default
	}
	if _, isText := v.Addr().Interface().(encoding.TextUnmarshaler); isText {
		s.scalar(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			if d, ok := v.Interface().(defaulter); ok {
				d.setDefaults()
			}
		}
		s.value(n, v.Elem(), path)
	case reflect.Struct, reflect.Map:
		s.mapping(n, v, path)
	case reflect.Slice:
		s.list(n, v, path)
	default:
		s.scalar(n, v, path)
	}
}

// mapping decodes into a struct, whose fields are the keys there are, or into a
// map, whose keys the file chooses.
func (s *source) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		s.errorf(path, "expected a mapping of keys to values, got %s", kindName(n))
		return
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			s.errorAt(key.Line, path, "a key must be a plain word (merging with << is not supported)")
			continue
		}
		child := join(path, key.Value)
		if line, again := first[key.Value]; again {
			s.errorAt(key.Line, child, "given twice (first on line %d)", line)
			continue
		}
		first[key.Value] = key.Line
		s.lines[child] = key.Line
		if v.Kind() == reflect.Map {
			s.entry(key.Value, val, v, child)
		} else if f, ok := fieldOf(v, key.Value); ok {
			s.value(val, f, child)
		} else {
			s.errorf(child, "unknown key%s", didYouMean(key.Value, fieldNames(v.Type())))
		}
	}
}

// entry decodes one value of a map. Every key given is in the map afterwards,
// also if its value is empty or wrong.
func (s *source) entry(key string, n *yaml.Node, m reflect.Value, path string) {
	elem, direct := m.Type().Elem(), true
	if elem.Kind() == reflect.Pointer {
		elem, direct = elem.Elem(), false
	}
	e := reflect.New(elem)
	if d, ok := e.Interface().(defaulter); ok {
		d.setDefaults()
	}
	s.value(n, e.Elem(), path)
	if m.IsNil() {
		m.Set(reflect.MakeMap(m.Type()))
	}
	if direct {
		e = e.Elem()
	}
	m.SetMapIndex(reflect.ValueOf(key), e)
}

func (s *source) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		s.errorf(path, "expected a list, got %s", kindName(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		child := index(path, i)
		s.lines[child] = item.Line
		s.value(item, v.Index(i), child)
	}
}

// scalar decodes a single value from its text as the file has it, after
// expanding variables. What YAML would take it for does not matter: a password
// 0123 stays 0123, and off is a word.
func (s *source) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		s.errorf(path, "expected a single value, got %s", kindName(n))
		return
	}
	text, err := expand(n.Value, s.env)
	if err != nil {
		s.errorf(path, "%v", err)
		return
	}
	if text != n.Value {
		s.raw[path], s.filled[path] = n.Value, text
	}
	if problem := setScalar(v, text); problem != "" {
		s.errorf(path, "%s %s", s.quote(path, text), problem)
	}
}

// setScalar returns what is wrong with text, or nothing.
func setScalar(v reflect.Value, text string) string {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		var bad *invalid
		if err := u.UnmarshalText([]byte(text)); errors.As(err, &bad) {
			return bad.problem
		}
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return "is not true or false"
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "is not a whole number"
		}
		v.SetInt(i)
	default:
		panic(fmt.Sprintf("config: no way to decode a %s", v.Type()))
	}
	return ""
}

// fieldOf finds the struct field for a key.
func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		switch tag := v.Type().Field(i).Tag.Get("yaml"); tag {
		case key:
			return v.Field(i), true
		case inline:
			if f, ok := fieldOf(v.Field(i), key); ok {
				return f, true
			}
		}
	}
	return reflect.Value{}, false
}

// inline marks a struct whose keys are those of the struct around it.
const inline = ",inline"

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag == inline {
			names = append(names, fieldNames(t.Field(i).Type)...)
		} else {
			names = append(names, tag)
		}
	}
	return names
}

// nodes counts n and what is below it, up to a little over most. Aliases inside
// count as one here, and again when they are decoded.
func nodes(n *yaml.Node, most int) int {
	count := 1
	for _, c := range n.Content {
		if count > most {
			break
		}
		count += nodes(c, most-count)
	}
	return count
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return kindName(n.Alias)
	}
	return "a single value"
}
