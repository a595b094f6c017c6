// Package proxyproto reads the header by which a load balancer tells whom a connection
// comes from: version 2, the binary one, of the PROXY protocol
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). It knows no sockets.
//
// Whether the one who sends a header is to be believed is the caller's to know. What a
// header says besides addresses, such as the client's certificate, is skipped.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
)

// signature is what every header begins with. As a command of Redis it is
// nonsense that ends with QUIT.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	fixed = len(signature) + 4 // version and command, family, length of the rest
	// MaxSize is the longest header that is read, in bytes. Addresses take 52, and
	// what load balancers add a few hundred.
	MaxSize = 4096
)

// Errors of Parse.
var (
	ErrNoHeader = errors.New("the connection does not begin with a header of version 2 of the PROXY protocol")
	ErrTooLong  = errors.New("the PROXY header is too long")
	ErrBad      = errors.New("the PROXY header is not valid")
	// ErrUnknown tells of a header that speaks for somebody without saying who.
	ErrUnknown = errors.New("the PROXY header has no TCP address")
)

// Header is what a load balancer tells of a connection.
type Header struct {
	// Local tells that the load balancer speaks for itself, as in health checks: then there are
	// no addresses.
	Local bool
	// Source is the client's address, Destination the one it has connected to.
	Source, Destination netip.AddrPort
}

// Parse reads a header from the beginning of b and returns how long it is. n is 0 while
// b may be the beginning of one; then more is needed.
func Parse(b []byte) (h Header, n int, err error) {
	if k := min(len(b), len(signature)); string(b[:k]) != signature[:k] {
		return Header{}, 0, ErrNoHeader
	}
	if len(b) < fixed {
		return Header{}, 0, nil
	}
	version, command := b[12]>>4, b[12]&0xf
	size := fixed + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case version != 2 || command > 1:
		return Header{}, 0, ErrBad
	case size > MaxSize:
		return Header{}, 0, ErrTooLong
	case len(b) < size:
		return Header{}, 0, nil
	case command == 0:
		return Header{Local: true}, size, nil
	}
	h, err = addresses(b[13], b[fixed:size])
	if err != nil {
		return Header{}, 0, err
	}
	return h, size, nil
}

// addresses reads those of one who is spoken for.
func addresses(family byte, b []byte) (Header, error) {
	const tcp4, tcp6 = 0x11, 0x21
	switch {
	case family == tcp4 && len(b) >= 12:
		return Header{Source: address(b[0:4], b[8:]), Destination: address(b[4:8], b[10:])}, nil
	case family == tcp6 && len(b) >= 36:
		return Header{Source: address(b[0:16], b[32:]), Destination: address(b[16:32], b[34:])}, nil
	case family == tcp4, family == tcp6:
		return Header{}, ErrBad
	}
	return Header{}, ErrUnknown
}

func address(ip, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// Read reads a header from a connection, and nothing of what is behind it.
func Read(r io.Reader) (Header, error) {
	b := make([]byte, fixed, 64)
	if _, err := io.ReadFull(r, b); err != nil {
		return Header{}, err
	}
	h, n, err := Parse(b)
	if err != nil || n > 0 {
		return h, err
	}
	b = append(b, make([]byte, binary.BigEndian.Uint16(b[14:]))...)
	if _, err := io.ReadFull(r, b[fixed:]); err != nil {
		return Header{}, err
	}
	h, _, err = Parse(b)
	return h, err
}
