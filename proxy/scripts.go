package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
	"riptide-proxy/upstream"
)

// scripts is what the whole process knows about tenants' scripts. It may be
// used by several goroutines.
type scripts struct {
	srv   *Server
	store *script.Store
	users *script.Users
	rest  script.Login
	saves chan save

	mu     sync.Mutex // one provisioning at a time
	probed *upstream.Facts
	allow  []string
}

// save is a script to be kept in the upstream, so that other proxies, and this
// one after a restart, know it.
type save struct {
	tenant *namespace.Tenant
	script *script.Script
}

func newScripts(srv *Server) *scripts {
	users := script.NewUsers(fleetSecret(srv.conf().cfg))
	sc := &scripts{srv: srv, store: script.NewStore(script.DefaultLimits), users: users, rest: users.Resting(), saves: make(chan save, 256)}
	srv.background.Add(1)
	go sc.keep()
	return sc
}

// fleetSecret is what the passwords of the upstream's users for tenants follow
// from. All proxies of an upstream must agree on it; without one in the configuration they do if
// they log in to the upstream in the same way.
func fleetSecret(cfg *config.Config) []byte {
	if cfg.FleetSecret != "" {
		return []byte(cfg.FleetSecret)
	}
	sum := sha256.Sum256([]byte("riptide fleet\x00" + cfg.Upstream.Username + "\x00" + string(cfg.Upstream.Password)))
	return sum[:]
}

// Errors for a script that can not be run.
var (
	errNoScripts    = errors.New("NOPERM scripts are switched off for this tenant")
	errNoWall       = errors.New("NOPERM scripts are not available: the upstream does not let the proxy make users that confine them")
	errLeakyLua     = errors.New("NOPERM scripts are not available: the upstream's Lua can not keep tenants apart")
	errScriptsStall = errors.New("UNAVAILABLE the upstream does not take the user for this tenant's scripts, try again")
)

// provision makes the upstream's users for scripts: that of the resting
// connection, and the tenant's.
func (sc *scripts) provision(ctx context.Context, t *namespace.Tenant) error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	client := sc.srv.client
	if facts := sc.srv.facts.Load(); sc.probed == nil || sc.probed != facts {
		known, err := script.Known(ctx, client)
		if err != nil {
			return sc.failed(err)
		}
		risks, err := script.Probe(ctx, client)
		switch {
		case err != nil:
			return sc.failed(err)
		case len(risks) > 0:
			slog.Error("scripts are refused: the upstream's Lua can not keep tenants apart", "risks", strings.Join(risks, "; "))
			return errLeakyLua
		}
		sc.allow, sc.probed = script.AllowList(known), facts
	}
	var accounts []script.Account
	if t != nil {
		accounts = append(accounts, script.Account{Tenant: t.ID, Root: string(t.Root()), Limits: sc.srv.keeper.limited(t.ID)})
	}
	return sc.failed(script.Provision(ctx, client, sc.users, sc.allow, accounts...))
}

const provisionTime = 5 * time.Second

func (sc *scripts) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, script.ErrForbidden), errors.Is(err, script.ErrRules):
		slog.Error("scripts are refused", "error", err)
		return errNoWall
	}
	var said redis.Error
	if errors.As(err, &said) && strings.HasPrefix(said.Error(), "ERR ") {
		slog.Error("scripts are refused: the upstream lacks what it takes to confine them", "error", err)
		return errNoWall
	}
	slog.Warn("the users for scripts could not be made", "error", err)
	return upstream.ErrUnavailable
}

// remember has a script kept in the upstream, soon; not at any price.
func (sc *scripts) remember(tenant *namespace.Tenant, s *script.Script) {
	select {
	case sc.saves <- save{tenant, s}:
	default:
	}
}

func (sc *scripts) keep() {
	defer sc.srv.background.Done()
	for {
		select {
		case <-sc.srv.ctx.Done():
			return
		case s := <-sc.saves:
			if !sc.knows(s) {
				continue // it was flushed meanwhile
			}
			sc.save(sc.srv.ctx, s.tenant, s.script)
			if !sc.knows(s) {
				script.DeleteOne(sc.srv.ctx, sc.srv.client, string(s.tenant.Root()), s.script.SHA)
			}
		}
	}
}

func (sc *scripts) knows(s save) bool {
	return sc.store.Get(s.tenant.ID, s.script.Mode, []byte(s.script.SHA)) != nil
}

func (sc *scripts) save(ctx context.Context, tenant *namespace.Tenant, s *script.Script) {
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	if err := script.Save(ctx, sc.srv.client, string(tenant.Root()), s, script.DefaultLimits); err != nil && !errors.Is(err, script.ErrTooLong) && ctx.Err() == nil {
		slog.Warn("a script could not be kept", "tenant", tenant.ID, "error", err)
	}
}

// find returns the tenant's script with that hash, from the upstream if this
// process does not know it; nil if there is none.
func (sc *scripts) find(ctx context.Context, t *namespace.Tenant, sha []byte) (*script.Script, error) {
	mode := sc.srv.scriptMode(t)
	if s := sc.store.Get(t.ID, mode, sha); s != nil && s.Taken() {
		return s, nil
	}
	if len(sha) != 40 {
		return nil, nil
	}
	name := strings.ToLower(string(sha))
	found, err := script.Load(ctx, sc.srv.client, string(t.Root()), name)
	if err != nil {
		return nil, err
	}
	if source, ok := found[name]; ok {
		s := sc.store.Add(t.ID, mode, source)
		s.Take()
		return s, nil
	}
	return nil, nil
}

// scriptUser is what a loop knows of the upstream user for a tenant's scripts.
type scriptUser struct {
	auth    []byte // AUTH as the tenant's user
	full    []byte // likewise, as the one that can not make keys take more; as long
	ready   bool
	asked   bool  // being made
	err     error // why it could not be, for a transaction that waited for it
	failed  []*scriptCall
	waiting []*scriptCall // behind them
	bytes   int           // of those
}

// refusal says why a script can not run on the session's own connection. The
// next one asks again.
func (u *scriptUser) refusal() string {
	err := u.err
	u.err = nil
	if err == nil { // it was ready, and the upstream was lost since
		return errUnavailable
	}
	return err.Error()
}

func (w *worker) scriptUser(t *namespace.Tenant) *scriptUser {
	u := w.scriptUsers[t]
	if u == nil {
		login := w.srv.scripts.users.Tenant(t.ID)
		full := w.srv.scripts.users.Full(t.ID)
		u = &scriptUser{auth: resp.AppendRequest(nil, "AUTH", login.Name, login.Password), full: resp.AppendRequest(nil, "AUTH", full.Name, full.Password)}
		w.scriptUsers[t] = u
	}
	return u
}

// login is what a script's group begins with. full tells that it is as the user that writes
// nothing.
func (u *scriptUser) login(s *session) (auth []byte, full bool) {
	if m := s.stats.space; m != nil && m.over() {
		return u.full, true
	}
	return u.auth, false
}

// provision has the upstream's user made and then what waits for it run.
func (w *worker) provision(t *namespace.Tenant, u *scriptUser) {
	if u.asked {
		return
	}
	u.asked = true
	u.ready = false
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		err := w.srv.scripts.provision(w.srv.ctx, t)
		w.loop.Post(func() {
			u.asked = false
			u.ready = err == nil
			for _, c := range u.waiting {
				c.s.parkedBytes -= len(c.req)
			}
			calls := append(u.failed, u.waiting...)
			u.failed, u.waiting, u.bytes = nil, nil, 0
			for _, c := range calls {
				switch {
				case c.s.gone:
				case err != nil:
					c.s.completeError(c.seq, err.Error())
				default:
					w.sendScript(c)
				}
			}
			w.Relieved()
		})
	}()
}

var errScriptProtocol = errors.New("the upstream's replies around a script are not what they must be")

// oldest returns whose script has been on its way for the longest time, of this
// proxy's. When the upstream says that a script holds it, it is that one: which it
// is it does not say itself.
func (sc *scripts) oldest(ctx context.Context) (owner *namespace.Tenant, age time.Duration, err error) {
	err = sc.srv.each(ctx, func(w *worker) {
		take := func(t *namespace.Tenant, at int64) {
			if a := time.Duration(w.loop.Now() - at); owner == nil || a > age {
				owner, age = t, a
			}
		}
		for _, k := range w.scriptLinks {
			if k == nil {
				continue
			}
			if c := k.Oldest(); c != nil && c.phase <= phaseScript {
				take(c.tenant, c.at)
			}
		}
		for _, s := range w.sessions {
			if s.pin == nil || s.who == nil || len(s.called) == 0 && (len(s.sent) == 0 || len(s.sent[0].scripts) == 0) {
				continue
			}
			if t := s.pin.Oldest(); t != nil {
				take(s.who.Tenant, t.at)
			}
		}
	})
	return owner, age, err
}

// scriptTime is how long a script may hold the upstream. It speaks up after its
// busy-reply-threshold, 5 s by default.
const scriptTime = 4 * time.Second

// end kills the script that holds the upstream, if it is a tenant's: everybody
// waits for it. One that has written nobody can end.
func (sc *scripts) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	owner, age, err := sc.oldest(ctx)
	if err != nil || owner == nil || age < scriptTime {
		return
	}
	if err := sc.srv.client.ScriptKill(ctx).Err(); err != nil {
		slog.Error("a script holds the upstream and can not be ended", "tenant", owner.ID, "error", err)
		return
	}
	slog.Warn("a script was ended: it held the upstream for too long", "tenant", owner.ID, "after", age)
}
