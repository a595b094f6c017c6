package proxy

import (
	"context"
	"log/slog"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/netloop"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
	"riptide-proxy/script"
	"riptide-proxy/upstream"
)

// session is one client's connection.
type session struct {
	w      *worker
	conn   *netloop.Conn
	id     uint64 // the process's number for it
	number uint64 // the tenant's, which clients are told: CLIENT ID
	born   int64  // loop's clock
	name   string
	entry  *entry // nil: a plain connection
	proto  int
	limits *resp.Limits

	who        *namespace.Identity // nil before AUTH
	rules      *acl.Rules          // the user's; nil: it may do everything
	mine       *tenantOwn          // of its tenant
	credential                     // that it has logged in with
	db         int
	prefix     []byte
	stats      *tenantStats
	link       *upstream.Link[slot]
	rates      *userRates // nil: the user has none of its own

	tally      tally    // of commands whose answers may be on their way
	last       uint16   // ID of the command that ran last
	next, prev *session // of the same tenant, on the same loop
	about      about

	// What follows is zero for a session that shares its connection, and so is
	// mode then.
	mode         uint16
	pin          *upstream.Pin[slot] // its own connection
	blocked      int                 // commands in flight that may wait for long
	tx           *transaction        // between MULTI and EXEC
	sent         []*transaction      // whose EXEC is not answered
	standing     [][]byte            // answers of the proxy's for which a PING stands on the pin
	called       []*script.Script    // on the pin, and not answered
	wrapped      *script.Script      // a long one, for the EVAL that comes next
	watching     bool                // keys are watched on the pin
	watchLost    bool                // they were when it was lost
	subs         *subscriptions      // nil: none
	onHub        bool                // they are on the hub, and not on the pin
	hearing      bool                // the pin is a subscriber's all the same
	published    []published         // whose replies are to be corrected
	confirm      confirmation        // that the upstream is to confirm
	tracking     bool                // CLIENT TRACKING is on
	redirect     int64               // the client that its messages go to
	redirected   bool                // another's messages come here
	prefixes     []string            // of CLIENT TRACKING
	extra        int                 // prefixes for nothing that were given
	asked        trackingAsked       // what it will be if the upstream agrees
	caching      string              // what CLIENT CACHING has said of the next command
	mute         uint8               // CLIENT REPLY
	capturing    bool                // answers go to captured
	captured     []byte
	numbered     *namespace.Tenant                // whose number it has
	numbers      map[*namespace.Tenant]uint64     // and had before
	deferred     func(ctx context.Context) func() // what an answer to be captured takes
	pinnedCall   *pinnedCall                      // the script on the pin; nil where no values are sealed
	plainKeys    [][]byte                         // that were made plain for the function to be called
	planning     int                              // plans that are under way on the pin
	delays       bool                             // messages wait for EXEC's reply
	delayed      [][]byte
	delayedBytes int
	talk         *talk        // of a plan on the pin
	aside        []asideReply // to be opened beside the loop
	opening      int          // that are being opened

	counted *counted     // what its tenant's quotas count; nil: nothing
	claim   *quota.Claim // that it waits for
	listed  int          // subscriptions that are counted
	shape   *shape       // what its tenant's requests and replies may be like; nil: anything
	arrived uint32       // what head was when the input was read that is being taken
	unread  bool         // there may be whole commands in the input
	skipped *skipped     // the request that is being dropped
	looked  *looked      // how much the command that comes next can write
	charges []*txSpace   // of transactions on their way

	remembered *remembered // commands to be recorded once they are answered; nil: none
	settles    bool        // the auditor is going to record those that are answered
	audited    *subject    // of its records

	partial *resp.Request // the state of an incomplete request

	turn        place
	head, tail  uint32 // the next slot to be answered, and to be given out
	window      uint32 // how many may be unanswered
	parked      []parked
	parkedBytes int

	awaits        *rate    // stands in its line
	ahead, behind *session // there
	skips         int      // commands that need not go to the end of a line
	slowed        uint32   // one above the slot of the command that has had to wait last

	held     bool   // told the connection to hold its input
	wantIdle bool   // until everything is answered
	stalled  bool   // in worker.stalled
	slow     int    // slow operations that are running
	cancel   func() // of all of them
	leaving  bool   // takes no more commands; ends once all are answered
	gone     bool   // the connection is closed
}

const (
	// turnCommands bounds what one session may have handled before the
	// others of its loop have their turn.
	turnCommands = 256
	// A session may have this many commands unanswered at first, and at most.
	// The number grows with every small reply; large ones shrink it, so that
	// what is on its way to one client stays within windowBytes.
	firstWindow = 16
	maxWindow   = 1024
	windowBytes = 8 << 20
	// While replies take longer than slowReply the window shrinks down to
	// slowWindow: what a session has on its way is what the others wait for.
	slowReply  = 100 * time.Millisecond
	slowWindow = 64
	// largeReply is the size from which a reply is passed on without a copy.
	largeReply = 4 << 10
	// softOutput is how much a client may leave unread before its next
	// commands are left waiting.
	softOutput = 1 << 20
	// A client over limits.output_buffer has stuckTime to take something, and
	// may never be over hardOutput times that.
	stuckTime  = 5 * time.Second
	hardOutput = 4
)

func newSession(w *worker, id uint64) *session {
	return &session{w: w, id: id, born: w.loop.Now(), proto: 2, limits: &w.strangers, stats: w.nobody, link: w.link(2), window: firstWindow}
}

// Ended implements netloop.Handler. What has been asked is still answered: the
// peer may have closed only its sending end. One that waits has left, as Redis sees
// it, and must not be given what it waits for.
func (s *session) Ended() {
	if s.blocked > 0 {
		s.conn.Close(nil)
		return
	}
	s.finish()
}

// HungUp implements netloop.Handler.
func (s *session) HungUp() {
	if s.blocked > 0 {
		s.conn.Close(nil)
	}
}

// Relieved implements upstream.PinOwner.
func (s *session) Relieved() { s.tryResume() }

// Written implements netloop.Handler.
func (s *session) Written() { s.tryResume() }

// Closed implements netloop.Handler.
func (s *session) Closed(error) {
	s.gone = true
	s.parked, s.aside = nil, nil
	if s.remembered != nil {
		s.w.audit.unanswered(s)
	}
	s.drop()
	if s.cancel != nil {
		s.cancel()
	}
	if s.claim != nil {
		s.claim.Cancel()
	}
	s.counted.all()
	s.opened(-1)
	if s.partial != nil {
		s.w.giveRequest(s.partial)
		s.partial = nil
	}
	s.endTurn()
	s.stats.turn.remove(s)
	s.stats.leave(s)
	delete(s.w.sessions, s.id)
	s.left()
}

// drain is finish for a shutdown: a connection with nothing under way need not
// part politely.
func (s *session) drain() {
	if s.head == s.tail && s.conn.Unsent() == 0 {
		s.conn.Close(nil)
		return
	}
	s.finish()
}

// finish ends the session once all it was asked is answered.
func (s *session) finish() {
	s.leaving = true
	if s.head == s.tail && !s.gone {
		s.conn.CloseAfterWrite()
	}
}

// slot takes the next one.
func (s *session) slot(cmd *command.Command) slot {
	seq := s.tail
	s.tail++
	return slot{s: s, cmd: cmd, at: s.w.loop.Now(), seq: seq}
}

// answer fills the next slot at once.
func (s *session) answer(reply []byte) {
	if s.capturing {
		s.captured = append(s.captured, reply...)
		return
	}
	if s.mode&modePinned != 0 && s.subs != nil && s.pin.Flight() > 0 {
		s.standIn(reply)
		return
	}
	seq := s.tail
	s.tail++
	s.complete(seq, reply, false)
}

func (s *session) answerError(text string) {
	if a := s.w.audit; a != nil {
		a.failed(s, text)
	}
	if s.capturing {
		s.captured = resp.AppendError(s.captured, text)
		s.stats.countError(s.captured)
		return
	}
	if s.mode&modePinned != 0 && s.subs != nil && s.pin.Flight() > 0 {
		s.w.reply = resp.AppendError(s.w.reply[:0], text)
		s.stats.countError(s.w.reply)
		s.standIn(s.w.reply)
		return
	}
	seq := s.tail
	s.tail++
	s.completeError(seq, text)
}

func (s *session) completeError(seq uint32, text string) {
	w := s.w
	w.reply = resp.AppendError(w.reply[:0], text)
	s.stats.countError(w.reply)
	s.complete(seq, w.reply, false)
}

// complete fills a slot. input says that reply lies in the loop's input, so
// that it need not be copied.
func (s *session) complete(seq uint32, reply []byte, input bool) {
	if q := s.shape; q != nil && q.reply > 0 && int64(len(reply)) > q.reply {
		reply, input = s.tooLongReply(), false
	}
	if seq != s.head {
		s.park(seq, reply)
		return
	}
	s.head++
	s.emit(reply, input)
	if len(s.parked) > 0 {
		s.unpark()
	}
	if s.held {
		s.tryResume()
	}
	if s.leaving && s.head == s.tail {
		s.conn.CloseAfterWrite()
	}
}

// emit writes the head's reply to the client.
func (s *session) emit(reply []byte, input bool) {
	if s.remembered != nil {
		s.w.audit.answered(s, s.head-1, reply)
	}
	if unread := s.conn.Unsent(); unread > s.w.output && (unread > hardOutput*s.w.output || s.stuck()) {
		s.giveUp()
		return
	}
	if s.mute != muteNone {
		if s.mute == muteNext {
			s.mute = muteNone
		}
		return
	}
	s.wrote(len(reply))
	if s.w.turns.shared {
		s.received(len(reply))
	}
	if input {
		s.conn.WriteInput(reply)
	} else {
		s.conn.Write(reply)
	}
	if len(reply) > windowBytes/maxWindow {
		s.window = uint32(max(1, min(int(s.window), windowBytes/len(reply))))
	} else if s.window < maxWindow {
		s.window++
	}
}

// stuck reports whether the client has left bytes waiting and taken none for a
// while.
func (s *session) stuck() bool {
	return time.Duration(s.w.loop.Now()-s.conn.LastOutput()) >= stuckTime
}

// giveUp closes a client that does not read.
func (s *session) giveUp() {
	slog.Warn("client closed: it does not read its replies", "client", s.peer(), "tenant", s.tenantID(), "unread", s.conn.Unsent())
	s.conn.Close(errSlowReader)
}

// tenantID is for logs; empty before AUTH.
func (s *session) tenantID() string {
	if s.who == nil {
		return ""
	}
	return s.who.Tenant.ID
}
