package namespace

import (
	"errors"
	"fmt"
	"net/netip"
)

// Source is where a client is: whom it may become depends on that. The zero Source is nowhere.
type Source struct {
	Addr netip.Addr
	Unix bool   // came by the unix socket; then there is no Addr
	Any  bool   // where it is does not matter
	Only string // the tenant that its certificate is for; empty: it has none that is for a tenant
}

var (
	// ErrElsewhere tells that somebody who has proved who it is may not be it from there. The text is that
	// of ErrWrongPass: who has found a secret does not learn it from a place where it is of no use.
	ErrElsewhere = fmt.Errorf("%w", ErrWrongPass)
	// ErrManyCertificates tells that the names in one certificate are those of several users: then it
	// is nobody's.
	ErrManyCertificates = errors.New("NOPERM the client certificate has the names of several users")
)

// Admits tells whether a client that has proved to be somebody may be so: nil, ErrElsewhere or
// ErrSuspended.
func (who *Identity) Admits(from Source) error {
	t := who.Tenant
	switch {
	case from.Any:
	case from.Only != "" && from.Only != t.ID:
		return ErrElsewhere
	case len(t.Networks) > 0 && !t.Networks.Has(from.Addr, from.Unix):
		return ErrElsewhere
	}
	if t.Suspended {
		return ErrSuspended
	}
	return nil
}

// certify notes the names of a user's certificates.
func (d *Directory) certify(a *account, names []string) error {
	for _, name := range names {
		if other := d.byCertificate[name]; other != nil && other != a {
			return fmt.Errorf("the certificate %s is both that of %s.%s and of %s.%s", name,
				other.identity.Tenant.ID, other.identity.User, a.identity.Tenant.ID, a.identity.User)
		}
		d.byCertificate[name] = a
	}
	return nil
}

// Certified finds out whose a certificate is that was verified, by the names in it. It returns nil and no
// error if it is nobody's. Whether that one may log in is another question. The error is
// ErrManyCertificates.
func (d *Directory) Certified(names []string) (*Identity, error) {
	var found *account
	for _, name := range names {
		a := d.byCertificate[name]
		if a == nil || a == found {
			continue
		}
		if found != nil {
			return nil, ErrManyCertificates
		}
		found = a
	}
	if found == nil {
		return nil, nil
	}
	return &found.identity, nil
}
