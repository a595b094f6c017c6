package value

import (
	"errors"
	"fmt"
)

// The errors of Open. Their texts go to the client after "ERR ", so they say what is
// wrong with the stored value and never what is in it.
var (
	// ErrCorrupt: the payload is not what the header says.
	ErrCorrupt = errors.New("the stored value is damaged: it does not decompress to what its header says")
	// ErrTooLong: the original would be longer than Settings.Limit.
	ErrTooLong = errors.New("the stored value is longer than limits.bulk once decompressed")
	// ErrWrongKey: what a WrongKeyError is, for errors.Is.
	ErrWrongKey = errors.New("the stored value does not decrypt")
)

// MissingDictError is about a value whose dictionary is not (or not yet) known here.
type MissingDictError struct{ ID uint32 }

func (e *MissingDictError) Error() string {
	return fmt.Sprintf("the stored value needs compression dictionary %08x, which is missing", e.ID)
}

// MissingKeyError is about a value that is encrypted with a master key that is
// not configured. Only its id is known, which a name can be compared with (see KeyID).
type MissingKeyError struct{ ID uint32 }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the stored value is encrypted with a key that is not configured (key id %08x)", e.ID)
}

// WrongKeyError is about a value that the key of that name does not authenticate: the
// key has another content than the one that encrypted it, or the value was altered or
// moved here from another key. errors.Is(err, ErrWrongKey) holds.
type WrongKeyError struct{ Key string }

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("the stored value does not decrypt with encryption key %q: the key is another one, or the value was altered or moved from another key", e.Key)
}

// Is makes it an ErrWrongKey.
func (e *WrongKeyError) Is(target error) bool { return target == ErrWrongKey }
