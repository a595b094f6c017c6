package config

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	// mostJWTKeys is how many keys an issuer may have here.
	mostJWTKeys = 32
	// mostIssuers is how many issuers there may be: each has a metric and a goroutine.
	mostIssuers = 64
	longestJWT  = 512 // of names in tokens, in bytes
)

// claimPath is a path into claims: RFC 6901's, without numbers for places of a list.
var claimPath = regexp.MustCompile(`^(/([^~/]|~[01])+)+$`)

func (l *loader) checkJWT() {
	s, c := l.main, &l.config.JWT
	if len(c.Issuers) > mostIssuers {
		s.errorf("jwt.issuers", "has %d issuers, but at most %d are allowed", len(c.Issuers), mostIssuers)
		return
	}
	l.checkRevoked()
	issuers := map[string]string{}
	for _, name := range sorted(s, "jwt.issuers", c.Issuers) {
		path, i := join("jwt.issuers", name), c.Issuers[name]
		if !tenantID.MatchString(name) {
			s.errorf(path, "%s is not an issuer's name (%s)", quote(name), tenantIDGrammar)
		}
		at := join(path, "issuer")
		s.checkJWTText(path, "issuer", i.Issuer, "the claim iss of its tokens")
		if first, again := issuers[i.Issuer]; again && i.Issuer != "" {
			s.errorf(at, "is also that of %s", first)
		}
		issuers[i.Issuer] = path
		s.checkAudience(path, i.Audience)
		s.checkJWTKeys(path, i)
		s.checkJWKS(path, i)
		l.checkJWTTenants(path, i)
		s.checkRoles(path, i)
		within(s, join(path, "leeway"), i.Leeway, 0, Duration(5*time.Minute))
		within(s, join(path, "refresh"), i.Refresh, Duration(time.Second), Duration(24*time.Hour))
		if age := join(path, "max_age"); !s.bad[age] && !s.bad[join(path, "refresh")] {
			within(s, age, i.MaxAge, i.Refresh, Duration(10000*time.Hour))
		}
	}
}

// checkJWTText wants a text that is not empty, nor longer than names in tokens are.
func (s *source) checkJWTText(path, key, text, meaning string) {
	at := join(path, key)
	switch {
	case s.bad[at] || s.bad[path]:
	case text == "":
		s.errorf(at, "is missing: give %s", meaning)
	case len(text) > longestJWT:
		s.errorf(at, "is longer than %d bytes", longestJWT)
	}
}

func (s *source) checkAudience(path string, audience []string) {
	at := join(path, "audience")
	if len(audience) == 0 && !s.bad[at] && !s.bad[path] {
		s.errorf(at, "is missing: without what the proxy is called in the claim aud, tokens made for other services would log in")
	}
	for n, name := range audience {
		if name == "" && !s.bad[index(at, n)] {
			s.errorf(index(at, n), "is empty")
		}
	}
}

func (s *source) checkJWTKeys(path string, i *JWTIssuer) {
	algorithms, keys := join(path, "algorithms"), join(path, "keys")
	if len(i.Algorithms) == 0 && !s.bad[algorithms] && !s.bad[path] {
		s.errorf(algorithms, "is missing: list those that tokens may be signed with (%s, %s, %s, %s)", HS256, RS256, ES256, EdDSA)
	}
	if len(i.Keys) > mostJWTKeys {
		s.errorf(keys, "has %d keys, but at most %d are allowed", len(i.Keys), mostJWTKeys)
		return
	}
	for n, a := range i.Algorithms {
		at := index(algorithms, n)
		switch has := slices.ContainsFunc(i.Keys, func(k JWTKey) bool { return k.Algorithm == a }); {
		case s.bad[at]:
		case a == "":
			s.errorf(at, "is empty")
		case slices.Contains(i.Algorithms[:n], a):
			s.errorf(at, "%s stands there already", a)
		case has || s.bad[keys] || s.bad[join(path, "jwks")]:
		case a == HS256 && i.JWKS.File == "":
			s.errorf(at, "there is no key for HS256: its secret belongs in keys or in jwks.file, and is not read from a URL")
		case i.JWKS == JWKS{}:
			s.errorf(at, "there is no key for %s, neither in keys nor in jwks", a)
		}
	}
	for n := range i.Keys {
		s.checkJWTKey(path, i, n)
	}
}

// checkJWTKey checks the nth key of the issuer at path.
func (s *source) checkJWTKey(path string, i *JWTIssuer, n int) {
	k, algorithms := &i.Keys[n], join(path, "algorithms")
	path = index(join(path, "keys"), n)
	algorithm, secret := join(path, "algorithm"), join(path, "secret")
	if s.bad[path] || s.bad[algorithm] || s.bad[secret] {
		return
	}
	given := 0
	for _, text := range []string{k.File, k.Secret.Reveal()} {
		if text != "" {
			given++
		}
	}
	same := func(other JWTKey) bool { return k.ID != "" && other.ID == k.ID && other.Algorithm == k.Algorithm }
	switch {
	case k.Algorithm == "":
		s.errorf(path, "the key has no algorithm, and is used with one only")
	case !slices.Contains(i.Algorithms, k.Algorithm) && !s.bad[algorithms]:
		s.errorf(algorithm, "%s is not among the algorithms of the issuer", k.Algorithm)
	case given != 1:
		s.errorf(path, "wants either file or secret")
	case k.Secret != "" && k.Algorithm != HS256:
		s.errorf(secret, "is for HS256; the public key for %s stands in a file", k.Algorithm)
	case k.Secret != "" && len(k.Secret.Reveal()) < MinHMACSecret:
		s.errorf(secret, "has less than %d bytes, so that it could be guessed from any token", MinHMACSecret)
	case len(k.ID) > longestJWT:
		s.errorf(join(path, "id"), "is longer than %d bytes", longestJWT)
	case slices.ContainsFunc(i.Keys[:n], same):
		s.errorf(join(path, "id"), "%s is also that of another key for %s", quote(k.ID), k.Algorithm)
	}
}

func (s *source) checkJWKS(path string, i *JWTIssuer) {
	path = join(path, "jwks")
	if !s.has(path) || s.bad[path] {
		return
	}
	at := join(path, "url")
	switch {
	case s.bad[at] || s.bad[join(path, "file")]:
	case i.JWKS.File == "" && i.JWKS.URL == "" || i.JWKS.File != "" && i.JWKS.URL != "":
		s.errorf(path, "wants either file or url")
	case i.JWKS.URL != "":
		if problem := badKeyURL(i.JWKS.URL); problem != "" {
			s.errorf(at, "%s", problem)
		}
	case i.JWKS.CA != "":
		s.errorf(join(path, "ca"), "is of no use without url")
	}
}

// badKeyURL says what is wrong with where keys are to be read from, or nothing. The URL
// is not shown, because it may have a password in it.
func badKeyURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "is not a URL like https://host/path"
	case u.User != nil:
		return "has a user or password in it"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && loopback(u.Hostname()):
		return ""
	}
	return "must be https: whoever can change what is read on the way can log in as anybody"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l *loader) checkJWTTenants(path string, i *JWTIssuer) {
	s := l.main
	claim, tenants := join(path, "tenant_claim"), join(path, "tenants")
	s.checkClaim(claim, i.TenantClaim, true)
	s.checkClaim(join(path, "user_claim"), i.UserClaim, false)
	s.checkClaim(join(path, "role_claim"), i.RoleClaim, false)
	if i.Tenant != "" {
		for _, other := range []string{claim, tenants} {
			if s.has(other) {
				s.errorf(other, "has no meaning where tenant says whose all tokens are")
			}
		}
		l.checkJWTTenant(join(path, "tenant"), i.Tenant)
	}
	for n, id := range i.Tenants {
		l.checkJWTTenant(index(tenants, n), id)
	}
}

// checkJWTTenant warns of a tenant that there is not. It is no error, so that a
// tenant can be removed without touching this file.
func (l *loader) checkJWTTenant(path, id string) {
	s := l.main
	if _, known := l.config.Tenants[id]; s.bad[path] || known {
		return
	}
	if !tenantID.MatchString(id) {
		s.errorf(path, "%s is not a tenant id (%s)", s.quote(path, id), tenantIDGrammar)
	} else if !l.tenantsElsewhere() || l.readDir {
		l.warn(place{s, path}, "there is no tenant "+s.quote(path, id)+didYouMean(id, l.tenantsInOrder()))
	}
}

func (s *source) checkClaim(path, claim string, needed bool) {
	switch {
	case s.bad[path]:
	case claim == "":
		if needed {
			s.errorf(path, "is empty")
		}
	case len(claim) > longestJWT:
		s.errorf(path, "is longer than %d bytes", longestJWT)
	case claim[0] == '/' && !claimPath.MatchString(claim):
		s.errorf(path, "%s is not a path like /claim/member (in a name write ~1 for / and ~0 for ~)", s.quote(path, claim))
	}
}

func (s *source) checkRoles(path string, i *JWTIssuer) {
	roles, operators := join(path, "roles"), join(path, "operators")
	if i.RoleClaim == "" && !s.bad[join(path, "role_claim")] {
		for _, key := range []string{roles, operators} {
			if s.has(key) {
				s.errorf(key, "has no effect without role_claim")
			}
		}
		return
	}
	for _, name := range sorted(s, roles, i.Roles) {
		if at := join(roles, name); i.Roles[name] == "" && !s.bad[at] {
			s.errorf(at, "has no role (viewer, operator or admin)")
		}
	}
	if i.Operators && (i.Tenant != "" || len(i.Tenants) > 0) {
		s.errorf(operators, "is not for an issuer that is kept to some tenants")
	}
}

// locateJWT puts base before the relative names of files with keys.
func locateJWT(c *JWT, base string) {
	for _, i := range c.Issuers {
		files := []*string{&i.JWKS.File, &i.JWKS.CA}
		for n := range i.Keys {
			files = append(files, &i.Keys[n].File)
		}
		for _, f := range files {
			if *f != "" && !filepath.IsAbs(*f) {
				*f = filepath.Join(base, *f)
			}
		}
	}
}
