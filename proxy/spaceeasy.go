package proxy

import (
	"math"

	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// easySpace is a part of a meter's allowance that is put aside for writes that say what they add
// and need not be measured, as most are far from the limit: for them a comparison and a
// subtraction have to do.
type easySpace struct {
	need  int64 // bytes that the command being handled is charged with; 0: it is not one of these
	left  int64 // bytes
	keys  int64 // that may be added; many if they have no limit
	given [quota.Resources]int64
}

// admit charges a command, unless it has to be looked at more closely.
func (e *easySpace) admit(r *namespace.Request) bool {
	need := int64(len(r.Raw)+perArgument*len(r.Args)) + perKey
	if need > e.left || e.keys == 0 {
		return false
	}
	e.need = need
	return true
}

// book takes the charge of a command that was handled, if that is done.
func (e *easySpace) book(done bool) {
	if done {
		e.left -= e.need
		e.keys--
	}
	e.need = 0
}

// easily puts as much aside as may be written until the next probe.
func (m *spaceMeter) easily() {
	if m.exact || m.easy.given != [quota.Resources]int64{} {
		return
	}
	bytes, keys := m.probeAt-m.sinceProbe, int64(math.MaxInt64)
	if m.limit[quota.Bytes] > 0 {
		bytes = min(bytes, m.left[quota.Bytes])
	}
	if m.limit[quota.Keys] > 0 {
		keys = m.left[quota.Keys]
	}
	if bytes <= 0 || keys <= 0 {
		return
	}
	m.easy = easySpace{left: bytes, keys: keys, given: [quota.Resources]int64{bytes, keys}}
}

// hardly ends that, and books what has been written.
func (m *spaceMeter) hardly() {
	e := &m.easy
	if bytes := e.given[quota.Bytes] - e.left; bytes > 0 {
		m.quiet = 0
		m.sinceProbe += bytes
		m.guess(quota.Bytes, bytes)
		m.guess(quota.Keys, e.given[quota.Keys]-e.keys)
	}
	*e = easySpace{}
}
