package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"riptide-proxy/config"
)

// Query asks for usage.
type Query struct {
	From, To Hour // To is not in it
	Tenant   string
	By       By
	Tags     map[string]string // that tenants must have
}

// ErrUnknownTenant tells that neither the configuration nor the ledger has a tenant.
var ErrUnknownTenant = errors.New("no such tenant")

// layouts are how moments can be written; what they leave out is 0 in UTC.
var layouts = []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15", "2006-01-02T15:04", time.RFC3339}

// ParseMoment reads the beginning of an hour, day, month or year.
func ParseMoment(text string) (Hour, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			h := HourOf(t)
			if !h.Start().Equal(t) {
				return 0, fmt.Errorf("%q is not the beginning of an hour", text)
			}
			return h, nil
		}
	}
	return 0, fmt.Errorf("%q is not a time (examples: 2026-11, 2026-11-23, 2026-11-23T15, 2026-11-23T15:00:00Z)", text)
}

// maxSpan is the longest time that one query may ask for.
const maxSpan = 10 * 366 * 24

// ParseSpan reads from and to. Without from it is the month of now, without to the hour
// after now.
func ParseSpan(from, to string, now time.Time) (begin, end Hour, err error) {
	now = now.UTC()
	begin, end = HourOf(time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)), HourOf(now)+1
	if from != "" {
		if begin, err = ParseMoment(from); err != nil {
			return 0, 0, err
		}
	}
	if to != "" {
		if end, err = ParseMoment(to); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case to == "" && begin >= end:
		return 0, 0, errors.New("the time asked for has not begun yet")
	case begin >= end:
		return 0, 0, errors.New("the time asked for ends before it begins")
	case end-begin > maxSpan:
		return 0, 0, errors.New("the time asked for is longer than ten years")
	}
	return begin, end, nil
}

// Chosen are the roots, by id, of the tenants that a query is for: those of
// the ledger and, since one without usage is no mistake, of the configuration.
func Chosen(ctx context.Context, s *Store, cfg *config.Config, tenant string, tags map[string]string) (map[string]string, error) {
	all, err := s.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for id, t := range cfg.Tenants {
		all[id] = config.KeyPrefix(id, t.HashTag)
	}
	if tenant != "" {
		root, known := all[tenant]
		if !known {
			return nil, fmt.Errorf("%w: %s", ErrUnknownTenant, tenant)
		}
		all = map[string]string{tenant: root}
	}
	maps.DeleteFunc(all, func(id, _ string) bool {
		for name, value := range tags {
			if t := cfg.Tenants[id]; t == nil || t.Tags[name] != value {
				return true
			}
		}
		return false
	})
	return all, nil
}

// Run answers a query, by tenant and time.
func (q *Query) Run(ctx context.Context, s *Store, cfg *config.Config) ([]*Line, error) {
	tenants, err := Chosen(ctx, s, cfg, q.Tenant, q.Tags)
	if err != nil {
		return nil, err
	}
	lines := []*Line{}
	for _, id := range slices.Sorted(maps.Keys(tenants)) {
		rows, err := s.Rows(ctx, id, tenants[id], q.From, q.To)
		if err != nil {
			return nil, err
		}
		var tags map[string]string
		if t := cfg.Tenants[id]; t != nil {
			tags = t.Tags
		}
		lines = append(lines, Lines(rows, q.By, q.From, q.To, tags)...)
	}
	return lines, nil
}

// ParseTag reads name=value.
func ParseTag(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || value == "" {
		return "", "", fmt.Errorf("%q is not name=value", text)
	}
	return name, value, nil
}

// Format is a way to write usage and bills.
type Format string

// The formats.
const (
	CSV   Format = "csv"
	JSON  Format = "json"
	Table Format = "table"
)

// ParseFormat reads a Format.
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case CSV, JSON, Table:
		return f, nil
	}
	return "", fmt.Errorf("%q is not csv, json or table", text)
}

// Write writes lines in a format.
func Write(out io.Writer, f Format, lines []*Line) error {
	switch f {
	case CSV:
		return WriteCSV(out, lines)
	case JSON:
		return WriteJSON(out, lines)
	}
	return WriteTable(out, lines)
}
