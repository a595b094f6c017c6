package admin

import (
	"encoding"
	"reflect"

	"riptide-proxy/config"
)

// What the listener tells of a configuration has the keys that files have, so that an answer can be
// sent back as a change. It is made from the schema itself; hidden is what is never told.

// hidden are keys whose values are secrets, or would help to guess some. They are told by their number.
var hidden = map[string]bool{"sha256": true, "argon2id": true}

// shown is a value of the schema as JSON has it. Zeros are left out where sparse says so: in
// quotas they mean that there is none.
func shown(v reflect.Value, sparse bool) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return shown(v.Elem(), sparse)
	}
	if m, isText := v.Interface().(encoding.TextMarshaler); isText {
		b, err := m.MarshalText()
		if err != nil {
			return nil
		}
		return string(b)
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		fields(v, sparse, out)
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = shown(v.MapIndex(k), sparse)
		}
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = shown(v.Index(i), sparse)
		}
		return out
	}
	return v.Interface()
}

func fields(v reflect.Value, sparse bool, out map[string]any) {
	secrets, hides := 0, false
	for i := range v.NumField() {
		f := v.Field(i)
		key := v.Type().Field(i).Tag.Get("yaml")
		sparse := sparse || isSparse(f.Type())
		switch {
		case key == ",inline":
			fields(f, sparse, out)
		case hidden[key]:
			secrets, hides = secrets+f.Len(), true
		case sparse && (f.IsZero() || f.Kind() == reflect.Map && f.Len() == 0):
		default:
			out[key] = shown(f, sparse)
		}
	}
	if hides {
		out["secrets"] = secrets
	}
}

// isSparse tells whether zeros of a type are not worth telling.
func isSparse(t reflect.Type) bool {
	return t == reflect.TypeFor[config.Quotas]() || t == reflect.TypeFor[config.UserQuotas]() || t == reflect.TypeFor[map[string]config.Amount]()
}

// viewOf is what is told of a tenant's configuration.
func viewOf(t *config.Tenant) map[string]any {
	view, isMap := shown(reflect.ValueOf(t), false).(map[string]any)
	if !isMap {
		return map[string]any{}
	}
	return view
}

// limitsOf are the quotas that hold for a tenant, of its own and of its plan.
func limitsOf(c *config.Config, id string) any {
	return shown(reflect.ValueOf(c.QuotasOf(id)), true)
}

// planOf is what is told of a plan.
func planOf(c *config.Config, name string) Plan {
	p := Plan{Name: name, Config: shown(reflect.ValueOf(c.Plans[name]), true)}
	for _, t := range c.Tenants {
		if t.Plan == name {
			p.Tenants++
		}
	}
	return p
}
