package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
)

// Errors of Verify that a caller may tell apart.
var (
	// ErrNoKeys tells that the issuer's keys have not been had yet, or not for
	// too long.
	ErrNoKeys = errors.New("the keys of the token's issuer can not be had")

	errExpired = errors.New("the token has expired, or is not valid yet")
	errRevoked = errors.New("the token is revoked")
)

// reader takes tokens apart. What it returns is not to be believed yet.
var reader = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

// Verify finds out what a token is worth. It takes 50 to 200 µs, and if its key is not
// known some seconds at most, until the keys have been read anew. The error is ErrNoKeys, that of ctx, or
// the reason for which the token is not believed: for logs, and not for whoever has sent it.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	if len(token) > longestToken {
		return nil, errors.New("the token is too long")
	}
	if !shaped(token) { // the library passes over lines' ends
		return nil, errors.New("that is not a token")
	}
	claims := jwt.MapClaims{}
	t, _, err := reader.ParseUnverified(token, claims)
	if err != nil {
		return nil, err
	}
	iss, err := claims.GetIssuer()
	if err != nil {
		return nil, err
	}
	i := v.issuers.Load().byClaim[iss]
	if i == nil {
		return nil, errors.New("nobody of that name is an issuer")
	}
	algorithm := config.JWTAlgorithm(t.Method.Alg())
	if !slices.Contains(i.cfg.Algorithms, algorithm) {
		return nil, fmt.Errorf("issuer %s: the algorithm of the token is not allowed", i.name)
	}
	id, err := readHeader(t.Header)
	if err != nil {
		return nil, fmt.Errorf("issuer %s: %w", i.name, err)
	}
	keys := i.fitting(algorithm, id)
	if len(keys) == 0 && i.again(ctx) {
		keys = i.fitting(algorithm, id)
	}
	switch {
	case len(keys) == 0 && i.keyless():
		return nil, ErrNoKeys
	case len(keys) == 0:
		return nil, fmt.Errorf("issuer %s: no key fits the token", i.name)
	case len(keys) > mostTried:
		return nil, fmt.Errorf("issuer %s: the token does not say which of its keys it is signed with", i.name)
	}
	done, err := v.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, k := range keys {
		var believed *Token
		if believed, err = i.check(token, k); !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			if err == nil && !believed.Valid(v.now()) {
				if err = errExpired; believed.revoked() {
					err = errRevoked
				}
			}
			if err != nil {
				return nil, fmt.Errorf("issuer %s: %w", i.name, err)
			}
			return believed, nil
		}
	}
	return nil, fmt.Errorf("issuer %s: %w", i.name, err)
}

// mostTried is how many keys are tried on one token. Issuers name the key in the header, or have one
// or, while they change it, two.
const mostTried = 4

// readHeader refuses headers that ask for what is not done here, and returns the id of the key.
func readHeader(header map[string]any) (keyID string, err error) {
	for name, value := range header {
		text, isText := value.(string)
		switch name {
		case "kid":
			if !isText {
				return "", errors.New("the id of the token's key is not a text")
			}
			keyID = text
		case "typ":
			// Issuers sign other things too, which are not for logging in.
			kind := strings.TrimPrefix(strings.ToLower(text), "application/")
			if kind != "jwt" && kind != "at+jwt" {
				return "", errors.New("the token is of another type than JWT")
			}
		case "crit", "b64":
			return "", errors.New("the token's header has extensions that are not understood")
		}
	}
	return keyID, nil
}

// check checks a token with a key, and what it says of itself.
func (i *issuer) check(token string, k *key) (*Token, error) {
	claims := jwt.MapClaims{}
	if _, err := i.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() != string(k.algorithm) {
			return nil, errors.New("the key is for another algorithm")
		}
		return k.material, nil
	}); err != nil {
		return nil, err
	}
	return i.read(claims, k)
}
