package config

import "time"

// NoListener in place of an address means that nobody listens there.
const NoListener = "none"

// TLS is the encrypted listener. Its files are looked at again every RefreshFiles,
// so that a renewed certificate is used without a restart.
type TLS struct {
	// Listen is where clients connect with TLS, host:port.
	Listen string `yaml:"listen"`

	// Cert is a PEM file with the certificate and those between it and its authority.
	Cert string `yaml:"cert"`

	// Key is a PEM file with the private key of Cert.
	Key string `yaml:"key"`

	// ClientCA is a PEM file with the authorities that may sign clients' certificates. Each of them
	// can make a certificate for any user, so they must be trusted with that. Empty, the
	// default: clients are not asked for certificates.
	ClientCA string `yaml:"client_ca"`

	// ClientAuth says whether a client must have a certificate that ClientCA has signed. Default
	// required. It has no meaning without ClientCA.
	ClientAuth ClientAuth `yaml:"client_auth"`

	// MinVersion is the oldest version of TLS that is spoken. Default 1.2.
	MinVersion TLSVersion `yaml:"min_version"`

	// HandshakeTimeout is how long a client may take for its handshake. Default 10s.
	HandshakeTimeout Duration `yaml:"handshake_timeout"`

	// Handshakes is how many clients may be at their handshake at a time. When there are more, the
	// one that has been at it longest is closed. Default 512.
	Handshakes int `yaml:"handshakes"`
}

// setDefaults lets the decoder start from the defaults.
func (t *TLS) setDefaults() {
	*t = TLS{ClientAuth: RequiredClientAuth, MinVersion: TLS12, HandshakeTimeout: Duration(10 * time.Second), Handshakes: 512}
}

// orDefault is what to compare where there may be none.
func (t *TLS) orDefault() *TLS {
	if t == nil {
		t = new(TLS)
		t.setDefaults()
	}
	return t
}

// address is where it listens; empty: nowhere.
func (t *TLS) address() string { return t.orDefault().Listen }

// RefreshFiles is how often the files with certificates, keys and authorities are looked at.
const RefreshFiles = time.Second

// ClientAuth says whether clients must have certificates.
type ClientAuth string

const (
	// RequiredClientAuth refuses clients without one.
	RequiredClientAuth ClientAuth = "required"
	// OptionalClientAuth checks those that are given.
	OptionalClientAuth ClientAuth = "optional"
)

// UnmarshalText lets YAML read it.
func (c *ClientAuth) UnmarshalText(text []byte) error {
	return choose(c, text, RequiredClientAuth, OptionalClientAuth)
}

// TLSVersion is a version of TLS.
type TLSVersion string

// The versions that are spoken.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// UnmarshalText lets YAML read it.
func (v *TLSVersion) UnmarshalText(text []byte) error { return choose(v, text, TLS12, TLS13) }

// UpstreamTLS encrypts the connections to the upstream. The server's certificate is always
// verified.
type UpstreamTLS struct {
	// CA is a PEM file with the authorities, or the certificates themselves, that the server's
	// certificate must come from. Empty, the default: those of the system.
	CA string `yaml:"ca"`

	// ServerName is the name that the server's certificate must have. Default: the host of the
	// address.
	ServerName string `yaml:"server_name"`

	// Cert and Key are PEM files with the proxy's own certificate, for a server that asks
	// for one. Both or none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// MinVersion is the oldest version of TLS that is spoken. Default 1.2.
	MinVersion TLSVersion `yaml:"min_version"`
}

func (t *UpstreamTLS) setDefaults() { *t = UpstreamTLS{MinVersion: TLS12} }

// Unix is the listener on a unix socket, for clients on the same machine.
type Unix struct {
	// Listen is the absolute path of the socket. What is left of a process that has ended is
	// replaced; anything else that has the name is an error.
	Listen string `yaml:"listen"`

	// Mode is who may connect, as file permissions. Default 0600: the proxy's own user.
	Mode FileMode `yaml:"mode"`
}

func (u *Unix) setDefaults() { *u = Unix{Mode: 0o600} }

// ProxyProtocol is about load balancers in front of the proxy, which tell whom they speak
// for in a header of version 2 of the PROXY protocol.
type ProxyProtocol struct {
	// Trusted are the load balancers. Connections from there must begin with a header,
	// and are then taken for those of the address in it; from anywhere else a header is
	// not understood. The word "unix" is for connections by the unix socket.
	Trusted Networks `yaml:"trusted"`

	// Timeout is how long the header may take to arrive. Default 5s.
	Timeout Duration `yaml:"timeout"`
}
