package config

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/argon2"
)

// A hash is written in the PHC form, $argon2id$v=19$m=19456,t=2,p=1$salt$hash,
// with m in KiB and salt and hash in base64 without padding. Whoever logs in
// makes the proxy spend what it asks for, so the parameters are bounded: at most
// 128MiB and a good part of a second.
const (
	maxArgonMemory  = 128 * 1024 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
)

// What HashArgon2id uses: the parameters OWASP recommends where many log in.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonHash    = 32 // bytes
)

type argonHashed struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

var (
	argonForm = regexp.MustCompile(`^\$argon2id\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,9})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)

	errNotArgon2id = errors.New("is not an argon2id hash of the form $argon2id$v=19$m=..,t=..,p=..$salt$hash (riptide-proxy hash --argon2id makes one)")
	errArgonCost   = fmt.Errorf("asks for too much or too little (m is 8*p to %d, t 1 to %d, p 1 to %d)",
		maxArgonMemory, maxArgonTime, maxArgonThreads)
)

// parseArgon2id reads a hash. Its errors do not show it.
func parseArgon2id(phc string) (*argonHashed, error) {
	m := argonForm.FindStringSubmatch(phc)
	if m == nil {
		return nil, errNotArgon2id
	}
	memory, _ := strconv.Atoi(m[1])
	time, _ := strconv.Atoi(m[2])
	threads, _ := strconv.Atoi(m[3])
	salt, errSalt := base64.RawStdEncoding.Strict().DecodeString(m[4])
	hash, errHash := base64.RawStdEncoding.Strict().DecodeString(m[5])
	if errSalt != nil || errHash != nil {
		return nil, errNotArgon2id
	}
	if time < 1 || time > maxArgonTime || threads < 1 || threads > maxArgonThreads ||
		memory < 8*threads || memory > maxArgonMemory {
		return nil, errArgonCost
	}
	return &argonHashed{uint32(memory), uint32(time), uint8(threads), salt, hash}, nil
}

// VerifyArgon2id tells whether phc is a hash of secret. It takes tens of
// milliseconds and as much memory as phc says, at most 128MiB: callers keep it
// out of event loops and bound how many run at once. A malformed phc verifies
// nothing.
func VerifyArgon2id(phc, secret string) bool {
	a, err := parseArgon2id(phc)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(secret), a.salt, a.time, a.memory, a.threads, uint32(len(a.hash)))
	return subtle.ConstantTimeCompare(got, a.hash) == 1
}

// HashArgon2id hashes a secret with a new random salt.
func HashArgon2id(secret string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails
	hash := argon2.IDKey([]byte(secret), salt, argonTime, argonMemory, argonThreads, argonHash)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, encode(salt), encode(hash))
}
