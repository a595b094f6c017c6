package tests

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// certified are tenants whose users have certificates.
var certified = []harness.Tenant{
	{ID: "acme", Secret: "acme-secret", YAML: `      worker: {sha256: [` + config.HashSecret("worker-secret") + `], certificates: ["cn:acme worker", "dns:worker.acme.example"]}
      subject: {certificates: ["subject:CN=acme,O=Example"]}
      uri: {certificates: ["uri:spiffe://example/acme"]}
      email: {certificates: ["email:Acme@example.com"]}
`},
	{ID: "globex", Secret: "globex-secret", YAML: `      worker: {certificates: ["cn:globex worker", "dns:worker.globex.example"]}
    networks: [127.0.0.0/8]
`},
	{ID: "far", Secret: "far-secret", YAML: `      worker: {certificates: ["cn:far worker"]}
    networks: [192.0.2.0/24, unix]
`},
	{ID: "closed", Secret: "closed-secret", YAML: `      worker: {certificates: ["cn:closed worker"]}
    suspended: true
`},
	{ID: "full", Secret: "full-secret", YAML: `      worker: {certificates: ["cn:full worker"]}
    quotas: {connections: 1}
`},
}

const clientCA = "  client_ca: CA\n"

func named(cn string) x509.Certificate { return x509.Certificate{Subject: pkix.Name{CommonName: cn}} }

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

const (
	noAuth = "-NOAUTH Authentication required.\r\n"
)

// Whoever has a certificate of a user's is that user, and whoever has one that is only similar is nobody.
func TestCertificatesLogIn(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	uri := func(text string) []*url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	const nobody = ""
	for i, c := range []struct {
		about string
		cert  x509.Certificate
		want  string
	}{
		{"common name", named("acme worker"), "acme.worker"},
		{"common name beside others", x509.Certificate{Subject: pkix.Name{CommonName: "acme worker", Organization: []string{"x"}, Country: []string{"DE"}}}, "acme.worker"},
		{"DNS name", x509.Certificate{DNSNames: []string{"other.example", "worker.acme.example"}}, "acme.worker"},
		{"DNS name in capitals", x509.Certificate{DNSNames: []string{"Worker.ACME.example"}}, "acme.worker"},
		{"two names of one user", x509.Certificate{Subject: pkix.Name{CommonName: "acme worker"}, DNSNames: []string{"worker.acme.example"}}, "acme.worker"},
		{"subject", x509.Certificate{Subject: pkix.Name{Organization: []string{"Example"}, CommonName: "acme"}}, "acme.subject"},
		{"URI", x509.Certificate{URIs: uri("spiffe://example/acme")}, "acme.uri"},
		{"email", x509.Certificate{EmailAddresses: []string{"Acme@example.com"}}, "acme.email"},
		{"of another tenant", named("globex worker"), "globex.worker"},

		{"unknown", named("nobody"), nobody},
		{"no name at all", x509.Certificate{DNSNames: []string{"x"}}, nobody},
		{"the tenant's id", named("acme"), nobody},
		{"part of a name", named("acme"), nobody},
		{"more than the name", named("acme worker2"), nobody},
		{"another case", named("Acme worker"), nobody},
		{"spaces around", named(" acme worker "), nobody},
		{"with a zero", named("acme worker\x00.evil"), nobody},
		{"a DNS name for a common name", x509.Certificate{DNSNames: []string{"acmeworker"}, EmailAddresses: []string{"cn:acme worker"}}, nobody},
		{"a common name for a DNS name", named("worker.acme.example"), nobody},
		{"a pattern", x509.Certificate{DNSNames: []string{"*.acme.example", "*"}}, nobody},
		{"a longer DNS name", x509.Certificate{DNSNames: []string{"worker.acme.example.evil", "x.worker.acme.example", "worker.acme.example."}}, nobody},
		{"several common names", x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "mallory"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "acme worker"}}}}, nobody},
		{"a subject with more", x509.Certificate{Subject: pkix.Name{Organization: []string{"Example"}, CommonName: "acme", Locality: []string{"x"}}}, nobody},
		{"a subject in one name", named("acme,O=Example"), nobody},
		{"a subject in another order", x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "acme"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Example"}}}}, nobody},
		{"another URI", x509.Certificate{URIs: uri("spiffe://example/acme/x")}, nobody},
		{"a URI with a query", x509.Certificate{URIs: uri("spiffe://example/acme?")}, nobody},
		{"another case of an email", x509.Certificate{EmailAddresses: []string{"acme@example.com"}}, nobody},
	} {
		conn := p.dial(t, p.ca.Client(p.ca.Issue(t, fmt.Sprint("c", i), c.cert)))
		want := noAuth
		if c.want != nobody {
			want = bulk(c.want)
		}
		if reply, err := conn.Do("ACL", "WHOAMI"); err != nil || reply != want {
			t.Errorf("%s: %q, %v; want %q", c.about, reply, err, want)
		}
		if c.want != nobody {
			continue
		}
		// It is as good as no certificate: secrets work, and only they do.
		expect(t, conn, wrongPass, "AUTH", "acme", "wrong")
		expect(t, conn, "+OK\r\n", "AUTH", "globex", "globex-secret")
	}
}

// What a certificate of a tenant's does not let one be.
func TestCertificatesBind(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	c := p.dial(t, p.ca.Client(p.ca.Issue(t, "acme", named("acme worker"))))
	expect(t, c, "+OK\r\n", "SET", "whose", "acme's")
	// Not another tenant, though the secret is right.
	expect(t, c, wrongPass, "AUTH", "globex", "globex-secret")
	expect(t, c, wrongPass, "AUTH", "globex-secret")
	expect(t, c, wrongPass, "AUTH", "closed", "closed-secret")
	expect(t, c, wrongPass, "HELLO", "3", "AUTH", "globex", "globex-secret")
	expect(t, c, bulk("acme.worker"), "ACL", "WHOAMI")
	// But another user, and from there back.
	expect(t, c, "+OK\r\n", "AUTH", "acme", "acme-secret")
	expect(t, c, bulk("acme"), "ACL", "WHOAMI")
	expect(t, c, "+RESET\r\n", "RESET")
	expect(t, c, bulk("acme.worker"), "ACL", "WHOAMI")
	expect(t, c, bulk("acme's"), "GET", "whose")
	if reply, err := c.Do("HELLO", "3"); err != nil || !strings.HasPrefix(reply, "%7") {
		t.Errorf("%q, %v", reply, err)
	}

	other := p.dial(t, p.ca.Client(p.ca.Issue(t, "globex", named("globex worker"))))
	expect(t, other, "$-1\r\n", "GET", "whose")

	// Who may not be whom the certificate is for is told so and gets no further.
	both := x509.Certificate{Subject: pkix.Name{CommonName: "acme worker"}, DNSNames: []string{"worker.globex.example"}}
	for name, refused := range map[string]struct {
		cert x509.Certificate
		want string
	}{
		"several users":    {both, "-NOPERM the client certificate has the names of several users\r\n"},
		"elsewhere":        {named("far worker"), wrongPass},
		"suspended":        {named("closed worker"), "-NOPERM this tenant is suspended\r\n"},
		"several, suspend": {x509.Certificate{Subject: pkix.Name{CommonName: "closed worker"}, DNSNames: []string{"worker.acme.example"}}, "-NOPERM the client certificate has the names of several users\r\n"},
	} {
		c := p.dial(t, p.ca.Client(p.ca.Issue(t, strings.ReplaceAll(name, " ", ""), refused.cert)))
		if reply, err := c.Reply(); err != nil || reply != refused.want {
			t.Errorf("%s: %q, %v", name, reply, err)
		}
		if reply, err := c.Do("AUTH", "acme", "acme-secret"); err == nil {
			t.Errorf("%s goes on: %q", name, reply)
		}
	}

	// The quota of connections holds for them too.
	full := p.ca.Client(p.ca.Issue(t, "full", named("full worker")))
	first := p.dial(t, full)
	expect(t, first, "+PONG\r\n", "PING")
	second := p.dial(t, full)
	if reply, err := second.Reply(); err != nil || !strings.HasPrefix(reply, "-ERR max number of clients reached") {
		t.Errorf("%q, %v", reply, err)
	}
	if _, err := second.Do("PING"); err == nil {
		t.Error("one connection too many")
	}
	expect(t, first, "+PONG\r\n", "PING")
}

// Certificates that prove nothing end the handshake.
func TestCertificatesRefused(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	optional := startTLS(t, clientCA+"  client_auth: optional\n", harness.Options{Tenants: certified})
	stranger := harness.NewAuthority(t, "the test's authority") // by the same name
	old, early, server, ca := named("acme worker"), named("acme worker"), named("acme worker"), named("acme worker")
	old.NotAfter = time.Now().Add(-time.Minute)
	early.NotBefore = time.Now().Add(time.Hour)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	ca.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	for _, to := range []*tlsProxy{p, optional} {
		for name, cert := range map[string]*harness.Certificate{
			"another authority's": stranger.Issue(t, "stranger", named("acme worker")),
			"ended":               to.ca.Issue(t, "old", old),
			"not yet good":        to.ca.Issue(t, "early", early),
			"a server's":          to.ca.Issue(t, "server2", server),
			"for something else":  to.ca.Issue(t, "ca2", ca),
		} {
			o := to.ca.Client(cert)
			// Sent whatever the server asks for.
			o.GetClientCertificate = nil
			conn, err := to.try(o)
			if err == nil {
				reply, failed := conn.Do("PING")
				if conn.Close(); failed == nil {
					t.Errorf("%s: %q", name, reply)
				}
			}
		}
	}
	if conn, err := p.try(p.ca.Client(nil)); err == nil {
		if reply, err := conn.Do("PING"); err == nil {
			t.Errorf("without a certificate: %q", reply)
		}
		conn.Close()
	}
	none := optional.dial(t, optional.ca.Client(nil))
	expect(t, none, noAuth, "PING")
	expect(t, none, "+OK\r\n", "AUTH", "acme", "acme-secret")
	one := optional.dial(t, optional.ca.Client(optional.ca.Issue(t, "good", named("acme worker"))))
	expect(t, one, bulk("acme.worker"), "ACL", "WHOAMI")
}

// Without client_ca nobody is asked for a certificate, and none has a meaning.
func TestCertificatesNotAsked(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	c := p.dial(t, p.ca.Client(p.ca.Issue(t, "acme", named("acme"))))
	expect(t, c, noAuth, "PING")
}

// change edits the proxy's configuration and waits until it is running.
func change(t *testing.T, p *harness.Proxy, old, now string) {
	t.Helper()
	file, err := os.ReadFile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(file), old) {
		t.Fatalf("the configuration has no %q", old)
	}
	before := strings.Count(p.Log(), "another configuration is running")
	replace(t, p.Config, []byte(strings.ReplaceAll(string(file), old, now)))
	harness.Eventually(t, "another configuration is running", func() bool {
		return strings.Count(p.Log(), "another configuration is running") > before
	})
}

// closes waits for the end of a connection.
func closes(t *testing.T, c *harness.Conn, about string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.R.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s: the connection stays: %d, %v", about, n, err)
	}
}

// What is changed about certificates holds for open connections.
func TestCertificatesRevoked(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	connect := func(names x509.Certificate) *harness.Conn {
		c := p.dial(t, p.ca.Client(p.ca.Issue(t, fmt.Sprint("c", time.Now().UnixNano()), names)))
		expect(t, c, "+PONG\r\n", "PING")
		return c
	}
	other := connect(named("globex worker"))
	// The name is no user's any more.
	gone, kept := connect(named("acme worker")), connect(x509.Certificate{DNSNames: []string{"worker.acme.example"}})
	change(t, p.Proxy, `"cn:acme worker", `, ``)
	closes(t, gone, "a name taken away")
	expect(t, kept, "+PONG\r\n", "PING")
	// A name that is in the certificate too becomes another tenant's: then it is nobody's.
	two := connect(x509.Certificate{Subject: pkix.Name{CommonName: "new"}, DNSNames: []string{"worker.acme.example"}})
	change(t, p.Proxy, `"cn:globex worker", `, `"cn:globex worker", "cn:new", `)
	closes(t, two, "a name of two tenants")
	expect(t, kept, "+PONG\r\n", "PING")
	// Somebody who has logged in by a secret, with a certificate that was nobody's.
	secret := p.dial(t, p.ca.Client(p.ca.Issue(t, "later", named("later"))))
	expect(t, secret, "+OK\r\n", "AUTH", "acme", "acme-secret")
	change(t, p.Proxy, `"cn:new", `, `"cn:later", `)
	closes(t, secret, "a certificate that has become another tenant's")
	// The networks.
	change(t, p.Proxy, `networks: [127.0.0.0/8]`, `networks: [10.0.0.0/8]`)
	closes(t, other, "networks that the client is not in")
	expect(t, kept, "+PONG\r\n", "PING")
	// The authority itself.
	other2 := harness.NewAuthority(t, "another")
	replace(t, p.ca.File, readFile(t, other2.File))
	closes(t, kept, "an authority that is not one any more")
	late := p.ca.Client(other2.Issue(t, "acme", x509.Certificate{DNSNames: []string{"worker.acme.example"}}))
	expect(t, p.dial(t, late), bulk("acme.worker"), "ACL", "WHOAMI")
}

// A certificate ends, and with it its connection.
func TestCertificatesEnd(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	short := named("acme worker")
	short.NotAfter = time.Now().Add(3 * time.Second)
	c := p.dial(t, p.ca.Client(p.ca.Issue(t, "short", short)))
	expect(t, c, "+PONG\r\n", "PING")
	closes(t, c, "a certificate that has ended")
}

// What was agreed on with an authority is not resumed when that is one no more.
func TestCertificatesResumption(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA, harness.Options{Tenants: certified})
	o := p.ca.Client(p.ca.Issue(t, "acme", named("acme worker")))
	o.ClientSessionCache = newSessions()
	for i := range 2 {
		c := p.dial(t, o)
		expect(t, c, bulk("acme.worker"), "ACL", "WHOAMI")
		if resumed := state(c).DidResume; resumed != (i == 1) {
			t.Errorf("connection %d: resumed: %v", i, resumed)
		}
	}
	stays := p.dial(t, o)
	expect(t, stays, "+PONG\r\n", "PING")
	replace(t, p.ca.File, readFile(t, harness.NewAuthority(t, "another").File))
	closes(t, stays, "an authority that is not one any more")
	if c, err := p.try(o); err == nil {
		if reply, err := c.Do("PING"); err == nil {
			t.Errorf("resumed: %q", reply)
		}
		c.Close()
	}
}

// Tokens are bound by networks and certificates as secrets are.
func TestCertificatesAndTokens(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := startTLS(t, clientCA, harness.Options{Tenants: certified, Top: "jwt:\n  issuers:\n    corp: {issuer: https://id.example.com, audience: [riptide], algorithms: [EdDSA], keys: [{algorithm: EdDSA, file: " + pemFile(t, public) + "}]}\n"})
	of := func(tenant string) string {
		return token(t, jwt.SigningMethodEdDSA, private, nil, claims{"tenant": tenant})
	}
	acme := p.dial(t, p.ca.Client(p.ca.Issue(t, "acme", named("acme worker"))))
	nobody := p.dial(t, p.ca.Client(p.ca.Issue(t, "nobody", named("nobody"))))
	for range 2 { // found out, and remembered
		expect(t, acme, wrongPass, "AUTH", of("globex"))
		expect(t, acme, "+OK\r\n", "AUTH", of("acme"))
		expect(t, nobody, wrongPass, "AUTH", of("far"))
		expect(t, nobody, "+OK\r\n", "AUTH", of("globex"))
	}
}
