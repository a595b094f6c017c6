package tests

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// A month that was closed has one bill: in the terminal, over HTTP, and after its
// usage or the prices were changed.
func TestBillsOfAFleet(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	tenant := harness.Acme
	tenant.YAML = "    plan: pro\n    tags: {cost_center: =0815}\n"
	top := "usage: {flush: 100ms, retention: 0s}\nbilling: {currency: EUR}\nplans: {pro: {prices: {base: 10, operations: %s}, included: {operations: 1}}}\n"
	p := harness.StartProxy(t, redis.Addr, harness.Options{Top: fmt.Sprintf(top, "0.5"), Tenants: []harness.Tenant{tenant}})
	p.Ready(t)
	upstream, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	for hour, score := range map[string]string{"2025020304": "482932", "2025021100": "483120"} {
		do(t, upstream, "HSET", "t:acme:usage:"+hour, "p:gone", `7 {"read":2000000,"write":1000000,"plan":"pro","at":1}`, "p:other", `9 {"read":500000,"plan":"pro","at":2}`)
		do(t, upstream, "ZADD", "t:acme:usage", score, hour)
		do(t, upstream, "ZADD", "t:acme:usage:open", score, hour)
	}
	do(t, upstream, "HSET", "riptide:usage:tenants", "acme", "t:acme:")
	month := []string{"--from", "2025-02", "--to", "2025-03", "--format", "csv"}
	bill := usageOf(t, p, append([]string{"close"}, month...)...)
	want := "tenant,from,to,final,plan,unit,used,included,billed,price,amount,currency,tag_cost_center\n" +
		"acme,2025-02-01T00:00:00Z,2025-03-01T00:00:00Z,true,pro,base,1.000000000,0.000000000,1.000000000,10,10.00000000,EUR,'=0815\n" +
		"acme,2025-02-01T00:00:00Z,2025-03-01T00:00:00Z,true,pro,operations,7.000000000,1.000000000,6.000000000,0.5,3.00000000,EUR,'=0815\n" +
		"acme,2025-02-01T00:00:00Z,2025-03-01T00:00:00Z,true,,total,,,,,13.00,EUR,'=0815\n"
	if bill != want {
		t.Fatalf("got\n%swant\n%s", bill, want)
	}
	do(t, upstream, "HSET", "t:acme:usage:2025021100", "p:late", `1 {"read":9000000,"at":3}`)
	dearer := harness.StartProxy(t, redis.Addr, harness.Options{Top: fmt.Sprintf(top, "99"), Tenants: []harness.Tenant{tenant}})
	for _, at := range []*harness.Proxy{p, dearer} {
		for _, word := range []string{"bill", "close"} {
			if got := usageOf(t, at, append([]string{word}, month...)...); got != want {
				t.Errorf("%s: got\n%s", word, got)
			}
		}
		r, err := http.Get("http://" + at.Admin + "/tenants/acme/billing?format=csv&from=2025-02&to=2025-03")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%v: got\n%s", err, body)
		}
	}
	if got := usageOf(t, p, append([]string{"--by", "hour", "--tag", "cost_center==0815"}, month...)...); strings.Count(got, "3500000,2500000,1000000,0,0,0,") != 2 || strings.Count(got, "\n") != 3 {
		t.Errorf("usage: %s", got)
	}
	if got := usageOf(t, p, append([]string{"--tag", "cost_center=x"}, month...)...); strings.Count(got, "\n") != 1 {
		t.Errorf("usage of nobody: %s", got)
	}
	for want, args := range map[string][]string{
		"the period can not be closed": {"close", "--from", "2025-02", "--to", "2029-01"},
		"say what to close":            {"close"},
		"no such tenant: nobody":       {"--tenant", "nobody"},
		"is not hour, day, month":      {"--by", "week"},
		"is not a time":                {"--from", "yesterday"},
		"is not csv, json or table":    {"bill", "--format", "xml"},
		"is not name=value":            {"--tag", "x"},
		"ends before it begins":        {"--from", "2025-03", "--to", "2025-02"},
		"has not begun yet":            {"--from", "2999-01"},
		"not the beginning of an hour": {"--from", "2025-03-01T10:30"},
	} {
		out, err := exec.Command(harness.Binary(t), append([]string{"usage", "--config", p.Config}, args...)...).CombinedOutput()
		if args[0] == "close" || args[0] == "bill" {
			out, err = exec.Command(harness.Binary(t), append([]string{"usage", args[0], "--config", p.Config}, args[1:]...)...).CombinedOutput()
		}
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
}

// A running proxy closes a period for who has the role, also on its embedded upstream, and that is in the audit log.
func TestCloseByAdmin(t *testing.T) {
	t.Parallel()
	tenant := harness.Acme
	tenant.YAML = "    plan: pro\n"
	dir := t.TempDir()
	p := harness.StartProxy(t, "", harness.Options{
		Top: fmt.Sprintf("usage: {flush: 100ms, retention: 0s}\nbilling: {currency: EUR}\nplans: {pro: {prices: {base: 10}}}\naudit: {dir: %q}\n", dir), Admin: admins(), Tenants: []harness.Tenant{tenant},
	})
	p.Ready(t)
	month := []string{"--from", "2025-02", "--to", "2025-03", "--format", "csv"}
	words := func(word string) []string { return append([]string{"usage", word}, month...) }
	for _, who := range []string{"operator", "acme-admin"} {
		if out, err := clientOf(t, p, who, words("close")...); err == nil || !strings.Contains(err.Error(), "The token does not allow this") {
			t.Errorf("%s: %v %s", who, err, out)
		}
	}
	if out, err := clientOf(t, p, "admin", "usage", "close", "--from", "2025-02", "--to", "2029-01"); err == nil || !strings.Contains(err.Error(), "the period can not be closed yet") {
		t.Errorf("%v %s", err, out)
	}
	before, err := clientOf(t, p, "viewer", words("bill")...)
	if err != nil || !strings.Contains(before, "acme,2025-02-01T00:00:00Z,2025-03-01T00:00:00Z,false,pro,base,") {
		t.Errorf("%v %s", err, before)
	}
	bill, err := clientOf(t, p, "admin", words("close")...)
	if err != nil || !strings.Contains(bill, "acme,2025-02-01T00:00:00Z,2025-03-01T00:00:00Z,true,,total,,,,,10.00,EUR\n") {
		t.Errorf("%v %s", err, bill)
	}
	if again, err := clientOf(t, p, "viewer", words("bill")...); err != nil || again != bill {
		t.Errorf("%v %s", err, again)
	}
	stop(t, p)
	_, text := auditText(t, dir)
	for _, want := range []string{
		`"actor":"admin","role":"admin"`, `"action":"closeBills","outcome":"ok","after":{"from":"2025-02","to":"2025-03","bills":1}`,
		`"actor":"operator","role":"operator"`, `"action":"closeBills","outcome":"failed","reason":"The token does not allow this: it needs the role admin"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}
