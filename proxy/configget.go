package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/glob"
	"riptide-proxy/resp"
)

// setting is a parameter that CONFIG GET knows. Its value is what a server of
// the tenant's own would have, and never the upstream's unless it says so.
type setting struct {
	name  string
	fixed string
	value func(s *session) string // in place of fixed
}

// settings are what clients and dashboards ask for, in the order of their names.
var settings = func() []setting {
	list := []setting{
		{name: "acllog-max-len", value: func(*session) string { return strconv.Itoa(aclEntries) }},
		{name: "bind", value: func(s *session) string { return s.localAddr().Addr().String() }},
		{name: "cluster-enabled", value: func(s *session) string { return yesNo(s.w.conf.cfg.ClusterFacade) }},
		{name: "databases", value: func(s *session) string { return strconv.Itoa(s.who.Tenant.Databases) }},
		{name: "maxclients", value: func(s *session) string { return strconv.FormatInt(s.maxClients(), 10) }},
		{name: "maxmemory", value: func(s *session) string { return strconv.FormatInt(s.own().maxMemory, 10) }},
		{name: "notify-keyspace-events", value: func(s *session) string { return s.w.srv.notifies() }},
		{name: "port", value: func(s *session) string { return strconv.Itoa(int(s.localAddr().Port())) }},
		{name: "proto-max-bulk-len", value: func(s *session) string { return strconv.Itoa(min(s.w.maxBulk, int(s.w.conf.cfg.Limits.Bulk))) }},
		{name: "slowlog-log-slower-than", value: func(*session) string { return strconv.FormatInt(slowCommand.Microseconds(), 10) }},
		{name: "slowlog-max-len", value: func(*session) string { return strconv.Itoa(slowEntries) }},
		{name: "latency-monitor-threshold", value: func(*session) string { return strconv.FormatInt(slowCommand.Milliseconds(), 10) }},
	}
	for line := range strings.Lines(fixedSettings) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, setting{name: name, fixed: value})
	}
	slices.SortFunc(list, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	return list
}()

// fixedSettings are Redis's defaults, but for what persists: a tenant can count
// on no snapshot of its own.
const fixedSettings = `active-expire-effort 1
activedefrag no
activerehashing yes
aof-load-truncated yes
aof-use-rdb-preamble yes
appendfsync everysec
appendonly no
auto-aof-rewrite-min-size 67108864
auto-aof-rewrite-percentage 100
busy-reply-threshold 5000
client-output-buffer-limit normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60
client-query-buffer-limit 1073741824
hash-max-listpack-entries 512
hash-max-listpack-value 64
hash-max-ziplist-entries 512
hash-max-ziplist-value 64
hll-sparse-max-bytes 3000
hz 10
io-threads 1
latency-tracking yes
latency-tracking-info-percentiles 50 99 99.9
lazyfree-lazy-eviction no
lazyfree-lazy-expire no
lazyfree-lazy-server-del no
lazyfree-lazy-user-del no
lazyfree-lazy-user-flush no
lfu-decay-time 1
lfu-log-factor 10
list-compress-depth 0
list-max-listpack-size -2
list-max-ziplist-size -2
lua-time-limit 5000
maxmemory-clients 0
maxmemory-eviction-tenacity 10
maxmemory-policy noeviction
maxmemory-samples 5
min-replicas-max-lag 10
min-replicas-to-write 0
rdbchecksum yes
rdbcompression yes
repl-backlog-size 1048576
replica-read-only yes
replica-serve-stale-data yes
replicaof
sanitize-dump-payload clients
save
set-max-intset-entries 512
stop-writes-on-bgsave-error yes
stream-node-max-bytes 4096
stream-node-max-entries 100
tcp-backlog 511
tcp-keepalive 120
timeout 0
tls-port 0
tracking-table-max-keys 1000000
zset-max-listpack-entries 128
zset-max-listpack-value 64
zset-max-ziplist-entries 128
zset-max-ziplist-value 64`

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func (s *session) maxClients() int64 {
	limit := int64(s.w.conf.cfg.Limits.Clients)
	if own := s.own().maxConns; own > 0 {
		limit = min(limit, own)
	}
	return limit
}

// notifies are the upstream's notify-keyspace-events, which is set for all
// tenants alike; none where that is not known.
func (s *Server) notifies() string {
	if f := s.facts.Load(); f != nil {
		return f.Notifies
	}
	return ""
}

// configGet is CONFIG GET parameter [parameter ...].
func configGet(s *session, _ *command.Command, r *namespace.Request) {
	if len(r.Args) > 2+maxPatterns {
		s.answerError("ERR there are not that many parameters")
		return
	}
	var found []string // names as they are answered
	values := make(map[string]string)
	add := func(name string, p *setting) {
		if _, again := values[name]; again {
			return
		}
		found = append(found, name)
		values[name] = p.fixed
		if p.value != nil {
			values[name] = p.value(s)
		}
	}
	for i := 2; i < len(r.Args); i++ {
		pattern := r.At(i)
		exact := !bytes.ContainsAny(pattern, "[*?")
		for k := range settings {
			switch p := &settings[k]; {
			case exact && fold(pattern, p.name):
				add(string(pattern), p) // in the client's spelling, as Redis answers
			case !exact && len(pattern) <= maxPattern && matchFold(pattern, p.name):
				add(p.name, p)
			}
		}
	}
	b := resp.AppendMap(nil, s.proto, len(found))
	for _, name := range found {
		b = resp.AppendBulkString(b, name)
		b = resp.AppendBulkString(b, values[name])
	}
	s.answer(b)
}

// Matching is done on the loop, so it is bounded.
const (
	maxPatterns = 128
	maxPattern  = 64 // bytes; the names are shorter
)

// configSet is CONFIG SET parameter value [parameter value ...]. What the
// operator has set may be set once more, since clients do so to be sure of it.
func configSet(s *session, cmd *command.Command, r *namespace.Request) {
	if len(r.Args)%2 != 0 {
		s.answerError(errSyntax.Error())
		return
	}
	for i := 2; i < len(r.Args); i += 2 {
		f := s.w.srv.facts.Load()
		if !fold(r.At(i), "notify-keyspace-events") || f == nil || !f.NotifiesKnown || !covers(f.Notifies, r.At(i+1)) {
			s.answerError(refusal(cmd))
			return
		}
	}
	s.answer(ok)
}

// covers reports whether all flags that are asked for are set. A stands for all
// classes of events but m and n.
func covers(set string, asked []byte) bool {
	if strings.Contains(set, "A") {
		set += "g$lshzxetd"
	}
	if len(asked) > maxPattern {
		return false
	}
	for _, c := range asked {
		if c == 'A' {
			if !covers(set, []byte("g$lshzxetd")) {
				return false
			}
			continue
		}
		if strings.IndexByte(set, c) < 0 {
			return false
		}
	}
	return true
}

// matchFold matches a name, in lower case, against a glob pattern of any case.
func matchFold(pattern []byte, name string) bool {
	return glob.Match(bytes.ToLower(pattern), []byte(name))
}
