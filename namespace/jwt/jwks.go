package jwt

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// mostKeys is how many keys a set may have.
const mostKeys = 100

// readSet reads a JSON Web Key Set. Keys that are for something else, or of a kind that is not used
// here, are passed over, as RFC 7517 wants; skipped says how many, and why the last one. secrets
// says whether secrets of HS256 are accepted.
func readSet(data []byte, secrets bool) (keys []*key, skipped int, why error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch err := json.Unmarshal(data, &set); {
	case err != nil:
		return nil, 0, nil, errors.New("is not a JSON Web Key Set")
	case set.Keys == nil:
		return nil, 0, nil, errors.New(`is not a JSON Web Key Set: it has no "keys"`)
	case len(set.Keys) > mostKeys:
		return nil, 0, nil, fmt.Errorf("has more than %d keys", mostKeys)
	}
	for _, raw := range set.Keys {
		k, err := readSetKey(raw, secrets)
		if err != nil {
			skipped, why = skipped+1, err
			continue
		}
		keys = append(keys, k)
	}
	return keys, skipped, why, nil
}

func readSetKey(raw []byte, secrets bool) (*key, error) {
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if j.Use != "" && j.Use != "sig" {
		return nil, errors.New("a key is not for signatures")
	}
	material := j.Key
	if private, ok := material.(interface{ Public() crypto.PublicKey }); ok {
		material = private.Public()
	}
	if _, secret := material.([]byte); secret && !secrets {
		return nil, errors.New("a secret was read from a URL, and is not used")
	}
	k, err := newKey(j.KeyID, material)
	if err == nil && j.Algorithm != "" && j.Algorithm != string(k.algorithm) {
		err = errors.New("a key is for an algorithm that is not used")
	}
	return k, err
}
