package config

import (
	"bytes"
	"maps"
)

// Of thousands of tenants one reload mostly changes one. A tenant whose file is what it was, beside a main file that is
// what it was, is taken over as it was decoded and checked, and only what all tenants have between them (secrets and
// certificates that stand once) is looked at again. If anything is wrong then, all is read anew, so that every problem has its line.

// sound are the tenants of a configuration whose files there was nothing to say about.
type sound struct {
	tenants map[string]*Tenant // by path of the file; they never change
	filled  map[string]string  // what variables have made of values of the main file, by path
}

// alike tells whether the main file says what it said when the known tenants were checked.
func (l *loader) alike(data []byte) bool {
	k := l.known
	if k == nil || !bytes.Equal(k.texts[l.main.file], data) || !maps.Equal(k.sound.filled, l.main.filled) {
		return false
	}
	l.secrets = make(map[string]owner, len(k.texts)) // it is going to be about as large
	return true
}

// takeOver is the tenant that a file had, if the file is what it was; nil: it has to be decoded.
func (l *loader) takeOver(s *source, data []byte) *Tenant {
	if !l.same || !bytes.Equal(l.known.texts[s.file], data) {
		return nil
	}
	t := l.known.sound.tenants[s.file]
	if t == nil {
		return nil
	}
	s.checked = true
	l.taken++
	if tree, has := l.known.trees[s.file]; has && l.parsed != l.known {
		l.parsed.trees[s.file] = tree
	}
	return t
}

// checkShared notes what no other tenant may have, for one that was checked before.
func (l *loader) checkShared(at place, id string, t *Tenant) {
	for name, u := range t.Users {
		identity := id + "." + name
		for _, hash := range u.SHA256 {
			l.checkOnce(at, hash, identity)
		}
		for _, phc := range u.Argon2id {
			l.checkOnce(at, phc, identity)
		}
		for _, c := range u.Certificates {
			if _, again := l.certificates[c]; again {
				at.errorf(at.path, "the same certificate twice")
			}
			l.certificates[c] = owner{identity, at}
		}
	}
}

// noteSound remembers which tenants can be taken over the next time. Those with variables are not among
// them: the environment may be another one then.
func (l *loader) noteSound(f *Files) {
	f.sound = sound{tenants: make(map[string]*Tenant, len(l.files)), filled: l.main.filled}
	for id, at := range l.tenants {
		if at.source != l.main && !at.warned && len(at.filled) == 0 {
			f.sound.tenants[at.file] = l.config.Tenants[id]
		}
	}
}
