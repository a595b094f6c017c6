package proxy

import (
	"testing"

	"riptide-proxy/quota"
)

// What holds up the whole server for a while does not end the measuring for good, and a command that
// ran although no transaction had begun has its own reply.
func TestMeasuredFailures(t *testing.T) {
	const busy, aborted = "-BUSY Redis is busy running a script.\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n"
	unavailable := "-" + errUnavailable + "\r\n"
	for name, c := range map[string]struct {
		replies [5]string
		want    string
		blind   bool
		spent   int64
	}{
		"runs":                {[5]string{"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*3\r\n:10\r\n+OK\r\n:60\r\n"}, "+OK\r\n", false, 50},
		"busy":                {[5]string{"+OK\r\n", busy, busy, busy, aborted}, busy, false, 0},
		"refused":             {[5]string{"+OK\r\n", "+QUEUED\r\n", "-OOM no\r\n", "+QUEUED\r\n", aborted}, "-OOM no\r\n", false, 0},
		"forbidden":           {[5]string{"+OK\r\n", "-NOPERM no\r\n", "+QUEUED\r\n", "-NOPERM no\r\n", aborted}, unavailable, true, 0},
		"unknown":             {[5]string{"+OK\r\n", "-ERR unknown command\r\n", "+QUEUED\r\n", "-ERR unknown command\r\n", aborted}, unavailable, true, 0},
		"none begun, but ran": {[5]string{busy, ":10\r\n", "+OK\r\n", ":60\r\n", "-ERR EXEC without MULTI\r\n"}, "+OK\r\n", false, 100},
		"none begun":          {[5]string{busy, busy, busy, busy, "-ERR EXEC without MULTI\r\n"}, busy, false, 100},
	} {
		t.Run(name, func(t *testing.T) {
			m, k := testMeter(t, quota.Amounts{quota.Bytes: 1 << 20})
			need := quota.Amounts{quota.Bytes: 100}
			m.reserve(need)
			x := slot{vals: &valueNote{measure: &measure{meter: m, need: need, keys: [][]byte{[]byte("k")}}}}
			var own []byte
			for i, reply := range c.replies {
				var more bool
				own, more = m.worker.measured(&x, []byte(reply))
				if more != (i < len(c.replies)-1) {
					t.Fatalf("reply %d: more is %v", i, more)
				}
			}
			if string(own) != c.want || k.blind.Load() != c.blind || m.spent[quota.Bytes] != c.spent || m.pending != (quota.Amounts{}) {
				t.Errorf("%q, blind %v, spent %d, pending %v", own, k.blind.Load(), m.spent[quota.Bytes], m.pending)
			}
		})
	}
}
