package proxy

import (
	"bytes"
	"context"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
)

const errNoScript = "-NOSCRIPT No matching script. Please use EVAL.\r\n"

// evalWord is the command that runs a script: by its source or its hash, for
// reading only or not.
func evalWord(cmd *command.Command, sha bool) string {
	switch ro := cmd.Has(command.ReadOnly); {
	case sha && ro:
		return "EVALSHA_RO"
	case sha:
		return "EVALSHA"
	case ro:
		return "EVAL_RO"
	}
	return "EVAL"
}

// loadedScript is a script that the upstream knows as far as a loop knows.
type loadedScript struct {
	tenant *namespace.Tenant
	script *script.Script
}

// maxLoaded bounds how many of them a loop remembers.
const maxLoaded = 1 << 14

// eval is EVAL and EVAL_RO script numkeys [key ...] [arg ...].
func eval(s *session, cmd *command.Command, r *namespace.Request) {
	if !s.mayRunScript(r) {
		return
	}
	if len(r.At(1)) > script.LongestSaved {
		s.answerError(errLongScript)
		return
	}
	t := s.who.Tenant
	sc := s.wrapped
	if s.wrapped = nil; sc == nil || !s.isScript(sc, r.At(1)) {
		sc = s.w.srv.scripts.store.Add(t.ID, s.scriptMode(), r.At(1))
	}
	s.call(cmd, r, sc, false)
}

const errLongScript = "ERR the script is longer than this proxy takes (1 MiB)"

// inlineScript is the length up to which a script is wrapped on the loop. For a
// longer one all the loop's clients would have to wait.
const inlineScript = 16 << 10

// wraps reports whether EVAL can go on. If not, its long script is being
// wrapped, and the session waits.
func (s *session) wraps(r *namespace.Request) bool {
	source, t := r.At(1), s.who.Tenant
	switch {
	case len(source) <= inlineScript || len(source) > script.LongestSaved || t.Scripts == config.NoScripts:
		return true
	case s.wrapped != nil && s.isScript(s.wrapped, source):
		return true
	}
	mode, store := s.scriptMode(), s.w.srv.scripts.store
	if s.wrapped = store.Get(t.ID, mode, []byte(script.Sum(source))); s.wrapped != nil {
		return true
	}
	source, turns := bytes.Clone(source), s.own().turns
	s.async(func(ctx context.Context) func() {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			return s.finish
		}
		sc := store.Add(t.ID, mode, source)
		return func() { s.wrapped = sc }
	})
	return false
}

func (s *session) isScript(sc *script.Script, source []byte) bool {
	return sc.Mode == s.scriptMode() && bytes.Equal(sc.Source, source)
}

func (w *worker) noteLoaded(t *namespace.Tenant, sc *script.Script) {
	if len(w.loaded) >= maxLoaded {
		clear(w.loaded)
	}
	w.loaded[loadedScript{t, sc}] = struct{}{}
}

// evalSHA is EVALSHA and EVALSHA_RO sha1 numkeys [key ...] [arg ...].
func evalSHA(s *session, cmd *command.Command, r *namespace.Request) {
	if len(r.At(1)) != 40 {
		s.answer([]byte(errNoScript))
		return
	}
	if !s.mayRunScript(r) {
		return
	}
	t := s.who.Tenant
	sc := s.w.srv.scripts.store.Get(t.ID, s.scriptMode(), r.At(1))
	if sc != nil && (sc.Taken() || s.tx != nil && s.tx.calls(sc)) {
		_, known := s.w.loaded[loadedScript{t, sc}]
		s.call(cmd, r, sc, known)
		return
	}
	if s.tx != nil {
		// There is no looking for it now; a client sends its source then.
		s.answer([]byte(errNoScript))
		return
	}
	own := cloneRequest(r)
	s.async(func(ctx context.Context) func() {
		sc, err := s.w.srv.scripts.find(ctx, t, own.At(1))
		return func() {
			switch {
			case err != nil:
				s.answer(failure(err, false))
			case sc == nil:
				s.answer([]byte(errNoScript))
			default:
				s.mode |= modeScripts
				s.call(cmd, own, sc, false)
			}
		}
	})
}

// unknownScript reports whether an EVALSHA is for a script that is not known,
// unless it is on its way right now.
func unknownScript(s *session, r *namespace.Request) bool {
	t := s.who.Tenant
	sc := s.w.srv.scripts.store.Get(t.ID, s.scriptMode(), r.At(1))
	return sc == nil || !sc.Taken()
}

// fcall is FCALL and FCALL_RO function numkeys [key ...] [arg ...], for the
// functions that the operator has installed.
func fcall(s *session, cmd *command.Command, r *namespace.Request) {
	if s.who.Tenant.Scripts == config.NoScripts {
		s.answerError(errNoScripts.Error())
		return
	}
	if s.mode&modeValues != 0 && s.tx == nil {
		s.plainFirst(r, func(own *namespace.Request) { s.call(cmd, own, nil, false) })
		return
	}
	s.call(cmd, r, nil, false)
}

// mayRunScript answers why not. The number of keys must be right, since an
// argument is going to be added.
func (s *session) mayRunScript(r *namespace.Request) bool {
	if s.who.Tenant.Scripts == config.NoScripts {
		s.answerError(errNoScripts.Error())
		return false
	}
	n, isInt := resp.ParseInt(r.At(2))
	switch {
	case !isInt:
		s.answerError(errNotInteger.Error())
	case n > int64(r.Len()-3):
		s.answerError("ERR Number of keys can't be greater than number of args")
	case n < 0:
		s.answerError("ERR Number of keys can't be negative")
	default:
		return true
	}
	return false
}

// call sends a script, or a function, on the connection for scripts.
func (s *session) call(cmd *command.Command, r *namespace.Request, sc *script.Script, sha bool) {
	w := s.w
	if len(r.Raw) > w.maxBulk-maxPrefix && s.tooLong(cmd, r) || sc != nil && len(sc.Wrapped) > w.maxBulk-maxGuard {
		// The upstream would close the connection that carries everybody's scripts.
		s.answerError(errTooLong)
		return
	}
	if s.tx != nil {
		s.callInTx(cmd, r, sc, sha)
		return
	}
	if s.pinsScripts() || s.pin != nil && s.measuresScript() {
		s.callPinned(cmd, r, sc)
		return
	}
	w.script = s.appendCall(w.script[:0], cmd, r, sc, sha)
	s.mode |= modeScripts
	c := &scriptCall{slot: s.slot(cmd), tenant: s.who.Tenant, script: sc, sha: sha, plain: s.who.Tenant.Scripts == config.TrustedScripts, plainKeys: s.plainKeys}
	s.plainKeys = nil
	w.runScript(c, w.script)
	if cap(w.script) > maxScratch {
		w.script = nil
	}
}

// maxGuard is room for what Guarded puts in front of a script.
const maxGuard = 1 << 10

// appendCall appends the command as the upstream is to get it.
func (s *session) appendCall(b []byte, cmd *command.Command, r *namespace.Request, sc *script.Script, sha bool) []byte {
	w := s.w
	w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
	if sc == nil {
		return r.AppendAllPrefixed(b, w.indexes, s.prefix)
	}
	b = resp.AppendArray(b, r.Len()+sc.ExtraArgs())
	b = resp.AppendBulkString(b, evalWord(cmd, sha))
	if sha {
		b = resp.AppendBulkString(b, sc.WrappedSHA)
	} else {
		b = resp.AppendBulk(b, sc.Wrapped)
	}
	b = r.AppendRestPrefixed(b, 2, w.indexes, s.prefix)
	return sc.AppendArgs(b, s.prefix, s.who.Tenant.Databases)
}

// calls reports whether the transaction has a script queued already, which the
// upstream will know by its hash then.
func (tx *transaction) calls(sc *script.Script) bool {
	_, has := tx.scripts[sc.SHA]
	return has
}

// callInTx queues a script in a transaction, on the session's own connection.
// That one is the proxy's own user's; so the script itself refuses to run unless
// the login before it has worked.
func (s *session) callInTx(cmd *command.Command, r *namespace.Request, sc *script.Script, sha bool) {
	w := s.w
	t := s.who.Tenant
	if t.Scripts == config.TrustedScripts {
		measured := s.giveUsedMemory(cmd)
		s.give(cmd, s.appendCall(s.room(len(r.Raw)+64), cmd, r, sc, sha))
		s.giveUsedMemory(cmd)
		s.tx.add(queuedCommand{cmd: cmd, script: sc, measured: measured})
		return
	}
	u := w.scriptUser(t)
	switch {
	case sc == nil:
		s.reject(cmd, "NOPERM '"+cmd.Name+"' is not available inside a transaction")
		return
	case !u.ready:
		s.reject(cmd, u.refusal())
		return
	}
	guarded := sc.Guarded()
	auth, full := u.login(s)
	measured := s.giveUsedMemory(cmd)
	s.giveUnasked(cmd, auth)
	s.give(cmd, s.appendCall(s.room(len(r.Raw)+64), cmd, r, guarded, false))
	s.giveUnasked(cmd, w.srv.target.AppendLogin(nil))
	s.giveUsedMemory(cmd)
	s.tx.add(queuedCommand{cmd: cmd, script: guarded, before: 1, after: 1, full: full, measured: measured})
}

// inTx takes EVAL and its kin between MULTI and EXEC. What would be an error at
// once is one at EXEC.
func inTx(run func(*session, *command.Command, *namespace.Request)) func(*session, *command.Command, *namespace.Request) {
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		queued, aborted := len(s.tx.queue), s.tx.aborted
		reply := s.capture(func() { run(s, cmd, r) })
		switch {
		case s.tx.aborted && !aborted:
			s.answer(reply)
		case len(s.tx.queue) == queued:
			s.stand(queuedCommand{cmd: cmd, reply: reply})
		}
	}
}

// diagnosis finds out what is wrong with a script in the words that the
// upstream has for it without its prelude.
func (s *session) diagnosis(sc *script.Script) func(ctx context.Context) func() {
	client := s.w.srv.client
	return func(ctx context.Context) func() {
		reply := bytes.Clone(ok)
		if err := client.Do(ctx, "EVAL", sc.Diagnosis(), 0).Err(); err != nil {
			reply = failure(err, false)
		}
		return func() { s.answer(reply) }
	}
}

// diagnose answers a script that the upstream could not compile.
func (s *session) diagnose(seq uint32, sc *script.Script) {
	work := s.diagnosis(sc)
	s.async(func(ctx context.Context) func() {
		done := guarded(ctx, work, func() { s.answerError(errInternalText) })
		return func() { s.complete(seq, s.capture(done), false) }
	})
}

// scriptLoad is SCRIPT LOAD script.
func scriptLoad(ctx context.Context, op *slowOp) []byte {
	t := op.tenant
	if t.Scripts == config.NoScripts {
		return resp.AppendError(nil, errNoScripts.Error())
	}
	if len(op.args[2]) > script.LongestSaved {
		return resp.AppendError(nil, errLongScript)
	}
	sc := script.New(op.args[2], op.srv.scriptMode(t))
	if err := op.client.Do(ctx, "EVAL", sc.Diagnosis(), 0).Err(); err != nil {
		return script.RestoreError(nil, failure(err, false), sc, op.prefix)
	}
	sc = op.srv.scripts.store.Add(t.ID, sc.Mode, sc.Source)
	sc.Take()
	op.srv.scripts.save(ctx, t, sc)
	return resp.AppendBulkString(nil, sc.SHA)
}

// scriptExists is SCRIPT EXISTS sha1 [sha1 ...], of the tenant's own.
func scriptExists(ctx context.Context, op *slowOp) []byte {
	b := resp.AppendArray(nil, len(op.args)-2)
	for _, sha := range op.args[2:] {
		sc, err := op.srv.scripts.find(ctx, op.tenant, sha)
		if err != nil {
			return failure(err, false)
		}
		n := int64(0)
		if sc != nil {
			n = 1
		}
		b = resp.AppendInt(b, n)
	}
	return b
}

// scriptFlush is SCRIPT FLUSH [ASYNC | SYNC], of the tenant's own.
func scriptFlush(ctx context.Context, op *slowOp) []byte {
	if len(op.args) > 3 || len(op.args) == 3 && !fold(op.args[2], "SYNC") && !fold(op.args[2], "ASYNC") {
		return resp.AppendError(nil, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	}
	op.srv.scripts.store.Flush(op.tenant.ID)
	if err := script.DeleteSaved(ctx, op.client, string(op.tenant.Root())); err != nil {
		return failure(err, false)
	}
	return bytes.Clone(ok)
}

// scriptShow is SCRIPT SHOW sha1.
func scriptShow(ctx context.Context, op *slowOp) []byte {
	sc, err := op.srv.scripts.find(ctx, op.tenant, op.args[2])
	switch {
	case err != nil:
		return failure(err, false)
	case sc == nil:
		return []byte(errNoScript)
	}
	return resp.AppendBulk(nil, sc.Source)
}

// scriptKill is SCRIPT KILL, for a script of the tenant's own.
func scriptKill(ctx context.Context, op *slowOp) []byte {
	owner, _, err := op.srv.scripts.oldest(ctx)
	if err != nil {
		return failure(err, false)
	}
	if owner != op.tenant {
		return resp.AppendError(nil, "NOTBUSY No scripts in execution right now.")
	}
	if err := op.client.ScriptKill(ctx).Err(); err != nil {
		return failure(err, false)
	}
	return bytes.Clone(ok)
}
