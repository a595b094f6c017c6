package jwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func certificate(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	return block("CERTIFICATE", der, err)
}

// What a key's file may hold, and what it may not.
func TestKeyFiles(t *testing.T) {
	k := keys(t, ours)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k.ec)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(k.ec)
	if err != nil {
		t.Fatal(err)
	}
	ec, rs := harness.PublicKey(t, &k.ec.PublicKey), harness.PublicKey(t, &k.rsa.PublicKey)
	for _, tc := range []struct {
		name      string
		algorithm config.JWTAlgorithm
		data      []byte
		wrong     string
	}{
		{"public", config.ES256, ec, ""},
		{"after some text", config.ES256, append([]byte("a comment\n"), ec...), ""},
		{"RSA", config.RS256, rs, ""},
		{"RSA of PKCS #1", config.RS256, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey), nil), ""},
		{"Ed25519", config.EdDSA, harness.PublicKey(t, k.ed.Public()), ""},
		{"certificate", config.ES256, certificate(t, k.ec), ""},
		{"a chain", config.ES256, append(certificate(t, k.ec), certificate(t, keys(t, theirs).ec)...), ""},
		{"secret", config.HS256, k.hmac, ""},
		{"secret with a line's end", config.HS256, append(k.hmac[:32:32], "\r\n"...), ""},

		{"another algorithm", config.RS256, ec, "is a key for ES256"},
		{"not one but two", config.ES256, append(ec[:len(ec):len(ec)], rs...), "more than one"},
		{"nothing", config.ES256, nil, "not in PEM"},
		{"text", config.ES256, []byte("key"), "not in PEM"},
		{"private", config.ES256, block("PRIVATE KEY", pkcs8, nil), "private key"},
		{"private of SEC 1", config.ES256, block("EC PRIVATE KEY", sec1, nil), "private key"},
		{"private of PKCS #1", config.RS256, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil), "private key"},
		{"something else", config.ES256, block("X509 CRL", []byte("x"), nil), "neither"},
		{"damaged", config.ES256, block("PUBLIC KEY", []byte("x"), nil), "asn1"},
		{"RSA of few bits", config.RS256, harness.PublicKey(t, &small.PublicKey), "1024 bits"},
		{"another curve", config.ES256, harness.PublicKey(t, &large.PublicKey), "P-256"},
		{"a public key as secret", config.HS256, ec, "PEM"},
		{"a private key as secret", config.HS256, block("PRIVATE KEY", pkcs8, nil), "PEM"},
		{"a short secret", config.HS256, []byte(strings.Repeat("x", 31)), "less than 32"},
		{"a short secret with a line's end", config.HS256, []byte(strings.Repeat("x", 31) + "\n"), "less than 32"},
	} {
		got, err := readKey(&config.JWTKey{Algorithm: tc.algorithm}, tc.data)
		switch {
		case tc.wrong == "" && (err != nil || got.algorithm != tc.algorithm):
			t.Errorf("%s: %v", tc.name, err)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%s: %v; want %q", tc.name, err, tc.wrong)
		case err != nil && strings.Contains(err.Error(), "xxx"):
			t.Errorf("%s: the error shows the secret: %v", tc.name, err)
		}
	}
}

// Of a set is used what is for signatures of an algorithm that there is.
func TestKeySets(t *testing.T) {
	k := keys(t, ours)
	jwk := func(key any, id, algorithm, use string) string {
		text, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: id, Algorithm: algorithm, Use: use})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	ec := jwk(&k.ec.PublicKey, "e", "", "")
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, tc := range []struct {
		name, set string
		secrets   bool
		want      string // algorithms and ids
		wrong     string
	}{
		{name: "all kinds", set: `{"keys":[` + ec + "," + jwk(&k.rsa.PublicKey, "r", "RS256", "sig") + "," + jwk(k.ed.Public(), "d", "EdDSA", "") + `], "more": 1}`, want: "ES256 e, RS256 r, EdDSA d"},
		{name: "a private key's public half", set: `{"keys":[` + jwk(k.ec, "e", "", "") + `]}`, want: "ES256 e"},
		{name: "a secret", set: `{"keys":[` + jwk(k.hmac, "h", "HS256", "") + `]}`, secrets: true, want: "HS256 h"},
		{name: "a secret from a URL", set: `{"keys":[` + jwk(k.hmac, "h", "HS256", "") + "," + ec + `]}`, want: "ES256 e"},
		{name: "a short secret", set: `{"keys":[` + jwk([]byte("short"), "h", "HS256", "") + `]}`, secrets: true},
		{name: "for encryption", set: `{"keys":[` + jwk(&k.rsa.PublicKey, "r", "", "enc") + `]}`},
		{name: "for other algorithms", set: `{"keys":[` + jwk(&k.rsa.PublicKey, "r", "RS512", "") + "," + jwk(&k.rsa.PublicKey, "r", "HS256", "") + `]}`},
		{name: "of a kind to come", set: `{"keys":[{"kty":"XYZ","kid":"x"},` + ec + `]}`, want: "ES256 e"},
		{name: "damaged", set: `{"keys":[{"kty":"EC","crv":"P-256","x":"` + zero + `","y":"` + zero + `"},{"kty":"RSA"},{"kty":"OKP","crv":"Ed25519","x":"AA"},{},1,null,` + ec + `]}`, want: "ES256 e"},
		{name: "empty", set: `{"keys":[]}`},
		{name: "no keys", set: `{}`, wrong: "has no"},
		{name: "null", set: `null`, wrong: "has no"},
		{name: "keys null", set: `{"keys":null}`, wrong: "has no"},
		{name: "no list", set: `{"keys":{}}`, wrong: "is not a JSON Web Key Set"},
		{name: "no JSON", set: `<html>`, wrong: "is not a JSON Web Key Set"},
		{name: "nothing", set: ``, wrong: "is not a JSON Web Key Set"},
		{name: "too many", set: `{"keys":[` + strings.TrimSuffix(strings.Repeat("{},", mostKeys+1), ",") + `]}`, wrong: "more than 100"},
	} {
		got, _, _, err := readSet([]byte(tc.set), tc.secrets)
		var names []string
		for _, k := range got {
			names = append(names, string(k.algorithm)+" "+k.id)
		}
		if tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) || strings.Join(names, ", ") != tc.want {
			t.Errorf("%s: %q, %v", tc.name, names, err)
		}
	}
}

func FuzzReadSet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"h"}]}`), true)
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &keys(f, ours).rsa.PublicKey}, {Key: keys(f, ours).ed.Public()}, {Key: &keys(f, ours).ec.PublicKey}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, false)
	f.Fuzz(func(t *testing.T, data []byte, secrets bool) {
		got, skipped, why, err := readSet(data, secrets)
		if len(got)+skipped > mostKeys || err != nil && len(got) > 0 || (skipped > 0) != (why != nil) {
			t.Fatalf("%d keys, %d passed over, %v, %v", len(got), skipped, why, err)
		}
		for _, k := range got {
			if k.algorithm == config.HS256 && !secrets || k.algorithm == "" || k.material == nil {
				t.Fatalf("%+v", k)
			}
		}
	})
}

func FuzzReadKey(f *testing.F) {
	k := keys(f, ours)
	f.Add(k.hmac, byte(0))
	f.Add(harness.PublicKey(f, &k.ec.PublicKey), byte(2))
	algorithms := []config.JWTAlgorithm{config.HS256, config.RS256, config.ES256, config.EdDSA}
	f.Fuzz(func(t *testing.T, data []byte, n byte) {
		a := algorithms[int(n)%len(algorithms)]
		if got, err := readKey(&config.JWTKey{Algorithm: a}, data); err == nil && got.algorithm != a {
			t.Fatalf("%s for %s", got.algorithm, a)
		}
	})
}
