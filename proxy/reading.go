package proxy

import (
	"bytes"
	"context"
	"strconv"

	"riptide-proxy/resp"
	"riptide-proxy/value"
	"riptide-proxy/value/inside"
)

// What only reads works also when the upstream's memory is full, as it does without a
// proxy. So it is not done between MULTI and EXEC, where a full server takes nothing.

// try runs the plan's command by the script that does so unless the value is sealed.
func (p *plan) try(ctx context.Context, talk talker, h *heldCommand) (reply []byte, sealed bool, err error) {
	args := [][]byte{[]byte("EVAL"), []byte(guardOf(h.cmd, p.env.Proto).text), []byte("1"), h.name(h.prefixed[0])}
	replies, err := talk(ctx, [][]byte{resp.AppendRequest(nil, append(args, p.arguments()...)...)})
	if err != nil {
		return nil, false, unsent(err)
	}
	return replies[0], bytes.HasPrefix(replies[0], []byte("-"+guardWord)), nil
}

// begins reports whether a value begins as sealed ones do.
func begins(stored []byte) bool { return bytes.HasPrefix(stored, []byte(value.Magic)) }

// one sends a single request and returns its reply.
func one(ctx context.Context, talk talker, request []byte) ([]byte, error) {
	replies, err := talk(ctx, [][]byte{request})
	if err != nil {
		return nil, unsent(err)
	}
	return replies[0], nil
}

// length is STRLEN and HSTRLEN, which a sealed value's header answers.
func (p *plan) length(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	key := string(h.name(h.prefixed[0]))
	if h.cmd.InsideField > 0 {
		reply, err := one(ctx, talk, rawRequest("HGET", key, string(h.name(int32(h.cmd.InsideField)))))
		if err != nil || reply[0] == '-' {
			return reply, err
		}
		b, _ := content(reply)
		n, _ := value.Length(b)
		return resp.AppendInt(nil, n), nil
	}
	for range maxTries {
		reply, sealed, err := p.try(ctx, talk, h)
		if err != nil || !sealed {
			return reply, err
		}
		replies, err := ask(ctx, talk, rawRequest("GETRANGE", key, "0", strconv.Itoa(value.LongestHeader-1)))
		if err != nil {
			return nil, err
		}
		b, _ := content(replies[0])
		if n, sealed := value.Length(b); sealed {
			return resp.AppendInt(nil, n), nil
		}
		if begins(b) { // like one that is sealed
			return one(ctx, talk, h.raw)
		}
	}
	return nil, errContended
}

// read runs a command that only reads. A sealed value it is run on here, so that
// the one stored stays as it is, unless it is so long that the next such command
// had better find it plain: to what the client itself watches that would be a change.
func (p *plan) read(ctx context.Context, talk talker, h *heldCommand, f inside.Func) ([]byte, error) {
	key := string(h.name(h.prefixed[0]))
	for range maxTries {
		if !h.cmd.Unscripted {
			reply, sealed, err := p.try(ctx, talk, h)
			if err != nil || !sealed {
				return reply, err
			}
		}
		replies, err := ask(ctx, talk, rawRequest("GET", key))
		if err != nil {
			return nil, err
		}
		stored, exists := content(replies[0])
		if !exists && !isNull(replies[0]) {
			return one(ctx, talk, h.raw) // it is of another type, for which the upstream has the error
		}
		n, sealed := value.Length(stored)
		if sealed && n > asideValue && !p.view.codec.Encrypts() && !p.watching {
			reply, err := p.run(ctx, talk)
			if err != nil {
				return nil, err
			}
			return p.ours(reply)
		}
		if !sealed && !h.cmd.Unscripted && !begins(stored) {
			continue // it has become another one
		}
		p.total = 0
		plain := stored
		if exists {
			if plain, err = p.open(ctx, stored, []byte(key)); err != nil {
				return nil, err
			}
		}
		return f(plain, exists, p.arguments(), p.env).Reply, nil
	}
	return nil, errContended
}
