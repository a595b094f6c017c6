// Package resp reads and writes RESP2 and RESP3, the Redis serialization protocol.
//
// It is made for an event loop: nothing here blocks, reads or owns a connection. The loop hands over whatever bytes it
// has. [Request] and [ReplyScanner] say where a request or a reply ends and remember where they stopped, so that no
// byte of a value is looked at twice however small the pieces are in which it arrives. Neither copies what it scans,
// nor allocates for what a peer merely announces.
//
// Requests come from clients and are not to be trusted: they are taken as strictly as Redis takes them, with Redis's
// error texts, and more strictly where a lenient reading would let two servers see two different requests in the
// same bytes. Replies come from an upstream that was configured; scanning them is about finding their ends in bounded
// memory, and about noticing at once when the stream no longer is what it was.
//
// [Rewrite] and [Filter] change a complete reply. The Append functions write.
package resp
