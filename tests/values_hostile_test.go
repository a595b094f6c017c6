package tests

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// forgedValues are stored values as nobody's proxy writes them.
func forgedValues() (all []string) {
	lengths := []uint64{0, 1, 100, 64 << 10, 1 << 20, 400 << 20, 512 << 20, 512<<20 + 1, 1<<32 - 1}
	for algorithm := range byte(4) {
		for _, length := range lengths {
			all = append(all, forgedValue(algorithm, 0, length, "", ""), forgedValue(algorithm, 0, length, "", "not what it should be"))
		}
		for _, cipher := range []byte{1, 2} {
			all = append(all, forgedValue(algorithm, cipher<<1, 400<<20, strings.Repeat("k", 20), strings.Repeat("x", 40)))
		}
	}
	all = append(all, forgedValue(3, 1, 100, "\x00\x00\x00\x07", "dictionary"))
	// Frames of zstd that are one run after the other: more than they say, and less.
	for _, length := range []int{1 << 20, 48 << 20} {
		frame := binary.LittleEndian.AppendUint32([]byte("\x28\xb5\x2f\xfd\xa0"), uint32(length))
		for left := length; left > 0; left -= 128 << 10 {
			run := min(left, 128<<10)
			block := uint32(run)<<3 | 1<<1
			if run == left {
				block |= 1
			}
			frame = append(frame, byte(block), byte(block>>8), byte(block>>16), 'a')
		}
		for _, says := range []uint64{100, uint64(length) - 1, 512 << 20} {
			all = append(all, forgedValue(3, 0, says, "", string(frame)))
		}
	}
	return append(all, forgedValue(1, 0, 400<<20, "", "\x1fa\x01\x00"+strings.Repeat("\xff", 1<<20)))
}

// highWater is the most memory that the process has had, in bytes. Linux only.
func highWater(t *testing.T, p *harness.Proxy) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(rest, &n)
	return n << 10
}

// What somebody has forged in the upstream is an error and nothing more: no crash, no
// memory, and nobody else waits for it.
func TestValuesForged(t *testing.T) {
	r := harness.StartRedis(t)
	p := valuesProxy(t, r)
	up, other := dialRaw(t, r.Addr), p.Connect(t, harness.Acme)
	for _, k := range valueKinds {
		c := p.Connect(t, valuesTenant(k.name, k.yaml))
		root := "t:" + k.name + ":0:"
		mget := []string{"MGET"}
		for i, v := range forgedValues() {
			key := fmt.Sprint("k", i)
			mget = append(mget, key)
			diffMust(t, up, "SET", root+key, v)
			diffMust(t, up, "HSET", root+"h", key, v)
			diffMust(t, up, "RPUSH", root+"l", key)
			for _, words := range [][]string{
				{"GET", key}, {"GETRANGE", key, "0", "5"}, {"HGET", "h", key}, {"GETEX", key}, {"EVAL", "return redis.call('get',KEYS[1])", "1", key},
				{"APPEND", key, "x"}, {"DUMP", key}, {"STRLEN", key}, {"INCR", key},
			} {
				began := time.Now()
				reply, err := c.Do(words...)
				if err != nil {
					t.Fatalf("%s: %q of %.60q: %v", k.name, words, v, err)
				}
				if reply[0] == '-' && !strings.HasPrefix(reply, "-ERR ") {
					t.Errorf("%s: %q of %.60q: %q", k.name, words, v, reply)
				}
				if reply[0] == '$' && len(reply) > 100 {
					t.Errorf("%s: %q of %.60q: %d bytes", k.name, words, v, len(reply))
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("%s: %q of %.60q took %v", k.name, words, v, took)
				}
			}
			began := time.Now()
			diffMust(t, other, "SET", "x", "y")
			if took := time.Since(began); took > time.Second {
				t.Errorf("somebody else waited for %v", took)
			}
		}
		for _, words := range [][]string{mget, {"HGETALL", "h"}, {"HVALS", "h"}, {"SORT", "l", "BY", "nosort", "GET", "*"}, {"HSCAN", "h", "0", "COUNT", "1000"}} {
			expect(t, c, "-ERR ", words...)
		}
		mustSay(t, c, "+OK\r\n", "SET", "k1", "fine")
		mustSay(t, c, "$4\r\nfine\r\n", "GET", "k1")
	}
	if n := highWater(t, p); n > 1<<30 {
		t.Errorf("the proxy has had %d MiB", n>>20)
	}
}

// A value that the operator moves to another key, or gives another tenant, can not be read;
// neither can one whose key is missing or another one.
func TestValuesMoved(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	tenant := valuesTenant("aes", valueKinds[3].yaml)
	start := func(keys, secret string) *harness.Proxy {
		with := tenant
		with.YAML = strings.Replace(tenant.YAML, "key: test", "key: "+strings.Fields(keys)[0], 1)
		o := harness.Options{Tenants: []harness.Tenant{with, harness.Acme}, Top: "encryption_keys:\n"}
		for i, key := range strings.Fields(keys) {
			o.Top += fmt.Sprintf("  %s: {env: VALUES_KEY_%d}\n", key, i)
			o.Env = append(o.Env, fmt.Sprintf("VALUES_KEY_%d=%s", i, config.HashSecret(key+secret)))
		}
		p := harness.StartProxy(t, r.Addr, o)
		p.Ready(t)
		return p
	}
	p := start("one", "")
	up, c := dialRaw(t, r.Addr), p.Connect(t, tenant)
	mustSay(t, c, "+OK\r\n", "SET", "a", "secret")
	mustSay(t, c, ":1\r\n", "HSET", "h", "f", "secret")
	for _, words := range [][]string{
		{"COPY", "t:aes:0:a", "t:aes:0:b"}, {"COPY", "t:aes:0:a", "t:aes:1:a"}, {"COPY", "t:aes:0:h", "t:aes:0:g"}, {"COPY", "t:aes:0:a", "t:acme:0:a"},
	} {
		mustSay(t, up, ":1\r\n", words...)
	}
	const moved = "-ERR the stored value does not decrypt with encryption key \"one\""
	for _, words := range [][]string{
		{"GET", "b"}, {"MGET", "a", "b"}, {"APPEND", "b", "x"}, {"INCR", "b"}, {"RENAME", "b", "c"}, {"COPY", "b", "c"}, {"DUMP", "b"}, {"HGET", "g", "f"}, {"HGETALL", "g"},
	} {
		expect(t, c, moved, words...)
	}
	mustSay(t, c, "+OK\r\n", "SELECT", "1")
	expect(t, c, moved, "GET", "a")
	for keys, want := range map[string]string{
		"one": moved, "two": "-ERR the stored value is encrypted with a key that is not configured", "two one": "$6\r\nsecret\r\n",
	} {
		secret := ""
		if keys == "one" {
			secret = "another"
		}
		c := start(keys, secret).Connect(t, tenant)
		expect(t, c, want, "GET", "a")
		expect(t, c, want, "HGET", "h", "f")
		mustSay(t, c, "+OK\r\n", "SET", "new", "fine")
		mustSay(t, c, "$4\r\nfine\r\n", "GET", "new")
	}
}
