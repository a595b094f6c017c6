package main

import "fmt"

// goal is something that the project promises about a row: a ratio of two
// series that must stay on one side of a limit.
type goal struct {
	row          string
	ours, theirs string
	metric       metric
	sign         string // "<=", "<" or ">"
	limit        float64
}

// goals are the promises, in the words of the row's figures.
var goals = []goal{
	{"c50-p1-64b-get", "riptide", "twemproxy", cpu, "<=", 0.80},
	{"c50-p1-64b-set", "riptide", "twemproxy", cpu, "<=", 0.80},
	{"c50-p16-64b-get", "riptide", "twemproxy", cpu, "<=", 0.45},
	{"c50-p16-64b-set", "riptide", "twemproxy", cpu, "<=", 0.45},
	{"c1000-p1-64b-get", "riptide", "direct", rps, ">", 1},
	{"c1000-p1-64b-set", "riptide", "direct", rps, ">", 1},
	{"c1000-p1-64b-get", "riptide", "direct", p99, "<", 1},
	{"c1000-p1-64b-set", "riptide", "direct", p99, "<", 1},
	{"c50-p1-16k-get", "riptide", "haproxy", cpu, "<=", 1.20},
	{"c50-p1-16k-set", "riptide", "haproxy", cpu, "<=", 1.20},
	{"c50-p16-16k-get", "riptide", "haproxy", cpu, "<=", 1.20},
	{"c50-p16-16k-set", "riptide", "haproxy", cpu, "<=", 1.20},
	{"tenants-p1-get", manyTenants.name, oneTenant.name, cpu, "<=", 1.10},
	{"tenants-p1-set", manyTenants.name, oneTenant.name, cpu, "<=", 1.10},
	{"tenants-p16-get", manyTenants.name, oneTenant.name, cpu, "<=", 1.10},
	{"tenants-p16-set", manyTenants.name, oneTenant.name, cpu, "<=", 1.10},
	{"neighbour", fair.name, alone.name, p99, "<", 1.50},
	{"neighbour", fair.name, elsewhere.name, p99, "<", 1.50},
	{"reload", fewReloads.name, fewQuiet.name, p99, "<", 1.25},
	{"reload", manyReloads.name, manyQuiet.name, p99, "<", 1.25},
	{"quotas-p1-get", allQuotas.name, noQuotas.name, cpu, "<=", 1.03},
	{"quotas-p1-set", allQuotas.name, noQuotas.name, cpu, "<=", 1.03},
	{"quotas-p16-get", allQuotas.name, noQuotas.name, cpu, "<=", 1.03},
	{"quotas-p16-set", allQuotas.name, noQuotas.name, cpu, "<=", 1.03},
	{"audit-p1-get", withAudit.name, noAudit.name, cpu, "<=", 1.05},
	{"audit-p1-set", withAudit.name, noAudit.name, cpu, "<=", 1.05},
	{"audit-p16-get", withAudit.name, noAudit.name, cpu, "<=", 1.05},
	{"audit-p16-set", withAudit.name, noAudit.name, cpu, "<=", 1.05},
}

// String is the goal without its row, such as "riptide's CPU <= 0.80 x twemproxy".
func (g goal) String() string {
	return fmt.Sprintf("%s of %s %s %.2f x %s", g.metric.name, g.ours, g.sign, g.limit, g.theirs)
}

// holds judges the median of the rounds.
func (g goal) holds(measured summary) string {
	if measured.n == 0 {
		return "not measured"
	}
	ok := false
	switch g.sign {
	case "<=":
		ok = measured.median <= g.limit
	case "<":
		ok = measured.median < g.limit
	case ">":
		ok = measured.median > g.limit
	}
	if ok {
		return "yes"
	}
	return "**no**"
}

// titleOf finds the title of a row that may not have been measured.
func titleOf(name string) string {
	for _, r := range rows {
		if r.name() == name {
			return r.title()
		}
	}
	for _, r := range tenantRows {
		if r.name() == name {
			return r.title()
		}
	}
	for _, r := range sideRows {
		if r.name() == name {
			return r.title()
		}
	}
	return name
}
