package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	tenantID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	hexHash  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

const (
	tenantIDGrammar = "1 to 63 of a-z 0-9 _ -, the first a letter or digit"
	userNameGrammar = "1 to 63 of A-Z a-z 0-9 _ -, the first a letter or digit"
)

// owner is an identity that has a secret.
type owner struct {
	name  string
	place place // without a source: not known
}

func (o owner) String() string {
	if o.place.source == nil {
		return o.name
	}
	return fmt.Sprintf("%s (%s)", o.name, o.place)
}

func (l *loader) checkTenants() {
	c := l.config
	if len(c.Tenants) == 0 && !l.main.bad["tenants"] && !l.tenantsElsewhere() {
		l.main.errorf("tenants", "there are no tenants: nobody could log in")
	}
	for _, id := range l.tenantsInOrder() {
		at := l.tenants[id]
		if at.checked {
			l.checkShared(at, id, c.Tenants[id])
			continue
		}
		l.checkTenantID(at, id)
		l.checkTenant(at, id, c.Tenants[id])
	}
	l.checkPrefixes()
}

// tenantsElsewhere tells whether there may be tenants that were not decoded: the
// folder is not read by Parse, or could not be read.
func (l *loader) tenantsElsewhere() bool {
	notRead := l.config.TenantsDir != "" && !l.readDir
	return notRead || len(l.files) > 1
}

// tenantsInOrder lists those of the main file, then those of the folder.
func (l *loader) tenantsInOrder() []string {
	ids := make([]string, 0, len(l.tenants))
	for id := range l.tenants {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		pa, pb := l.tenants[a], l.tenants[b]
		if pa.source == pb.source {
			if d := pa.line(pa.path) - pb.line(pb.path); d != 0 {
				return d
			}
		} else if pa.source == l.main {
			return -1
		} else if pb.source == l.main {
			return 1
		}
		return strings.Compare(a, b)
	})
	return ids
}

func (l *loader) checkTenantID(at place, id string) {
	switch {
	case !tenantID.MatchString(id):
		at.errorf(at.path, "%s is not a tenant id (%s)", quote(id), tenantIDGrammar)
	case id == "default":
		at.errorf(at.path, `a tenant cannot be called "default": AUTH default <key> looks the key up among all tenants`)
	}
}

func (l *loader) checkTenant(at place, id string, t *Tenant) {
	s, base := at.source, at.path
	key := func(name string) place { return place{s, join(base, name)} }

	if _, known := l.config.Plans[t.Plan]; t.Plan != "" && !known {
		path := key("plan").path
		s.errorf(path, "there is no plan %s%s", s.quote(path, t.Plan), didYouMean(t.Plan, sorted(l.main, "plans", l.config.Plans)))
	}
	within(s, key("databases").path, t.Databases, 1, 1024)
	s.checkCompression(key("compression").path, &t.Compression)
	l.checkEncryption(key("encryption"), t.Encryption)
	s.checkQuotas(key("quotas").path, &t.Quotas, l.config.Plans[t.Plan])
	s.checkTags(key("tags").path, t.Tags)
	s.checkNetworks(key("networks").path, t.Networks)

	if len(t.Users) == 0 {
		l.warn(at, "tenant "+quote(id)+" has no users, so nobody can log in to it")
	}
	users := key("users").path
	for _, name := range sorted(s, users, t.Users) {
		l.checkUser(place{s, join(users, name)}, id, name, t.Users[name])
	}
	l.notYet(place{s, join(key("quotas").path, "cold_storage")}, "cold_storage")
}

func (l *loader) checkUser(at place, tenant, name string, u *User) {
	s, identity := at.source, tenant+"."+name
	if !userName.MatchString(name) {
		s.errorf(at.path, "%s is not a user name (%s)", quote(name), userNameGrammar)
	}
	for i := range u.SHA256 {
		l.checkSHA256(place{s, index(join(at.path, "sha256"), i)}, &u.SHA256[i], identity)
	}
	for i, phc := range u.Argon2id {
		l.checkArgon2id(place{s, index(join(at.path, "argon2id"), i)}, phc, identity)
	}
	l.checkCertificates(place{s, join(at.path, "certificates")}, u.Certificates, identity)
	if len(u.SHA256)+len(u.Argon2id)+len(u.Certificates)+len(l.config.JWT.Issuers) == 0 && !s.bad[join(at.path, "sha256")] && !s.bad[join(at.path, "argon2id")] {
		l.warn(at, "user "+quote(identity)+" has no secret, so nobody can log in as it")
	}
	quotas := join(at.path, "quotas")
	if s.has(quotas) {
		s.checkRates(quotas, &u.Quotas.Rates, new(Rates))
	}
	if rules := join(at.path, "acl"); s.has(rules) && !s.bad[rules] {
		if err := checkRules(u.ACL); err != nil {
			s.errorf(rules, "%v", err)
		}
	}
}

// checkRules says what is wrong with a user's rules. Whoever can not tell must not let them pass.
var checkRules = func(string) error { return errors.New("this program does not know the grammar of rules") }

// RulesGrammar sets what checks the rules of users. The package that knows their grammar calls it when the program
// begins, since this one knows nobody.
func RulesGrammar(check func(rules string) error) { checkRules = check }

// checkSHA256 checks one hash and turns it to lower case. What is not a hash may
// be the secret itself, so it is not shown.
func (l *loader) checkSHA256(at place, hash *string, identity string) {
	if at.bad[at.path] {
		return
	}
	*hash = strings.ToLower(*hash)
	switch {
	case !hexHash.MatchString(*hash):
		at.errorf(at.path, "is not a SHA-256 of 64 hexadecimal digits (riptide-proxy hash makes one)")
	case *hash == emptyHash:
		at.errorf(at.path, "is the hash of an empty secret")
	default:
		l.checkOnce(at, *hash, identity)
	}
}

var emptyHash = HashSecret("")

func (l *loader) checkArgon2id(at place, phc, identity string) {
	if at.bad[at.path] {
		return
	}
	if _, err := parseArgon2id(phc); err != nil {
		at.errorf(at.path, "%v", err)
		return
	}
	l.checkOnce(at, phc, identity)
}

// checkOnce refuses a hash that two identities have, since AUTH <api-key> could
// be either, and one that stands twice, which is a slip of copying.
func (l *loader) checkOnce(at place, hash, identity string) {
	if first, again := l.secrets[hash]; again {
		at.errorf(at.path, "the same secret as that of %s", first)
		return
	}
	l.secrets[hash] = owner{identity, at}
}

// checkPrefixes makes sure that no tenant's keys can be taken for another's. The
// grammar of ids rules it out, because an id has neither the colon that ends it
// in a key nor the brace that may begin it; this check holds even if somebody
// loosens the grammar.
func (l *loader) checkPrefixes() {
	type named struct{ prefix, id string }
	all := make([]named, 0, len(l.config.Tenants))
	for id, t := range l.config.Tenants {
		all = append(all, named{KeyPrefix(id, t.HashTag), id})
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(strings.Compare(a.prefix, b.prefix), -strings.Compare(a.id, b.id))
	})
	for i := 1; i < len(all); i++ {
		// Sorted, whatever begins with a prefix follows it without a gap.
		outer, inner := all[i-1], all[i]
		if strings.HasPrefix(inner.prefix, outer.prefix) {
			at := l.tenants[inner.id]
			at.errorf(at.path, "its keys begin with %s, so tenant %s, whose keys begin with %s, would reach them",
				quote(inner.prefix), quote(outer.id), quote(outer.prefix))
		}
	}
}

// KeyPrefix is what a tenant's keys begin with, up to the database number.
func KeyPrefix(id string, hashTag bool) string {
	if hashTag {
		return "t:{" + id + "}:"
	}
	return "t:" + id + ":"
}
