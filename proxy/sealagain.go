package proxy

import (
	"context"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
)

// sealAgain seals what an encrypting tenant's plan had to leave plain. What can
// not be sealed now stays plain, and is found by the next rekey.
func (p *plan) sealAgain() {
	if p.view.codec.Encrypts() {
		p.srv.sealKeys(p.srv.ctx, p, p.touched()) // also when the client has gone
	}
}

// sealLater is sealAgain for when nobody knows whether the transaction has run: the answer does not wait for it.
func (p *plan) sealLater() {
	if p.view.codec.Encrypts() {
		p.srv.sealLater(p.tenant, p.view, p.touched())
	}
}

// touched are the keys at which values may have been left plain.
func (p *plan) touched() (keys [][]byte) {
	for _, n := range p.needs {
		keys = append(keys, n.key)
	}
	for _, h := range p.tx.waiting {
		if h.cmd.Has(command.Write) && !h.own {
			for _, i := range h.prefixed {
				keys = append(keys, h.name(i))
			}
		}
	}
	return keys
}

// sealLater seals the values at some keys that were made plain for an encrypting tenant's command.
func (s *Server) sealLater(t *namespace.Tenant, v *tenantValues, keys [][]byte) {
	s.slow.Add(1)
	go func() {
		defer s.slow.Done()
		s.sealKeys(s.ctx, &plan{srv: s, tenant: t, view: v, maxBulk: upstream.DefaultMaxBulk}, keys)
	}()
}

// sealKeys seals the values at some keys, as long as they are what was read.
func (s *Server) sealKeys(ctx context.Context, p *plan, keys [][]byte) {
	seen := make(map[string]bool)
	for _, key := range keys {
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		var swap []any
		if text, err := s.client.Get(ctx, string(key)).Bytes(); err == nil {
			if sealed, ok := p.encrypt(text, key); ok {
				swap = append(swap, text, sealed)
			}
		} else if fields, err := s.client.HGetAll(ctx, string(key)).Result(); err == nil {
			for f, text := range fields {
				if sealed, ok := p.encrypt([]byte(text), key); ok {
					swap = append(swap, f, text, sealed)
				}
			}
		}
		if len(swap) > 0 {
			s.client.Eval(ctx, swapScript, []string{string(key)}, swap...)
		}
	}
}

// encrypt is what is to be stored of a value that was left plain. ok is false if it is
// encrypted, or can not be.
func (p *plan) encrypt(stored, key []byte) (sealed []byte, ok bool) {
	h, _, isSealed := value.ParseHeader(stored)
	if isSealed && h.Cipher != value.NoCipher {
		return nil, false
	}
	if isSealed { // wrapped
		var err error
		if stored, err = p.view.codec.Open(&p.counters, nil, stored, p.nameOf(key)); err != nil {
			return nil, false
		}
	}
	return p.seal(stored, key), true
}
