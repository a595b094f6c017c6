package namespace

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/config"
)

// newDirectory makes a directory as a configuration file would.
func newDirectory(t testing.TB, tenants string) *Directory {
	t.Helper()
	cfg, _, err := config.Parse("test.yaml", []byte("upstream: {mode: embedded}\ntenants:\n"+tenants), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDirectory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func hashes(secrets ...string) string {
	for i, s := range secrets {
		secrets[i] = config.HashSecret(s)
	}
	return "[" + strings.Join(secrets, ", ") + "]"
}

func someDirectory(t testing.TB) *Directory {
	return newDirectory(t, `
  acme:
    users:
      default: {sha256: `+hashes("acme-key", "acme-old-key")+`}
      reader: {sha256: `+hashes("reader-key")+`}
      person: {argon2id: ['`+config.HashArgon2id("correct horse")+`']}
      both: {sha256: `+hashes("both-key")+`, argon2id: ['`+config.HashArgon2id("battery staple")+`']}
      nothing: {}
  globex:
    users: {default: {sha256: `+hashes("globex-key")+`}}
  closed:
    suspended: true
    users: {default: {sha256: `+hashes("closed-key")+`}, person: {argon2id: ['`+config.HashArgon2id("closed horse")+`']}}
  nousers:
`)
}

// alone stands for no user at all: AUTH with a secret only.
const alone = "(none)"

func name(user string) []byte {
	if user == alone {
		return nil
	}
	return []byte(user)
}

func TestAuthenticate(t *testing.T) {
	d := someDirectory(t)
	for _, c := range []struct {
		user, secret string
		want         string // tenant.user
		err          error
	}{
		// AUTH tenant secret
		{"acme", "acme-key", "acme.default", nil},
		{"acme", "acme-old-key", "acme.default", nil},
		{"globex", "globex-key", "globex.default", nil},
		{"acme", "globex-key", "", ErrWrongPass},
		{"acme", "reader-key", "", ErrWrongPass},
		{"acme", "wrong", "", ErrWrongPass},
		{"acme", "", "", ErrWrongPass},
		{"acme", "acme-key ", "", ErrWrongPass},
		{"ACME", "acme-key", "", ErrWrongPass},
		{"nousers", "acme-key", "", ErrWrongPass},
		{"nobody", "acme-key", "", ErrWrongPass},
		{"acme", config.HashSecret("acme-key"), "", ErrWrongPass}, // the hash is not the secret

		// AUTH tenant.user secret
		{"acme.reader", "reader-key", "acme.reader", nil},
		{"acme.default", "acme-key", "acme.default", nil},
		{"acme.both", "both-key", "acme.both", nil},
		{"acme.reader", "acme-key", "", ErrWrongPass},
		{"acme.nothing", "", "", ErrWrongPass},
		{"acme.nobody", "reader-key", "", ErrWrongPass},
		{"acme.", "acme-key", "", ErrWrongPass},
		{".reader", "reader-key", "", ErrWrongPass},
		{".", "reader-key", "", ErrWrongPass},
		{"acme.reader.", "reader-key", "", ErrWrongPass},
		{"acme.reader.x", "reader-key", "", ErrWrongPass},
		{"globex.reader", "reader-key", "", ErrWrongPass},

		// AUTH api-key, alone and with the name that clients put there.
		{alone, "acme-key", "acme.default", nil},
		{alone, "acme-old-key", "acme.default", nil},
		{alone, "reader-key", "acme.reader", nil},
		{alone, "both-key", "acme.both", nil},
		{"", "acme-key", "", ErrWrongPass}, // an empty name is a name
		{"default", "globex-key", "globex.default", nil},
		{"default", "reader-key", "acme.reader", nil},
		{alone, "wrong", "", ErrWrongPass},
		{alone, "", "", ErrWrongPass},
		{"default", "wrong", "", ErrWrongPass},
		{"default", "", "", ErrWrongPass},
		{"Default", "acme-key", "", ErrWrongPass},
		{"default.default", "acme-key", "", ErrWrongPass},

		// A secret that a person chose, which needs the name with it.
		{"acme.person", "correct horse", "acme.person", nil},
		{"acme.both", "battery staple", "acme.both", nil},
		{"acme.person", "battery staple", "", ErrWrongPass},
		{"acme.person", "", "", ErrWrongPass},
		{alone, "correct horse", "", ErrWrongPass},
		{"default", "correct horse", "", ErrWrongPass},

		// Only who knows the secret is told that the tenant is suspended.
		{"closed", "closed-key", "", ErrSuspended},
		{alone, "closed-key", "", ErrSuspended},
		{"default", "closed-key", "", ErrSuspended},
		{"closed.person", "closed horse", "", ErrSuspended},
		{"closed", "wrong", "", ErrWrongPass},
		{"closed.person", "wrong", "", ErrWrongPass},
	} {
		who, _, err := d.Authenticate(name(c.user), []byte(c.secret))
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("AUTH %q %q: error %v, want %v", c.user, c.secret, err, c.err)
			continue
		}
		if (who == nil) != (c.want == "") {
			t.Errorf("AUTH %q %q: identity %v, want %q", c.user, c.secret, who, c.want)
			continue
		}
		if who == nil {
			continue
		}
		if got := who.Tenant.ID + "." + who.User; got != c.want {
			t.Errorf("AUTH %q %q: %s, want %s", c.user, c.secret, got, c.want)
		}
		if who.Tenant != d.Tenant(who.Tenant.ID) {
			t.Errorf("AUTH %q %q: a tenant of its own", c.user, c.secret)
		}
	}
}

// A session compares identities to know whether AUTH changed anything, so the
// same login must give the same one by whatever name.
func TestAuthenticateGivesOneIdentityPerUser(t *testing.T) {
	d := someDirectory(t)
	first, _, err := d.Authenticate([]byte("acme"), []byte("acme-key"))
	if err != nil {
		t.Fatal(err)
	}
	for user, secret := range map[string]string{alone: "acme-old-key", "default": "acme-key", "acme.default": "acme-key"} {
		if again, _, err := d.Authenticate(name(user), []byte(secret)); err != nil || again != first {
			t.Errorf("AUTH %q: %p and %v, want %p", user, again, err, first)
		}
	}
}

var anywhere = Source{Any: true}

// Slow decides what runs on an event loop, so it must be true of exactly those
// whose check would compute an argon2id hash.
func TestSlow(t *testing.T) {
	d := someDirectory(t)
	for user, want := range map[string]bool{
		"acme.person": true, "acme.both": true, "closed.person": true,
		alone: false, "": false, "default": false, "acme": false, "acme.default": false, "acme.reader": false, "acme.nothing": false,
		"acme.nobody": false, "nobody": false, "nobody.person": false, "person": false, "acme.person.": false,
	} {
		if got := d.Slow(anywhere, name(user), []byte("some secret")); got != want {
			t.Errorf("Slow(%q) = %v", user, got)
		}
	}
	if d.Slow(anywhere, []byte("acme.both"), []byte("both-key")) {
		t.Error("a secret that has a quick hash is slow")
	}
}

// Whoever has proved to know a secret does not pay for it again; that helps
// nobody else, and no other secret.
func TestProvedSecret(t *testing.T) {
	d := someDirectory(t)
	user, secret := []byte("acme.person"), []byte("correct horse")
	for range 2 {
		if _, _, err := d.Authenticate(user, []byte("wrong")); err != ErrWrongPass {
			t.Errorf("the wrong secret: %v", err)
		}
		if !d.Slow(anywhere, user, []byte("wrong")) {
			t.Error("the wrong secret is checked on the loop")
		}
		if who, _, err := d.Authenticate(user, secret); err != nil || who.User != "person" {
			t.Errorf("%v, %v", who, err)
		}
		if d.Slow(anywhere, user, secret) {
			t.Error("it is computed again")
		}
	}
	for _, other := range []string{"acme.both", "acme", "closed.person", "nobody", alone} {
		if _, _, err := d.Authenticate(name(other), secret); err != ErrWrongPass {
			t.Errorf("%q with another's secret: %v", other, err)
		}
	}
	if !someDirectory(t).Slow(anywhere, user, secret) {
		t.Error("what was proved outlives its configuration")
	}
}

// A configuration that did not come through the checks is refused, and what
// cannot be a hash is not repeated: it may be the secret.
func TestNewDirectoryRefusesABadHash(t *testing.T) {
	good := config.HashSecret("x")
	for _, bad := range []string{"", "hunter2", good[1:], good[2:], strings.Repeat("g", 64)} {
		cfg, _ := config.Demo()
		cfg.Tenants["acme"].Users["default"].SHA256 = []string{bad}
		d, err := NewDirectory(cfg)
		if err == nil || d != nil {
			t.Errorf("%q: no error", bad)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "acme") || !strings.Contains(text, "default") || bad != "" && strings.Contains(text, bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A malformed argon2id hash lets nobody in.
func TestAuthenticateMalformedArgon2id(t *testing.T) {
	for _, phc := range []string{"", "correct horse", "$argon2id$v=19$m=8,t=1,p=1$cmlwdGlkZXNhbHQ$", "$argon2id$v=19$m=8,t=1,p=1$$", strings.Replace(config.HashArgon2id("correct horse"), "v=19", "v=16", 1)} {
		cfg, _ := config.Demo()
		cfg.Tenants["acme"].Users["default"] = &config.User{Argon2id: []string{phc}}
		d, err := NewDirectory(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"correct horse", phc, ""} {
			if who, _, err := d.Authenticate([]byte("acme"), []byte(secret)); err != ErrWrongPass || who != nil {
				t.Errorf("%q with %q: %v, %v", phc, secret, who, err)
			}
		}
	}
}

func TestTenants(t *testing.T) {
	d := newDirectory(t, "  b: {databases: 2}\n  a-1: {hash_tag: true, databases: 1}\n  a: {suspended: true}\n  a_1:\n")
	for _, c := range []struct {
		id        string
		databases int
		suspended bool
		root      string
		last      string // prefix of the last database
	}{
		{"a", 16, true, "t:a:", "t:a:15:"},
		{"a-1", 1, false, "t:{a-1}:", "t:{a-1}:0:"},
		{"a_1", 16, false, "t:a_1:", "t:a_1:15:"},
		{"b", 2, false, "t:b:", "t:b:1:"},
	} {
		tenant := d.Tenant(c.id)
		if tenant == nil {
			t.Errorf("%s: not there", c.id)
			continue
		}
		if tenant.ID != c.id || tenant.Databases != c.databases || tenant.Suspended != c.suspended {
			t.Errorf("%s: %+v", c.id, tenant)
		}
		if root, last := string(tenant.Root()), string(tenant.Prefix(tenant.Databases-1)); root != c.root || last != c.last {
			t.Errorf("%s: root %q, last prefix %q", c.id, root, last)
		}
		for db := range tenant.Databases {
			if p := string(tenant.Prefix(db)); !strings.HasPrefix(p, c.root) {
				t.Errorf("%s: database %d has the prefix %q", c.id, db, p)
			}
		}
	}
	if d.Tenant("") != nil || d.Tenant("none") != nil {
		t.Error("a tenant that is not there was found")
	}
	var ids []string
	for _, tenant := range d.Tenants() {
		ids = append(ids, tenant.ID)
	}
	if got := strings.Join(ids, " "); got != "a a-1 a_1 b" {
		t.Errorf("Tenants: %s", got)
	}
}

// No tenant's prefix may begin with another's, in any pair of databases.
func TestPrefixesAreDisjoint(t *testing.T) {
	d := newDirectory(t, "  a:\n  a-1:\n  a_:\n  a1: {hash_tag: true}\n  \"1\":\n  \"11\": {hash_tag: true}\n")
	owner := make(map[string]string)
	for _, tenant := range d.Tenants() {
		for db := range tenant.Databases {
			owner[string(tenant.Prefix(db))] = tenant.ID
		}
	}
	if len(owner) != 6*16 {
		t.Fatalf("%d different prefixes", len(owner))
	}
	for p := range owner {
		for q := range owner {
			if p != q && strings.HasPrefix(p, q) {
				t.Errorf("%q begins with %q", p, q)
			}
		}
	}
}

// From where a user can not log in, the time that an answer takes tells nothing of a secret.
func TestElsewhereComputesNothing(t *testing.T) {
	cfg, _, err := config.Parse("test.yaml", []byte("upstream: {addresses: [127.0.0.1:1]}\ntenants:\n  acme:\n    networks: [10.0.0.0/8]\n    users: {default: {argon2id: ["+strconv.Quote(config.HashArgon2id("right"))+"]}}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDirectory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := func(ip string) Source { return Source{Addr: netip.MustParseAddr(ip)} }
	user := []byte("acme")
	if !d.Slow(at("10.1.2.3"), user, []byte("right")) {
		t.Fatal("it is not computed at all")
	}
	if _, _, err := d.AuthenticateFrom(at("::ffff:10.1.2.3"), user, []byte("right")); err != nil {
		t.Fatal(err) // and is known from now on
	}
	for _, secret := range []string{"right", "wrong"} {
		if d.Slow(at("192.0.2.7"), user, []byte(secret)) {
			t.Errorf("the %s secret is computed", secret)
		}
		if _, _, err := d.AuthenticateFrom(at("192.0.2.7"), user, []byte(secret)); err != ErrElsewhere {
			t.Errorf("the %s secret: %v", secret, err)
		}
	}
}
