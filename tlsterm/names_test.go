package tlsterm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"riptide-proxy/tests/harness"
)

func TestNames(t *testing.T) {
	ca := harness.NewAuthority(t, "ca")
	cn := func(values ...string) (all pkix.Name) {
		for _, v := range values {
			all.ExtraNames = append(all.ExtraNames, pkix.AttributeTypeAndValue{Type: commonName, Value: v})
		}
		return all
	}
	for name, c := range map[string]struct {
		template x509.Certificate
		want     []string
	}{
		"nothing": {x509.Certificate{}, nil},
		"subject": {x509.Certificate{Subject: pkix.Name{CommonName: "a b", Organization: []string{"Ex, Inc."}, Country: []string{"DE"}}},
			[]string{`subject:CN=a b,O=Ex\, Inc.,C=DE`, "cn:a b"}},
		"a subject in a name": {x509.Certificate{Subject: cn("a,O=b")}, []string{`subject:CN=a\,O=b`, "cn:a,O=b"}},
		"several":             {x509.Certificate{Subject: cn("a", "b")}, []string{"subject:CN=b,CN=a"}},
		"unknown attribute": {x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"}}}},
			[]string{"subject:1.2.3=#130178"}},
		"others": {x509.Certificate{DNSNames: []string{"A.example", "*.b"}, EmailAddresses: []string{"A@b"}}, []string{"dns:a.example", "dns:*.b", "email:A@b"}},
	} {
		made := ca.Issue(t, "c", c.template)
		if got := Names(made.TLS.Leaf); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Names are read from whatever somebody signs.
func FuzzNames(f *testing.F) {
	ca := harness.NewAuthority(f, "ca")
	f.Add(ca.Issue(f, "a", x509.Certificate{Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"b"}}).TLS.Certificate[0])
	f.Add(ca.Issue(f, "b", x509.Certificate{Subject: pkix.Name{Organization: []string{"a", "b+c"}}}).TLS.Certificate[0])
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		seen := 0
		for _, name := range Names(c) {
			if name == "" {
				t.Error("an empty name")
			}
			if len(name) > 3 && name[:3] == "cn:" {
				seen++
			}
		}
		if seen > 1 {
			t.Error("several common names")
		}
	})
}
