package jwt

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
)

// Token is what a token that is believed says.
type Token struct {
	Issuer  string      // its name in the configuration
	Subject string      // whom the issuer speaks of; may be empty
	Tenant  string      // empty for operators that are nobody's
	User    string      // of the tenant
	Role    config.Role // at the admin listener; empty: none

	from, until time.Time // the leeway included
	key         *key
	of          *issuer
	id, subject string // as revocations name them
}

// Valid reports whether the token is still, or again, to be believed: its time has come and is not
// over, its issuer still has the key that it was signed with, and it is not revoked.
func (t *Token) Valid(now time.Time) bool {
	return !t.key.retired.Load() && now.Before(t.until) && !now.Before(t.from) && !t.revoked()
}

func (t *Token) revoked() bool { return t.of.revoked.Load().has(t) }

// Expires is from when on the token is not valid any more.
func (t *Token) Expires() time.Time { return t.until }

// Name is whom the token is for, for logs: the subject at the issuer.
func (t *Token) Name() string {
	if t.Subject == "" {
		return t.Issuer
	}
	return t.Subject + "@" + t.Issuer
}

// read takes from claims that were checked what they are worth here.
func (i *issuer) read(claims jwt.MapClaims, k *key) (*Token, error) {
	t := &Token{Issuer: i.name, Tenant: i.cfg.Tenant, User: "default", key: k, of: i}
	leeway := time.Duration(i.cfg.Leeway)
	until, err := date(claims, "exp")
	if err != nil {
		return nil, err
	}
	t.until = until.Add(leeway)
	if _, has := claims["nbf"]; has {
		from, err := date(claims, "nbf")
		if err != nil {
			return nil, err
		}
		t.from = from.Add(-leeway)
	}
	if t.Subject, err = claims.GetSubject(); err != nil {
		return nil, err
	}
	id, err := text(claims, "jti")
	if err != nil {
		return nil, err
	}
	t.id, t.subject = nameable(id), nameable(t.Subject)
	t.Subject = printable(t.Subject)
	if t.Tenant == "" {
		if t.Tenant, err = text(claims, i.cfg.TenantClaim); err != nil {
			return nil, err
		}
		if len(i.tenants) > 0 && !i.tenants[t.Tenant] {
			return nil, errors.New("the token is for a tenant that its issuer has nothing to do with")
		}
	}
	if i.cfg.UserClaim != "" {
		if t.User, err = text(claims, i.cfg.UserClaim); err != nil {
			return nil, err
		}
	}
	if i.cfg.RoleClaim != "" && (t.Tenant != "" || i.cfg.Operators) {
		t.Role = i.role(find(claims, i.cfg.RoleClaim))
	}
	return t, nil
}

// latest is the end of the year 9999 in Unix time. A number beyond is no date.
const latest = 253402300799

// date is a claim that must be one. The library has compared it with the clock already, but
// turns what is too large for a date into another.
func date(claims jwt.MapClaims, name string) (time.Time, error) {
	seconds, ok := claims[name].(float64)
	if !ok || seconds < 0 || seconds > latest {
		return time.Time{}, fmt.Errorf("the claim %s is not a date", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// text is a claim that is a text, or empty if it is not there.
func text(claims jwt.MapClaims, name string) (string, error) {
	value := find(claims, name)
	if value == nil {
		return "", nil
	}
	s, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("the claim %s is not a text", name)
	}
	return s, nil
}

// find looks up a claim by its name, or by a path of names: /realm/tenant.
func find(claims map[string]any, name string) any {
	if !strings.HasPrefix(name, "/") {
		return claims[name]
	}
	var value any = claims
	for part := range strings.SplitSeq(name[1:], "/") {
		within, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = within[unescape.Replace(part)]
	}
	return value
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// role is the highest of the roles that a claim names.
func (i *issuer) role(value any) (highest config.Role) {
	names, isList := value.([]any)
	if !isList {
		names = []any{value}
	}
	for _, n := range names {
		name, _ := n.(string)
		if r, ok := i.roles[name]; ok && rank[r] > rank[highest] {
			highest = r
		}
	}
	return highest
}

var rank = map[config.Role]int{config.Viewer: 1, config.Operator: 2, config.Administrator: 3}

// ownNames are the roles where a configuration does not translate them.
var ownNames = map[string]config.Role{
	string(config.Viewer): config.Viewer, string(config.Operator): config.Operator, string(config.Administrator): config.Administrator,
}

// printable makes of somebody's name what fits a line of a log.
func printable(s string) string {
	const most = 128
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), most)]
}
