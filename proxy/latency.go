package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// spikeHistory is how many seconds with spikes are remembered.
const spikeHistory = 160

// spikeEvent is the one event that the proxy watches: commands that take long.
const spikeEvent = "command"

// spike is the worst of one second.
type spike struct {
	at int64 // seconds since 1970
	ms int64
}

// spikes are a tenant's on one loop, the oldest first.
type spikes struct {
	list []spike
	most int64 // of all times
}

func (l *spikes) add(at int64, took time.Duration) {
	ms := took.Milliseconds()
	l.most = max(l.most, ms)
	if n := len(l.list); n > 0 && l.list[n-1].at == at {
		l.list[n-1].ms = max(l.list[n-1].ms, ms)
		return
	}
	if len(l.list) == spikeHistory {
		l.list = append(l.list[:0], l.list[1:]...)
	}
	l.list = append(l.list, spike{at, ms})
}

// merged puts the loops' spikes together.
func merged(all []spikes) (sum spikes) {
	for _, l := range all {
		sum.list = append(sum.list, l.list...)
		sum.most = max(sum.most, l.most)
	}
	slices.SortFunc(sum.list, func(a, b spike) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.ms, a.ms)) })
	sum.list = slices.CompactFunc(sum.list, func(a, b spike) bool { return a.at == b.at })
	sum.list = sum.list[max(0, len(sum.list)-spikeHistory):]
	return sum
}

func (s *session) surveySpikes(answer func(l spikes) []byte) {
	survey(s, func(_ *worker, t *tenantStats) spikes {
		return spikes{slices.Clone(t.spikes.list), t.spikes.most}
	}, func(all []spikes) []byte { return answer(merged(all)) })
}

// latencyLatest is LATENCY LATEST.
func latencyLatest(s *session, _ *command.Command, _ *namespace.Request) {
	s.surveySpikes(func(l spikes) []byte {
		if len(l.list) == 0 {
			return resp.AppendArray(nil, 0)
		}
		last := l.list[len(l.list)-1]
		b := resp.AppendArray(resp.AppendArray(nil, 1), 4)
		b = resp.AppendBulkString(b, spikeEvent)
		b = resp.AppendInt(b, last.at)
		b = resp.AppendInt(b, last.ms)
		return resp.AppendInt(b, l.most)
	})
}

// latencyHistory is LATENCY HISTORY event.
func latencyHistory(s *session, _ *command.Command, r *namespace.Request) {
	if string(r.At(2)) != spikeEvent {
		s.answer(resp.AppendArray(nil, 0))
		return
	}
	s.surveySpikes(func(l spikes) []byte {
		b := resp.AppendArray(nil, len(l.list))
		for _, p := range l.list {
			b = resp.AppendArray(b, 2)
			b = resp.AppendInt(b, p.at)
			b = resp.AppendInt(b, p.ms)
		}
		return b
	})
}

// latencyReset is LATENCY RESET [event ...].
func latencyReset(s *session, _ *command.Command, r *namespace.Request) {
	asked := len(r.Args) == 2
	for i := 2; i < len(r.Args); i++ {
		asked = asked || string(r.At(i)) == spikeEvent
	}
	survey(s, func(_ *worker, t *tenantStats) bool {
		had := asked && len(t.spikes.list) > 0
		if asked {
			t.spikes = spikes{}
		}
		return had
	}, func(all []bool) []byte {
		if slices.Contains(all, true) {
			return resp.AppendInt(nil, 1)
		}
		return resp.AppendInt(nil, 0)
	})
}

// latencyGraph is LATENCY GRAPH event.
func latencyGraph(s *session, _ *command.Command, r *namespace.Request) {
	known, proto := string(r.At(2)) == spikeEvent, s.proto
	event := string(quoted(r.At(2), 128))
	s.surveySpikes(func(l spikes) []byte {
		if len(l.list) == 0 || !known {
			return resp.AppendError(nil, "ERR No samples available for event '"+event+"'")
		}
		return resp.AppendVerbatim(nil, proto, "txt", l.graph(time.Now().Unix()))
	})
}

const graphRows = 4

// graph draws a column for each second that had a spike, the newest on the
// right, with its age below it.
func (l *spikes) graph(now int64) string {
	low, high := int64(math.MaxInt64), int64(0)
	for _, p := range l.list {
		low, high = min(low, p.ms), max(high, p.ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n", spikeEvent, high, low, l.most)
	b.WriteString(strings.Repeat("-", 80) + "\n")
	labels := make([]string, len(l.list))
	deepest := 0
	for i, p := range l.list {
		labels[i] = ageOf(now - p.at)
		deepest = max(deepest, len(labels[i]))
	}
	for row := range graphRows {
		for _, p := range l.list {
			// The highest reaches the top row, where it is marked as such.
			height := 0
			if high > low {
				height = int((p.ms - low) * (graphRows*2 - 1) / (high - low))
			}
			switch at := (graphRows - 1 - row) * 2; {
			case height > at && p.ms == high && row == 0:
				b.WriteByte('#')
			case height > at:
				b.WriteByte('|')
			case height == at:
				b.WriteByte('_')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	for i := range deepest {
		b.WriteByte('\n')
		for _, label := range labels {
			if i < len(label) {
				b.WriteByte(label[i])
			} else {
				b.WriteByte(' ')
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func ageOf(seconds int64) string {
	switch seconds = max(0, seconds); {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 86400:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/86400)
}

// latencyDoctor is LATENCY DOCTOR.
func latencyDoctor(s *session, _ *command.Command, _ *namespace.Request) {
	proto := s.proto
	s.surveySpikes(func(l spikes) []byte {
		text := fmt.Sprintf("No command took %d ms or longer. There is nothing to worry about.\n", slowCommand.Milliseconds())
		if n := int64(len(l.list)); n > 0 {
			sum := int64(0)
			for _, p := range l.list {
				sum += p.ms
			}
			text = fmt.Sprintf("1. %s: %d latency spikes (average %dms). Worst all time event %dms.\n\n"+
				"- SLOWLOG GET shows which commands took %d ms or longer.\n"+
				"- KEYS, DBSIZE and FLUSHDB look through the whole server's keys. SCAN does so in small steps.\n",
				spikeEvent, n, sum/n, l.most, slowCommand.Milliseconds())
		}
		return resp.AppendVerbatim(nil, proto, "txt", text)
	})
}

// latencyHistogram is LATENCY HISTOGRAM [command ...].
func latencyHistogram(s *session, _ *command.Command, r *namespace.Request) {
	var asked []*command.Command
	seen := make([]bool, command.Count())
	for i := 2; i < len(r.Args); i++ {
		for _, c := range withSubs(lookupFull(r.At(i))) {
			if !seen[c.ID] {
				seen[c.ID] = true
				asked = append(asked, c)
			}
		}
	}
	if len(r.Args) == 2 {
		asked = command.All()
	}
	proto := s.proto
	survey(s, timesOf, func(all []map[int]netloop.Histogram) []byte {
		sum := mergedTimes(all)
		n := 0
		var b []byte
		for _, c := range asked {
			if h := sum[c.ID]; h != nil {
				n++
				b = resp.AppendBulkString(b, c.Name)
				b = appendHistogram(b, proto, h)
			}
		}
		return append(resp.AppendMap(nil, proto, n), b...)
	})
}

// timesOf copies the histograms of a loop, by command.
func timesOf(_ *worker, t *tenantStats) map[int]netloop.Histogram {
	m := make(map[int]netloop.Histogram)
	for id, c := range t.rows {
		if c != nil && c.latency != (netloop.Histogram{}) {
			m[id] = c.latency
		}
	}
	return m
}

func mergedTimes(all []map[int]netloop.Histogram) map[int]*netloop.Histogram {
	sum := make(map[int]*netloop.Histogram)
	for _, m := range all {
		for id, h := range m {
			if sum[id] == nil {
				sum[id] = new(netloop.Histogram)
			}
			addHistogram(sum[id], &h)
		}
	}
	return sum
}

func appendHistogram(b []byte, proto int, h *netloop.Histogram) []byte {
	var pairs []byte
	n, sum := 0, uint64(0)
	for i, k := range h.Buckets {
		if k > 0 {
			n++
			sum += k
			pairs = resp.AppendInt(pairs, 1<<i)
			pairs = resp.AppendInt(pairs, int64(sum))
		}
	}
	b = resp.AppendMap(b, proto, 2)
	b = resp.AppendBulkString(b, "calls")
	b = resp.AppendInt(b, int64(sum))
	b = resp.AppendBulkString(b, "histogram_usec")
	return append(resp.AppendMap(b, proto, n), pairs...)
}

// lookupFull finds a command by its full name, "config|get".
func lookupFull(name []byte) *command.Command {
	container, sub, isSub := bytes.Cut(name, []byte("|"))
	cmd := command.Lookup(container)
	if cmd != nil && isSub {
		cmd = cmd.Sub(sub)
	}
	return cmd
}

// withSubs is a command with its subcommands.
func withSubs(cmd *command.Command) []*command.Command {
	if cmd == nil {
		return nil
	}
	return append([]*command.Command{cmd}, cmd.Subs...)
}
