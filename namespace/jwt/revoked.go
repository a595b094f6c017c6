package jwt

import "riptide-proxy/config"

// revoked are the tokens of one issuer that are not believed any more.
type revoked struct {
	ids, subjects map[string]bool
}

// revocations are those of a configuration, by the issuer's name.
func revocations(c *config.JWT) map[string]*revoked {
	all := make(map[string]*revoked)
	for _, r := range c.Revoked {
		of := all[r.Issuer]
		if of == nil {
			of = &revoked{ids: make(map[string]bool), subjects: make(map[string]bool)}
			all[r.Issuer] = of
		}
		if r.ID != "" {
			of.ids[r.ID] = true
		} else {
			of.subjects[r.Subject] = true
		}
	}
	return all
}

// has reports whether a token is among them. Nil has none.
func (r *revoked) has(t *Token) bool {
	return r != nil && (r.ids[t.id] || r.subjects[t.subject])
}

// nameable is what can be in a revocation; empty for what is too long for one.
func nameable(claim string) string {
	if len(claim) > config.MaxRevokedName {
		return ""
	}
	return claim
}
