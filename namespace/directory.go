package namespace

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"sync/atomic"

	"riptide-proxy/config"
)

// Identity is who a session has logged in as.
type Identity struct {
	Tenant *Tenant
	User   string // "default", or one of the tenant's other users
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
}

// account is a user with the hashes of its secrets.
type account struct {
	identity Identity
	sha256   [][sha256.Size]byte
	argon2id []string
	// proved is the SHA-256 of the secret that an argon2id hash has matched
	// last, so that a client that connects often is not made to wait. It is kept
	// in memory only.
	proved atomic.Pointer[[sha256.Size]byte]
}

// NewDirectory builds the directory of a checked configuration.
func NewDirectory(c *config.Config) (*Directory, error) {
	d := &Directory{
		tenants:  make(map[string]*Tenant, len(c.Tenants)),
		users:    make(map[string]map[string]*account, len(c.Tenants)),
		bySecret: make(map[[sha256.Size]byte]*account),

		byCertificate: make(map[string]*account),
	}
	for id, tc := range c.Tenants {
		t := newTenant(id, tc)
		d.tenants[id] = t
		d.users[id] = make(map[string]*account, len(tc.Users))
		for name, uc := range tc.Users {
			a, err := newAccount(Identity{t, name}, uc)
			if err != nil {
				return nil, err
			}
			d.users[id][name] = a
			for _, h := range a.sha256 {
				d.bySecret[h] = a
			}
			if err := d.certify(a, uc.Certificates); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

func newAccount(who Identity, c *config.User) (*account, error) {
	a := &account{identity: who, argon2id: c.Argon2id}
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

// Slow reports whether Authenticate may take long: then it does not belong on
// an event loop.
func (d *Directory) Slow(user, secret []byte) bool {
	a := d.account(user)
	return a != nil && len(a.argon2id) > 0 && !a.known(sha256.Sum256(secret))
}

// known reports whether a secret needs no computation to be right.
func (a *account) known(sum [sha256.Size]byte) bool {
	match := 0
	for i := range a.sha256 {
		match |= subtle.ConstantTimeCompare(sum[:], a.sha256[i][:])
	}
	if p := a.proved.Load(); p != nil {
		match |= subtle.ConstantTimeCompare(sum[:], p[:])
	}
	return match == 1
}

// Authenticate finds out who logs in with a secret. user is "<tenant>" or
// "<tenant>.<user>"; nil or "default" leaves it to the secret, which then
// must be one stored as SHA-256. The error is ErrWrongPass or ErrSuspended.
func (d *Directory) Authenticate(user, secret []byte) (*Identity, error) {
	return d.AuthenticateFrom(Source{Any: true}, user, secret)
}

// AuthenticateFrom is Authenticate for a client that is somewhere. The error may be ErrElsewhere too.
func (d *Directory) AuthenticateFrom(from Source, user, secret []byte) (*Identity, error) {
	a := d.verify(user, secret)
	if a == nil {
		return nil, ErrWrongPass
	}
	if err := a.identity.Admits(from); err != nil {
		return nil, err
	}
	return &a.identity, nil
}

func (d *Directory) verify(user, secret []byte) *account {
	sum := sha256.Sum256(secret)
	if user == nil || string(user) == "default" {
		// The key of the look-up is a hash, so its timing tells nothing
		// about how much of the secret was right.
		if a := d.bySecret[sum]; a != nil {
			return a
		}
	}
	a := d.account(user)
	if a == nil {
		a = &nobody // so that a name that exists takes as long
	}
	match := a.known(sum)
	for _, phc := range a.argon2id {
		if !match && config.VerifyArgon2id(phc, string(secret)) {
			match = true
			a.proved.Store(&sum)
		}
	}
	if !match || a == &nobody {
		return nil
	}
	return a
}

var nobody = account{sha256: make([][sha256.Size]byte, 1)}

func (d *Directory) account(user []byte) *account {
	tenant, name, found := bytes.Cut(user, []byte("."))
	if !found {
		name = []byte("default")
	}
	return d.users[string(tenant)][string(name)]
}
