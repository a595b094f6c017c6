package script

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Users are the upstream users that scripts run as. Their passwords follow from the fleet's secret, so that they are
// stored nowhere and every proxy knows them.
type Users struct {
	secret []byte
}

// NewUsers derives the users from the fleet's secret.
func NewUsers(secret []byte) *Users { return &Users{append([]byte(nil), secret...)} }

// Login is the name and the password of an upstream user.
type Login struct {
	Name     string
	Password string
}

// restingName can not be a tenant's: those have a hyphen where it has a colon.
const restingName = "riptide:rest"

// Resting is the user of a connection between two scripts. It may run nothing but ECHO.
func (u *Users) Resting() Login { return Login{restingName, u.password("rest", "")} }

// Tenant is the user that runs the scripts of an isolated tenant.
func (u *Users) Tenant(id string) Login { return Login{"riptide-" + id, u.password("tenant", id)} }

// Full is the user that runs them while the tenant is over its quota of memory. Its login is
// as long as the other, so that one can stand in the place of the other.
func (u *Users) Full(id string) Login { return Login{"riptide+" + id, u.password("full", id)} }

func (u *Users) password(what, id string) string {
	mac := hmac.New(sha256.New, u.secret)
	mac.Write([]byte("riptide upstream user\x00" + what + "\x00" + id))
	return hex.EncodeToString(mac.Sum(nil))
}

// hash is how ACL SETUSER takes a password without being told it.
func (l Login) hash() string {
	sum := sha256.Sum256([]byte(l.Password))
	return "#" + hex.EncodeToString(sum[:])
}
