package jwt

import (
	"context"
	"errors"

	"riptide-proxy/config"
)

// Operators reports whether there is an issuer whose tokens may have a role at the admin listener.
func (v *Verifier) Operators() bool {
	for _, i := range v.issuers.Load().byClaim {
		if i.cfg.RoleClaim != "" {
			return true
		}
	}
	return false
}

var errNoRole = errors.New("the token has no role")

// Operator finds out what the holder of a token may do at the admin listener: under which name (for logs),
// with which role, and for which tenant alone; an empty one means all. The error is that of Verify, or tells that
// the token has no role.
func (v *Verifier) Operator(ctx context.Context, token string) (name string, role config.Role, tenant string, err error) {
	t, err := v.Verify(ctx, token)
	if err == nil && t.Role == "" {
		err = errNoRole
	}
	if err != nil {
		return "", "", "", err
	}
	return t.Name(), t.Role, t.Tenant, nil
}
