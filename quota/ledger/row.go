package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Row is what a tenant has used in one hour, all proxies together.
type Row struct {
	Tenant string `json:"-"`
	Hour   Hour   `json:"-"`

	Figures
	// Late is the part of Figures that belongs to hours which were closed
	// already when it was reported.
	Late *Figures `json:"late,omitempty"`

	Memory  Level `json:"memory"`
	Keys    Level `json:"keys"`
	Storage Level `json:"storage"`
	Minutes int64 `json:"minutes,omitempty"` // in which these were looked at

	Plan    string `json:"plan,omitempty"`   // in force when usage was reported last
	Proxies int    `json:"proxies"`          // processes that have reported
	Closed  int64  `json:"closed,omitempty"` // Unix time of closing; 0: still open
}

// empty reports whether the hour has nothing to show for it.
func (r *Row) empty() bool { return r.Figures.zero() && r.Minutes == 0 }

// The fields of an hour's hash.
const (
	fieldClosed  = "closed"   // the Row, once the hour is closed
	fieldProxy   = "p:"       // and a process: its totals
	fieldMinute  = "m:"       // and a minute, 00 to 59: what the levels were
	fieldLate    = "late:"    // and hour:process: what was carried over from a closed hour
	fieldCarried = "carried:" // and a process: the totals as of which the rest was carried over
)

// record is one process's totals of one hour.
type record struct {
	Figures
	Plan string `json:"plan,omitempty"`
	At   int64  `json:"at"` // Unix milliseconds of the process's clock
}

// encode puts the number of the report in front, by which a report that comes
// late is told from its successors.
func (r *record) encode(seq int64) string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // integers and a name
	}
	return strconv.FormatInt(seq, 10) + " " + string(b)
}

func decodeRecord(text string) (r record, seq int64, err error) {
	number, body, _ := strings.Cut(text, " ")
	if seq, err = strconv.ParseInt(number, 10, 64); err == nil {
		err = json.Unmarshal([]byte(body), &r)
	}
	return r, seq, err
}

// observation is what the levels were in one minute.
type observation struct {
	memory, keys, storage int64
	plan                  string
}

func (o observation) encode() string {
	return fmt.Sprintf("%d %d %d %s", o.memory, o.keys, o.storage, o.plan)
}

func decodeObservation(text string) (o observation, err error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return o, fmt.Errorf("%q is no observation", text)
	}
	for i, n := range []*int64{&o.memory, &o.keys, &o.storage} {
		if *n, err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return o, err
		}
	}
	o.plan = parts[3]
	return o, nil
}

// sum makes the row of an hour out of its hash.
func sum(tenant string, hour Hour, fields map[string]string) (*Row, error) {
	row := &Row{Tenant: tenant, Hour: hour}
	bad := func(field string, err error) error {
		return fmt.Errorf("usage of tenant %s in hour %s, field %s: %w", tenant, hour, field, err)
	}
	if text, ok := fields[fieldClosed]; ok {
		if err := json.Unmarshal([]byte(text), row); err != nil {
			return nil, bad(fieldClosed, err)
		}
		return row, nil
	}
	var newest int64 // report that named the plan
	var newestBy, minutePlan, newestMinute string
	for name, text := range fields {
		switch {
		case strings.HasPrefix(name, fieldProxy):
			r, _, err := decodeRecord(text)
			if err != nil {
				return nil, bad(name, err)
			}
			row.Figures.add(&r.Figures)
			row.ConnPeak += r.ConnPeak // when each had its own need not be the same moment: an upper bound
			row.Proxies++
			if r.At > newest || r.At == newest && name > newestBy {
				newest, newestBy, row.Plan = r.At, name, r.Plan
			}
		case strings.HasPrefix(name, fieldMinute):
			o, err := decodeObservation(text)
			if err != nil {
				return nil, bad(name, err)
			}
			row.Memory.observe(o.memory)
			row.Keys.observe(o.keys)
			row.Storage.observe(o.storage)
			row.Minutes++
			if name > newestMinute {
				newestMinute, minutePlan = name, o.plan
			}
		case strings.HasPrefix(name, fieldLate):
			r, _, err := decodeRecord(text)
			if err != nil {
				return nil, bad(name, err)
			}
			row.Figures.add(&r.Figures)
			if row.Late == nil {
				row.Late = new(Figures)
			}
			row.Late.add(&r.Figures)
			if newestBy == "" && minutePlan == "" {
				row.Plan = r.Plan
			}
		}
	}
	if newestBy == "" && newestMinute != "" {
		row.Plan = minutePlan
	}
	return row, nil
}
