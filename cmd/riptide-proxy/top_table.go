package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// topColumn is one column of the table. The first one is the tenant.
type topColumn struct {
	key   string // for --sort
	title string
	width int
	cell  func(r *topRow) string
	value func(r *topRow) float64 // to sort by; nil: by tenant
}

// topColumns are in the order in which they give way: where the terminal is too narrow the last ones are left out.
var topColumns = []topColumn{
	{"tenant", "TENANT", 12, func(r *topRow) string { return r.name() }, nil},
	{"ops", "OPS/S", 7, func(r *topRow) string { return r.rate(r.Ops) }, func(r *topRow) float64 { return r.Ops }},
	{"in", "IN/S", 7, func(r *topRow) string { return r.flow(r.In) }, func(r *topRow) float64 { return r.In }},
	{"out", "OUT/S", 7, func(r *topRow) string { return r.flow(r.Out) }, func(r *topRow) float64 { return r.Out }},
	{"p50", "P50", 7, func(r *topRow) string { return topTime(r.P50) }, func(r *topRow) float64 { return orNothing(r.P50) }},
	{"p99", "P99", 7, func(r *topRow) string { return topTime(r.P99) }, func(r *topRow) float64 { return orNothing(r.P99) }},
	{"hit", "HIT%", 5, func(r *topRow) string { return topPercent(r.HitRate) }, func(r *topRow) float64 { return orNothing(r.HitRate) }},
	{"memory", "MEMORY", 7, func(r *topRow) string { return optional(r.Memory, topBytes) }, func(r *topRow) float64 { return orNothing(r.Memory) }},
	{"throttled", "THROT/S", 7, func(r *topRow) string { return r.rate(r.Throttled) }, func(r *topRow) float64 { return r.Throttled }},
	{"refused", "REFUS/S", 7, func(r *topRow) string { return r.rate(r.Refused) }, func(r *topRow) float64 { return r.Refused }},
	{"conns", "CONNS", 6, func(r *topRow) string { return topCount(float64(r.Connections)) }, func(r *topRow) float64 { return float64(r.Connections) }},
	{"keys", "KEYS", 7, func(r *topRow) string { return optional(r.Keys, topCount) }, func(r *topRow) float64 { return orNothing(r.Keys) }},
	{"errors", "ERR/S", 6, func(r *topRow) string { return r.rate(r.Errors) }, func(r *topRow) float64 { return r.Errors }},
	{"quota", "FULLEST QUOTA", 25, (*topRow).quota, func(r *topRow) float64 { _, ratio := r.fullest(); return ratio }},
}

func topColumnKeys() []string {
	keys := make([]string, len(topColumns))
	for i, c := range topColumns {
		keys[i] = c.key
	}
	return keys
}

// topStrangers is shown for connections that have not logged in, which no tenant can be called.
const topStrangers = "(no login)"

func (r *topRow) name() string {
	if r.Tenant == "" {
		return topStrangers
	}
	return r.Tenant
}

// rate and flow are unknown until there have been two looks.
func (r *topRow) rate(n float64) string {
	if !r.known {
		return "-"
	}
	return topCount(n)
}

func (r *topRow) flow(n float64) string {
	if !r.known {
		return "-"
	}
	return topBytes(n)
}

func (r *topRow) quota() string {
	name, ratio := r.fullest()
	if name == "" {
		return "-"
	}
	return fmt.Sprintf("%.0f%% %s", 100*ratio, name)
}

// orNothing sorts what is not known below all else.
func orNothing(n *float64) float64 {
	if n == nil {
		return -1
	}
	return *n
}

func optional(n *float64, format func(float64) string) string {
	if n == nil {
		return "-"
	}
	return format(*n)
}

// topCount writes a number in at most six characters.
func topCount(n float64) string {
	if n > 0 && n < 9.95 && n != math.Trunc(n) {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return scaled(n, 1000, 9999.5, []string{"", "k", "M", "G", "T", "P"})
}

// topBytes writes a number of bytes likewise.
func topBytes(n float64) string {
	return scaled(n, 1024, 1023.5, []string{"B", "K", "M", "G", "T", "P"})
}

// topTime writes microseconds.
func topTime(n *float64) string {
	if n == nil {
		return "-"
	}
	return scaled(*n, 1000, 999.5, []string{"us", "ms", "s"})
}

func topPercent(n *float64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatFloat(100**n, 'f', 1, 64)
}

// scaled divides by step until there is less than limit, or no further unit.
func scaled(n, step, limit float64, units []string) string {
	unit := 0
	for n >= limit && unit < len(units)-1 {
		n /= step
		unit++
		limit = min(limit, step-0.5)
	}
	decimals := 0
	if unit > 0 && n < 99.95 {
		decimals = 1
	}
	return strconv.FormatFloat(n, 'f', decimals, 64) + units[unit]
}

// arrange leaves the tenants that are wanted, in order.
func (v *topView) arrange(filter, by string, reverse bool) {
	v.sort, v.reverse = by, reverse
	if filter != "" {
		v.Rows = slices.DeleteFunc(v.Rows, func(r topRow) bool { return !topMatches(filter, r.name()) })
	}
	value := topColumns[max(0, slices.Index(topColumnKeys(), by))].value
	slices.SortFunc(v.Rows, func(a, b topRow) int {
		order := cmp.Compare(a.Tenant, b.Tenant)
		if value != nil {
			// Tenants with the same number stay in the order of their names.
			if n := cmp.Compare(value(&b), value(&a)); n != 0 {
				order = n
			} else {
				return order
			}
		}
		if reverse {
			return -order
		}
		return order
	})
}

// topMatches reports whether a tenant is wanted.
func topMatches(filter, tenant string) bool {
	if !strings.ContainsAny(filter, "*?") {
		return strings.Contains(tenant, filter)
	}
	matched, err := path.Match(filter, tenant)
	return matched && err == nil
}

// layout is how wide the tenants' column is, and how many columns fit; width 0: all of them.
func (v *topView) layout(width int) (tenant, columns int) {
	tenant = topColumns[0].width
	for i := range v.Rows {
		tenant = max(tenant, len(v.Rows[i].name()))
	}
	if width > 0 {
		tenant = min(tenant, max(topColumns[0].width, width/4))
	}
	used := tenant
	for columns = 1; columns < len(topColumns); columns++ {
		if used += 1 + topColumns[columns].width; width > 0 && used > width {
			break
		}
	}
	return tenant, columns
}

// header is the line of titles; the column that is sorted by is marked.
func (v *topView) header(tenant, columns int) string {
	return line(tenant, columns, func(c *topColumn) string {
		if c.key != v.sort {
			return c.title
		}
		mark := "v" // the largest is above
		if (c.value == nil) != v.reverse {
			mark = "^"
		}
		return c.title + mark
	})
}

// line writes the cells of the first columns, the tenant and the quota to the left and numbers to the right.
func line(tenant, columns int, cell func(c *topColumn) string) string {
	var b strings.Builder
	for i := range topColumns[:columns] {
		c := &topColumns[i]
		text := cell(c)
		switch {
		case i == 0:
			if len(text) > tenant {
				text = text[:tenant-1] + "~"
			}
			fmt.Fprintf(&b, "%-*s", tenant, text)
		case i == len(topColumns)-1:
			b.WriteString(" " + text)
		default:
			fmt.Fprintf(&b, " %*s", c.width, text)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func (v *topView) row(i, tenant, columns int) string {
	return line(tenant, columns, func(c *topColumn) string { return c.cell(&v.Rows[i]) })
}

// table is everything, as wide as it needs.
func (v *topView) table() string {
	var b strings.Builder
	tenant, columns := v.layout(0)
	b.WriteString(v.header(tenant, columns) + "\n")
	for i := range v.Rows {
		b.WriteString(v.row(i, tenant, columns) + "\n")
	}
	return b.String()
}

// summary is a line about all together.
func (v *topView) summary() string {
	var ops, in, out float64
	var conns int64
	for i := range v.Rows {
		ops, in, out, conns = ops+v.Rows[i].Ops, in+v.Rows[i].In, out+v.Rows[i].Out, conns+v.Rows[i].Connections
	}
	return fmt.Sprintf("%s  proxies %d/%d  tenants %d  ops/s %s  in/s %s  out/s %s  conns %s",
		v.At.Format(time.TimeOnly), v.up(), len(v.Proxies), len(v.Rows), topCount(ops), topBytes(in), topBytes(out), topCount(float64(conns)))
}

func (v *topView) printJSON(out io.Writer) error {
	if v.Rows == nil {
		v.Rows = []topRow{}
	}
	return json.NewEncoder(out).Encode(v)
}
