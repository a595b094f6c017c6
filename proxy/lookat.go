package proxy

import (
	"context"
	_ "embed"
	"strconv"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// What a command writes that copies from other keys, only they tell. So they are
// looked at first, and the command is charged with what was found. What changes at the keys
// until it runs does not help: then it runs in a script that looks again, and refuses to write
// more than was charged.

//go:embed copies.lua
var copiesScript string

// looked is what the command that a session is about to run can write.
type looked struct {
	cmd  *command.Command
	size int64 // in bytes; below 0: the upstream does not tell
}

// maxGuarded is how many arguments a script can call a command with, a bit less than Redis's
// Lua has room for on its stack.
const maxGuarded = 7000

// lookAt finds out what a command can write. The session goes on when that is known.
func (s *session) lookAt(cmd *command.Command, r *namespace.Request) {
	w := s.w
	w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
	found := &looked{cmd: cmd, size: -1}
	if len(w.indexes) == 0 || !w.srv.keeper.measures() || r.Len() > maxGuarded {
		s.looked = found
		w.loop.After(0, s.tryResume)
		return
	}
	keys, rest := lookArgs(r, w.indexes, s.prefix)
	client := w.srv.keeper.client
	s.async(func(ctx context.Context) func() {
		if n, err := client.Eval(ctx, copiesScript, keys, rest...).Int64(); err == nil {
			found.size = n
		}
		return func() { s.looked = found }
	})
}

// lookArgs are the keys and arguments of the script that looks at a command. They outlive the request,
// which lies in the loop's input: others' come there next.
func lookArgs(r *namespace.Request, indexes []int32, prefix []byte) (keys []string, rest []any) {
	args := prefixedArgs(cloneRequest(r), indexes, prefix)
	keys = make([]string, len(indexes))
	for n, i := range indexes {
		keys[n] = string(args[i])
	}
	rest = []any{-1, "", prefix}
	for _, a := range args {
		rest = append(rest, a)
	}
	return keys, rest
}

// prefixedArgs are a request's arguments as the upstream is to get them.
func prefixedArgs(r *namespace.Request, indexes []int32, prefix []byte) [][]byte {
	args := make([][]byte, r.Len())
	for i := range args {
		args[i] = r.At(i)
	}
	for _, i := range indexes {
		args[i] = join(prefix, args[i])
	}
	return args
}

// copyGuard runs a command only if it finds no more than it was charged with.
type copyGuard struct {
	allowed int64
	refusal string
	prefix  []byte
}

// copyGuard returns the guard of the command being handled; nil if it needs none.
func (s *session) copyGuard() *copyGuard {
	m := s.stats.space
	if m == nil || !m.charge.on || m.charge.allowed == 0 {
		return nil
	}
	if s.tx == nil && (s.tracking || s.subs != nil) {
		return nil // what a script reads is tracked, and what it causes is told before its reply
	}
	return &copyGuard{allowed: m.charge.allowed, refusal: m.overText(quota.Bytes), prefix: s.prefix}
}

// around is the request with the guard around it, as the upstream is to get it.
func (g *copyGuard) around(r *namespace.Request, indexes []int32, prefix []byte) []byte {
	args := prefixedArgs(r, indexes, prefix)
	keys := make([][]byte, len(indexes))
	for n, i := range indexes {
		keys[n] = args[i]
	}
	return g.request(keys, args)
}

// request is the command with the guard around it. Both are as the upstream is to get them.
func (g *copyGuard) request(keys, args [][]byte) []byte {
	all := make([][]byte, 0, 6+len(keys)+len(args))
	all = append(all, []byte("EVAL"), []byte(copiesScript), strconv.AppendInt(nil, int64(len(keys)), 10))
	all = append(all, keys...)
	all = append(all, strconv.AppendInt(nil, g.allowed, 10), []byte(g.refusal), g.prefix)
	return resp.AppendRequest(nil, append(all, args...)...)
}
