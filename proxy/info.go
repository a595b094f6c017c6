package proxy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// infoSection is a section of INFO.
type infoSection struct {
	name  string // as it is asked for
	title string
	group infoGroup
	scans bool // needs the tenant's keys to be counted
	write func(b *strings.Builder, i *infoData)
}

// infoGroup says which of the names that stand for several sections mean it.
type infoGroup uint8

const (
	inDefault infoGroup = 1 << iota // INFO alone, too
	inAll                           // and so in everything, of which modules would have more
)

// infoSections are the sections in the order of the reply.
var infoSections = []infoSection{
	{"server", "Server", inDefault | inAll, false, infoServer},
	{"clients", "Clients", inDefault | inAll, false, infoClients},
	{"memory", "Memory", inDefault | inAll, true, infoMemory},
	{"persistence", "Persistence", inDefault | inAll, false, infoPersistence},
	{"stats", "Stats", inDefault | inAll, false, infoStats},
	{"replication", "Replication", inDefault | inAll, false, infoReplication},
	{"cpu", "CPU", inDefault | inAll, false, infoCPU},
	{"modules", "Modules", inDefault | inAll, false, func(*strings.Builder, *infoData) {}},
	{"commandstats", "Commandstats", inAll, false, infoCommandStats},
	{"errorstats", "Errorstats", inDefault | inAll, false, infoErrorStats},
	{"latencystats", "Latencystats", inAll, false, infoLatencyStats},
	{"cluster", "Cluster", inDefault | inAll, false, infoCluster},
	{"keyspace", "Keyspace", inDefault | inAll, true, infoKeyspace},
	{"quota", "Quota", inDefault | inAll, true, infoQuota},
}

var infoGroups = map[string]infoGroup{"default": inDefault, "all": inAll, "everything": inAll}

// infoData is what the sections are written from.
type infoData struct {
	srv   *Server
	own   *tenantOwn
	sum   *totals
	space *space // where a section asks for it
	usage []Usage
	now   time.Time
	port  uint16
	limit int64 // of connections
}

// chooseSections marks the sections that INFO's arguments ask for.
func chooseSections(names []string) (chosen []bool) {
	chosen = make([]bool, len(infoSections))
	if len(names) == 0 {
		names = []string{"default"}
	}
	for _, name := range names {
		name = strings.ToLower(name)
		if name == "module_list" {
			name = "modules"
		}
		for i, s := range infoSections {
			if s.name == name || s.group&infoGroups[name] != 0 {
				chosen[i] = true
			}
		}
	}
	return chosen
}

// maxSections is how many arguments INFO looks at, which is more than there are
// sections.
const maxSections = 256

// info is INFO [section ...].
func info(s *session, _ *command.Command, r *namespace.Request) {
	var names []string
	for i := 1; i < min(len(r.Args), maxSections); i++ {
		names = append(names, string(quoted(r.At(i), 32)))
	}
	chosen := chooseSections(names)
	d := &infoData{srv: s.w.srv, own: s.own(), port: s.localAddr().Port(), limit: s.maxClients()}
	proto := s.proto
	s.async(func(ctx context.Context) func() {
		text, err := d.text(ctx, chosen)
		if err != nil {
			return func() { s.answerError(errUnavailable) }
		}
		reply := resp.AppendVerbatim(nil, proto, "txt", text)
		return func() { s.answer(reply) }
	})
}

func (d *infoData) text(ctx context.Context, chosen []bool) (text string, err error) {
	for i, s := range infoSections {
		if chosen[i] && s.scans && d.space == nil {
			d.space = d.srv.space(ctx, d.own)
		}
	}
	if d.sum, err = d.srv.totals(ctx, d.own.tenant.ID); err != nil {
		return "", err
	}
	d.now = time.Now()
	d.usage = d.srv.quotaUsage(ctx, d.own, d.sum.flow(), d.now)
	var b strings.Builder
	for i, s := range infoSections {
		if !chosen[i] {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + s.title + "\r\n")
		s.write(&b, d)
	}
	return b.String(), nil
}

// fields writes lines of a name and a value each.
func fields(b *strings.Builder, pairs ...any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(b, "%s:%v\r\n", pairs[i], pairs[i+1])
	}
}

// human writes a number of bytes as Redis does.
func human(n int64) string {
	units := []string{"B", "K", "M", "G", "T", "P"}
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.2f%s", f, units[unit])
}
