package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"

	"riptide-proxy/config"
)

// key checks signatures, of one algorithm only: were it the token's header that chose it, a public key
// could be used as the secret of an HMAC.
type key struct {
	id        string // empty: fits tokens that name any, or none
	algorithm config.JWTAlgorithm
	material  any               // what the library wants for the algorithm
	sum       [sha256.Size]byte // of all that, which tells it from others
	retired   atomic.Bool       // its issuer has it no more
}

// Bounds of an RSA key, in bits: below it can be broken, above it takes too long.
const (
	minRSA = 2048
	maxRSA = 8192
)

// newKey makes a key of what a file holds. It decides the algorithm by the kind of key.
func newKey(id string, material any) (*key, error) {
	k := &key{id: id, material: material}
	h := sha256.New()
	switch m := material.(type) {
	case []byte:
		if len(m) < config.MinHMACSecret {
			return nil, fmt.Errorf("the secret has less than %d bytes", config.MinHMACSecret)
		}
		k.algorithm = config.HS256
		h.Write(m)
	case *rsa.PublicKey:
		if bits := m.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is not accepted (%d to %d)", bits, minRSA, maxRSA)
		}
		if m.E < 3 || m.E%2 == 0 {
			return nil, errors.New("the RSA key's exponent is not one")
		}
		k.algorithm = config.RS256
		fmt.Fprintf(h, "%d %d", m.E, m.N)
	case *ecdsa.PublicKey:
		if m.Curve != elliptic.P256() {
			return nil, errors.New("an elliptic key must be on the curve P-256")
		}
		point, err := m.Bytes()
		if err != nil {
			return nil, err
		}
		k.algorithm = config.ES256
		h.Write(point)
	case ed25519.PublicKey:
		if len(m) != ed25519.PublicKeySize {
			return nil, errors.New("the Ed25519 key has another length than one")
		}
		k.algorithm = config.EdDSA
		h.Write(m)
	default:
		return nil, fmt.Errorf("keys of the kind %T are not used", material)
	}
	fmt.Fprintf(h, "\x00%s\x00%s", k.algorithm, id)
	h.Sum(k.sum[:0])
	return k, nil
}

// readKey makes a key of the file that c names.
func readKey(c *config.JWTKey, data []byte) (*key, error) {
	var material any
	if c.Algorithm == config.HS256 {
		secret, err := readSecret(data)
		if err != nil {
			return nil, err
		}
		material = secret
	} else {
		public, err := readPublic(data)
		if err != nil {
			return nil, err
		}
		material = public
	}
	k, err := newKey(c.ID, material)
	if err == nil && k.algorithm != c.Algorithm {
		err = fmt.Errorf("is a key for %s", k.algorithm)
	}
	return k, err
}

func readSecret(data []byte) ([]byte, error) {
	// Everybody knows a public key: taken for a secret it would let everybody in.
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return nil, errors.New("is in PEM, and no secret of HS256")
	}
	secret, _ := bytes.CutSuffix(data, []byte("\n"))
	secret, _ = bytes.CutSuffix(secret, []byte("\r"))
	return bytes.Clone(secret), nil
}

// readPublic reads a public key, or that of a certificate.
func readPublic(data []byte) (crypto.PublicKey, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("is not in PEM")
	}
	if next, _ := pem.Decode(rest); next != nil && block.Type != "CERTIFICATE" {
		return nil, errors.New("has more than one key")
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("is a private key, which only the issuer should have; give the public key")
	}
	return nil, errors.New("is neither a public key nor a certificate")
}
