package namespace

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"

	"riptide-proxy/config"
	"riptide-proxy/namespace/acl"
)

// Identity is who a session has logged in as.
type Identity struct {
	Tenant *Tenant
	User   string     // "default", or one of the tenant's other users
	Rules  *acl.Rules // nil: it may do everything
}

// Errors of Authenticate. Their texts are what the client is told.
var (
	//lint:ignore ST1005 the words are Redis's
	ErrWrongPass = errors.New("WRONGPASS invalid username-password pair or user is disabled.")
	ErrSuspended = errors.New("NOPERM this tenant is suspended")
)

// ErrForeign tells that an upstream's reply named a key outside the tenant.
var ErrForeign = errors.New("the upstream's reply names a key of somebody else")

// Directory finds identities. It never changes once made.
type Directory struct {
	tenants  map[string]*Tenant
	users    map[string]map[string]*account // by tenant, then user
	bySecret map[[sha256.Size]byte]*account

	byCertificate map[string]*account
	networks      map[string]config.Networks // that tenants' clients may come from; by tenant

	made map[string]*config.Tenant // what each was made of
}

// account is a user with the hashes of its secrets.
type account struct {
	identity Identity
	sha256   [][sha256.Size]byte
	argon2id []string
	// certificates are the names of those that log in as the user.
	certificates []string
	// proved is the secret that an argon2id hash has matched last, so that a client that connects
	// often is not made to wait. It is kept in memory only.
	proved atomic.Pointer[proved]
}

// Proof is what has convinced a Directory of who somebody is: the stored hash of a secret, or the name of
// a certificate.
type Proof string

// NewDirectory builds the directory of a checked configuration.
func NewDirectory(c *config.Config) (*Directory, error) { return NextDirectory(c, nil) }

// NextDirectory builds the one that takes the place of another, if that is not nil. Tenants that are as
// they were stay the same ones, and so do users.
func NextDirectory(c *config.Config, before *Directory) (*Directory, error) {
	d := &Directory{
		tenants:  make(map[string]*Tenant, len(c.Tenants)),
		users:    make(map[string]map[string]*account, len(c.Tenants)),
		bySecret: make(map[[sha256.Size]byte]*account),

		byCertificate: make(map[string]*account),
		networks:      make(map[string]config.Networks),
		made:          c.Tenants,
	}
	for id, tc := range c.Tenants {
		if before != nil && before.made[id] == tc {
			if err := d.keep(before, id); err != nil {
				return nil, err
			}
			continue
		}
		t := newTenant(id, tc)
		if before != nil && t.same(before.tenants[id]) {
			t = before.tenants[id]
		}
		d.tenants[id] = t
		d.networks[id] = tc.Networks
		d.users[id] = make(map[string]*account, len(tc.Users))
		for name, uc := range tc.Users {
			var was *account
			if before != nil {
				was = before.users[id][name]
			}
			rules, err := newRules(uc, was)
			if err != nil {
				return nil, fmt.Errorf("tenant %s, user %s: acl: %w", id, name, err)
			}
			a, err := newAccount(Identity{t, name, rules}, uc)
			if err != nil {
				return nil, err
			}
			a = a.after(was)
			d.users[id][name] = a
			for _, h := range a.sha256 {
				d.bySecret[h] = a
			}
			if err := d.certify(a); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// keep takes a tenant over that the configuration has not changed.
func (d *Directory) keep(before *Directory, id string) error {
	d.tenants[id], d.users[id], d.networks[id] = before.tenants[id], before.users[id], before.networks[id]
	for _, a := range d.users[id] {
		for _, h := range a.sha256 {
			d.bySecret[h] = a
		}
		if err := d.certify(a); err != nil {
			return err
		}
	}
	return nil
}

// newRules returns a user's rules, nil if it may do everything. They are the ones that it had if nothing about them is new.
func newRules(c *config.User, was *account) (*acl.Rules, error) {
	if c.ACL == "" {
		return nil, nil
	}
	rules, err := acl.Parse(c.ACL)
	if err != nil || rules.Unrestricted() {
		return nil, err
	}
	if was != nil && was.identity.Rules != nil && was.identity.Rules.String() == rules.String() {
		return was.identity.Rules, nil
	}
	return rules, nil
}

func newAccount(who Identity, c *config.User) (*account, error) {
	a := &account{identity: who, argon2id: c.Argon2id, certificates: c.Certificates}
	for _, s := range c.SHA256 {
		var h [sha256.Size]byte
		if len(s) != hex.EncodedLen(len(h)) {
			return nil, errBadHash(who)
		}
		if _, err := hex.Decode(h[:], []byte(s)); err != nil {
			return nil, errBadHash(who)
		}
		a.sha256 = append(a.sha256, h)
	}
	return a, nil
}

// after is the account, or the one that there was before if nothing about it is new.
func (a *account) after(was *account) *account {
	if was != nil && was.identity == a.identity && slices.Equal(was.sha256, a.sha256) && slices.Equal(was.argon2id, a.argon2id) &&
		slices.Equal(was.certificates, a.certificates) {
		return was
	}
	return a
}

// proves reports whether something is among what the account is known by.
func (a *account) proves(p Proof) bool {
	return slices.Contains(a.argon2id, string(p)) || slices.Contains(a.certificates, string(p)) || slices.ContainsFunc(a.sha256, func(h [sha256.Size]byte) bool { return proofOf(h) == p })
}

func proofOf(h [sha256.Size]byte) Proof { return Proof(hex.EncodeToString(h[:])) }

// Still returns who somebody is that another directory has let in, as this one knows it; nil if this one would not
// let it in with the same proof.
func (d *Directory) Still(who *Identity, p Proof) *Identity {
	a := d.users[who.Tenant.ID][who.User]
	if a == nil || a.identity.Tenant.Suspended || !a.proves(p) {
		return nil
	}
	return &a.identity
}

func errBadHash(who Identity) error {
	return fmt.Errorf("tenant %s, user %s: a secret's hash is not 64 hexadecimal digits", who.Tenant.ID, who.User)
}

// Tenant returns the tenant of that id, or nil.
func (d *Directory) Tenant(id string) *Tenant { return d.tenants[id] }

// Tenants lists all, in the order of their ids.
func (d *Directory) Tenants() []*Tenant {
	all := make([]*Tenant, 0, len(d.tenants))
	for _, t := range d.tenants {
		all = append(all, t)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

// Named returns the identity that AUTH knows as "<tenant>" or "<tenant>.<user>",
// or nil.
func (d *Directory) Named(user []byte) *Identity {
	if a := d.account(user); a != nil {
		return &a.identity
	}
	return nil
}

// Member returns the user of a tenant whom somebody else than a secret has vouched for; nil if there is
// none. Whether that one may log in is another question, which Admits answers.
func (d *Directory) Member(tenant, user string) *Identity {
	a := d.users[tenant][user]
	if a == nil {
		return nil
	}
	return &a.identity
}

// Slow reports whether AuthenticateFrom may take long: then it does not belong on
// an event loop.
func (d *Directory) Slow(from Source, user, secret []byte) bool {
	a := d.account(user)
	return a != nil && len(a.argon2id) > 0 && a.known(sha256.Sum256(secret)) == "" && d.Admits(&a.identity, from) != ErrElsewhere
}

// known is what proves a secret right without a computation; empty: it takes one, or it is wrong.
func (a *account) known(sum [sha256.Size]byte) (proof Proof) {
	for i := range a.sha256 {
		if subtle.ConstantTimeCompare(sum[:], a.sha256[i][:]) == 1 {
			proof = proofOf(sum)
		}
	}
	if p := a.proved.Load(); p != nil && subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1 {
		proof = p.by
	}
	return proof
}

// proved is a secret that an argon2id hash has matched.
type proved struct {
	sum [sha256.Size]byte
	by  Proof
}

// Authenticate finds out who logs in with a secret. user is "<tenant>" or
// "<tenant>.<user>"; nil or "default" leaves it to the secret, which then
// must be one stored as SHA-256. The error is ErrWrongPass or ErrSuspended.
func (d *Directory) Authenticate(user, secret []byte) (*Identity, Proof, error) {
	return d.AuthenticateFrom(Source{Any: true}, user, secret)
}

// AuthenticateFrom is Authenticate for a client that is somewhere. The error may be ErrElsewhere too.
func (d *Directory) AuthenticateFrom(from Source, user, secret []byte) (*Identity, Proof, error) {
	a, proof, err := d.verify(from, user, secret)
	if err != nil {
		return nil, "", err
	}
	if err := d.Admits(&a.identity, from); err != nil {
		return nil, "", err
	}
	return &a.identity, proof, nil
}

func (d *Directory) verify(from Source, user, secret []byte) (*account, Proof, error) {
	sum := sha256.Sum256(secret)
	if user == nil || string(user) == "default" {
		// The key of the look-up is a hash, so its timing tells nothing
		// about how much of the secret was right.
		if a := d.bySecret[sum]; a != nil {
			return a, proofOf(sum), nil
		}
	}
	a := d.account(user)
	if a == nil {
		a = &nobody // so that a name that exists takes as long
	}
	proof := a.known(sum)
	if proof == "" && len(a.argon2id) > 0 && d.Admits(&a.identity, from) == ErrElsewhere {
		// Computing it would tell, by the time it takes, a wrong secret from one that was right lately.
		return nil, "", ErrElsewhere
	}
	for _, phc := range a.argon2id {
		if proof == "" && config.VerifyArgon2id(phc, string(secret)) {
			proof = Proof(phc)
			a.proved.Store(&proved{sum, proof})
		}
	}
	if proof == "" || a == &nobody {
		return nil, "", ErrWrongPass
	}
	return a, proof, nil
}

var nobody = account{sha256: make([][sha256.Size]byte, 1)}

func (d *Directory) account(user []byte) *account {
	tenant, name, found := bytes.Cut(user, []byte("."))
	if !found {
		name = []byte("default")
	}
	return d.users[string(tenant)][string(name)]
}
