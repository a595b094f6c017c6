package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
)

// key is 0xff, 0xfe, ...: its base64 differs between the alphabets.
var key = func() []byte {
	b := make([]byte, Size)
	for i := range b {
		b[i] = byte(255 - i)
	}
	return b
}()

func file(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestForms(t *testing.T) {
	newline := append(bytes.Clone(key[:Size-1]), '\n')
	for name, c := range map[string]struct {
		data string
		want []byte
		err  error
	}{
		"raw":                 {string(key), key, nil},
		"raw, newline":        {string(key) + "\n", key, nil},
		"raw, ends in one":    {string(newline), newline, nil},
		"hex":                 {hex.EncodeToString(key), key, nil},
		"hex, capitals":       {strings.ToUpper(hex.EncodeToString(key)) + "\r\n", key, nil},
		"base64":              {base64.StdEncoding.EncodeToString(key) + "\n", key, nil},
		"base64, not padded":  {base64.RawStdEncoding.EncodeToString(key), key, nil},
		"base64url":           {base64.URLEncoding.EncodeToString(key), key, nil},
		"empty":               {"", nil, errEmpty},
		"a newline":           {"\n", nil, errEmpty},
		"two newlines":        {hex.EncodeToString(key) + "\n\n", nil, errForm},
		"half a key":          {hex.EncodeToString(key[:16]) + "\n", []byte(hex.EncodeToString(key[:16])), nil},
		"a sentence":          {"correct horse battery staple !!!", []byte("correct horse battery staple !!!"), nil},
		"short":               {string(key[:31]), nil, errForm},
		"long":                {strings.Repeat("a", 255), nil, errForm},
		"not hex":             {strings.Repeat("g", 64), nil, errForm},
		"not base64":          {strings.Repeat("!", 44), nil, errForm},
		"base64 of 33 bytes":  {base64.StdEncoding.EncodeToString(append(key, 1)), nil, errForm},
		"nothing but zeros":   {strings.Repeat("00", 32), make([]byte, 32), nil},
		"nothing but ones":    {strings.Repeat("\xff", 32), bytes.Repeat([]byte{0xff}, 32), nil},
		"base64, loose end":   {strings.Repeat("A", 42) + "B", nil, errForm},
		"base64, with a line": {strings.Repeat("A", 21) + "\n" + strings.Repeat("A", 21), nil, errForm},
	} {
		got, err := parse([]byte(c.data))
		if !bytes.Equal(got, c.want) || err != c.err {
			t.Errorf("%s: %x, %v; want %x, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestWeak(t *testing.T) {
	for text, want := range map[string]bool{
		string(key): false, strings.Repeat("\x00", 32): true, strings.Repeat("x", 32): true, "correct horse battery staple !!!": true,
	} {
		if got := weak([]byte(text)) != ""; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(key)
	f.Add([]byte(hex.EncodeToString(key) + "\n"))
	f.Add([]byte(base64.URLEncoding.EncodeToString(key)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(data)
		if (err == nil) != (len(got) == Size) {
			t.Errorf("%d bytes and %v", len(got), err)
		}
	})
}

func TestLoad(t *testing.T) {
	t.Setenv("RIPTIDE_TEST_KEY", hex.EncodeToString(key))
	got, err := Load(t.Context(), map[string]*config.MasterKey{
		"file":    {File: file(t, key, 0o600)},
		"env":     {Env: "RIPTIDE_TEST_KEY"},
		"command": {Command: []string{"sh", "-c", `printf %s "$RIPTIDE_TEST_KEY"; echo noise >&2`}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "env", "command"} {
		if !bytes.Equal(got[name], key) {
			t.Errorf("%s: %x", name, got[name])
		}
	}
	if got, err := Load(t.Context(), nil); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestLoadErrors(t *testing.T) {
	text := hex.EncodeToString(key)
	t.Setenv("RIPTIDE_TEST_KEY", text+"0")
	defer func(d time.Duration) { patience = d }(patience)
	patience = 300 * time.Millisecond
	dir, bad := t.TempDir(), file(t, []byte("secret"), 0o600)
	sh := func(script string) *config.MasterKey {
		return &config.MasterKey{Command: []string{"sh", "-c", script}}
	}
	for name, c := range map[string]struct {
		from *config.MasterKey
		want string
	}{
		"none":           {&config.MasterKey{}, `encryption_keys.k: there is no file, env or command to get it from`},
		"no file":        {&config.MasterKey{File: dir + "/k"}, `encryption_keys.k: stat ` + dir + `/k: no such file or directory`},
		"folder":         {&config.MasterKey{File: dir}, `encryption_keys.k: ` + dir + ` is not a file`},
		"bad file":       {&config.MasterKey{File: bad}, `encryption_keys.k: ` + bad + " " + errForm.Error()},
		"no variable":    {&config.MasterKey{Env: "RIPTIDE_TEST_NONE"}, `encryption_keys.k: the environment variable RIPTIDE_TEST_NONE is not set`},
		"bad variable":   {&config.MasterKey{Env: "RIPTIDE_TEST_KEY"}, `encryption_keys.k: the environment variable RIPTIDE_TEST_KEY ` + errForm.Error()},
		"fails":          {sh("echo denied >&2; exit 3"), `encryption_keys.k: sh failed: exit status 3; it said "denied"`},
		"fails silently": {sh("exit 1"), `encryption_keys.k: sh failed: exit status 1`},
		"prints nothing": {sh(":"), `encryption_keys.k: sh printed nothing`},
		"prints rubbish": {sh("echo secret; echo hm >&2"), `encryption_keys.k: sh printed what ` + errForm.Error() + `; it said "hm"`},
		"prints much":    {sh("yes | head -c 100000"), `encryption_keys.k: sh printed more than the 256 bytes that a key takes at most`},
		"shows the key": {sh("set -x; echo " + text + "; exit 1"),
			`encryption_keys.k: sh failed: exit status 1; what it said on standard error contains what it printed and is not shown`},
		"hangs": {sh("echo waiting >&2; exec sleep 60"), `encryption_keys.k: sh has not finished within 300ms; it said "waiting"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Load(t.Context(), map[string]*config.MasterKey{"k": c.from})
			if err == nil || err.Error() != c.want || got != nil {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret")) {
				t.Error("the key is in the message")
			}
		})
	}
	t.Run("no program", func(t *testing.T) {
		_, err := Load(t.Context(), map[string]*config.MasterKey{"a": {Command: []string{"/does/not/exist"}}, "b": {}})
		if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), `encryption_keys.a: /does/not/exist failed: `) {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Load(ctx, map[string]*config.MasterKey{"k": sh("echo " + text)}); err == nil {
			t.Error("it did not mind")
		}
	})
}

// TestAccess: what everybody can read is warned of, what the group can is not.
func TestAccess(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
		var log bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		if _, err := Load(t.Context(), map[string]*config.MasterKey{"k": {File: file(t, key, mode)}}); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "everybody"); got != warned {
			t.Errorf("mode %v: warned %v", mode, got)
		}
	}
}
