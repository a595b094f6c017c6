package admin

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"riptide-proxy/proxy"
	"riptide-proxy/value/dictionary"
)

// dicts are the dictionaries that a test's tenants have.
type dicts map[string][]*dictionary.Entry

func (d dicts) List(tenant string) ([]*dictionary.Entry, error) {
	switch list, known := d[tenant]; {
	case tenant == "broken":
		return nil, errors.New("it is broken")
	case !known:
		return nil, dictionary.ErrUnknownTenant
	default:
		return list, nil
	}
}

func TestDictionaries(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	o := Options{Proxy: &stub{ready: true, stats: &proxy.Stats{}}, Dictionaries: dicts{
		"globex": nil,
		"acme": {
			{ID: 0x2a, Blob: []byte("secret"), Meta: dictionary.Meta{Pattern: "session:*", Created: at, Retired: at.Add(time.Hour), Samples: 200,
				Gain: dictionary.Gain{Values: 50, Plain: 1000, Without: 800, With: 200}}},
			{ID: 0xffffffff, Blob: []byte("blob"), Meta: dictionary.Meta{Pattern: "*", Created: at}},
		},
	}}
	const first = `{"id":"0000002a","pattern":"session:*","state":"retired","size":6,"created":"2026-11-23T08:00:00Z","retired":"2026-11-23T09:00:00Z",` +
		`"samples":200,"gain":{"values":50,"plain":1000,"without":800,"with":200},"saved_percent":75,"total_percent":80}`
	const second = `{"id":"ffffffff","pattern":"*","state":"current","size":4,"created":"2026-11-23T08:00:00Z",` +
		`"samples":0,"gain":{"values":0,"plain":0,"without":0,"with":0},"saved_percent":0,"total_percent":0}`
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/tenants/acme/dictionaries", 200, "[" + first + "," + second + "]"},
		{"GET", "/tenants/acme/dictionaries/0000002a", 200, first},
		{"GET", "/tenants/acme/dictionaries/ffffffff", 200, second},
		{"GET", "/tenants/globex/dictionaries", 200, "[]"},
		{"GET", "/tenants/acme/dictionaries/0000002b", 404, "There is no such thing"},
		{"GET", "/tenants/acme/dictionaries/2a", 404, "There is no such thing"},
		{"GET", "/tenants/initech/dictionaries", 404, "There is no such thing"},
		{"GET", "/tenants/initech/dictionaries/0000002a", 404, "There is no such thing"},
		{"GET", "/tenants/broken/dictionaries", 500, "Something went wrong in the proxy"},
		{"DELETE", "/tenants/acme/dictionaries/0000002a", 405, "There is no such method here"},
		{"GET", "/tenants/acme", 404, "There is no such thing"},
	} {
		w := locally(o, c.method, c.path)
		body := w.Body.String()
		if w.Code == 200 {
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: %s", c.path, got)
			}
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.body), &want); err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(v)
			b, _ := json.Marshal(want)
			body, c.body = string(a), string(b)
		}
		if w.Code != c.status || body != c.body && !titled(body, c.body) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, body, c.status, c.body)
		}
	}
}

// A proxy without dictionaries has no such pages.
func TestNoDictionaries(t *testing.T) {
	if status, body, _ := get(t, &stub{}, "GET", "/tenants/acme/dictionaries"); status != 404 || !titled(body, "There is no such thing") {
		t.Errorf("%d %q", status, body)
	}
}
