package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each key of the schema is changed, one at a time: those that hold from the next start on are named when they are
// changed, by the key that the reference says so of, and no others are.
func TestFixedSchema(t *testing.T) {
	whole := func() *Config {
		c := Default()
		c.TLS, c.Unix = new(TLS), new(Unix)
		c.Upstream.TLS = new(UpstreamTLS)
		return c
	}
	named := make(map[string]bool)
	changed := 0
	eachKey(reflect.ValueOf(whole()).Elem(), "", nil, func(path string, at []int) {
		c := whole()
		v := reflect.ValueOf(c).Elem()
		for _, i := range at {
			if v.Kind() == reflect.Pointer {
				v = v.Elem()
			}
			v = v.Field(i)
		}
		if !alter(v) {
			t.Fatalf("%s: no other value for a %s", path, v.Type())
		}
		changed++
		var want []string
		for key := path; key != ""; key = key[:max(0, strings.LastIndexByte(key, '.'))] {
			if NextStart(key) {
				want = append(want, key)
			}
		}
		got := Fixed(whole(), c)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		for _, key := range got {
			named[key] = true
		}
	})
	for _, f := range fixed {
		if !named[f.key] {
			t.Errorf("%s is no key", f.key)
		}
	}
	if changed < 60 {
		t.Errorf("only %d keys", changed)
	}
}

// eachKey visits the keys whose values are not sections.
func eachKey(v reflect.Value, path string, at []int, visit func(path string, at []int)) {
	for i := range v.NumField() {
		f, key := v.Field(i), v.Type().Field(i).Tag.Get("yaml")
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		next := append(slices.Clone(at), i)
		if key != inline {
			key = join(path, key)
		} else {
			key = path
		}
		if f.Kind() == reflect.Struct && f.NumField() > 0 && f.Type().Field(0).Tag.Get("yaml") != "" {
			eachKey(f, key, next, visit)
			continue
		}
		visit(key, next)
	}
}

// alter gives a value that it has not.
func alter(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + int64(time.Second))
	case reflect.Uint8, reflect.Uint32, reflect.Uint16:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
	default:
		return false
	}
	return true
}
