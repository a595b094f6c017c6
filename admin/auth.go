package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"riptide-proxy/config"
)

// Principal is who makes a request.
type Principal struct {
	Name   string
	Role   config.Role
	Tenant string // the only one that it sees; empty: all
}

// Signed tells what tokens are worth that are none of the configuration's. A jwt.Verifier does.
type Signed interface {
	// Operators tells whether such tokens may have a role at all.
	Operators() bool
	// Operator is who holds a token: a name for logs, a role, and the only tenant that it is for (empty: all).
	Operator(ctx context.Context, token string) (name string, role config.Role, tenant string, err error)
}

// longestToken bounds what is hashed for a stranger, in bytes.
const longestToken = 16 << 10

// tokens are those of one configuration.
type tokens struct {
	of   *config.Config
	list []token
}

type token struct {
	sum [sha256.Size]byte
	who Principal
}

// equal is replaced by tests that count.
var equal = subtle.ConstantTimeCompare

func newTokens(c *config.Config) *tokens {
	t := &tokens{of: c}
	for _, given := range c.Admin.Tokens {
		k := token{who: Principal{given.Name, given.Role, given.Tenant}}
		if n, err := hex.Decode(k.sum[:], []byte(given.SHA256)); err == nil && n == len(k.sum) {
			t.list = append(t.list, k)
		}
	}
	return t
}

// find compares with every token there is, in the same time whichever it is.
func (t *tokens) find(text string) (Principal, bool) {
	sum := sha256.Sum256([]byte(text))
	found := -1
	for i := range t.list {
		found = subtle.ConstantTimeSelect(equal(sum[:], t.list[i].sum[:]), i, found)
	}
	if found < 0 {
		return Principal{}, false
	}
	return t.list[found].who, true
}

// gate lets requests in.
type gate struct {
	current func() *config.Config
	signed  Signed // nil: there are no other tokens
	cached  atomic.Pointer[tokens]
	limits  *limits
}

func (g *gate) tokens() *tokens {
	c := g.current()
	t := g.cached.Load()
	if t == nil || t.of != c {
		t = newTokens(c)
		g.cached.Store(t)
	}
	return t
}

// admit finds out who makes a request, and whether it may make one now.
func (g *gate) admit(r *http.Request) (Principal, *Problem) {
	t := g.tokens()
	rate := t.of.Admin.RequestsPerSecond
	header := r.Header.Values("Authorization")
	text, bearer := "", false
	if len(header) == 1 {
		text, bearer = bearerOf(header[0])
	}
	if bearer && len(text) <= longestToken {
		if who, ok := t.find(text); ok {
			return who, g.limits.byName("token "+who.Name, rate)
		}
	}
	signed := g.signed != nil && g.signed.Operators()
	sum := sha256.Sum256([]byte(text))
	known := bearer && signed && g.limits.good.Contains(sum) // or who guesses would lock out those behind the same address
	if !known {
		if p := g.limits.byAddress(address(r.RemoteAddr), rate); p != nil {
			return Principal{}, p
		}
	}
	if len(header) == 0 && len(t.list) == 0 && !signed && onThisMachine(r) {
		return Principal{Name: "local", Role: config.Viewer}, nil
	}
	if bearer && signed && len(text) <= longestToken {
		if !known {
			if p := g.limits.tryKey(address(r.RemoteAddr)); p != nil {
				return Principal{}, p
			}
		}
		name, role, tenant, err := g.signed.Operator(r.Context(), text)
		if err == nil && role.Includes(config.Viewer) {
			g.limits.good.Add(sum, struct{}{})
			return Principal{name, role, tenant}, g.limits.byName("signed "+tenant+" "+name, rate)
		}
		g.limits.good.Remove(sum)
	}
	detail := "send it as Authorization: Bearer <token>"
	switch {
	case len(header) > 0:
		detail = "the one that was sent is not known"
	case len(t.list) == 0 && !signed:
		detail = "without admin.tokens only requests from the same machine are answered"
	}
	return Principal{}, problem("unauthorized", detail)
}

func bearerOf(header string) (string, bool) {
	scheme, text, _ := strings.Cut(header, " ")
	text = strings.TrimSpace(text)
	return text, strings.EqualFold(scheme, "Bearer") && text != ""
}

// address is where a request comes from, of its RemoteAddr.
func address(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// forwarded are headers by which a proxy says that it speaks for somebody else.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// onThisMachine tells whether the request was made on this machine, and not only passed on
// here: neither by a proxy nor by a browser that a web page's own name has led here.
func onThisMachine(r *http.Request) bool {
	if !address(r.RemoteAddr).IsLoopback() || r.Header.Get("Origin") != "" {
		return false
	}
	for _, name := range forwarded {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}
