package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sealed writes a log of several blocks and files, of which each line is known, and returns them by file.
func sealed(t testing.TB, dir string, secret []byte) (names []string, lines [][]string) {
	t.Helper()
	s, err := openStream(dir, secret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for file := range 3 {
		if file > 0 {
			if err := s.begin(""); err != nil {
				t.Fatal(err)
			}
		}
		for block := range 3 {
			before := s.sealer.link
			var b []byte
			for i := range 4 {
				b = append(b, record(100*file+10*block+i)...)
			}
			if err := s.write(s.sealer.seal(b, 0, 4, time.Now()), before); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	short, byName := files(t, dir)
	for _, name := range short {
		names = append(names, filepath.Join(dir, name))
		lines = append(lines, byName[name])
	}
	return names, lines
}

// Each file is: the header and its seal, lines 1 and 2; blocks of 4 records and a seal, lines 3 to 7, 8 to 12 and 13 to 17.
var tampering = []struct {
	name string
	do   func(files [][]string) [][]string
	want string // how it is told; without the folder
}{
	{"nothing", func(f [][]string) [][]string { return f }, ""},
	{"a record deleted", func(f [][]string) [][]string { f[1] = slices.Delete(f[1], 3, 4); return f },
		"2:6: 1 of 4 records are missing in the block of lines 3 to 6"},
	{"a record changed", func(f [][]string) [][]string { f[0][8] = strings.Replace(f[0][8], "set", "get", 1); return f },
		"1:12: the block of lines 8 to 12 was changed"},
	{"white space", func(f [][]string) [][]string { f[0][8] = strings.Replace(f[0][8], ",", ", ", 1); return f },
		"1:12: the block of lines 8 to 12 was changed"},
	{"two records swapped", func(f [][]string) [][]string { f[2][3], f[2][4] = f[2][4], f[2][3]; return f },
		"3:7: the block of lines 3 to 7 was changed"},
	{"a record added", func(f [][]string) [][]string { f[0] = slices.Insert(f[0], 9, f[0][9]); return f },
		"1:13: 1 records were added to the block of lines 8 to 13"},
	{"a record replaced by that of another block", func(f [][]string) [][]string { f[0][3] = f[0][9]; return f },
		"1:7: the block of lines 3 to 7 was changed"},
	{"no record", func(f [][]string) [][]string { f[0][3] = "what is this\n"; return f },
		"1:4: is no record\n1:7: the block of lines 3 to 7 was changed"},
	{"a block deleted", func(f [][]string) [][]string { f[0] = slices.Delete(f[0], 7, 12); return f },
		"1:12: block 3 is missing before this block, which begins at line 8"},
	{"two blocks swapped", func(f [][]string) [][]string {
		f[0] = slices.Concat(f[0][:2], f[0][7:12], f[0][2:7], f[0][12:])
		return f
	}, "1:7: block 2 is missing before this block, which begins at line 3\n1:12: block 2 follows block 3\n1:17: block 3 is missing before this block, which begins at line 13"},
	{"a seal deleted", func(f [][]string) [][]string { f[0] = slices.Delete(f[0], 6, 7); return f },
		"1:11: the seal of block 2 is missing before this line"},
	{"a seal changed", func(f [][]string) [][]string {
		f[0][6] = strings.Replace(f[0][6], `"time":"2`, `"time":"3`, 1)
		return f
	}, "1:7: the block of lines 3 to 7 was changed"},
	{"a block deleted at the end of a file", func(f [][]string) [][]string { f[0] = f[0][:12]; return f },
		"2:1: block 4 is missing before this file (4 records)"},
	{"a seal deleted at the end of a file", func(f [][]string) [][]string { f[0] = f[0][:16]; return f },
		"1:13: what follows has no seal\n2:1: block 4 is missing before this file (4 records)"},
	{"a file deleted", func(f [][]string) [][]string { return [][]string{f[0], f[2]} },
		"2:1: blocks 5 to 8 are missing before this file (13 records)"},
	{"the first file deleted", func(f [][]string) [][]string { return f[1:] },
		"1:1: the log begins with record 14, and no record tells that those before were removed because of their age"},
	{"a header changed", func(f [][]string) [][]string {
		f[1][0] = strings.Replace(f[1][0], `"time":"2`, `"time":"3`, 1)
		return f
	},
		"2:2: the block of lines 1 to 2 was changed"},
	{"a line that is too long", func(f [][]string) [][]string {
		f[0][3] = strings.Repeat("x", 3*maxLine) + "\n"
		return f
	}, "1:4: the line is too long\n1:7: 1 of 4 records are missing in the block of lines 3 to 7"},
}

func TestTampering(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "a secret of the tests"} {
		for _, x := range tampering {
			dir := t.TempDir()
			names, lines := sealed(t, dir, []byte(secret))
			for _, name := range names {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			for i, file := range x.do(lines) {
				if err := os.WriteFile(filepath.Join(dir, nameOf(0, uint64(i+1))), []byte(strings.Join(file, "")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var secrets [][]byte
			if secret != "" {
				secrets = [][]byte{[]byte(secret)}
			}
			if got := problems(t, dir, secrets); got != x.want {
				t.Errorf("%s:\n%s\nwant\n%s", x.name, got, x.want)
			}
		}
	}
}

// problems are all that is found in a folder, with the number in a file's name in place of the name.
func problems(t testing.TB, dir string, secrets [][]byte) string {
	t.Helper()
	reports, err := Verify([]string{dir}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range reports {
		for _, p := range r.Problems {
			text := strings.TrimPrefix(p.String(), filepath.Join(dir, "audit-0-00000000000"))
			all = append(all, strings.Replace(text, ".jsonl", "", 1))
		}
	}
	return strings.Join(all, "\n")
}

// What is made anew without the secret does not pass for the log.
func TestForgery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names, lines := sealed(t, dir, []byte("the secret"))
	// One block is made anew, with all that follow.
	c := newSealer([]byte("a guess"))
	_, says, head, _ := parseSeal([]byte(strings.TrimSuffix(lines[2][1], "\n")))
	c.link = says.link(head)
	forged := []byte(strings.Join(lines[2][:2], ""))
	for block := range 3 {
		var b []byte
		for i := range 4 {
			b = append(b, record(1000+10*block+i)...)
		}
		forged = append(forged, c.seal(b, 0, 4, time.Now())...)
	}
	if err := os.WriteFile(names[2], forged, 0o600); err != nil {
		t.Fatal(err)
	}
	reports, err := Verify(names, [][]byte{[]byte("the secret")})
	if err != nil || len(reports) != 1 || len(reports[0].Problems) != 3 {
		t.Fatalf("%v %+v", err, reports)
	}
	// Without a secret at all.
	other := t.TempDir()
	sealed(t, other, nil)
	if reports, err = Verify([]string{other}, [][]byte{[]byte("the secret")}); err != nil || len(reports[0].Problems) != 3 || reports[0].Problems[0].Text != "the chain was made without a secret" {
		t.Fatalf("%v %+v", err, reports[0])
	}
}

// The order in which files are named does not matter, nor what they are called.
func TestVerifyFiles(t *testing.T) {
	t.Parallel()
	names, _ := sealed(t, t.TempDir(), nil)
	more, _ := sealed(t, t.TempDir(), nil)
	other := filepath.Join(t.TempDir(), "copy")
	if err := os.Rename(names[1], other); err != nil {
		t.Fatal(err)
	}
	reports, err := Verify([]string{names[2], more[1], names[0], more[0], other, more[2]}, nil)
	if err != nil || len(reports) != 2 {
		t.Fatal(reports, err)
	}
	for _, r := range reports {
		if !r.OK() || r.Records != 39 || r.Blocks != 12 || r.Stopped {
			t.Errorf("%+v", *r)
		}
	}
	for _, wrong := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := Verify([]string{wrong}, nil); err == nil {
			t.Error("no error")
		}
	}
	many := filepath.Join(t.TempDir(), nameOf(0, 1))
	if err := os.WriteFile(many, bytes.Repeat([]byte("x\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if reports, err = Verify([]string{many}, nil); err != nil || len(reports[0].Problems) != maxProblems || reports[0].More != 1000+1-maxProblems {
		t.Errorf("%v %d and %d", err, len(reports[0].Problems), reports[0].More)
	}
}

// Whatever a file has in it: Verify ends, and so does looking for its end.
func FuzzFiles(f *testing.F) {
	// Short ones: long ones take long to be made shorter.
	c := newSealer(nil)
	at := time.Unix(0, 0)
	text := c.seal(fmt.Appendf(nil, `{"event":"file","log":"x","block":1,"record":1,"previous":"%064d"}`+"\n", 0), 0, 1, at)
	f.Add(text)
	text = c.seal(append(text, "{}\n"...), len(text), 1, at)
	f.Add(text)
	f.Add(text[:len(text)-20])
	f.Add(bytes.ReplaceAll(text, []byte("seal"), []byte("file")))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, nameOf(0, 1))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify([]string{path}, [][]byte{[]byte("secret")}); err != nil {
			t.Fatal(err)
		}
		end, err := readEnd(path)
		if err != nil || end.size > int64(len(text)) {
			t.Fatal(end.size, err)
		}
	})
}
