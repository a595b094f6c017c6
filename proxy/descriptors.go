package proxy

import (
	"log/slog"
	"math"

	"golang.org/x/sys/unix"
)

// reservedDescriptors is how many are left to everything but clients and
// connections of their own: shared links, slow operations, the admin listener, what is
// about to be closed.
const reservedDescriptors = 128

// descriptors raises the limit of the process's descriptors as far as it may,
// and returns it. It warns when there can not be as many clients as configured, each of which takes some.
func descriptors(clients, each int) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		slog.Warn("the limit of descriptors is not known", "error", err)
		return math.MaxInt
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = limit.Max
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	n := math.MaxInt
	if uint64(limit.Cur) < math.MaxInt { // its type differs among systems
		n = int(limit.Cur)
	}
	if n < clients*each+reservedDescriptors {
		slog.Warn("limits.clients can not be reached: the process may not have as many descriptors (ulimit -n)", "clients", clients, "descriptors", n, "needed", clients*each+reservedDescriptors)
	}
	return n
}

// room reports whether there may be one more connection of a client's own. A
// client that is turned away with an error is better off than one whose
// connection is not accepted.
func (s *Server) room() bool {
	used := s.clients.Load() + s.doors.extra() + s.pinned.Load()*int64(perUpstream(s.target))
	return used < int64(s.descriptors)-reservedDescriptors
}
