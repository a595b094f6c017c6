package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Difference is a key whose value is another one in another configuration.
type Difference struct {
	Key    string `json:"key"`              // its path, as tenants.acme.quotas.memory
	Before string `json:"before,omitempty"` // empty: there was none
	After  string `json:"after,omitempty"`  // empty: there is none any more
}

// secretKeys have values that nobody is shown, nor their hashes.
var secretKeys = []string{"sha256", "argon2id", "password", "secret", "fleet_secret", "command"}

// longestValue is as much of a value as a Difference has, in bytes.
const longestValue = 200

// Diff tells what is different in a configuration, by the order of keys. Values that are secrets are shown as "***".
func Diff(before, after *Config) []Difference {
	return diff(nil, "", "", reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem())
}

// diff appends the differences below one key, whose path and last name these are. Either value may be invalid: it is not there.
func diff(all []Difference, path, name string, a, b reflect.Value) []Difference {
	if a.IsValid() && b.IsValid() && a.Kind() == reflect.Pointer && a.Equal(b) {
		return all // a tenant that was taken over, as most are
	}
	if a, b = follow(a), follow(b); !a.IsValid() && !b.IsValid() || a.IsValid() && b.IsValid() && reflect.DeepEqual(a.Interface(), b.Interface()) {
		return all
	}
	one := b
	if !one.IsValid() {
		one = a
	}
	_, isText := one.Interface().(fmt.Stringer)
	switch {
	case one.Kind() == reflect.Struct && !isText:
		for i := range one.NumField() {
			f := one.Type().Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			at := path
			if key != "" {
				at = join(path, key)
			}
			all = diff(all, at, key, field(a, i), field(b, i))
		}
		return all
	case one.Kind() == reflect.Map:
		for _, key := range keysOfBoth(a, b) {
			all = diff(all, join(path, key), key, entry(a, key), entry(b, key))
		}
		return all
	case one.Kind() == reflect.Slice && one.Type().Elem().Kind() == reflect.Struct:
		for i := range max(length(a), length(b)) {
			all = diff(all, index(path, i), name, element(a, i), element(b, i))
		}
		return all
	}
	d := Difference{Key: path, Before: shown(name, a), After: shown(name, b)}
	return append(all, d)
}

// shown is a value as it may be seen.
func shown(name string, v reflect.Value) string {
	if !v.IsValid() || v.IsZero() {
		return ""
	}
	if slices.Contains(secretKeys, name) {
		return masked
	}
	text := fmt.Sprint(v.Interface())
	if len(text) > longestValue {
		text = text[:longestValue] + "..."
	}
	return text
}

func follow(v reflect.Value) reflect.Value {
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

func field(v reflect.Value, i int) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.Field(i)
}

func entry(v reflect.Value, key string) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.MapIndex(reflect.ValueOf(key))
}

func element(v reflect.Value, i int) reflect.Value {
	if i >= length(v) {
		return reflect.Value{}
	}
	return v.Index(i)
}

func length(v reflect.Value) int {
	if !v.IsValid() {
		return 0
	}
	return v.Len()
}

// keysOfBoth are those of two maps by strings, in order.
func keysOfBoth(a, b reflect.Value) (keys []string) {
	for _, m := range []reflect.Value{a, b} {
		if !m.IsValid() {
			continue
		}
		for _, k := range m.MapKeys() {
			keys = append(keys, k.String())
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
