// Package audit keeps the audit log: who logged in, what was refused, what
// operators changed, and which commands ran, one JSON object a line.
//
// Lines are numbered, and each one carries a hash over itself and the hash of the
// one before, so that Verify finds what was changed or removed. Whoever has
// something to record never waits for the disk: it goes into a bounded queue that
// one goroutine empties, and what does not fit is dropped, counted, and the
// number recorded. The package knows files and lines; what is worth recording
// the callers know.
package audit
