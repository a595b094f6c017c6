package proxy

import (
	"context"

	"riptide-proxy/resp"
	"riptide-proxy/value"
	"riptide-proxy/value/dump"
)

// dump is DUMP: a sealed value's is made here.
func (p *plan) dump(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	key := h.name(h.prefixed[0])
	for range maxTries {
		p.total = 0
		replies, err := unwatched(ctx, talk, h.raw, rawRequest("TYPE", string(key)))
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
			if replies, err = unwatched(ctx, talk, rawRequest("HGETALL", string(key)), h.raw); err != nil {
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
		if replies, err = unwatched(ctx, talk, rawRequest("GET", string(key)), h.raw); err != nil {
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
