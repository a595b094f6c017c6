package config

// DemoLogin is how to log in to a demo tenant: AUTH <Tenant> <Secret>.
type DemoLogin struct{ Tenant, Secret string }

// Demo is what the proxy runs with when nobody gave it a configuration: an
// embedded upstream and two tenants, so that isolation can be seen. The secrets
// are public, so it listens on this machine only, as Default does.
func Demo() (*Config, []DemoLogin) {
	logins := []DemoLogin{
		{"acme", "demo-acme-secret"},
		{"globex", "demo-globex-secret"},
	}
	c := Default()
	c.Upstream.Mode = Embedded
	for _, login := range logins {
		t := newTenant()
		t.Users["default"] = &User{SHA256: []string{HashSecret(login.Secret)}}
		t.Scripts = TrustedScripts // the embedded server has no users that could confine them
		c.Tenants[login.Tenant] = t
	}
	return c, logins
}
