package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// By is what the lines of a list of usage are for.
type By string

// The spans of time, all of UTC.
const (
	ByHour  By = "hour"
	ByDay   By = "day"
	ByMonth By = "month"
	ByTotal By = "total" // all that is asked for
)

// ParseBy reads a By.
func ParseBy(text string) (By, error) {
	switch by := By(text); by {
	case ByHour, ByDay, ByMonth, ByTotal:
		return by, nil
	}
	return "", fmt.Errorf("%q is not hour, day, month or total", text)
}

// span is the one that an hour lies in, bounded by what is asked for.
func (b By) span(h, from, to Hour) (Hour, Hour) {
	t := h.Start()
	begin, end := from, to
	switch b {
	case ByHour:
		begin, end = h, h+1
	case ByDay:
		begin = HourOf(t.Truncate(24 * time.Hour))
		end = begin + 24
	case ByMonth:
		month := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		begin, end = HourOf(month), HourOf(month.AddDate(0, 1, 0))
	}
	return max(begin, from), min(end, to)
}

// Line is a tenant's usage in a span of time, as it is shown. Sums are exact;
// averages are rounded down, but not the ones that have decimals, which have three.
type Line struct {
	Tenant string            `json:"tenant"`
	Tags   map[string]string `json:"tags"`
	From   time.Time         `json:"from"`
	To     time.Time         `json:"to"`
	Plan   string            `json:"plan"`   // in force in the last hour with usage
	Hours  int64             `json:"hours"`  // that had usage
	Closed bool              `json:"closed"` // none of these can change any more

	Operations int64 `json:"operations"`
	Reads      int64 `json:"reads"`
	Writes     int64 `json:"writes"`
	Scripts    int64 `json:"scripts"`
	PubSub     int64 `json:"pubsub"`
	Other      int64 `json:"other_operations"`

	In        int64 `json:"bytes_in"`
	Out       int64 `json:"bytes_out"`
	Throttled int64 `json:"throttled"`
	Refused   int64 `json:"refused"`

	ConnSeconds int64 `json:"connection_seconds"`
	ConnAverage Milli `json:"connections_avg"` // over the hours that had usage
	ConnPeak    int64 `json:"connections_peak"`

	MemoryByteHours  int64 `json:"memory_byte_hours"`
	MemoryAverage    int64 `json:"memory_avg"` // over the minutes in which it was looked at
	MemoryPeak       int64 `json:"memory_peak"`
	KeysAverage      int64 `json:"keys_avg"`
	KeysPeak         int64 `json:"keys_peak"`
	StorageByteHours int64 `json:"storage_byte_hours"`
	StorageAverage   int64 `json:"storage_avg"`
	StoragePeak      int64 `json:"storage_peak"`

	Late int64 `json:"late_operations"` // of operations: from hours that were closed already
}

// Milli is a number in thousandths.
type Milli int64

func (m Milli) String() string { return fmt.Sprintf("%d.%03d", m/1000, m%1000) }

// MarshalJSON writes a decimal number.
func (m Milli) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Milli) UnmarshalJSON(b []byte) error {
	whole, part, _ := strings.Cut(string(b), ".")
	n, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil || len(part) != 3 {
		return fmt.Errorf("%q is not a number with three decimals", b)
	}
	*m = Milli(n)
	return nil
}

// Lines sums a tenant's rows in [from, to) up, in order of time.
func Lines(rows []*Row, by By, from, to Hour, tags map[string]string) []*Line {
	sums := make(map[Hour]*total)
	for _, r := range rows {
		begin, end := by.span(r.Hour, from, to)
		t := sums[begin]
		if t == nil {
			t = &total{tenant: r.Tenant, from: begin, to: end, closed: true}
			sums[begin] = t
		}
		t.add(r)
	}
	if tags == nil {
		tags = map[string]string{}
	}
	lines := make([]*Line, 0, len(sums))
	for _, h := range slices.Sorted(maps.Keys(sums)) {
		lines = append(lines, sums[h].line(tags))
	}
	return lines
}

// total is several rows.
type total struct {
	tenant   string
	from, to Hour
	hours    int64
	closed   bool
	sum      Row
}

func (t *total) add(r *Row) {
	t.hours++
	t.closed = t.closed && r.Closed != 0
	t.sum.Figures.Accumulate(&r.Figures)
	t.sum.Memory.merge(r.Memory)
	t.sum.Keys.merge(r.Keys)
	t.sum.Storage.merge(r.Storage)
	t.sum.Minutes += r.Minutes
	if r.Late != nil {
		if t.sum.Late == nil {
			t.sum.Late = new(Figures)
		}
		t.sum.Late.add(r.Late)
	}
	if r.Hour >= t.sum.Hour {
		t.sum.Hour, t.sum.Plan = r.Hour, r.Plan
	}
}

func (t *total) line(tags map[string]string) *Line {
	s := &t.sum
	l := &Line{
		Tenant: t.tenant, Tags: tags, From: t.from.Start(), To: t.to.Start(), Plan: s.Plan, Hours: t.hours, Closed: t.closed,
		Operations: s.Operations(), Reads: s.Read, Writes: s.Write, Scripts: s.Script, PubSub: s.PubSub, Other: s.Other,
		In: s.In, Out: s.Out, Throttled: s.Throttled, Refused: s.Refused,
		ConnSeconds: s.ConnMillis / 1000, ConnAverage: Milli(s.ConnMillis / (3600 * t.hours)), ConnPeak: s.ConnPeak,
		MemoryByteHours: s.Memory.Sum / 60, MemoryAverage: s.Memory.Average(s.Minutes), MemoryPeak: s.Memory.Peak,
		KeysAverage: s.Keys.Average(s.Minutes), KeysPeak: s.Keys.Peak,
		StorageByteHours: s.Storage.Sum / 60, StorageAverage: s.Storage.Average(s.Minutes), StoragePeak: s.Storage.Peak,
	}
	if s.Late != nil {
		l.Late = s.Late.Operations()
	}
	return l
}
