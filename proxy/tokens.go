package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/jwt"
)

// tokenCache has tokens that a loop has believed lately, by their SHA-256, so that clients that connect
// often are let in without another check of the signature.
type tokenCache = simplelru.LRU[[sha256.Size]byte, *jwt.Token]

// maxTokens is how many those are.
const maxTokens = 4096

func newTokens() *tokenCache {
	l, err := simplelru.NewLRU[[sha256.Size]byte, *jwt.Token](maxTokens, nil)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	return l
}

// loadTokens reads what a configuration names for checking tokens. use puts it in force; until then, and
// after an error, all is as it was.
func (s *Server) loadTokens(cfg *config.Config) (use func(), err error) {
	issuers, err := s.tokens.Load(&cfg.JWT)
	if err != nil {
		return nil, err
	}
	return func() { s.tokens.Use(issuers) }, nil
}

// Tokens is what checks JSON Web Tokens, for other listeners of the process.
func (s *Server) Tokens() *jwt.Verifier { return s.tokens }

// TokenStats are what is counted of tokens.
type TokenStats struct {
	Issuers []jwt.Status
	Over    uint64 // sessions that were closed because their token was not valid any more
}

var errNoTokenKeys = errors.New("UNAVAILABLE the keys that tokens are checked with can not be had, try again")

// loginToken is login with a token in place of a secret. Checking it is no work for the loop, which
// only looks up whether it was done before. A user that is named beside must be the token's.
func (s *session) loginToken(user, token []byte, done func()) {
	w, sum := s.w, sha256.Sum256(token)
	if t, ok := w.tokens.Get(sum); ok {
		if t.Valid(time.Now()) {
			s.bear(user, t, done)
			return
		}
		w.tokens.Remove(sum)
	}
	user, text := bytes.Clone(user), string(token)
	s.async(func(ctx context.Context) func() {
		t, err := w.srv.tokens.Verify(ctx, text)
		return func() {
			if err != nil {
				s.refuseToken(nil, err)
				return
			}
			w.tokens.Add(sum, t)
			s.bear(user, t, done)
		}
	})
}

// bear makes the session whom a token that is believed speaks of.
func (s *session) bear(user []byte, t *jwt.Token, done func()) {
	dir := s.w.conf.directory
	who := dir.Member(t.Tenant, t.User)
	switch {
	case who == nil:
		s.refuseToken(nil, errors.New("there is no user whom the token is for"))
		return
	case user != nil && string(user) != "default" && dir.Named(user) != who:
		s.refuseToken(who, errors.New("the token is for somebody else than the user that was named"))
		return
	}
	if err := dir.Admits(who, s.source()); err != nil {
		s.elsewhere(err)
		s.refuseToken(who, err)
		return
	}
	s.loggedIn(who, credential{token: t}, done, s.answerError)
}

// refuseToken answers as for a wrong secret, whatever is wrong: whoever tries tokens shall
// not learn from it. who is whom the token is for, if it is right and there is such a user.
func (s *session) refuseToken(who *namespace.Identity, reason error) {
	slog.Debug("login refused", "client", s.peer(), "error", reason)
	told := namespace.ErrWrongPass
	switch {
	case errors.Is(reason, namespace.ErrSuspended), reason == namespace.ErrElsewhere: // the client is told nothing of the latter
		told = reason
	case errors.Is(reason, jwt.ErrNoKeys):
		told = errNoTokenKeys
	}
	s.w.audit.login(s, who, told)
	s.answerError(told.Error())
}

var errTokenOver = errors.New("the token that the client has logged in with is not valid any more")

// checkToken closes a session whose token is not valid any more.
func (s *session) checkToken(now time.Time) {
	if s.token == nil || s.token.Valid(now) || s.conn.IsClosed() {
		return
	}
	slog.Debug("client closed: its token is not valid any more", "client", s.peer(), "tenant", s.tenantID(), "user", s.who.User)
	s.w.srv.tokensOver.Add(1)
	s.w.audit.revoked(s)
	s.conn.Close(errTokenOver)
}
