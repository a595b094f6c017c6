package config

// MaxRevoked is how many revocations there may be: each is looked up for each login, and kept in memory.
const MaxRevoked = 10_000

// checkRevoked wants each revocation to have effect: one that names nothing that there can be is a mistake that leaves
// somebody in.
func (l *loader) checkRevoked() {
	s, c := l.main, &l.config.JWT
	if len(c.Revoked) > MaxRevoked {
		s.errorf("jwt.revoked", "has %d entries, but at most %d are allowed", len(c.Revoked), MaxRevoked)
		return
	}
	var names []string
	for name := range c.Issuers {
		names = append(names, name)
	}
	for n, r := range c.Revoked {
		path := index("jwt.revoked", n)
		issuer := join(path, "issuer")
		switch _, known := c.Issuers[r.Issuer]; {
		case s.bad[path] || s.bad[issuer] || s.bad["jwt.issuers"]:
		case r.Issuer == "":
			s.errorf(issuer, "is missing: give the name among jwt.issuers of whoever has made the token")
		case !known:
			s.errorf(issuer, "there is no issuer %s%s", quote(r.Issuer), didYouMean(r.Issuer, names))
		}
		for _, text := range []struct{ key, value string }{{"id", r.ID}, {"subject", r.Subject}} {
			if len(text.value) > MaxRevokedName {
				s.errorf(join(path, text.key), "is longer than %d bytes", MaxRevokedName)
			}
		}
		if (r.ID == "") == (r.Subject == "") && !s.bad[path] && !s.bad[join(path, "id")] && !s.bad[join(path, "subject")] {
			s.errorf(path, "wants either id or subject")
		}
	}
}

// MaxRevokedName is how long an id or a subject is at most that can be revoked, in bytes.
const MaxRevokedName = longestJWT
