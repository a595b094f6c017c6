package proxy

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// Between MULTI and EXEC what takes several steps elsewhere must be one. The
// upstream does it in a script, while everybody waits; so only if it does not hold too much.

// maxTxKeys is how many keys the upstream may hold for that. KEYS over as many
// takes it some ten milliseconds.
const maxTxKeys = 100_000

// keyspaceScript is a script of the proxy's own. It gets a pattern of all keys in
// question, and a number.
func keyspaceScript(name, body string) string {
	return fmt.Sprintf(`if redis.call('DBSIZE')>%d then return redis.error_reply("NOPERM '%s' is not available `+
		`inside a transaction while the upstream holds more than %d keys: everybody would wait") end `+
		`local k=redis.call('KEYS',ARGV[1]) %s`, maxTxKeys, name, maxTxKeys, body)
}

var (
	keysInTx      = keyspaceInTx("keys", "return k", func(s *session, r *namespace.Request) (string, error) { return string(r.At(1)), nil })
	dbSizeInTx    = keyspaceInTx("dbsize", "return #k", everyKey)
	randomKeyInTx = keyspaceInTx("randomkey", "if #k==0 then return false end return k[ARGV[2]%#k+1]", everyKey)
	flushDBInTx   = keyspaceInTx("flushdb", unlinkAll, flushed)
	flushAllInTx  = keyspaceInTx("flushall", unlinkAll, flushed)
)

const unlinkAll = "for i=1,#k,1000 do redis.call('UNLINK',unpack(k,i,math.min(i+999,#k))) end return {ok='OK'}"

func everyKey(*session, *namespace.Request) (string, error) { return "*", nil }

func flushed(_ *session, r *namespace.Request) (string, error) {
	if r.Len() > 2 || r.Len() == 2 && !fold(r.At(1), "SYNC") && !fold(r.At(1), "ASYNC") {
		return "", errSyntax
	}
	return "*", nil
}

// keyspaceInTx queues such a script.
func keyspaceInTx(name, body string, pattern func(*session, *namespace.Request) (string, error)) func(*session, *command.Command, *namespace.Request) {
	text := keyspaceScript(name, body)
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		match, err := pattern(s, r)
		if err != nil {
			s.stand(queuedCommand{cmd: cmd, reply: resp.AppendError(nil, err.Error())})
			return
		}
		prefix := s.prefix
		if cmd.Handler == command.HandleFlushAll {
			prefix, match = s.who.Tenant.Root(), anyDatabase
		}
		s.give(cmd, resp.AppendRequest(s.room(1024), "EVAL", text, "0", namespace.EscapeGlob(prefix)+match, strconv.Itoa(rand.IntN(1<<30))))
		s.tx.add(queuedCommand{cmd: cmd})
	}
}

// scanInTx queues a single step of SCAN.
func scanInTx(s *session, cmd *command.Command, r *namespace.Request) {
	var args [][]byte
	for i := range r.Len() {
		args = append(args, r.At(i))
	}
	o, err := parseScan(args)
	if err != nil {
		s.stand(queuedCommand{cmd: cmd, reply: resp.AppendError(nil, err.Error())})
		return
	}
	match := namespace.EscapeGlob(s.prefix) + o.match
	words := []string{"SCAN", string(r.At(1)), "MATCH", match, "COUNT", strconv.FormatInt(min(o.count, scanCount), 10)}
	for _, more := range o.more {
		words = append(words, more.(string))
	}
	s.give(cmd, resp.AppendRequest(s.room(256), words...))
	s.tx.add(queuedCommand{cmd: cmd})
}
