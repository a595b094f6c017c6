package config

// Admin is the HTTP listener for operators.
type Admin struct {
	// Listen is its address, host:port. Empty, the default, means no listener.
	Listen string `yaml:"listen"`

	// Tokens are who may use it, and for what. Without any, whoever is on the same
	// machine may read, and nobody may do anything else.
	Tokens []Token `yaml:"tokens"`

	// RequestsPerSecond is how many requests each token may make, and each address
	// without one; a second's may come at once. 1 to 100000, default 200.
	RequestsPerSecond int `yaml:"requests_per_second"`

	// RequestSize is the longest body of a request. 1KiB to 16MiB, default 256KiB.
	RequestSize Size `yaml:"request_size"`
}

// Token is one operator's credential for the admin listener.
type Token struct {
	Name   string `yaml:"name"` // who holds it; appears in logs
	Role   Role   `yaml:"role"`
	SHA256 string `yaml:"sha256"` // as HashSecret gives it

	// Tenant makes it a token for this tenant alone: it sees nothing of others, and
	// may do what the role allows with this one. Empty, the default: for all.
	Tenant string `yaml:"tenant"`
}

func defaultAdmin() Admin {
	return Admin{RequestsPerSecond: 200, RequestSize: 256 * KiB}
}

// Includes tells whether who has role r may do what is for role least.
func (r Role) Includes(least Role) bool {
	rank := map[Role]int{Viewer: 1, Operator: 2, Administrator: 3}
	return rank[r] > 0 && rank[least] > 0 && rank[r] >= rank[least]
}

func (l *loader) checkAdmin() {
	s, a := l.main, &l.config.Admin
	within(s, "admin.requests_per_second", a.RequestsPerSecond, 1, 100_000)
	within(s, "admin.request_size", a.RequestSize, KiB, 16*MiB)
	if a.Listen != "" && !onlyHere(a.Listen) && len(a.Tokens) == 0 && !s.bad["admin.tokens"] && !l.config.JWT.hasRoles() {
		l.warn(place{s, "admin.listen"}, "without admin.tokens nobody but this machine is answered there, not even Prometheus")
	}
	names := map[string]string{}
	for i, t := range a.Tokens {
		path := index("admin.tokens", i)
		if t.Name == "" {
			s.errorf(path, "the token has no name")
		} else if first, again := names[t.Name]; again {
			s.errorf(join(path, "name"), "%s is also the name of %s", quote(t.Name), first)
		} else {
			names[t.Name] = path
		}
		if t.Role == "" && !s.bad[join(path, "role")] {
			s.errorf(path, "the token has no role (viewer, operator or admin)")
		}
		l.checkSHA256(place{s, join(path, "sha256")}, &a.Tokens[i].SHA256, "the admin token "+quote(t.Name))
		l.checkTokenTenant(join(path, "tenant"), t.Tenant)
	}
}

// checkTokenTenant takes a tenant that there is not with a warning: it may be
// created later. An empty one in the file is a slip that would make the token one for all.
func (l *loader) checkTokenTenant(path, id string) {
	s := l.main
	switch _, known := l.config.Tenants[id]; {
	case !s.has(path) || s.bad[path]:
	case id == "":
		s.errorf(path, "is empty, so that the token would be for all tenants; leave it out if that is meant")
	case !ValidTenantID(id):
		s.errorf(path, "%s is not a tenant id (%s)", quote(id), tenantIDGrammar)
	case !known && !l.tenantsElsewhere():
		l.warn(place{s, path}, "there is no tenant "+quote(id)+" yet for an admin token to be for")
	}
}

// ValidTenantID tells whether a tenant may have this id.
func ValidTenantID(id string) bool { return tenantID.MatchString(id) && id != "default" }

// ValidUserName tells whether a user of a tenant may have this name.
func ValidUserName(name string) bool { return userName.MatchString(name) }
