package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestRevoked(t *testing.T) {
	const with = corp + "      algorithms: [ES256]\n      keys: [{algorithm: ES256, file: k}]\n"
	long := strings.Repeat("x", 513)
	for name, c := range map[string]struct{ revoked, want string }{
		"nobody's":               {"{id: x}", "issuer: is missing: give the name among jwt.issuers of whoever has made the token"},
		"of nobody":              {"{issuer: crp, id: x}", `issuer: there is no issuer "crp" (did you mean "corp"?)`},
		"by the claim iss":       {"{issuer: i, id: x}", `issuer: there is no issuer "i"`},
		"of nothing":             {"{issuer: corp}", ": wants either id or subject"},
		"of an empty name":       {"{issuer: corp, id: ''}", ": wants either id or subject"},
		"of both":                {"{issuer: corp, id: x, subject: y}", ": wants either id or subject"},
		"a long id":              {"{issuer: corp, id: " + long + "}", "id: is longer than 512 bytes"},
		"a long subject":         {"{issuer: corp, subject: " + long + "}", "subject: is longer than 512 bytes"},
		"misspelt":               {"{issuer: corp, jti: x}", "jti: unknown key"},
		"a list in its place":    {"[x]", "jwt.revoked[0]"},
		"more than there may be": {strings.Repeat("{issuer: corp, id: x}, ", MaxRevoked) + "{issuer: corp, id: x}", "jwt.revoked: has 10001 entries, but at most 10000 are allowed"},
	} {
		_, _, err := Parse("f", []byte(with+"  revoked: ["+c.revoked+"]\n"), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "f:10: jwt.revoked") {
			t.Errorf("%s: %.200s, want %s", name, fmt.Sprint(err), c.want)
		}
	}
	c, _ := parsed(t, with+"  revoked: [{issuer: corp, id: x}, {issuer: corp, subject: 'y z'}]\n")
	if r := c.JWT.Revoked; len(r) != 2 || r[0] != (JWTRevocation{Issuer: "corp", ID: "x"}) || r[1] != (JWTRevocation{Issuer: "corp", Subject: "y z"}) {
		t.Errorf("%+v", r)
	}
}
