package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	noNetwork     = networkExamples
	noCertificate = "is not a certificate's name (subject:, cn:, dns:, uri: or email:, and the value; riptide-proxy certificate shows those of a file)"
	goodTLS       = "tls: {listen: 127.0.0.1:6390, cert: c.pem, key: k.pem, client_ca: ca.pem}\n"
)

// What the listeners and the connections to the upstream can be told, each a whole file and all of its errors.
func TestTLSErrors(t *testing.T) {
	standalone := "upstream: {addresses: [a:1], tls: "
	user := func(certificates string) string {
		return upstream + goodTLS + "tenants:\n  acme:\n    users:\n      a:\n        certificates: " + certificates + "\n"
	}
	for _, c := range []struct{ name, file, want string }{
		{"no files", rest + "tls:\n  listen: 127.0.0.1:6390\n",
			"f:3: tls.cert: is missing: a PEM file with the server's certificate\nf:3: tls.key: is missing: a PEM file with the private key of cert"},
		{"misspelt", rest + "tls: {cret: x, listen: a:1, cert: x, key: y}\n", "f:3: tls.cret: unknown key (did you mean \"cert\"?)"},
		{"nothing", rest + "tls: {cert: x, key: y}\n", "f:3: tls: has no listen: give the host:port for clients that connect with TLS"},
		{"address twice", rest + "tls: {listen: 127.0.0.1:6380, cert: x, key: y}\n", "f:3: tls.listen: is the address that clients connect to (listen: \"127.0.0.1:6380\")"},
		{"the operators' address", rest + "tls: {listen: a:7, cert: x, key: y}\nadmin: {listen: a:7}\n", "f:3: tls.listen: is the address of the admin listener (\"a:7\")"},
		{"old version", rest + "tls: {listen: a:1, cert: x, key: y, min_version: 1.1}\n", "f:3: tls.min_version: \"1.1\" is not one of 1.2, 1.3 (did you mean \"1.2\"?)"},
		{"no authority", rest + "tls: {listen: a:1, cert: x, key: y, client_auth: optional}\n", "f:3: tls.client_auth: has no meaning without client_ca"},
		{"bounds", rest + "tls:\n  listen: a:1\n  cert: x\n  key: y\n  handshake_timeout: 0s\n  handshakes: 0\n",
			"f:7: tls.handshake_timeout: 0s is out of range (10ms to 1m)\nf:8: tls.handshakes: 0 is out of range (1 to 100000)"},
		{"nobody listens", rest + "listen: none\n", "f:3: listen: is none, and there is neither tls nor unix: nobody could connect"},

		{"upstream, empty", standalone + "}\n" + tenants, "f:1: upstream.tls: is empty; write {} for TLS with the authorities that the system knows"},
		{"upstream, half", standalone + "{cert: x}}\n" + tenants, "f:1: upstream.tls: has cert or key, but not both"},
		{"upstream, name", standalone + "{server_name: a/b}}\n" + tenants, "f:1: upstream.tls.server_name: \"a/b\" is not a name that a certificate can have"},
		{"upstream, unverified", standalone + "{verify: false}}\n" + tenants, "f:1: upstream.tls.verify: unknown key"},
		{"upstream, embedded", "upstream: {mode: embedded, tls: {}}\n" + tenants, "f:1: upstream.tls: the embedded upstream has none; for a real one say mode: standalone"},
		{"upstream, socket", "upstream: {addresses: ['unix:redis.sock']}\n" + tenants, "f:1: upstream.addresses[0]: \"redis.sock\" is not the absolute path of a socket"},
		{"upstream, nameless", "upstream: {addresses: ['unix:/redis.sock'], tls: {}}\n" + tenants, "f:1: upstream.tls: needs server_name, since the address is a unix socket"},

		{"unix, nothing", rest + "unix: {}\n", "f:3: unix: has no listen: give the path of the socket"},
		{"unix, relative", rest + "unix: {listen: a.sock}\n", "f:3: unix.listen: \"a.sock\" is not the absolute path of a socket"},
		{"unix, long", rest + "unix: {listen: /" + strings.Repeat("a", 100) + "}\n", "f:3: unix.listen: has 101 bytes, but a socket's path has at most 100"},
		{"unix, mode", rest + "unix: {listen: /a, mode: 0999}\n", "f:3: unix.mode: \"0999\" are not a file's permissions in octal (examples: 0600, 0660)"},
		{"unix, more than permissions", rest + "unix: {listen: /a, mode: 04755}\n", "f:3: unix.mode: \"04755\" are not a file's permissions in octal (examples: 0600, 0660)"},

		{"trusted, name", rest + "proxy_protocol: {trusted: [lb.example]}\n", "f:3: proxy_protocol.trusted[0]: \"lb.example\" " + noNetwork},
		{"trusted, empty", rest + "proxy_protocol: {trusted: [~]}\n", "f:3: proxy_protocol.trusted[0]: " + noNetwork},
		{"trusted, bits", rest + "proxy_protocol: {trusted: [10.0.0.1/8]}\n", "f:3: proxy_protocol.trusted[0]: \"10.0.0.1/8\" has bits that its length leaves out (did you mean \"10.0.0.0/8\"?)"},
		{"trusted, mapped", rest + "proxy_protocol: {trusted: ['::ffff:10.0.0.0/104']}\n", "f:3: proxy_protocol.trusted[0]: \"::ffff:10.0.0.0/104\" " + noNetwork},
		{"trusted, no socket", rest + "proxy_protocol: {trusted: [unix]}\n", "f:3: proxy_protocol.trusted[0]: there is no unix socket (section unix)"},

		{"networks, none", acme + "    networks: []\n", "f:4: tenants.acme.networks: has no network: nobody could log in; leave it out to allow all"},
		{"networks, wrong", acme + "    networks: [10.0.0.0/33]\n", "f:4: tenants.acme.networks[0]: \"10.0.0.0/33\" " + noNetwork},
		{"networks, empty", acme + "    networks: [~]\n", "f:4: tenants.acme.networks[0]: " + noNetwork},

		{"certificate, no kind", user("[acme]"), "f:7: tenants.acme.users.a.certificates[0]: \"acme\" " + noCertificate},
		{"certificate, no such kind", user("['ou:acme']"), "f:7: tenants.acme.users.a.certificates[0]: \"ou:acme\" " + noCertificate},
		{"certificate, nothing", user("['cn:']"), "f:7: tenants.acme.users.a.certificates[0]: \"cn:\" " + noCertificate},
		{"certificate, pattern", user("['dns:*.acme.example']"), "f:7: tenants.acme.users.a.certificates[0]: \"dns:*.acme.example\" is not a host's name; names are compared as a whole, so * has no meaning"},
		{"certificate, subject", user("['subject:CN=acme, O=Example']"), "f:7: tenants.acme.users.a.certificates[0]: \"subject:CN=acme, O=Example\" is not a subject as in subject:CN=acme,O=Example (riptide-proxy certificate shows that of a file)"},
		{"certificate, uri", user("['uri:acme']"), "f:7: tenants.acme.users.a.certificates[0]: \"uri:acme\" is not a URI as it stands in a certificate (example: uri:spiffe://example.com/acme)"},
		{"certificate, email", user("['email:acme']"), "f:7: tenants.acme.users.a.certificates[0]: \"email:acme\" is not an address of email"},
		{"certificate twice", user("['cn:a', 'cn:a']"), "f:7: tenants.acme.users.a.certificates[1]: the same certificate as that of acme.a (f:7)"},
		{"certificate of two", user("['dns:A.example']") + "  globex: {users: {b: {certificates: ['dns:a.EXAMPLE']}}}\n",
			"f:8: tenants.globex.users.b.certificates[0]: the same certificate as that of acme.a (f:7)"},
		{"certificate, unverified", acme + "    users: {a: {certificates: ['cn:a']}}\n",
			"f:4: tenants.acme.users.a.certificates: needs tls.client_ca: without it no client's certificate is verified"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Parse("f", []byte(c.file), nil)
			if err == nil {
				t.Fatal("accepted")
			}
			sameLines(t, strings.Split(err.Error(), "\n"), strings.Split(c.want, "\n")...)
		})
	}
}

func TestTLSComplete(t *testing.T) {
	c, warnings := parsed(t, `listen: none
tls: {listen: 127.0.0.1:6390, cert: c.pem, key: k.pem, client_ca: ca.pem}
unix: {listen: /run/riptide.sock}
proxy_protocol: {trusted: [10.0.0.0/8, 192.0.2.7, unix, "2001:db8::/32"]}
upstream: {addresses: ["unix:/run/redis.sock"], tls: {server_name: redis.internal}}
tenants:
  acme:
    networks: [10.1.0.0/16, unix]
    users: {a: {certificates: ["dns:A.Example", "cn:Acme", "subject:CN=a,O=B", "uri:spiffe://x/a", "email:a@x"]}}
`)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	want := &TLS{Listen: "127.0.0.1:6390", Cert: "c.pem", Key: "k.pem", ClientCA: "ca.pem", ClientAuth: RequiredClientAuth,
		MinVersion: TLS12, HandshakeTimeout: Duration(10 * time.Second), Handshakes: 512}
	if !reflect.DeepEqual(c.TLS, want) {
		t.Errorf("%+v", c.TLS)
	}
	if *c.Unix != (Unix{"/run/riptide.sock", 0o600}) || *c.Upstream.TLS != (UpstreamTLS{ServerName: "redis.internal", MinVersion: TLS12}) {
		t.Errorf("%+v %+v", c.Unix, c.Upstream.TLS)
	}
	if got := c.Tenants["acme"].Users["a"].Certificates; got[0] != "dns:a.example" || got[1] != "cn:Acme" {
		t.Error(got)
	}
}

// Whoever lets everybody claim any address is told so.
func TestEverybodyTrusted(t *testing.T) {
	_, warnings := parsed(t, rest+"proxy_protocol: {trusted: [0.0.0.0/0]}\n")
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "can claim any address") {
		t.Error(warnings)
	}
}

func TestNetworks(t *testing.T) {
	var all Networks
	for _, text := range []string{"10.1.0.0/16", "2001:db8::/32", "192.0.2.7"} {
		n, err := ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "10.2.0.0": false, "::ffff:10.1.2.3": true, "2001:db8::1": true, "2001:db8::1%eth0": true,
		"2001:db9::": false, "192.0.2.7": true, "192.0.2.8": false, "127.0.0.1": false,
	} {
		if got := all.Has(netip.MustParseAddr(addr), false); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	// Nobody is taken for somebody whose address is not known.
	if all.Has(netip.Addr{}, false) || all.Has(netip.Addr{}, true) || (Networks{}).Has(netip.MustParseAddr("10.1.2.3"), false) {
		t.Error("an unknown address is in a network")
	}
	unix := Networks{{Unix: true}}
	if !unix.Has(netip.Addr{}, true) || unix.Has(netip.MustParseAddr("10.1.2.3"), false) || unix.Has(netip.Addr{}, false) {
		t.Error("the word unix")
	}
	// A network that was not filled in has nobody.
	if (Network{}).Has(netip.MustParseAddr("0.0.0.0"), false) {
		t.Error("an empty network has somebody")
	}
}
