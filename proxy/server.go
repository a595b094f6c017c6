package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/audit"
	"riptide-proxy/config"
	"riptide-proxy/namespace/jwt"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
	"riptide-proxy/tracing"
	"riptide-proxy/upstream"
)

// Server is a running proxy.
type Server struct {
	id       string // tells this process from the other proxies of the upstream
	now      atomic.Pointer[running]
	tokens   *jwt.Verifier
	applying sync.Mutex // held while that changes
	loops    int
	target   *upstream.Target
	client   *redis.Client // for slow operations
	health   *redis.Client
	scripts  *scripts
	plans    [2]*redis.Client // for plans, in RESP2 and RESP3
	codecs   *codecs
	usage    *usageLedger // nil: none is kept
	counts   *quota.CountManager
	counting *redis.Client // its own
	marks    *marks
	lending  *lending
	loading  atomic.Bool // the scripts that try commands
	keeper   *spaceKeeper
	hotPast  hotPast
	internal resp.Limits // for what the proxy itself has written

	audience audience // of hubs

	descriptors int          // that the process may have
	pinned      atomic.Int64 // connections of clients' own, over all loops

	doors   doors
	workers []*worker
	running sync.WaitGroup // loops
	failed  chan error     // a loop's end that nobody asked for
	suspect chan struct{}  // has the upstream looked at anew

	clients  atomic.Int64 // open client connections
	rejected atomic.Uint64
	accepted atomic.Uint64
	dealt    atomic.Uint64
	sessions atomic.Uint64 // ids given out
	facts    atomic.Pointer[upstream.Facts]
	tracing  atomic.Pointer[tracing.Recorder]
	ready    atomic.Bool // the upstream passed its last health check
	stopping atomic.Bool // nobody new is served
	ending   atomic.Bool // and soon nobody at all
	// tokensOver counts sessions that were closed when their token was over.
	tokensOver atomic.Uint64

	ctx    context.Context // ends slow operations and the health check
	cancel context.CancelFunc
	slow   sync.WaitGroup
	born   time.Time
	// background are goroutines that run as long as the server does.
	background sync.WaitGroup
	logins     chan struct{} // bounds logins whose check takes long
	queue      atomic.Int64  // such logins, waiting or running

	audit       *audit.Log // nil: none is kept
	auditSecret []byte     // that it was opened with
}

// slowPerTenant is how many slow operations a tenant may have running at once;
// further ones wait. It is below what the pool of connections can carry, so
// that one tenant can not keep the others' waiting.
const (
	slowPerTenant = 2
	slowConns     = 16
	planConns     = 32
)

// slowLogins is how many argon2id hashes may be computed at once. One takes up
// to 128 MiB and a core, and anybody who can connect can ask for it.
const slowLogins = 2

// maxLogins is how many of them may be running or waiting for their turn.
const maxLogins = 64

// maxReply is the longest reply that is held in memory: room for the longest
// value there can be.
const maxReply = 512<<20 + 64<<10

// Options are what a server can do without.
type Options struct {
	// Listen makes the listeners, by create unless there is one already. Nil: create does.
	Listen func(network, address string, create func() (net.Listener, error)) (net.Listener, error)
	// State is that of an earlier process. Nil: none is known.
	State *State
}

// Start listens and serves. The upstream need not be there yet.
func Start(cfg *config.Config, target *upstream.Target) (*Server, error) {
	return StartWith(cfg, target, Options{})
}

// StartWith is Start with options.
func StartWith(cfg *config.Config, target *upstream.Target, o Options) (*Server, error) {
	if err := checkSpool(cfg.Usage.Spool); err != nil {
		return nil, err
	}
	log, err := openAudit(&cfg.Audit)
	if err != nil {
		return nil, err
	}
	started := false
	defer func() {
		if !started {
			log.Close()
		}
	}()
	target.MaxReply = maxReply
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		ctx:     ctx,
		cancel:  cancel,
		id:      newID()[:16],
		loops:   loops(cfg.Loops),
		tokens:  jwt.New(),
		target:  target,
		client:  target.ClientUntil(ctx, slowConns),
		health:  target.Client(1),
		plans:   [2]*redis.Client{target.ClientOf(planConns, 2), target.ClientOf(planConns, 3)},
		marks:   newMarks(),
		failed:  make(chan error, 1),
		suspect: make(chan struct{}, 1),
		born:    time.Now(),
		logins:  make(chan struct{}, slowLogins),

		audit: log, auditSecret: []byte(cfg.Audit.Secret.Reveal()),
	}
	first, err := s.newRunning(cfg, nil)
	if err != nil {
		return nil, err
	}
	s.now.Store(first)
	s.descriptors = descriptors(cfg.Limits.Clients, perClient(cfg))
	s.counts = s.countManager()
	if err := s.makeValues(s.ctx); err != nil {
		return nil, err
	}
	useTokens, err := s.loadTokens(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.openDoors(cfg, o); err != nil {
		return nil, err
	}
	s.internal = resp.Limits{Bulk: maxReply, Request: 2 * maxReply, Args: 1 << 30}
	s.scripts = newScripts(s)
	s.lending = newLending(s, cfg, target)
	s.keeper = newSpaceKeeper(s)
	for range s.loops {
		w, err := newWorker(s)
		if err != nil {
			s.doors.close()
			return nil, err
		}
		w.index = len(s.workers)
		s.workers = append(s.workers, w)
	}
	for i, w := range s.workers {
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			if err := w.run(); err != nil {
				select {
				case s.failed <- fmt.Errorf("loop %d: %w", i, err):
				default:
				}
			}
		}()
	}
	useTokens()
	s.meet()
	s.startUsage()
	if o.State != nil {
		if err := s.Restore(o.State); err != nil {
			slog.Warn("what an earlier process has left could not all be used", "error", err)
		}
	}
	s.codecs.start()
	s.background.Add(3)
	go s.codecs.run()
	go func() {
		defer s.background.Done()
		defer s.counting.Close()
		s.counts.Run(s.ctx)
	}()
	s.background.Go(func() { s.lending.lender.Run(s.ctx) })
	go s.keeper.run()
	s.background.Go(func() { s.target.Run(s.ctx) })
	s.background.Go(func() { s.doors.run(s.ctx) })
	served := make(chan error, 1)
	s.workers[0].loop.Post(func() { served <- s.serveDoors() })
	select {
	case err = <-served:
	case err = <-s.failed:
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), s.Shutdown(s.ctx))
	}
	started = true
	return s, nil
}

// meet waits a moment for the upstream's facts, so that the first clients meet
// a proxy that knows them. An upstream that is not there is not waited for.
func (s *Server) meet() {
	met := make(chan struct{})
	var once sync.Once
	go upstream.Watch(s.ctx, s.health, s.suspect, func(f *upstream.Facts) {
		s.learn(f)
		once.Do(func() { close(met) })
	}, func() { s.scripts.end(s.ctx) })
	select {
	case <-met:
	case <-time.After(meetTime):
	}
}

const meetTime = 500 * time.Millisecond

// loops chooses the number of loops. One loop does the work of several cores
// of a server that is written in C, and the more commands a loop handles in a
// turn the cheaper each gets; half the cores are left to the kernel's share of
// the work, the collector and slow operations.
func loops(configured int) int {
	if configured > 0 {
		return configured
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// Ready reports whether clients are welcome: the upstream answered when it was
// asked last, and the proxy is not shutting down.
func (s *Server) Ready() bool { return s.ready.Load() && !s.stopping.Load() }

// Failed delivers the error of a loop that ended by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// learn takes what the health check found out.
func (s *Server) learn(f *upstream.Facts) {
	s.ready.Store(f != nil)
	if f == nil {
		return
	}
	s.facts.Store(f)
	for _, risk := range f.Risks {
		slog.Warn("the upstream is not set up for tenants", "risk", risk)
	}
	for _, w := range s.workers {
		w.loop.Post(func() {
			w.known, w.maxBulk, w.sanitizes = f.Known, f.MaxBulk, f.Sanitizes
			w.pins.Limit = s.pinLimit(f.MaxClients)
		})
	}
}

// pinLimit is how many connections a loop may have that belong to one session
// each: no more than there may be clients, and its share of what the upstream
// takes. Clients are dealt out evenly, but those that need one may not be.
func (s *Server) pinLimit(maxClients int) int {
	return max(1, min(s.conf().cfg.Limits.Clients, (maxClients-reservedClients)/s.loops))
}

// reservedClients is how many of the connections that the upstream takes are
// left to everything else: shared links, slow operations, other clients.
const reservedClients = 100

// self is what the upstream calls itself in HELLO, and its version.
func (s *Server) self() (name, version string) {
	if f := s.facts.Load(); f != nil && f.Version != "" {
		return f.Server, f.Version
	}
	return "redis", "7.0.0"
}

// ErrTimeout tells that Shutdown gave up on clients.
var ErrTimeout = errors.New("shutdown timeout: some commands were not answered")

// Shutdown stops accepting, answers what is in flight and closes. When ctx ends
// first it closes what is left and returns ErrTimeout.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.ending.Store(true)
	s.workers[0].loop.Post(s.doors.close)
	for _, w := range s.workers {
		w.loop.Post(w.drain)
	}
	draining, cancel := s.timeToDrain(ctx)
	defer cancel()
	err := s.drained(draining)
	if err != nil {
		slog.Warn("shutdown timeout", "connections", s.clients.Load())
	}
	s.cancel()
	s.stopUsage(ctx)
	s.tokens.Close()
	for _, c := range s.plans {
		c.Close()
	}
	s.client.Close() // breaks off what waits for the upstream
	s.health.Close()
	s.lending.close()
	s.keeper.close()
	s.slow.Wait()
	s.background.Wait()
	for _, w := range s.workers {
		w.loop.Post(func() {
			w.close()
			w.loop.StopRun()
		})
	}
	s.running.Wait()
	s.doors.end(ctx)
	s.target.Close(ctx)
	return err
}

func (s *Server) drained(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.clients.Load() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ErrTimeout
		case <-tick.C:
		}
	}
}
