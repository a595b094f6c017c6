package namespace

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Source is where a client is: whom it may become depends on that. The zero Source is nowhere that is
// known.
type Source struct {
	Addr  netip.Addr
	Unix  bool     // came by the unix socket; then there is no Addr
	Any   bool     // where it is does not matter
	Names []string // of its certificate, which was verified
}

var (
	// ErrElsewhere tells that nobody may be this user from there: for a user with argon2id secrets whether or not the
	// secret is right, for others only if it is. It wraps ErrWrongPass and has its text: who has found a secret does not
	// learn it where it is of no use.
	ErrElsewhere = fmt.Errorf("%w", ErrWrongPass)
	// ErrManyCertificates tells that the names in one certificate are those of several users: then it
	// is nobody's, and nobody can log in with it.
	ErrManyCertificates = errors.New("NOPERM the client certificate has the names of several users")
)

// Admits tells whether somebody who has proved to be who it is may be so from there: the error is nil,
// ErrElsewhere or ErrSuspended. Who has a certificate of one tenant may not be another one.
func (d *Directory) Admits(who *Identity, from Source) error {
	t := who.Tenant
	if !from.Any {
		if networks := d.networks[t.ID]; len(networks) > 0 && !networks.Has(from.Addr, from.Unix) {
			return ErrElsewhere
		}
		if owner, _, err := d.Certified(from.Names); err != nil || owner != nil && owner.Tenant.ID != t.ID {
			return ErrElsewhere
		}
	}
	if t.Suspended {
		return ErrSuspended
	}
	return nil
}

// certify notes the names of a user's certificates.
func (d *Directory) certify(a *account) error {
	for _, name := range a.certificates {
		if other := d.byCertificate[name]; other != nil && other != a {
			return fmt.Errorf("the certificate %s is both that of %s.%s and of %s.%s", name,
				other.identity.Tenant.ID, other.identity.User, a.identity.Tenant.ID, a.identity.User)
		}
		d.byCertificate[name] = a
	}
	return nil
}

// Certified finds out whose a certificate is that was verified, by the names in it. It returns nil and no
// error if it is nobody's. Whether that one may log in is another question, which Admits answers. The
// error is ErrManyCertificates.
func (d *Directory) Certified(names []string) (*Identity, Proof, error) {
	var found *account
	var proof Proof
	for _, name := range names {
		a := d.byCertificate[name]
		if a == nil || a == found {
			continue
		}
		if found != nil {
			return nil, "", ErrManyCertificates
		}
		found, proof = a, Proof(name)
	}
	if found == nil {
		return nil, "", nil
	}
	return &found.identity, proof, nil
}

// CertifiesAlike tells whether two directories have the same certificates, and AdmitsAlike whether a tenant's
// clients may come from the same networks.
func (d *Directory) CertifiesAlike(other *Directory) bool {
	return maps.EqualFunc(d.byCertificate, other.byCertificate, func(a, b *account) bool {
		return a.identity.Tenant.ID == b.identity.Tenant.ID && a.identity.User == b.identity.User
	})
}

// AdmitsAlike is explained with CertifiesAlike.
func (d *Directory) AdmitsAlike(other *Directory, tenant string) bool {
	return slices.Equal(d.networks[tenant], other.networks[tenant])
}
