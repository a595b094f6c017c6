package proxy

import (
	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// txSpace is what a transaction's commands are charged with. It is reserved until
// the transaction has run: one that waits for its EXEC is not met by a count of the keys.
type txSpace struct {
	meter   *spaceMeter // nil: nothing is reserved
	need    quota.Amounts
	written int64 // bytes that its commands bring
	copied  int64 // the most that one of them copies
	scripts int64 // bytes that its scripts have written
}

// add completes the charge of a command that is queued: one that copies may find what those
// before it will have written.
func (x *txSpace) add(c *charge, cmd *command.Command, r *namespace.Request) {
	if cmd.Hidden != nil && (cmd.Delivers == nil || !cmd.Delivers(r)) {
		c.need[quota.Bytes] += cmd.Hidden(r)
	}
	if c.allowed > 0 {
		looked := c.allowed
		c.allowed += x.written + x.copied
		x.copied = max(x.copied, looked)
		return
	}
	x.written += c.need[quota.Bytes]
}

func (x *txSpace) reserve(m *spaceMeter, need quota.Amounts) {
	x.meter = m
	for i, n := range need {
		x.need[i] += n
	}
	m.reserve(need)
}

// wrote adds what a script of the transaction has really written.
func (x *txSpace) wrote(n int64) { x.scripts += max(0, n) }

// settle ends the reservation. ran tells that the transaction may have run.
func (x *txSpace) settle(ran bool) {
	grown := quota.Amounts{}
	if ran {
		grown = x.need
		grown[quota.Bytes] += x.scripts
	}
	x.found(grown)
}

// found ends it with what the keys are taken to have grown by.
func (x *txSpace) found(grown quota.Amounts) {
	m := x.meter
	if m == nil {
		return
	}
	for i, n := range grown {
		m.guessed[i] += n
	}
	m.unsure = m.unsure || grown != quota.Amounts{}
	m.settle(x.need, grown, quota.Amounts{})
	x.meter, x.need = nil, quota.Amounts{}
}

// charged remembers a transaction that is on its way, in case its end is never heard of.
func (s *session) charged(x *txSpace) {
	if x.meter == nil {
		return
	}
	under := s.charges[:0]
	for _, c := range s.charges {
		if c.meter != nil {
			under = append(under, c)
		}
	}
	s.charges = append(under, x)
}

// uncharge settles transactions whose end is not going to be heard of.
func (s *session) uncharge() {
	for _, x := range s.charges {
		x.settle(true)
	}
	s.charges = nil
}
