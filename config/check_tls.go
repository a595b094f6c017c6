package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// checkTLS checks the encrypted listener and the connections to the upstream. Whether the files can
// be used is only seen when they are loaded.
func (l *loader) checkTLS() {
	s, c := l.main, l.config
	if t := c.TLS; t != nil {
		if !s.bad["tls.listen"] && t.Listen == "" {
			s.errorf("tls", "has no listen: give the host:port for clients that connect with TLS")
		} else {
			s.checkAddress("tls.listen", t.Listen, 0)
		}
		s.needs("tls", "cert", t.Cert, "a PEM file with the server's certificate")
		s.needs("tls", "key", t.Key, "a PEM file with the private key of cert")
		if s.has("tls.client_auth") && t.ClientCA == "" {
			s.errorf("tls.client_auth", "has no meaning without client_ca")
		}
		within(s, "tls.handshake_timeout", t.HandshakeTimeout, shortest, Duration(time.Minute))
		within(s, "tls.handshakes", t.Handshakes, 1, 100_000)
		l.checkApart("tls.listen", t.Listen)
	}
	u := c.Upstream.TLS
	switch {
	case u == nil && s.empty["upstream.tls"]:
		s.errorf("upstream.tls", "is empty; write {} for TLS with the authorities that the system knows")
	case u != nil:
		if c.Upstream.Mode == Embedded {
			s.errorf("upstream.tls", "the embedded upstream has none; for a real one say mode: standalone")
		}
		if (u.Cert == "") != (u.Key == "") {
			s.errorf("upstream.tls", "has cert or key, but not both")
		}
		if u.ServerName != "" && !hostName.MatchString(u.ServerName) && !isIP(u.ServerName) {
			s.errorf("upstream.tls.server_name", "%s is not a name that a certificate can have", s.quote("upstream.tls.server_name", u.ServerName))
		}
		if u.ServerName == "" && len(c.Upstream.Addresses) == 1 && strings.HasPrefix(c.Upstream.Addresses[0], unixPrefix) {
			s.errorf("upstream.tls", "needs server_name, since the address is a unix socket")
		}
	}
}

func isIP(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// needs reports a key that must be given and is not.
func (s *source) needs(section, key, value, what string) {
	if path := join(section, key); value == "" && !s.bad[path] {
		s.errorf(path, "is missing: %s", what)
	}
}

// checkApart refuses a listener's address that another listener has.
func (l *loader) checkApart(path, address string) {
	s, c := l.main, l.config
	if sameAddress(c.Listen, address) {
		s.errorf(path, "is the address that clients connect to (listen: %s)", s.quote("listen", c.Listen))
	}
	if sameAddress(c.Admin.Listen, address) {
		s.errorf(path, "is the address of the admin listener (%s)", s.quote("admin.listen", c.Admin.Listen))
	}
}

// checkUnix checks the listener on a unix socket.
func (l *loader) checkUnix() {
	s, u := l.main, l.config.Unix
	if u == nil {
		return
	}
	if !s.bad["unix.listen"] && u.Listen == "" {
		s.errorf("unix", "has no listen: give the path of the socket")
		return
	}
	s.checkSocketPath("unix.listen", u.Listen)
}

// longestSocketPath is what every system has room for.
const longestSocketPath = 100

func (s *source) checkSocketPath(path, socket string) {
	switch {
	case s.bad[path]:
	case !filepath.IsAbs(socket) || filepath.Clean(socket) != socket || strings.ContainsRune(socket, 0):
		s.errorf(path, "%s is not the absolute path of a socket", s.quote(path, socket))
	case len(socket) > longestSocketPath:
		s.errorf(path, "has %d bytes, but a socket's path has at most %d", len(socket), longestSocketPath)
	}
}

// unixPrefix begins the address of an upstream that listens on a unix socket.
const unixPrefix = "unix:"

// checkUpstreamAddress wants host:port, or unix: and a path.
func (s *source) checkUpstreamAddress(path, address string) {
	if socket, ok := strings.CutPrefix(address, unixPrefix); ok {
		s.checkSocketPath(path, socket)
		return
	}
	s.checkAddress(path, address, 1)
}

func (l *loader) checkProxyProtocol() {
	s, p := l.main, l.config.ProxyProtocol
	within(s, "proxy_protocol.timeout", p.Timeout, shortest, Duration(time.Minute))
	for i, n := range p.Trusted {
		at := index("proxy_protocol.trusted", i)
		switch {
		case s.bad[at]:
		case !n.Unix && !n.Prefix.IsValid():
			s.errorf(at, networkExamples)
		case n.Unix && l.config.Unix == nil:
			s.errorf(at, "there is no unix socket (section unix)")
		case !n.Unix && n.Prefix.Bits() == 0:
			l.warn(place{s, at}, "proxy_protocol.trusted has everybody in it: whoever can connect can claim any address")
		}
	}
}

// checkNetworks checks a tenant's.
func (s *source) checkNetworks(path string, all Networks) {
	if s.has(path) && len(all) == 0 && !s.bad[path] {
		s.errorf(path, "has no network: nobody could log in; leave it out to allow all")
	}
	for i, n := range all {
		if at := index(path, i); !n.Unix && !n.Prefix.IsValid() && !s.bad[at] {
			s.errorf(at, networkExamples)
		}
	}
}

// checkCertificates checks the names by which a user's certificates are known, and brings
// them into the form in which they are compared.
func (l *loader) checkCertificates(at place, names []string, identity string) {
	if at.has(at.path) && len(names) > 0 && (l.config.TLS == nil || l.config.TLS.ClientCA == "") {
		at.errorf(at.path, "needs tls.client_ca: without it no client's certificate is verified")
		return
	}
	for i, name := range names {
		path := index(at.path, i)
		if at.bad[path] {
			continue
		}
		name, problem := certificateName(name)
		if problem != "" {
			at.errorf(path, "%s %s", at.quote(path, names[i]), problem)
			continue
		}
		names[i] = name
		here := place{at.source, path}
		if first, again := l.certificates[name]; again {
			at.errorf(path, "the same certificate as that of %s", first)
			continue
		}
		l.certificates[name] = owner{identity, here}
	}
}

// CertificateKinds are what the names of certificates begin with.
var CertificateKinds = []string{"subject", "cn", "dns", "uri", "email"}

// certificateName returns the name in the form in which it is compared, or what is wrong with it.
func certificateName(name string) (_, problem string) {
	kind, value, found := strings.Cut(name, ":")
	if !found || value == "" || !slices.Contains(CertificateKinds, kind) {
		return "", "is not a certificate's name (subject:, cn:, dns:, uri: or email:, and the value; riptide-proxy certificate shows those of a file)"
	}
	switch kind {
	case "subject":
		if !strings.Contains(value, "=") || strings.Contains(value, ", ") {
			return "", "is not a subject as in subject:CN=acme,O=Example (riptide-proxy certificate shows that of a file)"
		}
	case "dns":
		value = strings.ToLower(value)
		if !hostName.MatchString(value) {
			return "", "is not a host's name; names are compared as a whole, so * has no meaning"
		}
	case "uri":
		if u, err := url.Parse(value); err != nil || u.Scheme == "" || u.String() != value {
			return "", "is not a URI as it stands in a certificate (example: uri:spiffe://example.com/acme)"
		}
	case "email":
		if !strings.Contains(value, "@") {
			return "", "is not an address of email"
		}
	}
	return kind + ":" + value, ""
}
