package admin

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

// schemas describes Go types as OpenAPI does. Types with names are described once, and referred to.
type schemas map[string]any

type object = map[string]any

// of describes a type by its fields' tags: json, or yaml for what files can have.
func (s schemas) of(t reflect.Type, tag string) any {
	switch {
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem(), tag)
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[ledger.Milli]():
		return object{"type": "number"}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return scalar(t)
	}
	switch t.Kind() {
	case reflect.Struct:
		name := nameOf(t)
		if _, known := s[name]; !known {
			s[name] = nil // it may have itself in it
			properties := object{}
			s.fields(t, tagOf(t, tag), properties)
			s[name] = object{"type": "object", "properties": properties}
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem(), tag)}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem(), tag)}
	case reflect.Interface:
		return object{}
	}
	return object{"type": kinds[t.Kind()]}
}

var kinds = map[reflect.Kind]string{
	reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number",
	reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint64: "integer", reflect.Uint32: "integer", reflect.Uint8: "integer",
}

// nameOf is unique in the document: packages have types of the same name.
func nameOf(t reflect.Type) string {
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if pkg == "admin" {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

// tagOf is which tags a type has.
func tagOf(t reflect.Type, tag string) string {
	if t.NumField() > 0 {
		if _, has := t.Field(0).Tag.Lookup("yaml"); has {
			return "yaml"
		}
	}
	return tag
}

// scalar is a value that is written as a text of its own kind.
func scalar(t reflect.Type) any {
	examples := map[reflect.Type]string{
		reflect.TypeFor[config.Size](): "16MiB", reflect.TypeFor[config.Duration](): "30s", reflect.TypeFor[config.Amount](): "0.35",
	}
	if example := examples[t]; example != "" {
		return object{"type": "string", "example": example}
	}
	return object{"type": "string"}
}

func (s schemas) fields(t reflect.Type, tag string, properties object) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get(tag), ",")
		switch {
		case f.Tag.Get(tag) == ",inline", f.Anonymous && key == "":
			s.fields(f.Type, tag, properties)
		case key == "" || key == "-":
		default:
			properties[key] = s.of(f.Type, tag)
		}
	}
}
