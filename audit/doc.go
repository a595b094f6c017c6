// Package audit keeps the audit log: who logged in, what was refused, what
// operators changed, and which commands ran, one JSON object a line.
//
// Every few dozen lines there is a seal: a line with the hash of those since the last seal and of
// that seal's own hash, so that Verify finds what was changed or removed. Whoever has
// something to record never waits for the disk: it goes into a bounded queue that
// one goroutine empties, and what does not fit is dropped, counted, and the
// number recorded. The package knows files and lines; what is worth recording
// the callers know.
package audit
