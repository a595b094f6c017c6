package proxy

import (
	"bytes"

	"riptide-proxy/command"
	"riptide-proxy/value"
)

// In a transaction that looks inside values, those at the keys that it needs are
// plain from its beginning to its end, also one that begins with a sealed value's first bytes:
// such a one is wrapped when all is done. What is at other keys is sealed as ever.

// isPlain reports whether the value that a command finds at the key that argument i names is
// plain.
func (p *plan) isPlain(h *heldCommand, i int32) bool {
	n := p.byKey[string(h.name(i))]
	switch {
	case n == nil || inStream(h.cmd):
		return false
	case h.cmd.Cats&command.CatHash != 0:
		return n.hash
	}
	return n.text
}

// stays reports whether a value that a command stores stays plain until the end.
func (p *plan) stays(h *heldCommand, i int32) bool {
	key := h.cmd.KeyOfValue(h.prefixed, i)
	return p.isPlain(h, key) || h.cmd.Cats&command.CatHash != 0 && p.needsField(h, key, i)
}

// needsField reports whether the field is needed that a value of a hash is for. Its name
// stands in front of it.
func (p *plan) needsField(h *heldCommand, key, i int32) bool {
	n := p.byKey[string(h.name(key))]
	if n == nil {
		return false
	}
	for _, f := range n.fields {
		if bytes.Equal(f, h.name(i-1)) {
			return true
		}
	}
	return false
}

// wholeHashes has hashes made plain of which not all fields are needed, if one of them will
// begin with a sealed value's first bytes: which ones are sealed would be hard to tell.
func (p *plan) wholeHashes() {
	for _, h := range p.tx.waiting {
		for _, i := range h.values {
			if key := h.cmd.KeyOfValue(h.prefixed, i); value.IsSealed(h.name(i)) && h.cmd.Cats&command.CatHash != 0 && p.needsField(h, key, i) {
				p.byKey[string(h.name(key))].hash = true
			}
		}
	}
}

// sent is a command without values as the upstream is to get it. RESTORE at a key that is
// needed leaves the wrapping to the end.
func (p *plan) sent(h *heldCommand) []byte {
	if h.cmd.Restores && len(h.prefixed) > 0 && p.byKey[string(h.name(h.prefixed[0]))] != nil {
		return h.raw
	}
	return h.sent()
}

// wraps appends the requests that wrap what is plain and begins with a sealed value's first
// bytes.
func (p *plan) wraps(dst [][]byte) [][]byte {
	found := len(p.tails) > 0
	for _, n := range p.needs {
		n.wrapText, n.wrapHash = value.IsSealed(n.plain), anySealed(n.pairs)
		found = found || n.wrapText || n.wrapHash
	}
	for _, n := range p.tails {
		n.wrapText = true
	}
	for _, h := range p.tx.waiting {
		for _, i := range h.values {
			key := h.cmd.KeyOfValue(h.prefixed, i)
			if !value.IsSealed(h.name(i)) || !p.isPlain(h, key) {
				continue
			}
			n := p.byKey[string(h.name(key))]
			hash := h.cmd.Cats&command.CatHash != 0
			n.wrapText, n.wrapHash, found = n.wrapText || !hash, n.wrapHash || hash, true
		}
		if h.cmd.Restores && len(h.prefixed) > 0 {
			if n := p.byKey[string(h.name(h.prefixed[0]))]; n != nil {
				n.wrapText, n.wrapHash, found = true, n.hash, true
			}
		}
	}
	for _, n := range p.needs {
		if p.moves && found {
			n.wrapText, n.wrapHash = n.text, n.hash
		}
		if n.wrapText || n.wrapHash {
			dst = append(dst, rawRequest("EVAL", wrapScript, "1", string(n.key), typeIf(n.wrapText, "string"), typeIf(n.wrapHash, "hash")))
		}
	}
	return dst
}

func typeIf(is bool, kind string) string {
	if is {
		return kind
	}
	return ""
}

// tellPlain remembers for the replies which values in them are plain.
func (p *plan) tellPlain() {
	queue := p.tx.queue
	for _, h := range p.tx.waiting {
		if h.own {
			continue
		}
		if len(queue) == 0 {
			return
		}
		q := &queue[0]
		queue = queue[1:]
		if replyOf(h.cmd).None() || len(h.prefixed) == 0 {
			continue
		}
		plain, some := make([]bool, len(h.prefixed)), false
		for i, key := range h.prefixed {
			plain[i] = p.isPlain(h, key)
			some = some || plain[i]
		}
		if sorts(h.cmd) {
			// Its keys are patterns, and it was found out what they stand for.
			some = p.allSorts
			plain = []bool{some}
		}
		if !some {
			continue
		}
		note := valueNote{spec: specOf(h.cmd, q.vals)}
		if q.vals != nil {
			note = *q.vals
		}
		note.plain = plain
		q.vals = &note
	}
}

// anySealed reports whether one of the values among pairs of a field and a value begins with a
// sealed value's first bytes.
func anySealed(pairs [][]byte) bool {
	for i := 1; i < len(pairs); i += 2 {
		if value.IsSealed(pairs[i]) {
			return true
		}
	}
	return false
}

// firstError is why a transaction was not run.
func firstError(replies [][]byte) error {
	for _, r := range replies {
		if r[0] == '-' {
			return replyError(r)
		}
	}
	return errBadReply
}
