package proxy

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"riptide-proxy/resp"
	"riptide-proxy/value"
)

// look watches the keys and finds out what has to be made plain.
func (p *plan) look(ctx context.Context, talk talker) error {
	if len(p.sorts) > 0 {
		if err := p.lookSorted(ctx, talk); err != nil {
			return err
		}
	}
	if len(p.needs) == 0 {
		return nil
	}
	watch := []string{"WATCH"}
	var requests [][]byte
	for _, n := range p.needs {
		n.plain, n.pairs = nil, nil
		watch = append(watch, string(n.key))
		if n.text {
			requests = append(requests, rawRequest("GETRANGE", string(n.key), "0", strconv.Itoa(value.LongestHeader-1)))
		}
		for _, f := range n.fields {
			requests = append(requests, rawRequest("HGET", string(n.key), string(f)))
		}
		if n.hash {
			requests = append(requests, rawRequest("TYPE", string(n.key)))
		}
	}
	replies, err := ask(ctx, talk, append([][]byte{rawRequest(watch...)}, requests...)...)
	if err != nil {
		return err
	}
	replies = replies[1:]
	var reads []read
	for _, n := range p.needs {
		if n.text {
			if b, ok := content(replies[0]); ok && value.IsSealed(b) {
				size, _ := value.Length(b)
				reads = append(reads, read{n, "GET", size})
			}
			replies = replies[1:]
		}
		for _, f := range n.fields {
			if b, ok := content(replies[0]); ok {
				if err := p.openField(ctx, n, f, b); err != nil {
					return err
				}
			}
			replies = replies[1:]
		}
		if !n.hash && anySealed(n.pairs) {
			p.whole[string(n.key)], n.hash = true, true
			return p.look(ctx, talk)
		}
		if n.hash {
			if string(replies[0]) == "+hash\r\n" {
				reads = append(reads, read{n, "HGETALL", readBytes})
			}
			replies = replies[1:]
		}
	}
	return p.readAll(ctx, talk, reads)
}

// read is a request for all that a key has.
type read struct {
	*need
	word string
	size int64 // about how many bytes will come
}

// readBytes is about how many bytes are asked for at once.
const readBytes = 1 << 20

// readAll finds out what the values are to be made.
func (p *plan) readAll(ctx context.Context, talk talker, reads []read) error {
	for len(reads) > 0 {
		n, size := 0, int64(0)
		var requests [][]byte
		for ; n < len(reads) && (n == 0 || size+reads[n].size <= readBytes); n++ {
			size += reads[n].size
			requests = append(requests, rawRequest(reads[n].word, string(reads[n].key)))
		}
		replies, err := ask(ctx, talk, requests...)
		if err != nil {
			return err
		}
		for i, r := range reads[:n] {
			if err := p.openAll(ctx, r.need, replies[i]); err != nil {
				return err
			}
		}
		reads = reads[n:]
	}
	return nil
}

// openAll opens what was read at a key, be it a string or a hash.
func (p *plan) openAll(ctx context.Context, n *need, reply []byte) error {
	if b, ok := content(reply); ok {
		plain, err := p.open(ctx, b, n.key)
		if err == nil && !bytes.Equal(plain, b) {
			n.plain = plain
		}
		return err
	}
	fields, _ := contents(reply) // none if it is of another type by now, so that EXEC will do nothing
	for i := 0; i+1 < len(fields); i += 2 {
		if err := p.openField(ctx, n, fields[i], fields[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) openField(ctx context.Context, n *need, field, stored []byte) error {
	if !value.IsSealed(stored) {
		return nil
	}
	plain, err := p.open(ctx, stored, n.key)
	if err == nil && !bytes.Equal(plain, stored) {
		n.pairs = append(n.pairs, field, plain)
	}
	return err
}

// open opens a value, and asks for the dictionary that it may take.
func (p *plan) open(ctx context.Context, stored, key []byte) ([]byte, error) {
	for try := 0; ; try++ {
		if n, _ := value.Length(stored); p.total+n > maxReply {
			return nil, errOversized
		}
		plain, err := p.view.codec.Open(&p.counters, []byte{}, stored, p.nameOf(key))
		var missing *value.MissingDictError
		if errors.As(err, &missing) && try == 0 {
			if err = p.srv.fetchDictionary(ctx, p.tenant, missing.ID); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, errors.New(openError(err))
		}
		p.total += int64(len(plain))
		if plain == nil {
			plain = []byte{} // which is to be set, unlike what is nil
		}
		return plain, nil
	}
}

// nameOf splits the name of a key as the upstream knows it.
func (p *plan) nameOf(key []byte) value.Name {
	if db, rest, ok := p.tenant.Split(key); ok {
		return value.Name{Prefix: p.tenant.Prefix(db), Key: rest}
	}
	return value.Name{Key: key}
}

// fixes appends the requests that make plain what has to be.
func (p *plan) fixes(dst [][]byte) [][]byte {
	for _, n := range p.needs {
		if n.plain != nil {
			dst = append(dst, resp.AppendRequest(make([]byte, 0, len(n.plain)+len(n.key)+64), []byte("SET"), n.key, n.plain, []byte("KEEPTTL")))
		}
		if n.pairs == nil {
			continue
		}
		args := [][]byte{[]byte("HSET"), n.key}
		if p.fieldTTL {
			args = [][]byte{[]byte("EVAL"), []byte(fieldsScript), []byte("1"), n.key}
		}
		dst = append(dst, resp.AppendRequest(nil, append(args, n.pairs...)...))
	}
	return dst
}
