package config

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// Whatever is changed in whatever order: what is taken over from before makes no difference to what Again and With
// say, neither for good files nor for bad ones.
func TestReuse(t *testing.T) {
	t.Setenv("RIPTIDE_TEST_SIZE", "1MiB")
	dir := t.TempDir()
	folder := filepath.Join(dir, "t.d")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "riptide.yaml")
	mains := []string{
		"plans: {small: {keys: 1}}\n", "plans: {small: {keys: 2}, big: {memory: \"${RIPTIDE_TEST_SIZE}\"}}\n",
		"plans: {small: {keys: 1}}\ntls: {listen: 127.0.0.1:0, cert: c.pem, key: k.pem, client_ca: ca.pem}\n",
		"plans: {small: {keys: 1}}\nadmin: {listen: 127.0.0.1:0, tokens: [{name: a, role: admin, tenant: t3, sha256: " + HashSecret("2") + "}]}\n",
		"plans: {small: {keys: 1}}\ntenants: {t2: {databases: 3}}\n", "plans: 3\n",
	}
	texts := func(i int) []string {
		own := "users: {default: {sha256: [" + HashSecret(fmt.Sprint(i)) + "]}}\n"
		return []string{
			own, own, own + "plan: small\n", own + "plan: big\n", "# " + own + own, "users: {default: {sha256: [" + HashSecret("2") + "]}}\n", "",
			"users: {a: {}}\n", own + "quotas: {cold_storage: 1GiB}\n", own + "quotas: {memory: \"${RIPTIDE_TEST_SIZE}\"}\n", "- - [",
			"users: {default: {certificates: [\"cn:Acme\"]}}\n", own + "nosuch: 1\n",
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("riptide.yaml", upstream+mains[0]+"tenants_dir: t.d\n")
	known, _, _, err := ReadFiles(main)
	if known == nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(6, 1))
	good, taken := 0, 0
	for step := range 200 {
		what := fmt.Sprintf("step %d", step)
		with := false
		var next *Files
		var got *Config
		var warnings []Warning
		var gotErr error
		if random.IntN(40) == 0 {
			if random.IntN(3) == 0 {
				t.Setenv("RIPTIDE_TEST_SIZE", fmt.Sprintf("%dMiB", 1+random.IntN(3)))
			}
			write("riptide.yaml", upstream+mains[random.IntN(len(mains))]+"tenants_dir: t.d\n")
		} else {
			i := random.IntN(6)
			id := fmt.Sprintf("t%d", i)
			some := texts(i)
			text := []byte(some[random.IntN(len(some))])
			if random.IntN(2) == 0 {
				text = []byte(some[0])
			}
			if name := filepath.Join(folder, id+".yaml"); random.IntN(8) == 0 {
				text = nil
				os.Remove(name)
			} else {
				write("t.d/"+id+".yaml", string(text))
			}
			with = random.IntN(2) == 0
			if with {
				next, got, warnings, gotErr = known.With(id, text)
			}
		}
		if !with {
			next, got, warnings, gotErr = known.Again()
		}
		fresh, want, wantWarnings, wantErr := ReadFiles(main)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(warnings, wantWarnings) || !reflect.DeepEqual(gotErr, wantErr) || next.Hash() != fresh.Hash() {
			t.Fatalf("%s (with %v): %+v %v %v\nwant %+v %v %v", what, with, got, warnings, gotErr, want, wantWarnings, wantErr)
		}
		if gotErr != nil {
			if known = next; random.IntN(2) == 0 {
				known = fresh
			}
			continue
		}
		good++
		taken += len(next.sound.tenants)
		known = next
		if again, _, err := next.Load(); err != nil || !reflect.DeepEqual(again, want) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if good < 25 || taken < 100 {
		t.Errorf("only %d were good, with %d tenants", good, taken)
	}
	t.Logf("%d were good", good)
}

// A tenant whose file has not changed is the same one afterwards.
func TestReuseIsTheSame(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"riptide.yaml": upstream + "tenants_dir: .\ntenants: {main: {}}\n",
		"one.yaml":     "users: {default: {sha256: [" + HashSecret("1") + "]}}\n", "two.yaml": "users: {default: {sha256: [" + HashSecret("2") + "]}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.Rename(filepath.Join(dir, "riptide.yaml"), filepath.Join(dir, "riptide.conf"))
	files, before, _, err := ReadFiles(filepath.Join(dir, "riptide.conf"))
	if err != nil {
		t.Fatal(err)
	}
	_, now, _, err := files.With("two", []byte("users: {default: {sha256: ["+HashSecret("3")+"]}}\n"))
	if err != nil || now.Tenants["one"] != before.Tenants["one"] || now.Tenants["two"] == before.Tenants["two"] {
		t.Error(err)
	}
}
