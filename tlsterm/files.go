package tlsterm

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"riptide-proxy/config"
)

// Files are certificates, keys and authorities that may be replaced while they are used. What is in
// use is always a whole that fits together: a new certificate without its key changes nothing.
type Files struct {
	names   [3]string // of certificate, key, authorities; empty: none
	section string    // of the configuration, for messages
	make    func(*material) *tls.Config
	current atomic.Pointer[material]
	trouble string // of the last look, when it failed
	told    bool   // which has been logged
}

// material is what the files had in them at one time. It never changes.
type material struct {
	sum         [sha256.Size]byte
	certificate *tls.Certificate // nil: none
	authorities *x509.CertPool   // nil: none, or the system's
	config      *tls.Config
}

// ServerFiles loads the files of the encrypted listener. Its errors name the key and the file.
func ServerFiles(c *config.TLS) (*Files, error) {
	f := &Files{names: [3]string{c.Cert, c.Key, c.ClientCA}, section: "tls"}
	f.make = func(m *material) *tls.Config {
		t := base(c.MinVersion)
		t.Certificates = []tls.Certificate{*m.certificate}
		if t.ClientCAs = m.authorities; t.ClientCAs != nil {
			// A certificate that is not verified is never looked at.
			t.ClientAuth = tls.RequireAndVerifyClientCert
			if c.ClientAuth == config.OptionalClientAuth {
				t.ClientAuth = tls.VerifyClientCertIfGiven
			}
		}
		return t
	}
	return f, f.load()
}

// clientFiles loads those of the connections to the upstream, whose certificate is to be of
// the name.
func clientFiles(c *config.UpstreamTLS, name string) (*Files, error) {
	f := &Files{names: [3]string{c.Cert, c.Key, c.CA}, section: "upstream.tls"}
	f.make = func(m *material) *tls.Config {
		t := base(c.MinVersion)
		t.ServerName, t.RootCAs = name, m.authorities
		if m.certificate != nil {
			t.Certificates = []tls.Certificate{*m.certificate}
		}
		return t
	}
	return f, f.load()
}

// base is what both sides have in common. Every one has keys for session tickets of its own, so
// that nobody resumes what was agreed on with other certificates or authorities.
func base(oldest config.TLSVersion) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if oldest == config.TLS13 {
		t.MinVersion = tls.VersionTLS13
	}
	return t
}

// Config is what connections are to be made with from now on.
func (f *Files) Config() *tls.Config { return f.current.Load().config }

// Expiry is when the certificate ends; zero if there is none.
func (f *Files) Expiry() time.Time {
	if c := f.current.Load().certificate; c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// load reads the files once.
func (f *Files) load() error {
	m, err := f.read(nil)
	if err != nil {
		return err
	}
	f.current.Store(m)
	f.warn(m)
	return nil
}

// warnBefore is how long before its end a certificate is worth a warning.
const warnBefore = 7 * 24 * time.Hour

func (f *Files) warn(m *material) {
	if m.certificate == nil {
		return
	}
	if end := m.certificate.Leaf.NotAfter; time.Until(end) < warnBefore {
		slog.Warn("a certificate ends soon, or has ended", "section", f.section, "file", f.names[0], "end", end)
	}
}

// longestFile is how long a file may be: a system's authorities are some hundred KiB.
const longestFile = 4 * config.MiB

// read returns what is in the files now; unless it is what was before.
func (f *Files) read(before *material) (*material, error) {
	var data [3][]byte
	sum := sha256.New()
	for i, key := range []string{"cert", "key", f.authoritiesKey()} {
		if f.names[i] == "" {
			continue
		}
		b, err := config.ReadFile(f.names[i], longestFile)
		if err != nil {
			return nil, f.at(key, fmt.Errorf("%s: %w", f.names[i], err))
		}
		data[i] = b
		fmt.Fprintf(sum, "%d %d\n", i, len(b))
		sum.Write(b)
	}
	m := &material{sum: [sha256.Size]byte(sum.Sum(nil))}
	if before != nil && m.sum == before.sum {
		return before, nil
	}
	if f.names[0] != "" {
		pair, err := tls.X509KeyPair(data[0], data[1])
		if err != nil {
			return nil, f.at("cert", fmt.Errorf("%s with %s: %w", f.names[0], f.names[1], err))
		}
		if pair.Leaf == nil { // it is there unless GODEBUG says otherwise
			if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
				return nil, f.at("cert", fmt.Errorf("%s: %w", f.names[0], err))
			}
		}
		m.certificate = &pair
	}
	if f.names[2] != "" {
		pool, err := authorities(data[2])
		if err != nil {
			return nil, f.at(f.authoritiesKey(), fmt.Errorf("%s: %w", f.names[2], err))
		}
		m.authorities = pool
	}
	m.config = f.make(m)
	return m, nil
}

// at says which key an error is about.
func (f *Files) at(key string, err error) error {
	return config.At(err, append(strings.Split(f.section, "."), key)...)
}

func (f *Files) authoritiesKey() string {
	if f.section == "tls" {
		return "client_ca"
	}
	return "ca"
}

// authorities reads certificates one behind the other. What can not be read is an error: who
// listed an authority relies on it.
func authorities(data []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("has a %s in it, where only certificates belong", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, errors.New("has no certificate in PEM form")
	}
	return pool, nil
}

// Refresh looks at the files and reports whether what is in them is other than before, and good. If
// it is not, what was before goes on being used.
func (f *Files) Refresh() (changed bool) {
	before := f.current.Load()
	m, err := f.read(before)
	if err != nil {
		// Files that are being replaced one after the other do not fit for a moment.
		if text := err.Error(); f.trouble != text {
			f.trouble, f.told = text, false
		} else if !f.told {
			f.told = true
			slog.Error("certificates were not loaded, those before go on being used", "error", err)
		}
		return false
	}
	f.trouble = ""
	if m == before {
		return false
	}
	f.current.Store(m)
	slog.Info("certificates were loaded", "section", f.section, "end", f.Expiry())
	f.warn(m)
	return true
}

// every calls look now and then until ctx ends.
func every(ctx context.Context, period time.Duration, look func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			look()
		}
	}
}
