package jwt

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
)

// A token that is revoked is believed no more, also one that was; and only that one, of that issuer.
func TestRevoked(t *testing.T) {
	v, c := start(t)
	hmac := keys(t, ours).hmac
	other := strings.NewReplacer("corp:", "other:", "https://id.example.com", "https://other.example.com").Replace(corp(t, ""))
	cfg := parse(t, corp(t, "role_claim: role\n"), other)
	revoke := func(list ...config.JWTRevocation) {
		t.Helper()
		next := *cfg
		next.Revoked = list
		issuers, err := v.Load(&next)
		if err != nil {
			t.Fatal(err)
		}
		v.Use(issuers)
	}
	revoke()
	long := strings.Repeat("l", config.MaxRevokedName+1)
	texts := map[string]string{}
	for name, changes := range map[string]object{
		"one": {"jti": "1", "role": "admin"}, "two": {"jti": "2"}, "none": {}, "theirs": {"jti": "3", "sub": "els\xc3\xa9where"},
		"foreign": {"jti": "1", "iss": "https://other.example.com"}, "long": {"jti": long, "sub": long}, "empty": {"jti": "", "sub": ""},
	} {
		texts[name] = sign(t, jwt.SigningMethodHS256, hmac, nil, changes)
	}
	all := map[string]*Token{}
	for name, text := range texts {
		all[name] = believed(t, v, text)
	}
	check := func(gone string) {
		t.Helper()
		for name, text := range texts {
			want := !strings.Contains(gone, name)
			if all[name].Valid(c.now()) != want {
				t.Errorf("%s: valid is %v", name, !want)
			}
			if want {
				believed(t, v, text)
			} else {
				refused(t, v, text, "the token is revoked")
			}
		}
	}
	check("")
	revoke(config.JWTRevocation{Issuer: "corp", ID: "1"}, config.JWTRevocation{Issuer: "corp", ID: long}, config.JWTRevocation{Issuer: "corp", Subject: "elsewhere"})
	check("one")
	if _, _, _, err := v.Operator(t.Context(), texts["one"]); err == nil {
		t.Error("an operator with a token that is revoked")
	}
	revoke(config.JWTRevocation{Issuer: "corp", Subject: "somebody"}, config.JWTRevocation{Issuer: "corp", Subject: "elséwhere"})
	check("one two none theirs")
	revoke(config.JWTRevocation{Issuer: "other", ID: "1"})
	check("foreign")
	revoke()
	check("")
	refused(t, v, sign(t, jwt.SigningMethodHS256, hmac, nil, object{"jti": 7}), "the claim jti is not a text")
}
