package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a request says has to be understood as a whole: nothing of it is passed over.

// readBody is the whole body, which has to be said to be JSON. An empty one is nil.
func (c *call) readBody() ([]byte, error) {
	body, err := io.ReadAll(c.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return nil, problem("too-slow", "")
	case err != nil:
		return nil, problem("bad-request", "the body ends before it is complete")
	case len(body) == 0:
		return nil, nil
	}
	kind, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	charset, given := parameters["charset"]
	switch {
	case err != nil || kind != "application/json" && kind != "application/merge-patch+json":
		return nil, problem("bad-media-type", "Content-Type is application/json")
	case given && !strings.EqualFold(charset, "utf-8"):
		return nil, problem("bad-media-type", "JSON is UTF-8")
	}
	if coding := c.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, problem("bad-media-type", "the body is taken as it is, without Content-Encoding")
	}
	if !utf8.Valid(body) {
		return nil, problem("bad-request", "the body is not UTF-8")
	}
	return body, nil
}

// decode reads the body into v, which has no objects in it. Every key has to be one of v's to the letter, and may come
// once. Without a body v stays as it is, unless it is needed.
func (c *call) decode(v any, needed bool) error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	if body == nil && !needed {
		return nil
	}
	top, err := treeOf(body)
	if err != nil {
		return err
	}
	known := keysOf(reflect.TypeOf(v).Elem())
	for i := 0; i < len(top.Content); i += 2 {
		if key := top.Content[i]; !slices.Contains(known, key.Value) {
			has := "it takes no keys"
			if len(known) > 0 {
				has = "there are " + strings.Join(known, ", ")
			}
			at := &misplaced{key.Line, key.Column, "there is no key " + quoted(key.Value) + " (" + has + ")"}
			return problem("bad-request", at.Error())
		}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return problem("bad-request", jsonFault(body, 0, err))
	}
	return nil
}

// keysOf are the keys that JSON for a type can have.
func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}

// jsonFault says what is wrong with JSON, and where; without the decoder's word for it that is offset.
func jsonFault(body []byte, offset int64, err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at *misplaced
	switch {
	case errors.As(err, &at):
		return at.Error()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the JSON ends before it is complete"
	case errors.As(err, &syntax):
		return position(body, syntax.Offset-1) + ": " + syntax.Error()
	case errors.As(err, &kind):
		return position(body, kind.Offset) + ": " + quoted(kind.Field) + " is not " + kindNames[kind.Type.Kind()]
	}
	return position(body, offset) + ": " + err.Error()
}

var kindNames = map[reflect.Kind]string{
	reflect.String: "a text", reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Uint64: "a whole number from 0 on",
}

// position is where an offset is, as editors count.
func position(body []byte, offset int64) string {
	line, column := lineAndColumn(body, offset)
	return fmt.Sprintf("line %d, column %d", line, column)
}

func lineAndColumn(body []byte, offset int64) (line, column int) {
	before := body[:max(0, min(offset, int64(len(body))))]
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// checkCondition refuses If-Match where there is nothing that it could be of: whoever sends it does not want to be done what was
// decided on something else.
func (c *call) checkCondition() error {
	header := c.Header.Values("If-Match")
	if c.route.method == http.MethodGet || c.route.cond || len(header) == 0 || matches(header, "") { // * is whatever there is
		return nil
	}
	return problem("bad-request", "there is nothing here that If-Match could be of")
}

// checkQuery refuses parameters that there are not: a misspelt one must not get everybody's for one's, nor do what was only
// to be tried. What scrapers send along with /metrics is theirs.
func (c *call) checkQuery() error {
	if c.route.media != "" {
		return nil
	}
	given, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return problem("bad-request", "the parameters can not be read")
	}
	for name, values := range given {
		i := slices.IndexFunc(c.route.query, func(p parameter) bool { return p.name == name })
		switch {
		case i < 0:
			return problem("bad-request", "there is no parameter "+quoted(name))
		case len(values) > 1 && !c.route.query[i].many:
			return problem("bad-request", name+" is given more than once")
		}
	}
	return nil
}

// ServeHTTP implements http.Handler. Paths have one form: others would be led to it before anybody has asked for a token.
func (a *api) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if p := q.URL.EscapedPath(); p != "/" && path.Clean(p) != p {
		a.refuse(w, q, problem("not-found", ""))
		return
	}
	a.mux.ServeHTTP(w, q)
}
