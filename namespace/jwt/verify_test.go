package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// methods are all that the library has, with the keys of a ring that they sign with.
func methods(k *keyring) map[jwt.SigningMethod][]any {
	all := map[jwt.SigningMethod][]any{
		jwt.SigningMethodES256: {k.ec}, jwt.SigningMethodEdDSA: {k.ed}, jwt.SigningMethodNone: {jwt.UnsafeAllowNoneSignatureType},
	}
	for _, m := range []jwt.SigningMethod{
		jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
	} {
		all[m] = []any{k.rsa}
	}
	return all
}

// publicForms are the ways to write down a public key, each of which may be tried as a secret.
func publicForms(t *testing.T, public any) (forms [][]byte) {
	t.Helper()
	text := harness.PublicKey(t, public)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: public})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{text, []byte(strings.TrimSpace(string(text))), []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), der, []byte(base64.StdEncoding.EncodeToString(der)), jwk}
}

// Whatever the header says: a token is believed if it is signed with an issuer's key and the one algorithm that the key is
// for, and for no other pair. Nor is what everybody can know a secret.
func TestAlgorithmConfusion(t *testing.T) {
	k := keys(t, ours)
	right := map[string]any{"HS256": k.hmac, "RS256": k.rsa, "ES256": k.ec, "EdDSA": k.ed}
	algorithms := []string{"HS256", "RS256", "ES256", "EdDSA"}
	hmacs := []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512}
	for mask := 1; mask < 1<<len(algorithms); mask++ {
		var allowed, given []string
		files := map[string]string{
			"HS256": harness.KeyFile(t, k.hmac), "RS256": harness.KeyFile(t, harness.PublicKey(t, &k.rsa.PublicKey)), "ES256": harness.KeyFile(t, harness.PublicKey(t, &k.ec.PublicKey)), "EdDSA": harness.KeyFile(t, harness.PublicKey(t, k.ed.Public())),
		}
		for n, a := range algorithms {
			if mask&(1<<n) != 0 {
				allowed = append(allowed, a)
				given = append(given, fmt.Sprintf("  - {algorithm: %s, file: %q}\n", a, files[a]))
			}
		}
		v, _ := start(t, "corp:\nissuer: https://id.example.com\naudience: [riptide]\nalgorithms: ["+strings.Join(allowed, ", ")+"]\nkeys:\n"+strings.Join(given, ""))
		try := func(m jwt.SigningMethod, key any, header object) {
			t.Helper()
			alg := m.Alg()
			want := reflect.DeepEqual(right[alg], key) && slices.Contains(allowed, alg)
			token := sign(t, m, key, header, nil)
			if _, err := verify(v, token); (err == nil) != want {
				t.Errorf("with %v allowed, a token of %s with a %T: %v", allowed, alg, key, err)
			}
		}
		for _, ring := range []*keyring{k, keys(t, theirs)} {
			for m, with := range methods(ring) {
				for _, key := range with {
					try(m, key, nil)
				}
			}
			for _, m := range hmacs {
				try(m, ring.hmac, nil)
				try(m, []byte{}, nil)
				for _, public := range ring.public {
					for _, form := range publicForms(t, public) {
						try(m, form, nil)
					}
				}
			}
		}
		// The header offers the key that the token is signed with.
		other := keys(t, theirs)
		for _, header := range []object{
			{"jwk": jose.JSONWebKey{Key: &other.ec.PublicKey}}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/keys"},
			{"x5c": []string{base64.StdEncoding.EncodeToString(harness.PublicKey(t, &other.ec.PublicKey))}},
			{"kid": "/dev/null"}, {"kid": ""}, {"kid": "' or '1' = '1"},
		} {
			try(jwt.SigningMethodES256, other.ec, header)
			try(jwt.SigningMethodHS256, []byte{}, header)
		}
	}
}

// No token that differs in a byte from one that is believed is believed.
func TestChangedTokens(t *testing.T) {
	v, _ := start(t, corp(t, ""))
	k := keys(t, ours)
	for _, token := range []string{
		sign(t, jwt.SigningMethodHS256, k.hmac, nil, nil), sign(t, jwt.SigningMethodES256, k.ec, nil, nil), sign(t, jwt.SigningMethodEdDSA, k.ed, nil, nil),
	} {
		believed(t, v, token)
		for i := range token {
			for _, c := range []byte("A_.=\n\x00 ") {
				if token[i] == c {
					continue
				}
				if _, err := verify(v, token[:i]+string(c)+token[i+1:]); err == nil {
					t.Errorf("byte %d may be %q", i, c)
				}
			}
			if _, err := verify(v, token[:i]); err == nil {
				t.Errorf("the first %d bytes are enough", i)
			}
		}
		for _, more := range []string{"A", "=", ".", "\n", " ", "\x00", ".AAAA"} {
			if _, err := verify(v, token+more); err == nil {
				t.Errorf("%q may follow", more)
			}
			if _, err := verify(v, more+token); err == nil {
				t.Errorf("%q may come before", more)
			}
		}
		// Pieces of several tokens.
		parts := strings.Split(token, ".")
		for _, other := range []string{sign(t, jwt.SigningMethodHS256, k.hmac, nil, object{"tenant": "globex"}), sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil)} {
			o := strings.Split(other, ".")
			for _, mixed := range [][]string{{o[0], parts[1], parts[2]}, {parts[0], o[1], parts[2]}, {o[0], o[1], parts[2]}, {parts[0], o[1], o[2]}, {parts[0], parts[1], o[2]}} {
				if text := strings.Join(mixed, "."); text != token && text != other {
					if _, err := verify(v, text); err == nil {
						t.Errorf("a mixture is believed: %v", mixed)
					}
				}
			}
		}
	}
}

// Signatures of ECDSA that hold for anything where a library does not look.
func TestEmptySignatures(t *testing.T) {
	v, _ := start(t, corp(t, ""))
	k := keys(t, ours)
	token := sign(t, jwt.SigningMethodES256, k.ec, nil, nil)
	body := token[:strings.LastIndexByte(token, '.')]
	order := elliptic.P256().Params().N.Bytes()
	zero := make([]byte, 32)
	for _, s := range [][]byte{nil, {0}, append(zero[:32:32], zero...), append(order[:32:32], order...), append(zero[:32:32], order...), make([]byte, 63), make([]byte, 65)} {
		refused(t, v, body+"."+base64.RawURLEncoding.EncodeToString(s), "issuer corp")
	}
	digest := crypto.SHA256.New()
	digest.Write([]byte(body))
	der, err := ecdsa.SignASN1(rand.Reader, k.ec, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, v, body+"."+base64.RawURLEncoding.EncodeToString(der), "issuer corp") // another form of a right one
}

// Headers and claims of every wrong kind.
func TestMalformedTokens(t *testing.T) {
	v, _ := start(t, corp(t, ""))
	k := keys(t, ours)
	sealed := func(header, claims string) string {
		b := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		s, err := jwt.SigningMethodHS256.Sign(b, k.hmac)
		if err != nil {
			t.Fatal(err)
		}
		return b + "." + base64.RawURLEncoding.EncodeToString(s)
	}
	const header = `{"alg":"HS256"}`
	claims := func(more string) string {
		return `{"iss":"https://id.example.com","aud":"riptide","tenant":"acme","exp":` + fmt.Sprint(noon+60) + more + `}`
	}
	believed(t, v, sealed(header, claims("")))
	for _, h := range []string{
		``, `null`, `[]`, `{}`, `"HS256"`, `{"alg":null}`, `{"alg":["HS256"]}`, `{"alg":"hs256"}`, `{"alg":"HS256 "}`, `{"ALG":"HS256"}`, `{"alg":"HS256"`,
		`{"alg":"HS256"} ` + "x", `{"alg":"HS256","kid":1}`, `{"alg":"HS256","kid":null}`, `{"alg":"HS256","kid":["r1"]}`, `{"alg":"HS256","typ":1}`, `{"alg":"HS256","typ":"JWE"}`,
		`{"alg":"HS256","typ":"secevent+jwt"}`, `{"alg":"HS256","crit":["exp"]}`, `{"alg":"HS256","crit":[]}`, `{"alg":"HS256","crit":null}`, `{"alg":"HS256","b64":false}`,
		`{"alg":"none","alg":"none"}`, "\xff\xfe", strings.Repeat("[", 5000),
	} {
		if _, err := verify(v, sealed(h, claims(""))); err == nil {
			t.Errorf("the header %.60q is accepted", h)
		}
	}
	for _, c := range []string{
		``, `null`, `[]`, `"x"`, `{}`, `{"iss":"https://id.example.com"}`, claims(`,"iss":null`), claims(`,"iss":["https://id.example.com"]`), claims(`,"iss":""`),
		claims(`,"aud":null`), claims(`,"aud":{}`), claims(`,"aud":[1]`), claims(`,"aud":[]`), claims(`,"aud":["riptide",1]`), claims(`,"aud":"RIPTIDE"`), claims(`,"aud":"riptide "`),
		claims(`,"exp":null`), claims(`,"exp":"9999999999"`), claims(`,"exp":true`), claims(`,"exp":[]`), claims(`,"exp":-1`), claims(`,"exp":1e18`), claims(`,"exp":1e19`), claims(`,"exp":1e308`), claims(`,"exp":1e999`),
		claims(`,"exp":-1e300`), claims(`,"nbf":null`), claims(`,"nbf":"0"`), claims(`,"nbf":-1e300`), claims(`,"nbf":1e300`), claims(`,"sub":1`), claims(`,"tenant":1`), claims(`,"tenant":["acme"]`), claims(`,"tenant":{"acme":1}`),
		claims("") + "x", claims(`,"x":` + strings.Repeat("[", 9000)),
	} {
		if _, err := verify(v, sealed(header, c)); err == nil {
			t.Errorf("the claims %.200q are accepted", c)
		}
	}
	refused(t, v, sealed(header, claims(`,"x":"`+strings.Repeat("x", longestToken)+`"`)), "too long")
	refused(t, v, sealed(header, claims(`,"iss":"somebody else"`)), "nobody of that name")
	// Where the library would look at names without regard to case.
	refused(t, v, sealed(header, strings.Replace(claims(""), `"exp"`, `"EXP"`, 1)), "exp")
	if got := believed(t, v, sealed(header, strings.Replace(claims(""), `"tenant"`, `"Tenant"`, 1))); got.Tenant != "" {
		t.Errorf("the claim Tenant is taken for tenant: %q", got.Tenant)
	}
}

// A token is valid from nbf to exp with the leeway, to the second, and not when the clock has gone back before.
func TestTimes(t *testing.T) {
	v, c := start(t, corp(t, "leeway: 10s\n"))
	k := keys(t, ours)
	text := sign(t, jwt.SigningMethodHS256, k.hmac, nil, object{"nbf": noon + 100, "exp": noon + 200})
	var held *Token
	for _, tc := range []struct {
		at int64
		ok bool
	}{{0, false}, {89, false}, {90, true}, {100, true}, {200, true}, {209, true}, {210, false}, {1e9, false}, {150, true}, {50, false}, {-1e9, false}} {
		c.unix.Store(noon + tc.at)
		got, err := verify(v, text)
		if (err == nil) != tc.ok {
			t.Errorf("at %d: %v", tc.at, err)
		}
		if err == nil {
			held = got
		}
		if held != nil && held.Valid(c.now()) != tc.ok {
			t.Errorf("at %d a token held is valid: %v", tc.at, !tc.ok)
		}
	}
	if !held.Expires().Equal(time.Unix(noon+210, 0)) {
		t.Errorf("expires at %v", held.Expires())
	}
	c.unix.Store(noon)
	if !believed(t, v, sign(t, jwt.SigningMethodHS256, k.hmac, nil, nil)).Valid(time.Unix(noon, 0)) {
		t.Error("a token without nbf is not valid")
	}
}

// Who somebody is, and what he may do.
func TestClaims(t *testing.T) {
	k := keys(t, ours)
	for _, tc := range []struct {
		name, lines    string
		changes        object
		tenant, user   string
		role           config.Role
		reason, called string // for which it is refused; its name
	}{
		{name: "plain", tenant: "acme", user: "default", called: "somebody@corp"},
		{name: "no subject", changes: object{"sub": nil}, tenant: "acme", user: "default", called: "corp"},
		{name: "a subject for a log", changes: object{"sub": "a\nb\x1b[31m" + strings.Repeat("é", 200)}, tenant: "acme", user: "default", called: "a?b?[31m" + strings.Repeat("?", 120) + "@corp"},
		{name: "fixed tenant", lines: "tenant: globex\n", tenant: "globex", user: "default"},
		{name: "another claim", lines: "tenant_claim: https://riptide/tenant\n", changes: object{"https://riptide/tenant": "globex"}, tenant: "globex", user: "default"},
		{name: "a path", lines: "tenant_claim: /a~1b/~0c/d\n", changes: object{"a/b": object{"~c": object{"d": "globex"}}}, tenant: "globex", user: "default"},
		{name: "a path that ends early", lines: "tenant_claim: /tenant/x\n", user: "default"},
		{name: "a name with a dot is no path", lines: "tenant_claim: a.b\n", changes: object{"a": object{"b": "globex"}}, user: "default"},
		{name: "one of its tenants", lines: "tenants: [acme]\n", tenant: "acme", user: "default"},
		{name: "not one of its tenants", lines: "tenants: [globex]\n", reason: "has nothing to do"},
		{name: "no tenant where some are listed", lines: "tenants: [globex]\n", changes: object{"tenant": nil}, reason: "has nothing to do"},
		{name: "a user", lines: "user_claim: user\n", changes: object{"user": "reader"}, tenant: "acme", user: "reader"},
		{name: "without its user", lines: "user_claim: user\n", tenant: "acme"},
		{name: "a user that is a number", lines: "user_claim: user\n", changes: object{"user": 1}, reason: "not a text"},
		{name: "a role that nobody asked for", changes: object{"role": "admin"}, tenant: "acme", user: "default"},
		{name: "a role", lines: "role_claim: role\n", changes: object{"role": "operator"}, tenant: "acme", user: "default", role: config.Operator},
		{name: "roles", lines: "role_claim: role\n", changes: object{"role": []any{"viewer", 7, "operator", "root"}}, tenant: "acme", user: "default", role: config.Operator},
		{name: "no such role", lines: "role_claim: role\n", changes: object{"role": "Admin"}, tenant: "acme", user: "default"},
		{name: "a role in an object", lines: "role_claim: role\n", changes: object{"role": object{"admin": true}}, tenant: "acme", user: "default"},
		{name: "a translated role", lines: "role_claim: role\nroles: {platform: admin}\n", changes: object{"role": []any{"platform"}}, tenant: "acme", user: "default", role: config.Administrator},
		{name: "not translated any more", lines: "role_claim: role\nroles: {platform: admin}\n", changes: object{"role": "admin"}, tenant: "acme", user: "default"},
		{name: "nobody's operator", lines: "role_claim: role\n", changes: object{"role": "admin", "tenant": nil}, user: "default"},
		{name: "everybody's operator", lines: "role_claim: role\noperators: true\n", changes: object{"role": "admin", "tenant": nil}, user: "default", role: config.Administrator},
		{name: "a tenant's operator all the same", lines: "role_claim: role\noperators: true\n", changes: object{"role": "admin"}, tenant: "acme", user: "default", role: config.Administrator},
	} {
		v, _ := start(t, corp(t, tc.lines))
		got, err := verify(v, sign(t, jwt.SigningMethodHS256, k.hmac, nil, tc.changes))
		switch {
		case tc.reason != "":
			if err == nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("%s: %v", tc.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case got.Tenant != tc.tenant || got.User != tc.user || got.Role != tc.role || tc.called != "" && got.Name() != tc.called:
			t.Errorf("%s: %+v, %s", tc.name, got, got.Name())
		}
	}
}

// A token of one issuer is nothing at another, even with the same key ids.
func TestIssuersApart(t *testing.T) {
	k, o := keys(t, ours), keys(t, theirs)
	v, _ := start(t, corp(t, ""), fmt.Sprintf("other:\nissuer: other\naudience: [riptide]\nalgorithms: [ES256]\ntenants: [globex]\nkeys: [{algorithm: ES256, id: r1, file: %q}]\n", harness.KeyFile(t, harness.PublicKey(t, &o.ec.PublicKey))))
	believed(t, v, sign(t, jwt.SigningMethodES256, k.ec, nil, nil))
	believed(t, v, sign(t, jwt.SigningMethodES256, o.ec, object{"kid": "r1"}, object{"iss": "other", "tenant": "globex"}))
	for _, kid := range []object{nil, {"kid": "r1"}} {
		refused(t, v, sign(t, jwt.SigningMethodES256, o.ec, kid, nil), "signature")
		refused(t, v, sign(t, jwt.SigningMethodES256, k.ec, kid, object{"iss": "other", "tenant": "globex"}), "signature")
		refused(t, v, sign(t, jwt.SigningMethodES256, o.ec, kid, object{"iss": "other", "tenant": "acme"}), "nothing to do")
	}
}

func TestLooks(t *testing.T) {
	token := sign(t, jwt.SigningMethodHS256, keys(t, ours).hmac, nil, nil)
	none := New()
	defer none.Close()
	v, _ := start(t, corp(t, ""))
	if none.Looks([]byte(token)) {
		t.Error("without an issuer nothing is a token")
	}
	for text, want := range map[string]bool{
		token: true, "eyJ..": true, "ewo.e30.": true, "eyJ.x": false, "eyJ.x.y.z": false, "eyJ.x.y z": false, "eyJ.x.y=": false, "": false, "e": false, "acme-secret": false, "a.b.c": false,
	} {
		if v.Looks([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v, _ := start(f, corp(f, "user_claim: /a/b\nrole_claim: role\n"))
	k := keys(f, ours)
	good := sign(f, jwt.SigningMethodHS256, k.hmac, nil, nil)
	f.Add(good)
	f.Add("e30.e30.")
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil))
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := verify(v, token); err == nil && token != good {
			t.Errorf("%q is believed: %+v", token, got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v, _ := start(b, corp(b, ""))
	k := keys(b, ours)
	for m, key := range map[jwt.SigningMethod]any{jwt.SigningMethodHS256: k.hmac, jwt.SigningMethodRS256: k.rsa, jwt.SigningMethodES256: k.ec, jwt.SigningMethodEdDSA: k.ed} {
		token := sign(b, m, key, nil, nil)
		b.Run(m.Alg(), func(b *testing.B) {
			for b.Loop() {
				if _, err := verify(v, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
