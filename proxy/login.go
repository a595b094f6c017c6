package proxy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/jwt"
	"riptide-proxy/resp"
)

// auth is AUTH [username] password.
func auth(s *session, _ *command.Command, r *namespace.Request) {
	if len(r.Args) > 3 {
		s.answerError("ERR syntax error")
		return
	}
	var user []byte
	if len(r.Args) == 3 {
		user = r.At(1)
	}
	s.login(user, r.At(len(r.Args)-1), func() { s.answer(ok) })
}

var ok = []byte("+OK\r\n")

// login checks a secret and runs done as the new identity, or answers why not:
// then the session stays who it was. A check that takes long is done
// elsewhere, and the session waits for it.
func (s *session) login(user, secret []byte, done func()) {
	if s.w.srv.tokens.Looks(secret) {
		s.loginToken(user, secret, done)
		return
	}
	dir := s.w.conf.directory
	named, from := dir.Named(user), s.source()
	finish := func(who *namespace.Identity, proof namespace.Proof, err error) {
		if err != nil {
			s.elsewhere(err)
			s.w.audit.login(s, named, err)
			if named != nil && errors.Is(err, namespace.ErrWrongPass) {
				s.noteWrongSecret(named)
			}
			slog.Debug("login refused", "client", s.peer(), "error", err)
			s.answerError(err.Error())
			return
		}
		s.loggedIn(who, credential{proof: proof}, done, s.answerError)
	}
	if !dir.Slow(from, user, secret) {
		finish(dir.AuthenticateFrom(from, user, secret))
		return
	}
	srv := s.w.srv
	own := s.w.conf.own[named.Tenant.ID]
	leave, ok := srv.mayQueue(own)
	if !ok {
		s.w.audit.login(s, named, errManyLogins)
		s.answerError(errManyLogins.Error())
		return
	}
	user, secret = bytes.Clone(user), bytes.Clone(secret)
	s.async(func(ctx context.Context) func() {
		defer leave()
		done, ok := srv.slowTurn(ctx, own)
		if !ok {
			return func() {}
		}
		defer done()
		who, proof, err := dir.AuthenticateFrom(from, user, secret)
		return func() { finish(who, proof, err) }
	})
}

var errManyLogins = errors.New("UNAVAILABLE too many logins are being checked, try again")

// loggedIn runs done once the session is somebody who has proved to be so, and all is there that it needs; or
// refuse with the reason why it can not be.
func (s *session) loggedIn(who *namespace.Identity, with credential, done func(), refuse func(text string)) {
	enter := func() {
		s.enters(who, func() {
			if who = s.w.still(who, with); who == nil { // the configuration is another one by now
				s.w.audit.login(s, nil, namespace.ErrWrongPass)
				refuse(namespace.ErrWrongPass.Error())
				return
			}
			if err := s.w.conf.directory.Admits(who, s.source()); err != nil {
				s.elsewhere(err)
				s.w.audit.login(s, nil, err)
				refuse(err.Error())
				return
			}
			s.become(who)
			s.credential = with
			s.w.audit.login(s, who, nil)
			done()
		}, func(text string) {
			s.w.audit.login(s, who, errors.New(text))
			refuse(text)
		})
	}
	codecs := s.w.srv.codecs
	known := codecs.knows(who.Tenant)
	if !known && s.link.Down() {
		codecs.owe(who.Tenant)
		known = true // it will be
	}
	if known {
		enter()
		return
	}
	s.async(func(ctx context.Context) func() {
		codecs.meet(ctx, who.Tenant)
		return enter
	})
}

// credential is what somebody has logged in with.
type credential struct {
	proof namespace.Proof // of a secret
	token *jwt.Token      // in its place
}

// still is who somebody is by the configuration that the loop goes by now; nil if that would not let it in
// with the same credential.
func (w *worker) still(who *namespace.Identity, with credential) *namespace.Identity {
	switch t := with.token; {
	case t == nil:
		return w.conf.directory.Still(who, with.proof)
	case t.Valid(time.Now()):
		return w.conf.directory.Member(who.Tenant.ID, who.User)
	}
	return nil
}

// become makes the session somebody, with nothing left of who it was before.
func (s *session) become(who *namespace.Identity) {
	if s.who != nil && who != nil && *who == *s.who || who == s.who {
		return
	}
	s.drop()
	pin := s.pin // one that another client's messages go to
	s.pinDown()
	s.stats.leave(s)
	s.opened(-1)
	s.recounted(who)
	if s.who != nil {
		s.name = ""
		s.about = about{local: s.about.local}
	}
	s.who, s.mine, s.credential = who, nil, credential{}
	if who == nil {
		s.stats = s.w.nobody
		s.limits = &s.w.strangers
		s.born = s.w.loop.Now()
		s.prefix = nil
		s.rules = nil
		s.shape = nil
	} else {
		s.mine = s.w.conf.own[who.Tenant.ID]
		s.stats = s.w.tenantStats(who.Tenant.ID)
		s.stats.logins++
		s.limits = &s.w.limits
		s.rules = who.Rules
		s.shape = s.own().shape
		s.use(0)
		s.takeNumber()
	}
	s.stats.enter(s)
	s.opened(1)
	s.pinUp(pin)
	s.meet()
}

// opened keeps the number of the tenant's connections to this process.
func (s *session) opened(by int64) {
	if s.who != nil {
		s.own().open.Add(by)
	}
}

func (s *session) use(db int) {
	s.db = db
	s.prefix = s.who.Tenant.Prefix(db)
}

// errHelloAuth has the server's words: before Redis 7.2 they do not mention that
// the version comes first.
func errHelloAuth(version string) string {
	option := "HELLO <proto> AUTH <user> <pass>"
	if strings.HasPrefix(version, "7.0.") || version < "7." {
		option = "HELLO AUTH <user> <pass>"
	}
	return "NOAUTH HELLO must be called with the client already authenticated, otherwise the " + option + " option can be used to authenticate the client and select the RESP protocol version at the same time"
}

// hello is HELLO [protover [AUTH username password] [SETNAME clientname]].
func hello(s *session, _ *command.Command, r *namespace.Request) {
	o, err := parseHello(r)
	if err != nil {
		s.answerError(err.Error())
		return
	}
	welcome := func() {
		if s.who == nil {
			_, version := s.w.srv.self()
			s.answerError(errHelloAuth(version))
			return
		}
		if o.setName {
			s.name = o.name
		}
		if o.proto != 0 {
			s.speak(o.proto)
		}
		s.answer(s.appendHello(nil))
	}
	if o.auth {
		s.login(o.user, o.secret, welcome)
		return
	}
	welcome()
}

type helloOptions struct {
	proto        int // 0: as it is
	auth         bool
	user, secret []byte
	setName      bool
	name         string
}

func parseHello(r *namespace.Request) (o helloOptions, err error) {
	n := len(r.Args)
	if n > 1 {
		v, ok := resp.ParseInt(r.At(1))
		if !ok {
			return o, errors.New("ERR Protocol version is not an integer or out of range")
		}
		if v != 2 && v != 3 {
			return o, errors.New("NOPROTO unsupported protocol version")
		}
		o.proto = int(v)
	}
	for i := 2; i < n; i++ {
		option := r.At(i)
		switch {
		case fold(option, "AUTH") && i+2 < n:
			o.auth, o.user, o.secret = true, r.At(i+1), r.At(i+2)
			i += 2
		case fold(option, "SETNAME") && i+1 < n:
			if !validName(r.At(i + 1)) {
				return o, errClientName
			}
			o.setName, o.name = true, string(r.At(i+1))
			i++
		default:
			return o, errors.New("ERR Syntax error in HELLO option '" + string(quoted(option, len(option))) + "'")
		}
	}
	return o, nil
}

// speak switches the protocol, and with it the link that commands ride.
func (s *session) speak(proto int) {
	if s.proto != proto {
		if s.pin != nil {
			s.pin.End(resp.AppendRequest(s.pin.Begin(64), "HELLO", strconv.Itoa(proto)), s.unasked(helloRow))
			s.pin.Speaks(proto)
		}
		s.proto = proto
		s.link = s.w.link(proto)
		s.subscriber()
	}
}

var helloRow = command.Lookup([]byte("hello"))

func (s *session) appendHello(b []byte) []byte {
	name, version := s.w.srv.self()
	b = resp.AppendMap(b, s.proto, 7)
	b = resp.AppendBulkString(b, "server")
	b = resp.AppendBulkString(b, name)
	b = resp.AppendBulkString(b, "version")
	b = resp.AppendBulkString(b, version)
	b = resp.AppendBulkString(b, "proto")
	b = resp.AppendInt(b, int64(s.proto))
	b = resp.AppendBulkString(b, "id")
	b = resp.AppendInt(b, int64(s.number))
	b = resp.AppendBulkString(b, "mode")
	b = resp.AppendBulkString(b, s.w.srv.mode())
	b = resp.AppendBulkString(b, "role")
	b = resp.AppendBulkString(b, "master")
	b = resp.AppendBulkString(b, "modules")
	return resp.AppendArray(b, 0)
}

// reset is RESET: back to a connection that was just opened.
func reset(s *session, _ *command.Command, _ *namespace.Request) {
	s.become(nil)
	s.mute = muteNone
	s.speak(2)
	s.answer([]byte("+RESET\r\n"))
	s.certify()
}

func fold(b []byte, word string) bool { return len(b) == len(word) && bytes.EqualFold(b, []byte(word)) }
