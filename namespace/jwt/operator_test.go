package jwt

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
)

// Who may use the admin listener, and who may not though the token is good.
func TestOperator(t *testing.T) {
	k := keys(t, ours)
	v, c := start(t, corp(t, "role_claim: role\noperators: true\n"))
	for _, tc := range []struct {
		changes      object
		role         config.Role
		tenant, want string
	}{
		{object{"role": "admin", "tenant": nil}, config.Administrator, "", ""},
		{object{"role": "viewer"}, config.Viewer, "acme", ""},
		{object{"tenant": nil}, "", "", "no role"},
		{object{}, "", "", "no role"},
		{object{"role": "admin", "tenant": nil, "aud": "x"}, "", "", "audience"},
	} {
		name, role, tenant, err := v.Operator(t.Context(), sign(t, jwt.SigningMethodES256, k.ec, nil, tc.changes))
		switch {
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || name+string(role)+tenant != ""):
			t.Errorf("%v: %s %s %s, %v", tc.changes, name, role, tenant, err)
		case tc.want == "" && (err != nil || name != "somebody@corp" || role != tc.role || tenant != tc.tenant):
			t.Errorf("%v: %s %s %s, %v", tc.changes, name, role, tenant, err)
		}
	}
	if !v.Operators() {
		t.Error("an issuer with roles has no operators")
	}
	use(t, v, corp(t, ""))
	if v.Operators() {
		t.Error("an issuer without roles has operators")
	}
	c.unix.Store(noon + 1e6)
	if _, _, _, err := v.Operator(t.Context(), sign(t, jwt.SigningMethodES256, k.ec, nil, object{"role": "admin"})); err == nil {
		t.Error("a token that is over has a role")
	}
}
