// Package netloop moves bytes between sockets and their handlers on event
// loops. A Loop is one goroutine that owns an epoll (Linux) or kqueue (macOS,
// BSD) set and every connection adopted into it, so nothing that a loop owns
// is locked. It knows nothing of any protocol.
//
// One turn of a loop: wait for readiness, give every ready connection's bytes
// to its handler, run what arrived in the mailbox and the timers that are due,
// then write each connection that has output once. Handlers run on the loop's
// goroutine and must not block.
//
// # Memory
//
// A connection without unfinished input or unsent output holds no buffer.
// Input is read into an arena that belongs to the loop; only what a handler
// leaves unconsumed is kept for its connection. Output is gathered until the
// end of the turn. Bytes of the input that are large can go from one
// connection's input to another's output without being copied: see
// Conn.WriteInput.
package netloop
