package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	"riptide-proxy/value/rewrite"
)

// jobs is a server with n values of tenant acme, which compress well.
func jobs(t *testing.T, n int) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: harness.StartRedis(t).Addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	p := client.Pipeline()
	for i := range n {
		p.Set(t.Context(), fmt.Sprintf("t:acme:0:k%d", i), document(i), 0)
	}
	p.HSet(t.Context(), "t:acme:3:h", "f", document(1))
	p.HSet(t.Context(), "t:acme:space", "b1", document(2)) // the proxy's own, and no job's
	p.XAdd(t.Context(), &redis.XAddArgs{Stream: "t:acme:0:s", Values: []string{"f", "v"}})
	if _, err := p.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client
}

func document(i int) string {
	return strings.Repeat(fmt.Sprintf(`{"id": %d, "name": "customer", "tags": ["a", "b"]}, `, i), 30)
}

// jobConfig is a configuration for that server, with two keys, whose tenant acme has these fields.
func jobConfig(t *testing.T, client *redis.Client, fields string) string {
	t.Helper()
	file := configFile(t, "upstream: {addresses: ["+client.Options().Addr+"]}\n"+
		"encryption_keys:\n  one: {file: one.key}\n  two: {command: [cat, "+t.TempDir()+"/two.key]}\n"+
		"tenants:\n  acme: {"+fields+"}\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, two, _ := strings.Cut(string(text), "[cat, ")
	two, _, _ = strings.Cut(two, "]")
	for name, b := range map[string]byte{filepath.Join(filepath.Dir(file), "one.key"): 1, two: 2} {
		key := bytes.Repeat([]byte{b, 0xaa}, 16)
		if err := os.WriteFile(name, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// header is that of a stored value.
func header(t *testing.T, client *redis.Client, key string) (h value.Header, sealed bool) {
	t.Helper()
	stored, err := client.Get(t.Context(), key).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h, _, sealed = value.ParseHeader(stored)
	return h, sealed
}

// has complains about lines that an output does not have. Runs of spaces count as one.
func has(t *testing.T, out string, want ...string) {
	t.Helper()
	out = strings.Join(strings.Fields(out), " ")
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%q is not in: %s", w, out)
		}
	}
}

const (
	encrypted = "compression: {algorithm: lz4}, encryption: {algorithm: aes-256-gcm, key: %s}"
	key7      = "t:acme:0:k7"
)

// TestJobs is a tenant's way to compression, to encryption, to another key, and back.
func TestJobs(t *testing.T) {
	client := jobs(t, 100)
	do := func(cmd func() (string, string, error), want ...string) {
		t.Helper()
		out, errs, err := cmd()
		if err != nil {
			t.Fatal(err, errs)
		}
		has(t, out, want...)
	}
	recompress := func(fields string, args ...string) func() (string, string, error) {
		return func() (string, string, error) {
			return run(recompressCommand(), "", append([]string{"-c", jobConfig(t, client, fields), "-t", "acme"}, args...)...)
		}
	}
	rekey := func(fields string, args ...string) func() (string, string, error) {
		return func() (string, string, error) {
			return run(rekeyCommand(), "", append([]string{"-c", jobConfig(t, client, fields), "-t", "acme"}, args...)...)
		}
	}
	if _, _, err := recompress("", "--status")(); err == nil || err.Error() != "recompress has never run for tenant acme" {
		t.Error(err)
	}

	do(recompress("compression: {algorithm: zstd}"), "recompress tenant acme: finished 2", "keys 102: strings 100, hashes 1, streams 1, others 0",
		"values 101: rewritten 101, written by others meanwhile 0, left because of errors 0", "saved", "streams 1 values of fields, of which 0 are sealed")
	if h, _ := header(t, client, key7); h.Algorithm != value.Zstd {
		t.Errorf("%+v", h)
	}
	if v := client.HGet(t.Context(), "t::values", "acme").Val(); v == "" {
		t.Error("nobody is told that there are sealed values")
	}

	do(rekey(fmt.Sprintf(encrypted, "one")), "rekey tenant acme: finished", "rewritten 101", "key one ("+keyHex("one")+"): 101 values")
	do(rekey(fmt.Sprintf(encrypted, "two")), "key two ("+keyHex("two")+"): 101 values")
	if h, _ := header(t, client, key7); h.KeyID != value.KeyID("two") || h.Algorithm != value.LZ4 {
		t.Errorf("%+v", h)
	}
	do(rekey("", "--status"), "rekey tenant acme: finished", "rewritten 101")
	out, _, err := rekey("", "--status", "--json")()
	var s rewrite.State
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Rewritten != 101 || s.Job != rewrite.Rekey {
		t.Error(err, out)
	}

	out, errs, err := recompress(fmt.Sprintf(encrypted, "two"), "--plain", "--json")()
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || !s.Plain || s.Rewritten != 101 {
		t.Error(err, out)
	}
	has(t, errs, "warning: the configuration still has compression or encryption for tenant acme", "recompress acme: 0 %, 0 keys")
	if got := client.Get(t.Context(), key7).Val(); got != document(7) {
		t.Error("not as it was")
	}

	do(recompress(fmt.Sprintf(encrypted, "one")), "rewritten 101")
	do(recompress(""), "recompress --plain tenant acme", "rewritten 101", "more")
	if got := client.Get(t.Context(), key7).Val(); got != document(7) {
		t.Error("not as it was")
	}
}

func keyHex(name string) string { return fmt.Sprintf("%08x", value.KeyID(name)) }

// TestJobInterrupted stops the program itself, and lets another one go on.
func TestJobInterrupted(t *testing.T) {
	client := jobs(t, 3000)
	file := jobConfig(t, client, fmt.Sprintf(encrypted, "one"))
	p := start(t, "recompress", "-c", file, "-t", "acme", "--rate", "800")
	harness.Eventually(t, "some are done", func() bool {
		states, err := rewrite.Status(t.Context(), client, "t:acme:")
		return err == nil && states[rewrite.Recompress].Keys > 0
	})
	out, _, err := run(recompressCommand(), "", "-c", file, "-t", "acme", "--status")
	if err != nil {
		t.Error(err)
	}
	has(t, out, "% done, runs now (recompress by process")
	_, _, err = run(rekeyCommand(), "", "-c", file, "-t", "acme")
	if err == nil || !strings.HasPrefix(err.Error(), "a job of this tenant runs already: recompress by process ") {
		t.Error(err)
	}
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != 1 {
		t.Error("exit code", code)
	}
	has(t, p.output(), "% done, stopped 2", "riptide-proxy: interrupted; the next run goes on from here")
	out, _, err = run(recompressCommand(), "", "-c", file, "-t", "acme")
	if err != nil {
		t.Error(err)
	}
	has(t, out, "finished", "runs: 2", "rewritten 3001", "key one ("+keyHex("one")+"): 3001 values")
}

func TestJobErrors(t *testing.T) {
	client := jobs(t, 30)
	file := jobConfig(t, client, fmt.Sprintf(encrypted, "one"))
	if _, _, err := run(recompressCommand(), "", "-c", file, "-t", "acme"); err != nil {
		t.Fatal(err)
	}
	// Another key under the same name.
	other := jobConfig(t, client, fmt.Sprintf(encrypted, "two"))
	if err := os.WriteFile(filepath.Join(filepath.Dir(other), "one.key"), bytes.Repeat([]byte{3, 0xbb}, 16), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := run(rekeyCommand(), "", "-c", other, "-t", "acme")
	if err == nil || err.Error() != "31 values were left as they are" {
		t.Error(err)
	}
	has(t, out, `error "t:acme:`, `does not decrypt with encryption key "one"`, "error and 11 more", "key one ("+keyHex("one")+"): 31 values")

	missing := jobConfig(t, client, fmt.Sprintf(encrypted, "one"))
	if err := os.Remove(filepath.Join(filepath.Dir(missing), "one.key")); err != nil {
		t.Fatal(err)
	}
	embedded := configFile(t, embedded(""))
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"tenant":   {[]string{"-c", file, "-t", "globex"}, file + ` has no tenant "globex"`},
		"embedded": {[]string{"-c", embedded, "-t", "acme"}, "the embedded upstream lives in the proxy's process only, out of reach for this one"},
		"rate":     {[]string{"-c", file, "-t", "acme", "--rate", "-1"}, "--rate is how many keys per second, or 0"},
		"key":      {[]string{"-c", missing, "-t", "acme"}, `encryption_keys.one: stat ` + filepath.Dir(missing) + "/one.key: no such file or directory"},
		"off":      {[]string{"-c", jobConfig(t, client, ""), "-t", "acme"}, "tenant acme has no encryption"},
		"only compression": {[]string{"-c", jobConfig(t, client, "compression: {algorithm: s2}"), "-t", "acme"},
			"there is no key to encrypt with; to decrypt use recompress"},
	} {
		if _, _, err := run(rekeyCommand(), "", c.args...); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestJobDictionaries: values go over to the dictionary that is current, the retired one goes.
func TestJobDictionaries(t *testing.T) {
	ctx := t.Context()
	client := jobs(t, 50)
	tenant := dictionary.Tenant{ID: "acme", Root: "t:acme:", Writes: true, Size: 4 << 10}
	store := dictionary.NewStore(client)
	var ids []string
	for d, word := range []string{"first", "second"} {
		var samples [][]byte
		for i := range 300 {
			samples = append(samples, []byte(word+document(i)[:60]))
		}
		blob, err := dict.BuildZstdDict(samples, dict.Options{MaxDictSize: 4 << 10, HashBytes: 6, ZstdDictID: 1, ZstdLevel: zstd.SpeedDefault})
		if err != nil {
			t.Fatal(err)
		}
		e, err := dictionary.NewEntry(dictionary.Everything, &dictionary.Trained{Blob: blob, Samples: len(samples)})
		if err != nil {
			t.Fatal(err)
		}
		present := uint32(0)
		if d > 0 {
			present, _ = dictionary.ParseID(ids[0])
		}
		if err := store.Publish(ctx, &tenant, e, present); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprintf("%08x", e.ID))
		out, _, err := run(recompressCommand(), "", "-c", jobConfig(t, client, "compression: {algorithm: zstd}"), "-t", "acme", "--restart")
		if err != nil {
			t.Fatal(err)
		}
		has(t, out, "dictionary "+ids[d]+": 51 values")
	}
	// As if the first had been retired an hour ago.
	stored := client.HGet(ctx, "t:acme:dicts", ids[0]).Val()
	line, blob, _ := strings.Cut(stored, "\n")
	var meta dictionary.Meta
	if err := json.Unmarshal([]byte(line), &meta); err != nil || meta.State() != "retired" {
		t.Fatal(err, line)
	}
	meta.Retired = meta.Retired.Add(-time.Hour)
	changed, _ := json.Marshal(meta)
	client.HSet(ctx, "t:acme:dicts", ids[0], string(changed)+"\n"+blob)
	out, _, err := run(recompressCommand(), "", "-c", jobConfig(t, client, "compression: {algorithm: zstd}"), "-t", "acme")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "dropped dictionaries "+ids[0]+", which no value needed", "dictionary "+ids[1]+": 51 values")
}
