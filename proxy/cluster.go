package proxy

import (
	"fmt"
	"net"
	"strconv"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// With cluster_facade a tenant sees a cluster of one node that has all slots,
// which is what clients need that speak to clusters only. Nothing else changes:
// keys of any slots go together, and SELECT goes on working.

const (
	slots       = 16384
	lastSlot    = slots - 1
	busPort     = 10000 // a node's bus is at its port plus this
	errNotNode  = "ERR Unknown node "
	errNoFacade = "ERR This instance has cluster support disabled"
)

// mode is what the server calls itself in HELLO and INFO.
func (s *Server) mode() string {
	if s.conf().cfg.ClusterFacade {
		return "cluster"
	}
	return "standalone"
}

type runFunc = func(s *session, cmd *command.Command, r *namespace.Request)

// facade is for commands that are there in a cluster only.
func facade(run runFunc) runFunc {
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		if !s.w.conf.cfg.ClusterFacade {
			s.answerError(errNoFacade)
			return
		}
		run(s, cmd, r)
	}
}

// node is where the client finds the one node there is.
func (s *session) node() (host string, port int64) {
	if a := s.w.conf.cfg.Announce; a != "" {
		h, p, _ := net.SplitHostPort(a)
		port, _ = strconv.ParseInt(p, 10, 64)
		return h, port
	}
	local := s.localAddr()
	return local.Addr().String(), int64(local.Port())
}

// clusterOK is READONLY, READWRITE and ASKING.
func clusterOK(s *session, _ *command.Command, _ *namespace.Request) { s.answer(ok) }

// clusterSlots is CLUSTER SLOTS.
func clusterSlots(s *session, _ *command.Command, _ *namespace.Request) {
	host, port := s.node()
	b := resp.AppendArray(nil, 1)
	b = resp.AppendArray(b, 3)
	b = resp.AppendInt(b, 0)
	b = resp.AppendInt(b, lastSlot)
	b = resp.AppendArray(b, 4)
	b = resp.AppendBulkString(b, host)
	b = resp.AppendInt(b, port)
	b = resp.AppendBulkString(b, s.own().nodeID)
	s.answer(resp.AppendMap(b, s.proto, 0))
}

// clusterShards is CLUSTER SHARDS.
func clusterShards(s *session, _ *command.Command, _ *namespace.Request) {
	host, port := s.node()
	b := resp.AppendArray(nil, 1)
	b = resp.AppendMap(b, s.proto, 2)
	b = resp.AppendBulkString(b, "slots")
	b = resp.AppendArray(b, 2)
	b = resp.AppendInt(b, 0)
	b = resp.AppendInt(b, lastSlot)
	b = resp.AppendBulkString(b, "nodes")
	b = resp.AppendArray(b, 1)
	b = resp.AppendMap(b, s.proto, 7)
	b = resp.AppendBulkString(b, "id")
	b = resp.AppendBulkString(b, s.own().nodeID)
	b = resp.AppendBulkString(b, "port")
	b = resp.AppendInt(b, port)
	b = resp.AppendBulkString(b, "ip")
	b = resp.AppendBulkString(b, host)
	b = resp.AppendBulkString(b, "endpoint")
	b = resp.AppendBulkString(b, host)
	b = resp.AppendBulkString(b, "role")
	b = resp.AppendBulkString(b, "master")
	b = resp.AppendBulkString(b, "replication-offset")
	b = resp.AppendInt(b, 0)
	b = resp.AppendBulkString(b, "health")
	s.answer(resp.AppendBulkString(b, "online"))
}

// clusterNodes is CLUSTER NODES.
func clusterNodes(s *session, _ *command.Command, _ *namespace.Request) {
	host, port := s.node()
	s.answer(resp.AppendVerbatim(nil, s.proto, "txt", fmt.Sprintf("%s %s@%d myself,master - 0 0 1 connected 0-%d\n",
		s.own().nodeID, net.JoinHostPort(host, strconv.FormatInt(port, 10)), port+busPort, lastSlot)))
}

// clusterInfo is CLUSTER INFO.
func clusterInfo(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendVerbatim(nil, s.proto, "txt", fmt.Sprintf("cluster_state:ok\r\n"+
		"cluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"+
		"cluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\n"+
		"cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n"+
		"total_cluster_links_buffer_limit_exceeded:0\r\n", slots, slots)))
}

// clusterMyID is CLUSTER MYID.
func clusterMyID(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendBulkString(nil, s.own().nodeID))
}

// clusterMyShardID is CLUSTER MYSHARDID.
func clusterMyShardID(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendBulkString(nil, s.own().shardID))
}

// clusterLinks is CLUSTER LINKS.
func clusterLinks(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendArray(nil, 0))
}

// clusterReplicas is CLUSTER REPLICAS node-id, and SLAVES.
func clusterReplicas(s *session, _ *command.Command, r *namespace.Request) {
	if string(r.At(2)) != s.own().nodeID {
		s.answerError(errNotNode + string(quoted(r.At(2), 128)))
		return
	}
	s.answer(resp.AppendArray(nil, 0))
}

// clusterKeysInSlot is CLUSTER COUNTKEYSINSLOT slot, and GETKEYSINSLOT. The
// upstream does not keep a tenant's keys by slot.
func clusterKeysInSlot(s *session, cmd *command.Command, _ *namespace.Request) {
	s.answerError("NOPERM '" + cmd.Name + "' is not available to tenants")
}

// clusterKeySlot is CLUSTER KEYSLOT key.
func clusterKeySlot(s *session, _ *command.Command, r *namespace.Request) {
	s.answer(resp.AppendInt(nil, int64(slotOf(r.At(2)))))
}

// slotOf is a key's slot: of what stands between its first brace and the next
// closing one, if anything does.
func slotOf(key []byte) uint16 {
	for i, c := range key {
		if c != '{' {
			continue
		}
		for j := i + 1; j < len(key); j++ {
			if key[j] == '}' {
				if j > i+1 {
					key = key[i+1 : j]
				}
				break
			}
		}
		break
	}
	return crc16(key) % slots
}

// crc16 is the CRC of XMODEM: polynomial 0x1021, beginning with 0.
func crc16(b []byte) (crc uint16) {
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^c]
	}
	return crc
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
