package proxy

import (
	"bytes"
	"context"

	"riptide-proxy/resp"
	"riptide-proxy/value"
)

// move is RENAME, RENAMENX, COPY and MOVE of an encrypted value, which is bound
// to its key's name. In the same transaction in which it gets another it is sealed for that one.
func (p *plan) move(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	from, to := h.name(h.prefixed[0]), h.name(h.prefixed[1])
	for range maxTries {
		replies, err := ask(ctx, talk, rawRequest("WATCH", string(from), string(to)), rawRequest("TYPE", string(from)))
		if err != nil {
			p.unwatch(ctx, talk)
			return nil, err
		}
		var swap [][]byte
		switch string(replies[1]) {
		case "+string\r\n":
			swap, err = p.moveString(ctx, talk, from, to)
		case "+hash\r\n":
			swap, err = p.moveHash(ctx, talk, from, to)
		}
		if err != nil {
			p.unwatch(ctx, talk)
			return nil, err
		}
		requests := [][]byte{h.raw}
		if swap != nil {
			args := append([][]byte{[]byte("EVAL"), []byte(swapScript), []byte("1"), to}, swap...)
			requests = append(requests, resp.AppendRequest(nil, args...))
		}
		done, err := atOnce(ctx, talk, requests...)
		if err != nil {
			return nil, err
		}
		if done != nil {
			return done[0], nil
		}
	}
	return nil, errContended
}

func (p *plan) moveString(ctx context.Context, talk talker, from, to []byte) ([][]byte, error) {
	replies, err := ask(ctx, talk, rawRequest("GET", string(from)))
	if err != nil {
		return nil, err
	}
	stored, ok := content(replies[0])
	if !ok || !value.IsSealed(stored) || bytes.Equal(from, to) {
		return nil, nil
	}
	plain, err := p.open(ctx, stored, from)
	if err != nil {
		return nil, err
	}
	return [][]byte{stored, p.seal(plain, to)}, nil
}

func (p *plan) moveHash(ctx context.Context, talk talker, from, to []byte) (swap [][]byte, err error) {
	replies, err := ask(ctx, talk, rawRequest("HGETALL", string(from)))
	if err != nil {
		return nil, err
	}
	fields, ok := contents(replies[0])
	if !ok || bytes.Equal(from, to) {
		return nil, nil
	}
	p.total = 0
	for i := 0; i+1 < len(fields); i += 2 {
		if !value.IsSealed(fields[i+1]) {
			continue
		}
		plain, err := p.open(ctx, fields[i+1], from)
		if err != nil {
			return nil, err
		}
		swap = append(swap, fields[i], fields[i+1], p.seal(plain, to))
	}
	return swap, nil
}
