// Package value is what a stored value looks like: plain, or sealed, which is
// compressed, encrypted or both behind a header. It sees the bytes of one value at a time and owns
// no connection.
package value

import "bytes"

// Magic is what every sealed value begins with. A plain value that happens to
// begin with it is sealed too, though only wrapped.
const Magic = "\xfcR\x9e"

// IsSealed reports whether a stored value begins with Magic.
func IsSealed(stored []byte) bool {
	return len(stored) > len(Magic) && stored[0] == Magic[0] && bytes.HasPrefix(stored, []byte(Magic))
}

// Name is the name of the key that a value is stored under: the tenant's prefix, and
// the key as the tenant knows it.
type Name struct{ Prefix, Key []byte }
