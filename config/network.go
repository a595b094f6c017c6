package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
)

// Network is where clients may come from: a network as in 10.1.0.0/16, a single address, or the
// word "unix", which is whoever comes by the unix socket.
type Network struct {
	Prefix netip.Prefix // not valid for unix
	Unix   bool
}

// Has tells whether a client of that address is in the network. The address of those who come by
// the unix socket is not valid; unix tells that it is so.
func (n Network) Has(addr netip.Addr, unix bool) bool {
	if unix || n.Unix {
		return unix && n.Unix
	}
	return n.Prefix.Contains(addr.Unmap().WithZone(""))
}

// Networks are several. None of them has anybody.
type Networks []Network

// Has is Network.Has for any of them.
func (all Networks) Has(addr netip.Addr, unix bool) bool {
	for _, n := range all {
		if n.Has(addr, unix) {
			return true
		}
	}
	return false
}

const networkExamples = "is not a network (examples: 10.1.0.0/16, 2001:db8::/32, 192.0.2.7, unix)"

// ParseNetwork reads a network as the documentation of Network says.
func ParseNetwork(text string) (Network, error) {
	if text == "unix" {
		return Network{Unix: true}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" || a.Is4In6() {
			return Network{}, &invalid{text, networkExamples}
		}
		return Network{Prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return Network{}, &invalid{text, networkExamples}
	}
	if m := p.Masked(); m != p {
		return Network{}, &invalid{text, fmt.Sprintf("has bits that its length leaves out (did you mean %q?)", m)}
	}
	return Network{Prefix: p}, nil
}

// String is the network as it is written, a single address with its length.
func (n Network) String() string {
	if n.Unix {
		return "unix"
	}
	return n.Prefix.String()
}

// UnmarshalText lets YAML and JSON read a network.
func (n *Network) UnmarshalText(text []byte) error {
	network, err := ParseNetwork(string(text))
	if err == nil {
		*n = network
	}
	return err
}

// MarshalText writes what String writes.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// FileMode are a file's permissions, written in octal: 0660.
type FileMode fs.FileMode

// UnmarshalText lets YAML and JSON read permissions.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || len(text) < 3 || n > 0o777 {
		return &invalid{string(text), "are not a file's permissions in octal (examples: 0600, 0660)"}
	}
	*m = FileMode(n)
	return nil
}

// String writes four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalText writes what String writes.
func (m FileMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
