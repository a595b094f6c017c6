package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// comments are what the source says of types and of their fields.
type comments struct {
	types  map[string]string            // by the type's name
	fields map[string]map[string]string // by the type's and the field's
	keys   map[string]map[string]string // likewise: the field's key in a file
}

// readComments reads a package's.
func readComments(dir string) (*comments, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	c := &comments{types: map[string]string{}, fields: map[string]map[string]string{}, keys: map[string]map[string]string{}}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				for _, s := range g.Specs {
					c.add(set, s.(*ast.TypeSpec), g.Doc)
				}
			}
		}
	}
	return c, nil
}

func (c *comments) add(set *token.FileSet, t *ast.TypeSpec, doc *ast.CommentGroup) {
	if t.Doc != nil {
		doc = t.Doc
	}
	name := t.Name.Name
	c.types[name] = paragraph(doc)
	body, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	c.fields[name], c.keys[name] = map[string]string{}, map[string]string{}
	last, line := "", 0 // of the field before: a comment is for all fields below it up to an empty line
	for _, f := range body.Fields.List {
		if len(f.Names) == 0 || f.Tag == nil {
			continue // inlined: its own type has the comments
		}
		text := paragraph(f.Doc)
		if text == "" {
			text = paragraph(f.Comment)
		}
		if text == "" && set.Position(f.Pos()).Line == line+1 {
			text = last
		}
		last, line = text, set.Position(f.End()).Line
		for _, n := range f.Names {
			c.fields[name][n.Name] = text
			if m := yamlTag.FindStringSubmatch(f.Tag.Value); m != nil {
				c.keys[name][n.Name] = m[1]
			}
		}
	}
}

var yamlTag = regexp.MustCompile(`yaml:"([a-z0-9_]+)`)

// paragraph is the first one of a comment, in one line.
func paragraph(g *ast.CommentGroup) string {
	text, _, _ := strings.Cut(strings.TrimSpace(g.Text()), "\n\n")
	return strings.Join(strings.Fields(text), " ")
}

// programs is what operators know by another name.
var programs = strings.NewReplacer("HashSecret gives", "`riptide-proxy hash` prints", "HashArgon2id gives", "`riptide-proxy hash --argon2id` prints")

var word = regexp.MustCompile(`\b(?:([A-Z][A-Za-z0-9]*)\.)?([A-Z][A-Za-z0-9]*)\b`)

// operators turns names of fields into the keys that operators know. of are the types whose fields may be meant by their
// names alone.
func (c *comments) operators(text string, of []string) string {
	text = word.ReplaceAllStringFunc(programs.Replace(text), func(found string) string {
		m := word.FindStringSubmatch(found)
		types := of
		if m[1] != "" {
			types = []string{m[1]}
		}
		for _, t := range types {
			if key := c.keys[t][m[2]]; key != "" {
				return "`" + key + "`"
			}
		}
		return found
	})
	return text
}
