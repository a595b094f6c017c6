package script

import (
	"bytes"
	"encoding/hex"
)

// sealedWord is what the error of a script that has come upon sealed values begins with. The stored names of their keys
// follow in hex, each behind a space.
const sealedWord = "RIPTIDESEALED"

// SealedKeys takes an error reply apart ("-RIPTIDESEALED 743a 743b\r\n") with which a script of Mode.Values has ended,
// having written nothing, because these keys, by their stored names, have sealed values. When they have been made plain
// it may run again; then it may come upon others. All sealed ones of the keys that the client has declared are among
// them, unless they are more than fit into 32 KiB. ok is false for any other reply.
//
// A script can make such an error up. So the caller must not touch keys that are not the tenant's, nor repeat without
// end.
func SealedKeys(reply []byte) (keys [][]byte, ok bool) {
	rest, ok := bytes.CutPrefix(reply, []byte("-"+sealedWord+" "))
	if !ok {
		return nil, false
	}
	rest, ok = bytes.CutSuffix(rest, []byte("\r\n"))
	if !ok {
		return nil, false
	}
	for name := range bytes.SplitSeq(rest, []byte(" ")) {
		key := make([]byte, hex.DecodedLen(len(name)))
		if _, err := hex.Decode(key, name); err != nil || len(key) == 0 {
			return nil, false
		}
		keys = append(keys, key)
	}
	return keys, true
}
