package audit

import (
	"fmt"
	"testing"
	"time"
)

// What one record costs the goroutine that writes the log.
func BenchmarkSeal(b *testing.B) {
	fields := []byte(`{"time":"2026-11-23T15:06:02.288660Z","event":"command","tenant":"acme","user":"default","client":"127.0.0.1:55222","db":0,"command":"set","keys":["k64:000000012345"],"outcome":"ok"}` + "\n")
	for _, secret := range []string{"", "a secret of the tests"} {
		b.Run(fmt.Sprintf("secret=%v", secret != ""), func(b *testing.B) {
			c := newSealer([]byte(secret))
			var out []byte
			records := 0
			b.SetBytes(int64(len(fields)))
			b.ReportAllocs()
			for b.Loop() {
				out = append(out, fields...)
				if records++; len(out) >= blockSize {
					c.seal(out, 0, records, time.Now())
					out, records = out[:0], 0
				}
			}
		})
	}
}

// The same with the file.
func BenchmarkLog(b *testing.B) {
	l, err := Open(Options{Dir: b.TempDir(), Buffer: 64 << 20, Retention: Retention{RotateSize: 1 << 30, Sync: time.Second}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	fields := []byte(`{"time":"2026-11-23T15:06:02.288660Z","event":"command","tenant":"acme","user":"default","client":"127.0.0.1:55222","db":0,"command":"set","keys":["k64:000000012345"],"outcome":"ok"}` + "\n")
	buf, n := make([]byte, 0, 2*ChunkSize), 0
	b.ReportAllocs()
	for b.Loop() {
		buf = append(buf, fields...)
		if n++; len(buf) >= ChunkSize {
			for l.Crowded() {
				time.Sleep(10 * time.Microsecond)
			}
			buf, n = l.Hand(buf, n), 0
		}
	}
}
