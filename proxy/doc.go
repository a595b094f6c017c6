// Package proxy is the data plane: sessions, which answer one client each in
// strict order, on workers, which are event loops with their connections to the
// upstream.
//
// A command takes the next slot of its session. Slots are numbers: head is the
// one to be answered next, tail the one to be given out next. A reply for the
// head goes straight to the client; one that comes early is parked. So a
// session whose commands all ride one upstream connection, whose replies come
// in order, keeps no queue at all.
package proxy
