package command

import "testing"

func TestMissCount(t *testing.T) {
	for _, c := range []struct {
		name, reply  string
		hits, misses uint64
	}{
		{"get", "$-1\r\n", 0, 1},
		{"get", "_\r\n", 0, 1},
		{"get", "$0\r\n\r\n", 1, 0},
		{"get", "$3\r\n-1x\r\n", 1, 0},
		{"get", "-WRONGTYPE x\r\n", 0, 0},
		{"get", "!3\r\nERR\r\n", 0, 0},
		{"get", "+QUEUED\r\n", 0, 0},
		{"exists", ":0\r\n", 0, 1},
		{"exists", ":2\r\n", 1, 0},
		{"llen", ":10\r\n", 1, 0},
		{"hgetall", "*0\r\n", 0, 1},
		{"hgetall", "%0\r\n", 0, 1},
		{"hgetall", "%1\r\n$1\r\na\r\n$1\r\nb\r\n", 1, 0},
		{"smembers", "~0\r\n", 0, 1},
		{"geodist", "*-1\r\n", 0, 1},
		{"zscore", ",0\r\n", 1, 0},
		{"zrank", ":0\r\n", 1, 0},
		{"ttl", ":-2\r\n", 0, 1},
		{"ttl", ":-1\r\n", 1, 0},
		{"ttl", ":0\r\n", 1, 0},
		{"type", "+none\r\n", 0, 1},
		{"type", "+string\r\n", 1, 0},
		{"type", "+QUEUED\r\n", 0, 0},
		{"mget", "*4\r\n$1\r\na\r\n$-1\r\n$4\r\n$-1\r\r\n$0\r\n\r\n", 3, 1},
		{"mget", "*2\r\n_\r\n$1\r\na\r\n", 1, 1},
		{"mget", "*1\r\n$-1\r\n", 0, 1},
		{"mget", "*2\r\n$5\r\nab", 1, 0}, // not whole: no panic
		{"mget", "*1\r\n$9223372036854775807\r\n", 1, 0},
		{"mget", "*1\r\n$x\r\n", 1, 0},
		{"hmget", "*2\r\n$-1\r\n$-1\r\n", 0, 1},
		{"hmget", "*2\r\n$-1\r\n$1\r\na\r\n", 1, 0},
		{"geopos", "*2\r\n*-1\r\n*2\r\n$1\r\n1\r\n$1\r\n1\r\n", 1, 0},
		{"geopos", "*1\r\n*-1\r\n", 0, 1},
		{"zmscore", "*1\r\n,1\r\n", 1, 0},
	} {
		hits, misses := Lookup([]byte(c.name)).Miss.Count([]byte(c.reply))
		if hits != c.hits || misses != c.misses {
			t.Errorf("%s %q: %d hits and %d misses, want %d and %d", c.name, c.reply, hits, misses, c.hits, c.misses)
		}
	}
}

// What counts as a read touches keys, and what it finds is in its reply.
func TestMissRows(t *testing.T) {
	for _, c := range All() {
		if c.Miss == Uncounted {
			continue
		}
		if c.Run != Shared || c.Shape.Kind == ShapeNone || c.Has(Blocking) {
			t.Errorf("%s has no reply of the upstream's to look at", c.Name)
		}
		if c.Shape.Kind != ShapeOne && c.Miss != MissEach && c.Join != JoinSum {
			t.Errorf("%s has several keys, and one reply for them", c.Name)
		}
	}
}
