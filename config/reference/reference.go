package main

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"riptide-proxy/config"
)

const head = `# Configuration reference

All keys of the configuration file, made from the schema (` + "`go generate ./config/reference`" + `; a test fails when it is not up to date). A file is YAML; unknown keys are
mistakes, and every mistake is reported with its line: ` + "`riptide-proxy check --config riptide.yaml`" + `. A value may have ` + "`${NAME}`" + ` or ` + "`${NAME:-default}`" + ` from the environment.
Sizes are whole numbers with a unit (` + "`64MiB`, `5MB`, `100B`" + `), durations as well (` + "`500ms`, `30s`, `1h30m`" + `). [example.md](example.md) has an example.

The defaults are those of a key that is absent; ` + "`-`" + `: none, or said beside it. A running proxy takes over what is changed, except where it says
"from the next start on".
`

// section is a mapping of the file.
type section struct {
	path     string
	of       reflect.Type
	defaults reflect.Value // invalid if there is no such value
}

// writer puts the document together.
type writer struct {
	out      bytes.Buffer
	comments *comments
	problems []string
}

// reference is the document. dir is where the schema's source is.
func reference(dir string) ([]byte, error) {
	c, err := readComments(dir)
	if err != nil {
		return nil, err
	}
	w := &writer{comments: c}
	w.out.WriteString(head)
	w.section(section{"", reflect.TypeFor[config.Config](), reflect.ValueOf(config.Default()).Elem()})
	if len(w.problems) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(w.problems, "\n"))
	}
	return w.out.Bytes(), nil
}

// sample is a file with one of each of what maps hold, all at their defaults.
const sample = `upstream: {mode: embedded}
tenants: {x: {users: {default: {sha256: ["%s"]}}}}
`

// tenantDefaults is a tenant that says nothing.
func tenantDefaults() reflect.Value {
	c, _, err := config.Parse("sample", fmt.Appendf(nil, sample, config.HashSecret("x")), nil)
	if err != nil {
		panic(err)
	}
	t := *c.Tenants["x"]
	t.Users = nil
	return reflect.ValueOf(t)
}

// section writes one and those below it.
func (w *writer) section(s section) {
	title, of := s.path, []string{s.of.Name()}
	if title == "" {
		title = "Top level"
	} else {
		title = "`" + title + "`"
	}
	fields := flatten(s.of, s.defaults, &of)
	fmt.Fprintf(&w.out, "\n## %s\n\n", title)
	if text := w.comments.types[s.of.Name()]; s.path != "" && text != "" {
		fmt.Fprintf(&w.out, "%s\n\n", w.comments.operators(text, nil))
	}
	w.out.WriteString("| key | value | default | |\n|---|---|---|---|\n")
	var below []section
	for _, f := range fields {
		path := strings.TrimPrefix(s.path+"."+f.key, ".")
		text := w.comments.fields[f.owner][f.name]
		if text == "" {
			if of := elem(f.of); of.Kind() == reflect.Struct || choices.MatchString(refusal(of)) {
				text = w.comments.types[of.Name()]
			}
		}
		if text == "" {
			w.problems = append(w.problems, path+" is not described: its field has no comment")
		}
		text = w.comments.operators(text, of)
		if config.NextStart(path) {
			text += " **From the next start on.**"
		}
		if sub, ok := belowOf(path, f); ok {
			below = append(below, sub)
			text += fmt.Sprintf(" [Its keys](#%s)", anchor(sub.path))
		}
		fmt.Fprintf(&w.out, "| `%s` | %s | %s | %s |\n", f.key, kindOf(f.of), defaultOf(f), marks.Replace(text))
	}
	for _, sub := range below {
		w.section(sub)
	}
}

// marks keeps what a cell of a table would take for something else.
var marks = strings.NewReplacer("|", `\|`, "<", `\<`)

// field is a key of a mapping.
type field struct {
	key, name string
	owner     string // type that has the field
	of        reflect.Type
	value     reflect.Value // default; may be invalid
}

// flatten lists a struct's fields with those of inlined ones, whose types it adds to of.
func flatten(t reflect.Type, defaults reflect.Value, of *[]string) (all []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.Field(i)
		}
		switch tag := f.Tag.Get("yaml"); tag {
		case "", "-":
		case ",inline":
			*of = append(*of, f.Type.Name())
			all = append(all, flatten(f.Type, value, of)...)
		default:
			all = append(all, field{tag, f.Name, t.Name(), f.Type, value})
		}
	}
	return all
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// elem is what a map, a list or a pointer leads to.
func elem(t reflect.Type) reflect.Type {
	for !isText(t) && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	return t
}

// belowOf is the section for a field's own keys, if it has any.
func belowOf(path string, f field) (section, bool) {
	t := elem(f.of)
	if t.Kind() != reflect.Struct || isText(t) {
		return section{}, false
	}
	switch f.of.Kind() {
	case reflect.Map:
		if t == reflect.TypeFor[config.Tenant]() {
			return section{path + ".<id>", t, tenantDefaults()}, true
		}
		return section{path + ".<name>", t, reflect.Value{}}, true
	case reflect.Slice:
		return section{path + "[]", t, reflect.Value{}}, true
	case reflect.Pointer:
		return section{path, t, reflect.Value{}}, true
	}
	return section{path, t, f.value}, true
}

var choices = regexp.MustCompile(`is not one of (.*?)(?: \(did you mean.*)?$`)

// kinds are what operators call a type.
var kinds = map[reflect.Type]string{
	reflect.TypeFor[config.Size](): "size", reflect.TypeFor[config.Duration](): "duration", reflect.TypeFor[config.Password](): "text, secret",
	reflect.TypeFor[config.Amount](): "decimal number", reflect.TypeFor[config.Fraction](): "0 to 1",
}

func kindOf(t reflect.Type) string {
	if name := kinds[t]; name != "" {
		return name
	}
	if isText(t) {
		if m := choices.FindStringSubmatch(refusal(t)); m != nil {
			return "`" + strings.Join(strings.Split(m[1], ", "), "`, `") + "`"
		}
		return "text"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "`true`, `false`"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return "list of " + plural(kindOf(t.Elem()))
	case reflect.Map:
		return "mapping of names to " + plural(kindOf(t.Elem()))
	case reflect.Struct:
		return "mapping"
	}
	panic("no name for " + t.String())
}

// refusal is what a type that reads text says of one that it does not take; it names what it takes if that is
// one of a few words.
func refusal(t reflect.Type) string {
	u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !ok {
		return ""
	}
	err := u.UnmarshalText([]byte("\x00"))
	if err == nil {
		return ""
	}
	return err.Error()
}

func plural(kind string) string {
	if slices.Contains([]string{"size", "duration", "mapping", "number", "decimal number", "text"}, kind) {
		return kind + "s"
	}
	return kind
}

// defaultOf shows a default. Zero numbers stand for none unless the type says what they are.
func defaultOf(f field) string {
	v := f.value
	if !v.IsValid() || elem(f.of).Kind() == reflect.Struct && !isText(elem(f.of)) {
		return "-"
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return "-"
	}
	text := fmt.Sprint(v.Interface())
	if v.IsZero() && v.Kind() != reflect.Bool && !(f.of == reflect.TypeFor[config.Duration]()) && v.Kind() != reflect.Int || text == "" {
		return "-"
	}
	return "`" + text + "`"
}

// anchor is how a heading's own link is made.
func anchor(title string) string {
	return regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(title), "")
}
