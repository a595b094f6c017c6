package ledger

import (
	"fmt"
	"time"
)

// Hour is one hour of UTC, counted from 1970. Usage is kept by hours.
type Hour int64

// HourOf is the hour that a moment lies in.
func HourOf(t time.Time) Hour {
	s := t.Unix()
	h := s / 3600
	if s%3600 < 0 {
		h--
	}
	return Hour(h)
}

// Start is its first moment.
func (h Hour) Start() time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

const hourLayout = "2006010215"

// String is the hour as keys of the upstream have it: yyyymmddhh.
func (h Hour) String() string { return h.Start().Format(hourLayout) }

// ParseHour reads what String writes.
func ParseHour(text string) (Hour, error) {
	t, err := time.Parse(hourLayout, text)
	if err != nil {
		return 0, fmt.Errorf("%q is not an hour, yyyymmddhh", text)
	}
	return HourOf(t), nil
}
