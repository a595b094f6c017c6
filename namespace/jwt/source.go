package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"riptide-proxy/config"
)

// longestSource is how long a file or a reply with keys may be, in bytes.
const longestSource = 1 << 20

// fetchTime bounds reading keys from a URL.
const fetchTime = 10 * time.Second

// source is where keys come from. It belongs to the goroutine that refreshes its issuer.
type source struct {
	name   string // for logs
	remote bool   // need not be there when the proxy starts
	load   func(ctx context.Context) ([]*key, error)

	keys  []*key    // what was read last
	read  time.Time // when
	wrong string    // what was wrong when it was tried last
}

// sources are those of an issuer.
func sources(c *config.JWTIssuer) ([]*source, error) {
	var all []*source
	for n := range c.Keys {
		k := &c.Keys[n]
		name := "secret"
		if k.File != "" {
			name = k.File
		}
		all = append(all, &source{name: name, load: func(context.Context) ([]*key, error) {
			data := []byte(k.Secret.Reveal())
			if k.File != "" {
				var err error
				if data, err = config.ReadFile(k.File, longestSource); err != nil {
					return nil, err
				}
			}
			one, err := readKey(k, data)
			return []*key{one}, err
		}})
	}
	if file := c.JWKS.File; file != "" {
		all = append(all, &source{name: file, load: func(context.Context) ([]*key, error) {
			data, err := config.ReadFile(file, longestSource)
			if err != nil {
				return nil, err
			}
			return usable(file, data, true)
		}})
	}
	if c.JWKS.URL != "" {
		client, err := newClient(c.JWKS.CA)
		if err != nil {
			return nil, err
		}
		at, err := url.Parse(c.JWKS.URL)
		if err != nil {
			return nil, bare(err)
		}
		// What follows a question mark may be a secret, and stays out of logs.
		name := at.Scheme + "://" + at.Host + at.EscapedPath()
		all = append(all, &source{name: name, remote: true, load: func(ctx context.Context) ([]*key, error) {
			data, err := fetch(ctx, client, at.String())
			if err != nil {
				return nil, bare(err)
			}
			return usable(name, data, false)
		}})
	}
	return all, nil
}

// usable are the keys of a set. One that has none is not an error: its issuer may have had to
// withdraw them all.
func usable(name string, data []byte, secrets bool) ([]*key, error) {
	keys, skipped, why, err := readSet(data, secrets)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		slog.Warn("a set of keys has none that can be used", "from", name, "passed over", skipped, "error", why)
	case skipped > 0:
		slog.Debug("keys of a set are not used", "from", name, "passed over", skipped, "error", why)
	}
	return keys, nil
}

func bare(err error) error {
	var atURL *url.Error
	if errors.As(err, &atURL) {
		return atURL.Err
	}
	return err
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, longestSource+1))
	if err == nil && len(data) > longestSource {
		err = errors.New("is longer than 1MiB")
	}
	return data, err
}

// newClient makes one for reading keys: seldom, so that it keeps no connection open.
func newClient(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.MaxResponseHeaderBytes = 64 << 10
	if ca != "" {
		data, err := config.ReadFile(ca, longestSource)
		if err != nil {
			return nil, fmt.Errorf("jwks.ca: %s: %w", ca, err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("jwks.ca: %s: has no certificate in PEM", ca)
		}
	}
	return &http.Client{
		Transport: t,
		Timeout:   fetchTime,
		// Whoever may redirect could lead to where there is no TLS.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func fetch(ctx context.Context, c *http.Client, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	reply, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", reply.StatusCode)
	}
	return bounded(reply.Body)
}
