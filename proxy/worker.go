package proxy

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/resp"
	"riptide-proxy/tracing"
	"riptide-proxy/upstream"
)

// worker is one event loop with what it owns: its sessions, its links to the
// upstream and its counters. All of it belongs to the loop's goroutine.
type worker struct {
	srv   *Server
	conf  *running // as the loop goes by it
	index int      // in srv.workers
	loop  *netloop.Loop
	ended chan struct{} // is closed when the loop's goroutine is done with all this

	links [2]*upstream.Link[slot] // RESP2 and RESP3; the latter once needed
	pins  *upstream.Pins[slot]
	hub   *hub

	listeners int // sessions whose subscriptions are on pins

	scriptLinks [4]*upstream.Link[scriptCall] // isolated RESP2 and RESP3, then trusted
	scriptUsers map[*namespace.Tenant]walls
	loaded      map[loadedScript]struct{} // that the upstream knows
	restGroup   []byte                    // what follows a script
	mark        []byte                    // and its last reply
	resting     bool                      // the resting user is being made

	limits    resp.Limits // of clients that have logged in
	strangers resp.Limits // and of others
	output    int         // bytes a client may leave unread

	sessions map[uint64]*session
	headers  map[*heading]struct{}     // that have not arrived
	patterns map[string]map[string]int // that clients have subscribed to, by tenant
	stalled  []*session                // wait for a full link
	turns    turns
	draining bool
	leavers  int    // how many idle sessions may be closed in a second, while there is another process; 0: there is none
	known    []bool // commands the upstream has; nil: any
	maxBulk  int    // the longest argument the upstream takes
	// sanitizes: the upstream checks what it is to restore
	sanitizes bool

	tokens *tokenCache

	stats   map[string]*tenantStats
	nobody  *tenantStats     // for connections that have not logged in
	fed     []*tenantStats   // have lines for their monitors
	meters  []*meter         // that are awake
	looking bool             // at them
	spaces  []*spaceMeter    // of tenants whose keys may not take what they want
	ticking bool             // they are looked at
	traces  *tracing.Sampler // nil: nothing is traced
	audit   *auditor         // nil: there is no audit log
	hot     hotSampler

	// For use within one command.
	request  resp.Request
	scanning bool // request is in use
	spare    []*resp.Request
	view     namespace.Request
	direct   bool // view lies in the loop's input, and not in a copy
	indexes  []int32
	parts    [][]byte
	scratch  []byte
	reply    []byte
	message  []byte
	fields   [][]byte
	script   []byte
	valued   map[string]*tenantValues // by tenant
	values   []int32
	sealing  sealing
	seal     func(dst []byte, i int32) ([]byte, bool) // of sealing
	opening  opening
	open     func(dst, stored []byte, at namespace.ValueAt) ([]byte, error) // of opening
	opened   []byte
	toll     toll
	refusing bool // what is answered is that a rate is exceeded
	unpaid   int  // bytes of refused commands in what was received
}

// slot is what is remembered of a command until its reply comes.
type slot struct {
	s       *session
	cmd     *command.Command
	at      int64  // loop's clock when it was sent
	seq     uint32 // its place in the session
	retried bool
	note    uint8      // what the reply is besides
	vals    *valueNote // what to open the values in the reply takes
}

func newWorker(s *Server) (*worker, error) {
	loop, err := netloop.New()
	if err != nil {
		return nil, err
	}
	w := &worker{srv: s, loop: loop, ended: make(chan struct{}), sessions: make(map[uint64]*session), headers: make(map[*heading]struct{}), patterns: make(map[string]map[string]int), scriptUsers: make(map[*namespace.Tenant]walls), loaded: make(map[loadedScript]struct{}), stats: make(map[string]*tenantStats), maxBulk: upstream.DefaultMaxBulk, tokens: newTokens()}
	w.strangers = resp.UnauthenticatedLimits()
	w.turns.w, w.turns.window = w, minTurnWindow
	w.take(s.conf())
	w.seal, w.open, w.valued = w.sealing.seal, w.opening.open, s.codecs.all()
	w.nobody = w.tenantStats("")
	w.restGroup, w.mark = restGroup(s.scripts.rest)
	w.pins = upstream.NewPins[slot](loop, s.target, s.pinLimit(upstream.DefaultMaxClients))
	w.pins.Longest = longestReply
	w.pins.Total, w.pins.Room = &s.pinned, s.room
	w.hub = newHub(w)
	w.audit = newAuditor(w)
	loop.BeforeWrite(w.flush)
	return w, nil
}

func (w *worker) run() error {
	w.loop.Post(func() {
		w.link(2)
		w.loop.Every(time.Second, w.tick)
	})
	defer close(w.ended)
	err := w.loop.Run()
	w.audit.close()
	return err
}

// link returns the shared link for a protocol version, 2 or 3.
func (w *worker) link(proto int) *upstream.Link[slot] {
	k := &w.links[proto-2]
	if *k == nil {
		*k = upstream.NewLink(w.loop, w.srv.target, proto, upstream.Owner[slot](w))
		(*k).Longest(longestReply)
	}
	return *k
}

func (w *worker) flush() {
	if w.turns.line.first != nil || w.turns.later.first != nil {
		w.turns.serve()
	}
	for _, k := range w.links {
		if k != nil {
			k.Flush()
		}
	}
	for _, k := range w.scriptLinks {
		if k != nil {
			k.Flush()
		}
	}
	if len(w.fed) > 0 {
		w.feedMonitors()
	}
	if w.audit != nil {
		w.audit.flush()
	}
}

// tick closes connections that take too long to log in, those whose token is not valid any
// more, and those that do not read.
func (w *worker) tick() {
	w.turns.adapt()
	w.tickHeaders()
	limit := time.Duration(w.conf.cfg.Limits.AuthTimeout)
	var unfinished map[*tenantStats]int
	now := time.Now()
	for _, s := range w.sessions {
		s.checkToken(now)
		if s.who == nil && limit > 0 && time.Duration(w.loop.Now()-s.born) > limit && !s.conn.IsClosed() {
			w.audit.rejectedSession(s, rejectedTimeout, "")
			s.conn.Close(nil)
		}
		if s.conn.Unsent() > w.output && s.stuck() {
			s.giveUp()
		}
		if s.silent(w.srv.target.Timeout) {
			s.pin.Break(errPinSilent)
		}
		if n := s.conn.Unread(); n > smallRequest && !s.conn.IsClosed() {
			if unfinished == nil {
				unfinished = make(map[*tenantStats]int)
			}
			unfinished[s.stats] += n
		}
	}
	for t, sum := range unfinished {
		w.boundUnfinished(t, sum)
	}
	w.hub.watch(w.srv.target.Timeout)
	if w.audit != nil {
		w.audit.quotas()
		w.audit.counted()
	}
	w.hot.age(w.loop.Now())
	w.seeOff()
}

func (w *worker) close() {
	for _, k := range w.links {
		if k != nil {
			k.Close()
		}
	}
	for _, k := range w.scriptLinks {
		if k != nil {
			k.Close()
		}
	}
	w.pins.Close()
}

// freshRequest returns the worker's own. A panic may have left it in the
// middle of somebody else's.
func (w *worker) freshRequest() *resp.Request {
	if w.scanning {
		w.request.Reset()
	}
	w.scanning = true
	return &w.request
}

// knows reports whether a command is to be had: the upstream has it, or it
// needs no upstream.
func (w *worker) knows(cmd *command.Command) bool {
	return w.known == nil || w.known[cmd.ID] || cmd.Run == command.Local && cmd.Parent == nil
}

// takeRequest returns a request for a session to keep while it is incomplete.
func (w *worker) takeRequest() *resp.Request {
	if n := len(w.spare); n > 0 {
		r := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return r
	}
	return new(resp.Request)
}

func (w *worker) giveRequest(r *resp.Request) {
	r.Reset()
	if len(w.spare) < 64 {
		w.spare = append(w.spare, r)
	}
}

// answered accounts for a reply.
func (w *worker) answered(t *slot, reply []byte) (took time.Duration) {
	took = time.Duration(w.loop.Now() - t.at)
	t.s.stats.row(t.cmd).latency.Observe(took)
	t.s.stats.countFound(t.cmd, reply)
	if w.traces != nil {
		t.s.trace(t.cmd, reply, took)
	}
	return took
}

// Reply implements upstream.Owner.
func (w *worker) Reply(t *slot, reply []byte) (more bool) {
	s := t.s
	group := false
	if t.vals != nil && t.vals.measure != nil {
		if reply, more = w.measured(t, reply); more {
			return true
		}
		group = true
	}
	if t.note == noteGuard && !s.gone && w.tried(t, reply) {
		return false
	}
	if took := w.answered(t, reply); took >= slowCommand {
		request := s.link.Request()
		if group {
			request = nil // it begins with what the client did not send
		}
		w.slowReply(t, took, request)
	}
	if s.gone {
		return false
	}
	if t.cmd.ReplyKeys == command.NoKeys && t.cmd.Handler == command.NoHandler && reply[0] != '-' && s.mode&modeValues == 0 {
		s.complete(t.seq, reply, len(reply) >= largeReply)
		return false
	}
	w.restored(t, reply)
	if cap(w.reply) > maxScratch {
		w.reply = nil
	}
	return false
}

// restored completes a slot with a reply that has to be changed first. A panic
// in doing so costs the session its connection, and the others nothing.
func (w *worker) restored(t *slot, reply []byte) {
	defer t.s.caught(t.cmd)
	if t.s.published != nil {
		reply = t.s.reached(t.seq, reply)
	}
	own := t.s.restore(t.cmd, reply)
	t.s.finishReply(t, own, len(own) >= largeReply && &own[0] == &reply[0])
}

// caught ends the session if there is a panic while a reply of its is handled. To be deferred.
func (s *session) caught(cmd *command.Command) {
	if p := recover(); p != nil {
		slog.Error("panic while handling a reply", "command", cmd.Name, "panic", p, "stack", string(debug.Stack()))
		s.conn.Close(errInternal)
	}
}

var errOversized = errors.New("ERR the reply is larger than the proxy passes on")

var errInternal = errors.New("internal error")

// maxScratch is how large a buffer may be to be kept for the next command.
const maxScratch = 1 << 20

// Failed implements upstream.Owner.
func (w *worker) Failed(t *slot, err error) {
	t.unmeasured()
	if !t.s.gone {
		t.s.failed(t, err)
	}
}

// Oversized implements upstream.Owner.
func (w *worker) Oversized(t *slot) (more bool) {
	t.unmeasured()
	if !t.s.gone {
		t.s.oversized(t.seq)
	}
	return false
}

// Refused implements upstream.Owner.
func (w *worker) Refused() {}

// Again implements upstream.Owner: what only reads may be sent twice, once.
func (w *worker) Again(t *slot) bool {
	if t.retried || t.s.gone || !t.cmd.Has(command.ReadOnly) {
		return false
	}
	t.retried = true
	return true
}

// Lost implements upstream.Owner. What was set at the server may be so no more.
func (w *worker) Lost() {
	w.sanitizes = false
	for _, all := range w.scriptUsers {
		all.lost()
	}
	w.srv.codecs.suspect()
	select {
	case w.srv.suspect <- struct{}{}:
	default: // it is going to be looked at
	}
}

// Relieved implements upstream.Owner.
func (w *worker) Relieved() {
	stalled := w.stalled
	w.stalled = nil
	for _, s := range stalled {
		s.stalled = false
		s.tryResume()
	}
}
