package proxy

import (
	"context"
	"strconv"

	"riptide-proxy/resp"
	"riptide-proxy/value"
	"riptide-proxy/value/dump"
	"riptide-proxy/value/inside"
)

// Commands that read what is sealed without changing what is stored.

// length is STRLEN and HSTRLEN, which a sealed value's header answers.
func (p *plan) length(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	key := string(h.name(h.prefixed[0]))
	look := rawRequest("GETRANGE", key, "0", strconv.Itoa(value.LongestHeader-1))
	if h.cmd.InsideField > 0 {
		look = rawRequest("HGET", key, string(h.name(int32(h.cmd.InsideField))))
	}
	replies, err := atOnce(ctx, talk, look, h.raw)
	if err != nil {
		return nil, unsent(err)
	}
	if b, ok := content(replies[0]); ok {
		if n, sealed := value.Length(b); sealed {
			return resp.AppendInt(nil, n), nil
		}
	}
	return replies[1], nil
}

// dump is DUMP: a sealed value's is made here.
func (p *plan) dump(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	key := h.name(h.prefixed[0])
	for range maxTries {
		replies, err := atOnce(ctx, talk, h.raw, rawRequest("TYPE", string(key)))
		if err != nil {
			return nil, unsent(err)
		}
		payload, ok := content(replies[0])
		kind := string(replies[1])
		if !ok || kind != "+string\r\n" && kind != "+hash\r\n" {
			return replies[0], nil
		}
		version := dump.Version(payload)
		if kind == "+hash\r\n" {
			if replies, err = atOnce(ctx, talk, rawRequest("HGETALL", string(key)), h.raw); err != nil {
				return nil, unsent(err)
			}
			fields, ok := contents(replies[0])
			if !ok {
				continue
			}
			sealed := false
			for i := 1; i < len(fields); i += 2 {
				if value.IsSealed(fields[i]) {
					sealed = true
					if fields[i], err = p.open(ctx, fields[i], key); err != nil {
						return nil, err
					}
				}
			}
			if !sealed {
				return replies[1], nil
			}
			if p.fieldTTL { // which the payload would have to tell
				reply, err := p.run(ctx, talk)
				if err != nil {
					return nil, err
				}
				return p.ours(reply)
			}
			return resp.AppendBulk(nil, dump.Hash(fields, version)), nil
		}
		if replies, err = atOnce(ctx, talk, rawRequest("GET", string(key)), h.raw); err != nil {
			return nil, unsent(err)
		}
		stored, ok := content(replies[0])
		if !ok {
			continue
		}
		if !value.IsSealed(stored) {
			return replies[1], nil
		}
		plain, err := p.open(ctx, stored, key)
		if err != nil {
			return nil, err
		}
		return resp.AppendBulk(nil, dump.String(plain, version)), nil
	}
	return nil, errContended
}

// read runs a command that only reads. A sealed value it is run on here, so that
// the one stored stays as it is, unless it is so long that the next such command
// had better find it plain: to what the client itself watches that would be a change.
func (p *plan) read(ctx context.Context, talk talker, h *heldCommand, f inside.Func) ([]byte, error) {
	key := string(h.name(h.prefixed[0]))
	replies, err := atOnce(ctx, talk, rawRequest("GETRANGE", key, "0", strconv.Itoa(value.LongestHeader-1)), h.raw)
	if err != nil {
		return nil, unsent(err)
	}
	head, ok := content(replies[0])
	n, sealed := value.Length(head)
	switch {
	case !ok || !sealed:
		return replies[1], nil
	case n > asideValue && !p.view.codec.Encrypts() && !p.watching:
		if replies[0], err = p.run(ctx, talk); err != nil {
			return nil, err
		}
		return p.ours(replies[0])
	}
	if replies, err = atOnce(ctx, talk, rawRequest("GET", key), h.raw); err != nil {
		return nil, unsent(err)
	}
	stored, ok := content(replies[0])
	if _, sealed = value.Length(stored); !ok || !sealed {
		return replies[1], nil // it has become another one
	}
	plain, err := p.open(ctx, stored, []byte(key))
	if err != nil {
		return nil, err
	}
	return f(plain, true, p.arguments(), p.env).Reply, nil
}
