package tlsterm

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

func section(change func(c *config.TLS)) *config.TLS {
	c := &config.TLS{ClientAuth: config.RequiredClientAuth, MinVersion: config.TLS12, HandshakeTimeout: config.Duration(5 * time.Second), Handshakes: 8}
	change(c)
	return c
}

func TestFilesErrors(t *testing.T) {
	ca := harness.NewAuthority(t, "ca")
	a, b := ca.Server(t, "a"), ca.Server(t, "b")
	nonsense, empty := filepath.Join(t.TempDir(), "nonsense"), filepath.Join(t.TempDir(), "empty")
	os.WriteFile(nonsense, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600)
	os.WriteFile(empty, nil, 0o600)
	for want, c := range map[string]config.TLS{
		"tls.cert: /nowhere: no such file or directory": {Cert: "/nowhere", Key: a.Key},
		"tls.key: /nowhere: no such file or directory":  {Cert: a.Cert, Key: "/nowhere"},
		"does not match":                               {Cert: a.Cert, Key: b.Key},
		"tls.cert: " + empty:                           {Cert: empty, Key: a.Key},
		"tls.client_ca: " + empty + ": has no cert":    {Cert: a.Cert, Key: a.Key, ClientCA: empty},
		"tls.client_ca: " + nonsense + ": x509":        {Cert: a.Cert, Key: a.Key, ClientCA: nonsense},
		"has a PRIVATE KEY in it, where only certific": {Cert: a.Cert, Key: a.Key, ClientCA: a.Key},
	} {
		_, err := ServerFiles(section(func(x *config.TLS) { x.Cert, x.Key, x.ClientCA = c.Cert, c.Key, c.ClientCA }))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("a file's content is in the message: %v", err)
		}
	}
	if _, err := NewDialer(&config.UpstreamTLS{CA: "/nowhere"}, "x"); err == nil || !strings.HasPrefix(err.Error(), "upstream.tls.ca: ") {
		t.Error(err)
	}
}

// Clients are verified, or not asked; nothing is in between.
func TestFilesClientAuth(t *testing.T) {
	ca := harness.NewAuthority(t, "ca")
	a := ca.Server(t, "a")
	for _, c := range []struct {
		ca   string
		auth config.ClientAuth
		want tls.ClientAuthType
	}{
		{"", config.RequiredClientAuth, tls.NoClientCert}, {ca.File, config.RequiredClientAuth, tls.RequireAndVerifyClientCert},
		{ca.File, config.OptionalClientAuth, tls.VerifyClientCertIfGiven}, {ca.File, "", tls.RequireAndVerifyClientCert},
	} {
		f, err := ServerFiles(section(func(x *config.TLS) { x.Cert, x.Key, x.ClientCA, x.ClientAuth = a.Cert, a.Key, c.ca, c.auth }))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Config().ClientAuth; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// The upstream is verified, whatever is configured.
func TestDialerVerifies(t *testing.T) {
	ca := harness.NewAuthority(t, "ca")
	for _, c := range []*config.UpstreamTLS{{}, {CA: ca.File}, {CA: ca.File, ServerName: "other"}} {
		d, err := NewDialer(c, "host")
		if err != nil {
			t.Fatal(err)
		}
		o := d.files.Config()
		if o.InsecureSkipVerify || o.ServerName != map[bool]string{true: "host", false: c.ServerName}[c.ServerName == ""] || o.MinVersion < tls.VersionTLS12 {
			t.Errorf("%+v", o)
		}
	}
}

func TestFilesRefresh(t *testing.T) {
	ca := harness.NewAuthority(t, "ca")
	a, b := ca.Server(t, "a"), ca.Server(t, "b")
	f, err := ServerFiles(section(func(x *config.TLS) { x.Cert, x.Key, x.ClientCA = a.Cert, a.Key, ca.File }))
	if err != nil {
		t.Fatal(err)
	}
	first := f.Config()
	copyFile := func(to, from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		about   string
		do      func()
		changed bool
	}{
		{"nothing", func() {}, false},
		{"the same again", func() { copyFile(a.Cert, a.Cert) }, false},
		{"a key without its certificate", func() { copyFile(a.Key, b.Key) }, false},
		{"still", func() {}, false},
		{"and its certificate", func() { copyFile(a.Cert, b.Cert) }, true},
		{"an empty list of authorities", func() { os.WriteFile(ca.File, nil, 0o600) }, false},
		{"none", func() { os.Remove(ca.File) }, false},
	} {
		before := f.Config()
		step.do()
		if changed := f.Refresh(); changed != step.changed || (f.Config() != before) != step.changed {
			t.Errorf("%s: %v", step.about, changed)
		}
	}
	if f.Config() == first || f.Config().ClientCAs == nil {
		t.Error("the authorities are gone")
	}
}

func block(data []byte) []byte {
	b, _ := pem.Decode(data)
	return b.Bytes
}
