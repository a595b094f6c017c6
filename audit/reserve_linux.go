package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve asks for room on the disk behind a file's end, which it leaves where it is. Not every file system can.
func reserve(f *os.File, from, size int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, size)
}
