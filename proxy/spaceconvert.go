package proxy

import "riptide-proxy/quota"

// A hash, a set or a sorted set with few and short elements is stored in a compact way, until one
// more command has the server store all of them in another. How much that takes is in nobody's
// request. So only as many such commands are under way as there is room for, or nearly, if it came
// to that with all of them.

// conversions are a meter's commands that may convert.
type conversions struct {
	converting int        // that are being measured
	crowded    []*session // wait for them
	likely     int64      // bytes that one takes more than it says, on average
	unseen     int        // since one was measured
}

const (
	// conversion is what one takes at most: 512 elements of 64 bytes, as the
	// servers are configured if nothing is said.
	conversion = 48 << 10
	// maxConverting is above how many commands a loop has under way.
	maxConverting = 1024
	// conversionProbe is how many of them go unmeasured while there is room for all that may
	// be under way.
	conversionProbe = 64
)

// room is how many bytes the tenant has left, as far as is known.
func (m *spaceMeter) room() int64 {
	return max(0, m.limit[quota.Bytes]-m.used[quota.Bytes]+m.left[quota.Bytes])
}

// convert completes the charge of a command that may convert. It returns false if that has to
// wait for others.
func (m *spaceMeter) convert(s *session, c *charge) bool {
	if m.limit[quota.Bytes] == 0 {
		return true
	}
	c.learns = c.measure // unless it is measured for another reason, which the others are not
	room := m.room()
	if room >= maxConverting*conversion && !m.exact {
		if m.unseen++; m.unseen >= conversionProbe {
			c.measure, m.unseen = true, 0
		}
	} else {
		c.measure = true
	}
	if c.converts = c.measure && s.tx == nil && s.pin == nil; !c.converts {
		c.need[quota.Bytes] += m.conversions.likely
		return true
	}
	if m.converting > 0 && int64(m.converting+1)*conversion > room {
		m.crowded = append(m.crowded, s)
		return false
	}
	return true
}

// learnConversion takes note of how much more than it said a command has taken.
func (m *spaceMeter) learnConversion(more int64) {
	m.conversions.likely += (max(0, more) - m.conversions.likely) / 4
}

// converted tells that one is not under way any more.
func (m *spaceMeter) converted() {
	m.converting--
	crowded := m.crowded
	m.crowded = nil
	for _, s := range crowded {
		s.tryResume()
	}
}
