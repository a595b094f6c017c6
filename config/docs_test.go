package config

import (
	"os"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// examples are the configurations in a document: what is indented as code, and begins with one of
// the keys that a file begins with.
func examples(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile(`(?m)(?:^(?: {4}.*)\n)+`).FindAllString(string(text), -1) {
		block = regexp.MustCompile(`(?m)^ {4}`).ReplaceAllString(block, "")
		if regexp.MustCompile(`^(listen|admin|upstream|plans|usage|log|tracing|jwt): ?`).MatchString(block) {
			all = append(all, block)
		}
	}
	return all
}

// filledIn has hashes where the document says that there are to be some.
func filledIn(example string) string {
	const phc = "$argon2id$v=19$m=19456,t=2,p=1$4E00Wa+4ss0npLgbjFMJoQ$rskJLqor8p9kL3U1uimg8NeBc4fXeDDQkmJsgzBqUY8"
	example = strings.ReplaceAll(example, "<argon2id hash>", phc)
	return regexp.MustCompile(`<hash[^>]*>`).ReplaceAllStringFunc(example, func() func(string) string {
		n := 0
		return func(string) string { n++; return HashSecret(strings.Repeat("x", n)) }
	}())
}

// What the documents show is accepted as it is, without a warning.
func TestDocumentedExamples(t *testing.T) {
	for name, want := range map[string]int{"../README.md": 2, "../docs/example.md": 1, "../docs/quotas.md": 1, "../docs/usage.md": 1, "../docs/operations.md": 2, "../docs/jwt.md": 5, "../docs/audit.md": 1, "../docs/admin.md": 1, "../docs/tls.md": 1, "../docs/state.md": 1} {
		found := examples(t, name)
		if len(found) != want {
			t.Errorf("%s has %d configurations, want %d", name, len(found), want)
		}
		for _, text := range found {
			text = filledIn(text)
			for key, minimal := range map[string]string{
				"upstream": "{addresses: [127.0.0.1:6379]}", "tenants": "{acme: {users: {default: {sha256: [" + HashSecret("y") + "]}}}}",
			} {
				if !regexp.MustCompile(`(?m)^` + key + `:`).MatchString(text) {
					text += key + ": " + minimal + "\n"
				}
			}
			_, warnings, err := Parse(name, []byte(text), func(string) (string, bool) { return "the value of a variable", true })
			if err != nil || len(warnings) > 0 {
				t.Errorf("%v %v in\n%s", err, warnings, text)
			}
		}
	}
}

// keysOf are the keys of a struct, those of inlined ones included.
func keysOf(of reflect.Type) (keys []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		if tag := f.Tag.Get("yaml"); tag == ",inline" {
			keys = append(keys, keysOf(f.Type)...)
		} else {
			keys = append(keys, tag)
		}
	}
	return keys
}

// Every key is in the operators' table, with the default that it has.
func TestDocumentedQuotas(t *testing.T) {
	text, err := os.ReadFile("../docs/quotas.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{Quotas{}, Accounting{}} {
		for _, key := range keysOf(reflect.TypeOf(of)) {
			if !regexp.MustCompile("(?m)^\\| (`[a-z_]+`, )?`" + key + "`[ ,]").Match(text) {
				t.Errorf("docs/quotas.md has no row for %s", key)
			}
		}
	}
	for _, key := range keysOf(reflect.TypeOf(UserQuotas{})) {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + key + "`[^|]*\\|[^|]*\\|[^|]*\\| yes \\|$").Match(text) {
			t.Errorf("docs/quotas.md does not say that users can have %s", key)
		}
	}
	d := Default()
	for key, value := range map[string]string{
		"weight": "100", "over": "`" + string(Reject) + "`", "unreachable": "`" + string(d.Accounting.Unreachable) + "`", "commands_per_second": "5000", "interval": "`" + d.Accounting.Interval.String() + "`",
	} {
		if !regexp.MustCompile("(?m)^\\| `" + key + "` \\|[^|]*\\| " + value + " \\|").Match(text) {
			t.Errorf("docs/quotas.md does not say that the default of %s is %s", key, value)
		}
	}
	if d.Accounting.CommandsPerSecond != 5000 || DefaultWeight != 100 {
		t.Error("the defaults are others than this test says")
	}
}

// Links between the documents lead somewhere.
func TestDocumentedLinks(t *testing.T) {
	anchor := func(title string) string {
		title = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(title), "")
		return strings.ReplaceAll(strings.TrimSpace(title), " ", "-")
	}
	root, err := os.OpenRoot("..")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	read := func(name string) string {
		text, err := root.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	documents := []string{"README.md"}
	for _, folder := range []string{"docs", "docs/decisions"} {
		entries, err := os.ReadDir("../" + folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".md") {
				documents = append(documents, folder+"/"+e.Name())
			}
		}
	}
	for _, name := range documents {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(name), -1) {
			file, section, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if info, err := root.Stat(target); err == nil && info.IsDir() && section == "" {
				continue
			}
			text := read(target)
			found := section == ""
			for _, title := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
				found = found || anchor(title[1]) == section
			}
			if !found {
				t.Errorf("%s: %s has no section %s", name, target, section)
			}
		}
	}
}
