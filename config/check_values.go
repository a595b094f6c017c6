package config

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"regexp"
)

const (
	// mostPatterns is how many patterns one list may have: each written key is
	// compared with all of them.
	mostPatterns = 64
	// longestPattern is in bytes.
	longestPattern = 512
)

var (
	keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	// keyItself is what 32 bytes look like in hexadecimal or base64.
	keyItself = regexp.MustCompile(`^([0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=)$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

const keyNameGrammar = "1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit"

// checkEncryptionKeys looks at where the master keys come from. Whether they can
// be had is only seen when they are loaded.
func (l *loader) checkEncryptionKeys() {
	s := l.main
	ids := map[[4]byte]string{}
	for _, name := range sorted(s, "encryption_keys", l.config.EncryptionKeys) {
		path := join("encryption_keys", name)
		if !keyName.MatchString(name) {
			s.errorf(path, "%s is not a key's name (%s)", quote(name), keyNameGrammar)
		}
		// A stored value names its key by the beginning of this hash.
		sum := sha256.Sum256([]byte(name))
		id := [4]byte(sum[:4])
		if first, again := ids[id]; again {
			s.errorf(path, "could not be told from the key %s in a stored value; choose another name", quote(first))
		} else {
			ids[id] = name
		}
		s.checkMasterKey(path, l.config.EncryptionKeys[name])
	}
}

func (s *source) checkMasterKey(path string, k *MasterKey) {
	if s.bad[path] {
		return
	}
	var given []string
	wrong := false
	for _, from := range []struct {
		key    string
		filled bool
	}{{"file", k.File != ""}, {"env", k.Env != ""}, {"command", len(k.Command) > 0}} {
		at := join(path, from.key)
		wrong = wrong || s.bad[at]
		if from.filled {
			given = append(given, from.key)
		} else if s.has(at) && !s.bad[at] && !s.empty[at] {
			s.errorf(at, "is empty")
			wrong = true
		}
	}
	switch {
	case len(given) > 1:
		s.errorf(path, "has both %s and %s; a key comes from one of them", given[0], given[1])
	case len(given) == 0 && !wrong:
		s.errorf(path, "does not say where the key comes from (file, env or command)")
	}
	if keyItself.MatchString(k.File) {
		s.errorf(join(path, "file"), "is not the name of a file but looks like the key itself, which must not stand here")
	}
	if env := join(path, "env"); k.Env != "" && !envName.MatchString(k.Env) {
		// What stands there may be the key itself.
		s.errorf(env, "is not the name of an environment variable")
	}
	if len(k.Command) > 0 && k.Command[0] == "" {
		s.errorf(index(join(path, "command"), 0), "is empty, but it is the program to run")
	}
}

// checkCompression also settles whether there are dictionaries, whose default
// depends on the algorithm.
func (s *source) checkCompression(path string, c *Compression) {
	at := func(key string) string { return join(path, key) }
	for _, key := range fieldNames(reflect.TypeFor[Compression]()) {
		if s.has(at(key)) && !s.has(at("algorithm")) {
			s.errorf(path, "has no algorithm (none, lz4, s2 or zstd)")
			break
		}
	}
	within(s, at("min_size"), c.MinSize, 0, 512*MiB)
	within(s, at("min_saving"), c.MinSaving, 0, 90)
	s.checkPatterns(at("exclude"), c.Exclude)

	d := &c.Dictionaries
	dict := func(key string) string { return join(at("dictionaries"), key) }
	within(s, dict("min_size"), d.MinSize, 0, 512*MiB)
	within(s, dict("size"), d.Size, KiB, MiB)
	s.checkPatterns(dict("patterns"), d.Patterns)
	switch enabled := dict("enabled"); {
	case !s.has(enabled) || s.empty[enabled]:
		d.Enabled = c.Algorithm == Zstd
	case d.Enabled && c.Algorithm != Zstd && s.has(at("algorithm")) && !s.bad[at("algorithm")]:
		s.errorf(enabled, "only zstd has dictionaries, and the algorithm is %s", c.Algorithm)
	}
}

func (s *source) checkPatterns(path string, patterns []string) {
	if len(patterns) > mostPatterns {
		s.errorf(path, "has %d patterns, but at most %d are allowed", len(patterns), mostPatterns)
		return
	}
	seen := map[string]int{}
	for i, p := range patterns {
		at := index(path, i)
		if s.bad[at] {
			continue
		}
		if problem := badPattern(p); problem != "" {
			s.errorf(at, "%s %s", s.quote(at, p), problem)
		} else if first, again := seen[p]; again {
			s.errorf(at, "%s stands there already, as the %s", s.quote(at, p), ordinal(first))
		} else {
			seen[p] = i
		}
	}
}

// badPattern says what is wrong with a glob pattern, or nothing. Redis takes
// every one, and does something that nobody meant with some.
func badPattern(p string) string {
	if p == "" {
		return "matches only the empty key"
	}
	if len(p) > longestPattern {
		return fmt.Sprintf("is longer than %d bytes", longestPattern)
	}
	class := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\':
			if i++; i == len(p) {
				return `ends in a \ that has nothing to quote`
			}
		case c == '[' && !class:
			class = true
		case c == ']':
			class = false
		}
	}
	if class {
		return `has a [ without its ]; write \[ for the character itself`
	}
	return ""
}

// ordinal names a place of a list, from 0, for people.
func ordinal(i int) string {
	if i < 3 {
		return [...]string{"first", "second", "third"}[i]
	}
	return fmt.Sprintf("%dth", i+1)
}

func (l *loader) checkEncryption(at place, e Encryption) {
	s := at.source
	algorithm, key := join(at.path, "algorithm"), join(at.path, "key")
	if s.has(key) && !s.has(algorithm) {
		s.errorf(at.path, "has no algorithm (none, aes-256-gcm or chacha20-poly1305)")
	}
	switch _, known := l.config.EncryptionKeys[e.Key]; {
	case s.bad[key] || s.bad[at.path] && e.Key == "":
	case e.Key == "":
		if e.Algorithm != NoEncryption {
			s.errorf(at.path, "needs key, the name of an entry of encryption_keys")
		}
	case !known && !l.main.bad["encryption_keys"]:
		s.errorf(key, "there is no key %s in encryption_keys%s", s.quote(key, e.Key),
			didYouMean(e.Key, sorted(l.main, "encryption_keys", l.config.EncryptionKeys)))
	}
}
