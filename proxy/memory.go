package proxy

import (
	"context"
	"fmt"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// role is ROLE: a master that nobody replicates.
func role(s *session, _ *command.Command, _ *namespace.Request) {
	b := resp.AppendArray(nil, 3)
	b = resp.AppendBulkString(b, "master")
	b = resp.AppendInt(b, 0)
	s.answer(resp.AppendArray(b, 0))
}

// lastSave is LASTSAVE. A server that has not saved yet says when it started.
func lastSave(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendInt(nil, s.w.srv.born.Unix()))
}

// withSpace answers with what is made of what is known of the tenant's keys.
func (s *session) withSpace(answer func(own *tenantOwn, found *space) []byte) {
	srv, own := s.w.srv, s.own()
	s.async(func(ctx context.Context) func() {
		reply := answer(own, srv.space(ctx, own))
		return func() { s.answer(reply) }
	})
}

// memoryDoctor is MEMORY DOCTOR.
func memoryDoctor(s *session, _ *command.Command, _ *namespace.Request) {
	proto := s.proto
	s.withSpace(func(own *tenantOwn, found *space) []byte {
		text := fmt.Sprintf("The keys take about %s. No problems to report.\n", human(found.memory))
		if quota := own.maxMemory; quota > 0 && found.memory > quota/10*9 {
			text = fmt.Sprintf("The keys take about %s, which is more than 90%% of the quota of %s.\n", human(found.memory), human(quota))
		}
		return resp.AppendVerbatim(nil, proto, "txt", text)
	})
}

// memoryStats is MEMORY STATS. What tenants share is nobody's.
func memoryStats(s *session, _ *command.Command, _ *namespace.Request) {
	proto := s.proto
	s.withSpace(func(own *tenantOwn, found *space) []byte {
		used, peak := found.memory, max(own.peak.Load(), found.memory)
		each, share := int64(0), 100.0
		if found.keys > 0 {
			each = used / found.keys
		}
		if peak > 0 {
			share = float64(used) * 100 / float64(peak)
		}
		var b []byte
		n := 0
		add := func(name string, value any) {
			n++
			b = resp.AppendBulkString(b, name)
			switch v := value.(type) {
			case int64:
				b = resp.AppendInt(b, v)
			case float64:
				b = resp.AppendDouble(b, proto, v)
			}
		}
		zero := func(names ...string) {
			for _, name := range names {
				add(name, int64(0))
			}
		}
		add("peak.allocated", peak)
		add("total.allocated", used)
		zero("startup.allocated", "replication.backlog", "clients.slaves", "clients.normal", "cluster.links", "aof.buffer", "lua.caches", "functions.caches")
		for i := range found.dbs {
			if found.dbs[i].keys == 0 {
				continue
			}
			n++
			b = resp.AppendBulkString(b, fmt.Sprintf("db.%d", i))
			b = resp.AppendMap(b, proto, 3)
			for _, table := range []string{"main", "expires", "slot-to-keys"} {
				b = resp.AppendBulkString(b, "overhead.hashtable."+table)
				b = resp.AppendInt(b, 0)
			}
		}
		zero("overhead.total")
		add("keys.count", found.keys)
		add("keys.bytes-per-key", each)
		add("dataset.bytes", used)
		add("dataset.percentage", 100.0)
		add("peak.percentage", share)
		add("allocator.allocated", used)
		add("allocator.active", used)
		add("allocator.resident", used)
		for _, ratio := range []string{"allocator-fragmentation", "allocator-rss", "rss-overhead"} {
			add(ratio+".ratio", 1.0)
			zero(ratio + ".bytes")
		}
		add("fragmentation", 1.0)
		zero("fragmentation.bytes")
		return append(resp.AppendMap(nil, proto, n), b...)
	})
}
