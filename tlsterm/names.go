package tlsterm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
)

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Names are a certificate's as the configuration has them: subject: as RFC 2253 writes it, cn:, dns:, uri:
// and email:. They say nothing unless the certificate was verified.
func Names(c *x509.Certificate) (names []string) {
	// From the certificate's own bytes, since pkix.Name loses all but one of several common names.
	var subject pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &subject); err == nil && len(rest) == 0 && len(subject) > 0 {
		names = append(names, "subject:"+subject.String())
		if cn, ok := onlyCommonName(subject); ok {
			names = append(names, "cn:"+cn)
		}
	}
	for _, name := range c.DNSNames {
		names = append(names, "dns:"+strings.ToLower(name))
	}
	for _, u := range c.URIs {
		names = append(names, "uri:"+u.String())
	}
	for _, address := range c.EmailAddresses {
		names = append(names, "email:"+address)
	}
	return names
}

// onlyCommonName returns the one there is. Of several nobody knows which was meant.
func onlyCommonName(subject pkix.RDNSequence) (cn string, ok bool) {
	found := 0
	for _, set := range subject {
		for _, attribute := range set {
			if attribute.Type.Equal(commonName) {
				cn, ok = attribute.Value.(string)
				found++
			}
		}
	}
	return cn, ok && found == 1 && cn != ""
}
