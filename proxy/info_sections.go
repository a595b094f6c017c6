package proxy

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"riptide-proxy/command"
)

// The fields are those that clients, dashboards and job queues look at. What a
// tenant has no share in is there with the value it has in a server that does
// nothing of the kind, since some readers want the field.

func infoServer(b *strings.Builder, d *infoData) {
	name, version := d.srv.self()
	redis := version
	if f := d.srv.facts.Load(); f != nil && f.RedisVersion != "" {
		redis = f.RedisVersion
	}
	fields(b, "redis_version", redis)
	if name != "redis" {
		fields(b, "server_name", name, name+"_version", version)
	}
	up := int64(d.now.Sub(d.srv.born).Seconds())
	fields(b,
		"redis_git_sha1", "00000000",
		"redis_git_dirty", 0,
		"redis_build_id", "0000000000000000",
		"redis_mode", d.srv.mode(),
		"os", "Linux x86_64",
		"arch_bits", 64,
		"monotonic_clock", "POSIX clock_gettime",
		"multiplexing_api", "epoll",
		"atomicvar_api", "c11-builtin",
		"gcc_version", "0.0.0",
		"process_id", os.Getpid(),
		"process_supervised", "no",
		"run_id", d.own.runID,
		"tcp_port", d.port,
		"server_time_usec", d.now.UnixMicro(),
		"uptime_in_seconds", up,
		"uptime_in_days", up/86400,
		"hz", 10,
		"configured_hz", 10,
		"lru_clock", d.now.Unix()&(1<<24-1),
		"executable", "",
		"config_file", "",
		"io_threads_active", 0,
	)
}

func infoClients(b *strings.Builder, d *infoData) {
	fields(b,
		"connected_clients", d.sum.clients,
		"cluster_connections", 0,
		"maxclients", d.limit,
		"client_recent_max_input_buffer", 0,
		"client_recent_max_output_buffer", 0,
		"blocked_clients", d.sum.blocked,
		"tracking_clients", d.sum.tracking,
		"pubsub_clients", d.sum.pubsub,
		"watching_clients", d.sum.watching,
		"clients_in_timeout_table", 0,
		"total_blocking_keys", 0,
		"total_blocking_keys_on_nokey", 0,
	)
}

func infoMemory(b *strings.Builder, d *infoData) {
	used, peak := d.space.memory, max(d.own.peak.Load(), d.space.memory)
	percent := 100.0
	if peak > 0 {
		percent = float64(used) * 100 / float64(peak)
	}
	total := d.own.maxMemory
	fields(b,
		"used_memory", used,
		"used_memory_human", human(used),
		"used_memory_rss", used,
		"used_memory_rss_human", human(used),
		"used_memory_peak", peak,
		"used_memory_peak_human", human(peak),
		"used_memory_peak_perc", fmt.Sprintf("%.2f%%", percent),
		"used_memory_overhead", 0,
		"used_memory_startup", 0,
		"used_memory_dataset", used,
		"used_memory_dataset_perc", "100.00%",
		"allocator_allocated", used,
		"allocator_active", used,
		"allocator_resident", used,
		"total_system_memory", total,
		"total_system_memory_human", human(total),
		"used_memory_lua", 0,
		"used_memory_vm_eval", 0,
		"used_memory_lua_human", human(0),
		"used_memory_scripts_eval", 0,
		"number_of_cached_scripts", 0,
		"number_of_functions", 0,
		"number_of_libraries", 0,
		"used_memory_vm_functions", 0,
		"used_memory_vm_total", 0,
		"used_memory_vm_total_human", human(0),
		"used_memory_functions", 0,
		"used_memory_scripts", 0,
		"used_memory_scripts_human", human(0),
		"maxmemory", d.own.maxMemory,
		"maxmemory_human", human(d.own.maxMemory),
		"maxmemory_policy", "noeviction",
		"allocator_frag_ratio", "1.00",
		"allocator_frag_bytes", 0,
		"allocator_rss_ratio", "1.00",
		"allocator_rss_bytes", 0,
		"rss_overhead_ratio", "1.00",
		"rss_overhead_bytes", 0,
		"mem_fragmentation_ratio", "1.00",
		"mem_fragmentation_bytes", 0,
		"mem_not_counted_for_evict", 0,
		"mem_replication_backlog", 0,
		"mem_total_replication_buffers", 0,
		"mem_clients_slaves", 0,
		"mem_clients_normal", 0,
		"mem_cluster_links", 0,
		"mem_aof_buffer", 0,
		"mem_allocator", "unknown",
		"active_defrag_running", 0,
		"lazyfree_pending_objects", 0,
		"lazyfreed_objects", 0,
	)
}

func infoPersistence(b *strings.Builder, d *infoData) {
	fields(b,
		"loading", 0,
		"async_loading", 0,
		"current_cow_peak", 0,
		"current_cow_size", 0,
		"current_cow_size_age", 0,
		"current_fork_perc", "0.00",
		"current_save_keys_processed", 0,
		"current_save_keys_total", 0,
		"rdb_changes_since_last_save", 0,
		"rdb_bgsave_in_progress", 0,
		"rdb_last_save_time", d.srv.born.Unix(),
		"rdb_last_bgsave_status", "ok",
		"rdb_last_bgsave_time_sec", -1,
		"rdb_current_bgsave_time_sec", -1,
		"rdb_saves", 0,
		"rdb_last_cow_size", 0,
		"rdb_last_load_keys_expired", 0,
		"rdb_last_load_keys_loaded", 0,
		"aof_enabled", 0,
		"aof_rewrite_in_progress", 0,
		"aof_rewrite_scheduled", 0,
		"aof_last_rewrite_time_sec", -1,
		"aof_current_rewrite_time_sec", -1,
		"aof_last_bgrewrite_status", "ok",
		"aof_rewrites", 0,
		"aof_rewrites_consecutive_failures", 0,
		"aof_last_write_status", "ok",
		"aof_last_cow_size", 0,
		"module_fork_in_progress", 0,
		"module_fork_last_cow_size", 0,
	)
}

func infoStats(b *strings.Builder, d *infoData) {
	ops, in, out := d.own.rates.update(d.now, d.sum.flow())
	fields(b,
		"total_connections_received", d.sum.logins,
		"total_commands_processed", d.sum.calls,
		"instantaneous_ops_per_sec", int64(ops),
		"total_net_input_bytes", d.sum.in,
		"total_net_output_bytes", d.sum.out,
		"total_net_repl_input_bytes", 0,
		"total_net_repl_output_bytes", 0,
		"instantaneous_input_kbps", fmt.Sprintf("%.2f", in/1024),
		"instantaneous_output_kbps", fmt.Sprintf("%.2f", out/1024),
		"instantaneous_input_repl_kbps", "0.00",
		"instantaneous_output_repl_kbps", "0.00",
		"rejected_connections", 0,
		"sync_full", 0,
		"sync_partial_ok", 0,
		"sync_partial_err", 0,
		"expired_keys", 0,
		"expired_stale_perc", "0.00",
		"expired_time_cap_reached_count", 0,
		"expire_cycle_cpu_milliseconds", 0,
		"evicted_keys", 0,
		"evicted_clients", 0,
		"total_eviction_exceeded_time", 0,
		"current_eviction_exceeded_time", 0,
		"keyspace_hits", d.sum.hits,
		"keyspace_misses", d.sum.misses,
		"pubsub_channels", 0,
		"pubsub_patterns", 0,
		"pubsubshard_channels", 0,
		"latest_fork_usec", 0,
		"total_forks", 0,
		"migrate_cached_sockets", 0,
		"slave_expires_tracked_keys", 0,
		"active_defrag_hits", 0,
		"active_defrag_misses", 0,
		"active_defrag_key_hits", 0,
		"active_defrag_key_misses", 0,
		"total_active_defrag_time", 0,
		"current_active_defrag_time", 0,
		"tracking_total_keys", 0,
		"tracking_total_items", 0,
		"tracking_total_prefixes", 0,
		"unexpected_error_replies", 0,
		"total_error_replies", d.sum.failures,
		"dump_payload_sanitizations", 0,
		"total_reads_processed", 0,
		"total_writes_processed", 0,
		"io_threaded_reads_processed", 0,
		"io_threaded_writes_processed", 0,
		"reply_buffer_shrinks", 0,
		"reply_buffer_expands", 0,
	)
}

func infoReplication(b *strings.Builder, d *infoData) {
	fields(b,
		"role", "master",
		"connected_slaves", 0,
		"master_failover_state", "no-failover",
		"master_replid", d.own.replID,
		"master_replid2", strings.Repeat("0", 40),
		"master_repl_offset", 0,
		"second_repl_offset", -1,
		"repl_backlog_active", 0,
		"repl_backlog_size", 1048576,
		"repl_backlog_first_byte_offset", 0,
		"repl_backlog_histlen", 0,
	)
}

func infoCPU(b *strings.Builder, _ *infoData) {
	fields(b,
		"used_cpu_sys", "0.000000",
		"used_cpu_user", "0.000000",
		"used_cpu_sys_children", "0.000000",
		"used_cpu_user_children", "0.000000",
		"used_cpu_sys_main_thread", "0.000000",
		"used_cpu_user_main_thread", "0.000000",
	)
}

func infoCommandStats(b *strings.Builder, d *infoData) {
	for i, c := range command.All() {
		var row commandStats
		if r := d.sum.rows[i]; r != nil {
			row = *r
		}
		// A call that was not tried is none in Redis's count.
		calls := int64(d.sum.commands[i])
		if c.Run == command.Refused {
			calls = 0
		}
		if calls == 0 && row.rejected == 0 && row.failed == 0 {
			continue
		}
		usec, each := row.latency.Sum.Microseconds(), 0.0
		if calls > 0 {
			each = float64(usec) / float64(calls)
		}
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			c.Name, calls, usec, each, row.rejected, row.failed)
	}
}

func infoErrorStats(b *strings.Builder, d *infoData) {
	for _, code := range slices.Sorted(maps.Keys(d.sum.errors)) {
		fmt.Fprintf(b, "errorstat_%s:count=%d\r\n", code, d.sum.errors[code])
	}
}

func infoLatencyStats(b *strings.Builder, d *infoData) {
	for i, c := range command.All() {
		row := d.sum.rows[i]
		if row == nil || quantile(&row.latency, 1) == 0 {
			continue
		}
		at := func(share float64) float64 { return float64(quantile(&row.latency, share)) / float64(time.Microsecond) }
		fmt.Fprintf(b, "latency_percentiles_usec_%s:p50=%.3f,p99=%.3f,p99.9=%.3f\r\n", c.Name, at(0.5), at(0.99), at(0.999))
	}
}

func infoCluster(b *strings.Builder, d *infoData) {
	enabled := 0
	if d.srv.conf().cfg.ClusterFacade {
		enabled = 1
	}
	fields(b, "cluster_enabled", enabled)
}

func infoKeyspace(b *strings.Builder, d *infoData) {
	for i := range d.space.dbs {
		if db := &d.space.dbs[i]; db.keys > 0 {
			fmt.Fprintf(b, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", i, db.keys, db.expiring(), db.avgTTL())
		}
	}
}
