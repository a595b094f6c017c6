package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"riptide-proxy/admin"
)

// topStub is an admin listener whose proxy runs 100 commands between two looks, a second apart.
func topStub(t *testing.T, token string) string {
	t.Helper()
	var looks atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+admin.TenantsPath, func(w http.ResponseWriter, r *http.Request) {
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n := looks.Add(1)
		json.NewEncoder(w).Encode(&admin.TenantsReport{Version: 1, Proxy: t.Name() + token, Uptime: float64(n), Tenants: []admin.TenantReport{
			{Tenant: "acme", Commands: 100 * n, Connections: 1}, {Tenant: "globex", Commands: 200 * n}}})
	})
	mux.HandleFunc("GET /new"+admin.TenantsPath, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(&admin.TenantsReport{Version: 2})
	})
	mux.HandleFunc("GET /bad"+admin.TenantsPath, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// What is no terminal gets a table, or as many as it wants.
func TestTopCommand(t *testing.T) {
	plain, guarded := topStub(t, ""), topStub(t, "s3cret")
	out, errs, err := run(topCommand(), "", "--admin", strings.TrimPrefix(plain, "http://"), "-a", guarded+"/", "--token", "s3cret", "-i", "100ms", "-t", "cme")
	lines := strings.Split(out, "\n")
	if err != nil || errs != "" || len(lines) != 3 || !strings.HasPrefix(lines[0], "TENANT        OPS/Sv ") || !strings.HasPrefix(lines[1], "acme             200 ") {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	// Without the token there is only one left, which is said aside.
	out, errs, err = run(topCommand(), "", "-a", plain, "-a", guarded, "-i", "100ms", "-n", "2", "--sort", "tenant")
	if err != nil || strings.Count(out, "\nacme             100 ") != 2 || strings.Count(out, "TENANT^") != 2 ||
		errs != strings.Repeat("warning: "+guarded+": 401 Unauthorized: it wants a token that may see tenants (RIPTIDE_ADMIN_TOKEN or --token)\n", 2) {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	t.Setenv(topTokenEnv, "s3cret")
	out, errs, err = run(topCommand(), "", "-a", guarded, "-i", "100ms", "--once", "--json")
	if err != nil || errs != "" || !strings.Contains(out, `"ops_per_second":200,`) {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
}

func TestTopCommandErrors(t *testing.T) {
	plain := topStub(t, "")
	none := configFile(t, strings.Replace(embedded(""), "admin: {listen: 127.0.0.1:0}\n", "", 1))
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "name a proxy's admin listener"},
		{[]string{"-c", none}, " has no admin.listen"},
		{[]string{"-c", "nosuch.yaml"}, "nosuch.yaml"},
		{[]string{"-a", "ftp://x"}, "--admin ftp://x: want host:port or a URL"},
		{[]string{"-a", "http://"}, "want host:port or a URL"},
		{[]string{"-a", plain, "--sort", "nope"}, "--sort nope: want one of tenant, ops, in, "},
		{[]string{"-a", plain, "-i", "1ms"}, "--interval 1ms: at least 100ms"},
		{[]string{"-a", plain, "-n", "-1"}, "--count -1: want a positive number"},
		{[]string{"-a", plain, "--once", "-n", "3"}, "--once is --count 1"},
		{[]string{"-a", "127.0.0.1:1", "-i", "100ms"}, "127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		{[]string{"-a", plain + "/other", "-i", "100ms"}, "404 Not Found: it is no admin listener, or of a version without /stats/tenants"},
		{[]string{"-a", plain + "/new", "-i", "100ms"}, "its reports are of version 2, this program knows 1"},
		{[]string{"-a", plain + "/bad", "-i", "100ms"}, "its answer can not be read: "},
	} {
		out, _, err := run(topCommand(), "", c.args...)
		if out != "" || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %q, %v", c.args, out, err)
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{":9380": "127.0.0.1:9380", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "10.0.0.1:1": "10.0.0.1:1", "host:1": "host:1"} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: %s", listen, got)
		}
	}
}
