// Package value is what a stored value looks like: plain, or sealed, which is
// compressed, encrypted or both behind a header. It sees the bytes of one value at a time and owns
// no connection.
//
// Whatever is compressed is made with one of the shared encoders and decoders of this process,
// which depend on the algorithm, the level and the dictionary only: a tenant costs no more than its Codec,
// its derived keys and, while they are in use, what its dictionaries take.
package value

// Magic is what every sealed value begins with. A plain value that happens to
// begin with it is sealed too, though only wrapped.
const Magic = "\xfcR\x9e"

// LongestHeader is the length of the longest header of a sealed value, in bytes.
const LongestHeader = maxHeader

// IsSealed reports whether a stored value begins with Magic. Whether a header
// follows is for ParseHeader to say.
func IsSealed(stored []byte) bool {
	return len(stored) > len(Magic) && stored[0] == Magic[0] && stored[1] == Magic[1] && stored[2] == Magic[2]
}

// Name is the name of the key that a value is stored under: the tenant's prefix, and
// the key as the tenant knows it.
type Name struct {
	Prefix, Key []byte
	// Stream is for values in the entries of a stream, which nobody can seal again when the stream
	// is renamed or copied: so encryption binds them to the tenant, and not to the name.
	Stream bool
}
