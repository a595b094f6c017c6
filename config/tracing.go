package config

import (
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Tracing sends spans of commands to an OpenTelemetry collector. All keys can be changed while the proxy runs.
type Tracing struct {
	// Endpoint is the collector's URL for OTLP over HTTP, such as http://127.0.0.1:4318; without a path it is
	// /v1/traces. Empty, the default: no traces.
	Endpoint string `yaml:"endpoint"`

	// Headers go with each request to the collector, for its authentication.
	Headers map[string]Password `yaml:"headers"`

	// Sample is the part of all commands that is traced, 0 to 1. Default 0.001.
	Sample Fraction `yaml:"sample"`

	// Slow has every command traced that took so long, besides the sample. Default 0s: none.
	Slow Duration `yaml:"slow"`
}

// Fraction is a part of a whole, 0 to 1.
type Fraction float64

// UnmarshalText reads a decimal number.
func (f *Fraction) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return &invalid{string(text), "is not a number from 0 to 1"}
	}
	*f = Fraction(v)
	return nil
}

// MarshalText gives what UnmarshalText reads.
func (f Fraction) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

func (f Fraction) String() string { return strconv.FormatFloat(float64(f), 'f', -1, 64) }

func defaultTracing() Tracing { return Tracing{Sample: 0.001} }

var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (l *loader) checkTracing() {
	s, t := l.main, &l.config.Tracing
	within(s, "tracing.slow", t.Slow, 0, Duration(time.Hour))
	if t.Endpoint == "" {
		if s.has("tracing") && !s.bad["tracing"] && !s.bad["tracing.endpoint"] {
			s.errorf("tracing", "nothing is traced without tracing.endpoint")
		}
		return
	}
	// The text is not shown: it may have a password in it.
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		s.errorf("tracing.endpoint", "expected a URL like http://127.0.0.1:4318")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		s.errorf("tracing.endpoint", "a user, a query or a fragment is not sent; what the collector wants to know belongs in tracing.headers")
	}
	for _, name := range sorted(s, "tracing.headers", t.Headers) {
		if !headerName.MatchString(name) {
			s.errorf(join("tracing.headers", name), "%s is not a header's name", quote(name))
		}
	}
}
