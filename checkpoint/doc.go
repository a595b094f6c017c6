// Package checkpoint keeps what a process wants to know again after it has
// ended, however it ends: in files of a folder, each written as a whole, with a
// checksum, and the last few kept.
//
// The package knows nothing of what is in a checkpoint. A Store reads and writes
// the files, a Keeper has one written every few minutes.
package checkpoint
