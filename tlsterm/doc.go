// Package tlsterm ends TLS, of clients and of the upstream, so that an event loop sees nothing of
// it: a loop is given one end of a socket pair, and a pair of goroutines carries the bytes
// between the other end and the encrypted connection. What costs time, the handshake above all,
// happens in goroutines, and never on a loop.
//
// A Terminator takes clients' connections. A Dialer makes connections to a server. Both
// have their certificates from Files, which are looked at again while they are used.
package tlsterm
