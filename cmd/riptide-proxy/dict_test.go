package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
)

// storeSessions stores n values of tenant acme under session:<i>, as many fields of hashes, and some that are nobody's.
func storeSessions(t *testing.T, client *redis.Client, n int) {
	t.Helper()
	p := client.Pipeline()
	for i := range n {
		p.Set(t.Context(), fmt.Sprintf("t:acme:0:session:%d", i), sessionText(i), 0)
		p.HSet(t.Context(), fmt.Sprintf("t:acme:2:user:%d", i), "profile", sessionText(i), "n", i)
		p.Set(t.Context(), fmt.Sprintf("t:acme2:0:session:%d", i), "x", 0)
	}
	p.LPush(t.Context(), "t:acme:0:session:list", "x")
	if _, err := p.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func sessionText(i int) string {
	return fmt.Sprintf(`{"user_id":%d,"roles":["customer"],"csrf_token":"%08x","created_at":"2026-09-%02dT10:%02d:00Z","user_agent":"Mozilla/5.0 (X11; Linux x86_64) Firefox/%d.0","language":"en","theme":"dark"}`,
		i*7919, uint32(i*2654435761), 1+i%28, i*13%60, 120+i%9)
}

func TestDict(t *testing.T) {
	client := jobs(t, 0)
	storeSessions(t, client, 150)
	file := jobConfig(t, client, `compression: {algorithm: zstd, dictionaries: {patterns: ["session:*", "none:*"], size: 4KiB}}`)
	dict := func(args ...string) (string, string, error) {
		return run(dictCommand(), "", append(args, "--config", file, "--tenant", "acme")...)
	}

	out, errs, err := dict("list")
	if err != nil || errs != "" || !regexp.MustCompile(`^DICTIONARY +PATTERN.*\n$`).MatchString(out) {
		t.Errorf("%q %q %v", out, errs, err)
	}
	out, errs, err = dict("train", "--pattern", "session:*")
	if err != nil || errs != "" || !regexp.MustCompile(`(?s)^looked at 30[0-9] keys\nsession:\*: stored dictionary [0-9a-f]{8} of [0-9]+ bytes \([0-9]+ values .* less than plain\)\n$`).MatchString(out) {
		t.Fatalf("%q %q %v", out, errs, err)
	}
	out, _, err = dict("train")
	if err != nil || !regexp.MustCompile(`(?s)^looked at .*\nsession:\*: nothing stored, no dictionary .* with the present one .*\nnone:\*: nothing trained, too few values.*\n\*: stored dictionary .*\n$`).MatchString(out) {
		t.Errorf("%q %v", out, err)
	}

	out, _, err = dict("list", "--json")
	var infos []dictionary.Info
	if err := json.Unmarshal([]byte(out), &infos); err != nil || len(infos) != 2 {
		t.Fatalf("%q %v", out, err)
	}
	is := infos[0]
	if err != nil || is.Pattern != "session:*" || is.State != "current" || is.Saved < 50 || is.Retired != nil {
		t.Errorf("%+v %v", is, err)
	}
	out, _, err = dict("list")
	if row := fmt.Sprintf("%s session:* %d", is.ID, is.Size); err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), row) || strings.Count(out, "\n") != 3 {
		t.Errorf("%q has no %q, %v", out, row, err)
	}
	out, _, err = dict("show", is.ID)
	if err != nil || !strings.Contains(out, "session:*") || !strings.Contains(out, "current") || strings.Contains(out, "retired") {
		t.Errorf("%q %v", out, err)
	}
	out, _, err = dict("show", is.ID, "--raw")
	if d, bad := value.NewDict("*", []byte(out)); err != nil || bad != nil || fmt.Sprintf("%08x", d.ID) != is.ID {
		t.Errorf("%d bytes, %v, %v", len(out), err, bad)
	}

	for _, c := range []struct {
		args []string
		err  string
	}{
		{[]string{"show", "0000002a"}, "dictionary 0000002a of tenant acme: no such dictionary"},
		{[]string{"show", "xyz"}, `"xyz" is not the id of a dictionary (8 hexadecimal digits)`},
		{[]string{"train", "--pattern", "other:*"}, `tenant acme has no pattern "other:*" in compression.dictionaries.patterns`},
	} {
		if out, _, err := dict(c.args...); err == nil || err.Error() != c.err || out != "" {
			t.Errorf("%v: %q %v", c.args, out, err)
		}
	}
	if _, _, err := run(dictCommand(), "", "list", "--config", file, "--tenant", "globex"); err == nil || !strings.Contains(err.Error(), `has no tenant "globex"`) {
		t.Error(err)
	}
	if _, _, err := run(dictCommand(), "", "list"); err == nil {
		t.Error("no configuration, no error")
	}
}

// Values that are stored sealed are opened first, and the dictionaries are sealed too.
func TestDictEncrypted(t *testing.T) {
	client := jobs(t, 0)
	storeSessions(t, client, 150)
	file := jobConfig(t, client, `compression: {algorithm: zstd}, encryption: {algorithm: aes-256-gcm, key: one}`)
	if out, errs, err := run(recompressCommand(), "", "--config", file, "--tenant", "acme"); err != nil {
		t.Fatal(out, errs, err)
	}
	out, errs, err := run(dictCommand(), "", "train", "--config", file, "--tenant", "acme")
	if err != nil || errs != "" || !strings.Contains(out, "*: stored dictionary") {
		t.Fatalf("%q %q %v", out, errs, err)
	}
	for _, stored := range client.HGetAll(t.Context(), "t:acme:dicts").Val() {
		if strings.Contains(stored, "csrf_token") {
			t.Error("a dictionary can be read in the upstream")
		}
	}
	without := jobConfig(t, client, `compression: {algorithm: lz4}`)
	if _, _, err := run(dictCommand(), "", "train", "--config", without, "--tenant", "acme"); err == nil || err.Error() != "tenant acme has no compression with dictionaries" {
		t.Error(err)
	}
}
