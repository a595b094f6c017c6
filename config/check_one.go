package config

// CheckTenant checks data as Load would check a file of tenants_dir called file
// that holds tenant id beside everything else that c has: its plans and keys are
// known, and the secrets of its other tenants and tokens are taken. A tenant of that id in c is left
// out of account. Variables are taken from env (nil: none is set). The error is an Errors.
func (c *Config) CheckTenant(id, file string, data []byte, env func(string) (string, bool)) (*Tenant, []Warning, error) {
	own := *c
	own.Tenants = map[string]*Tenant{}
	l := newLoader()
	l.config = &own
	l.main = newSource("", nil)
	l.takeSecrets(c, id)

	s := newSource(file, env)
	l.files = []*source{s}
	t := l.decodeTenant(s, data)
	l.checkTenantID(place{s, ""}, id)
	l.checkTenant(place{s, ""}, id, t)
	warnings, errs := l.report()
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return t, warnings, nil
}

// takeSecrets notes whose the secrets and certificates of a checked configuration are, but for those of one tenant.
func (l *loader) takeSecrets(c *Config, but string) {
	l.secrets = make(map[string]owner, len(c.Tenants)+len(c.Admin.Tokens))
	take := func(hash, name string) { l.secrets[hash] = owner{name: name} }
	for _, t := range c.Admin.Tokens {
		take(t.SHA256, "the admin token "+quote(t.Name))
	}
	for id, t := range c.Tenants {
		if id == but {
			continue
		}
		for name, u := range t.Users {
			for _, hash := range u.SHA256 {
				take(hash, id+"."+name)
			}
			for _, phc := range u.Argon2id {
				take(phc, id+"."+name)
			}
			for _, cert := range u.Certificates {
				l.certificates[cert] = owner{name: id + "." + name}
			}
		}
	}
}
