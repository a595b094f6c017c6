package tests

import (
	"encoding/binary"
	"hash/crc64"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// forged is a serialised list whose one element claims to be longer than the
// whole: a checksum is no signature, so anybody can make one.
func forged() string {
	pack := []byte{0xf0}
	pack = binary.LittleEndian.AppendUint32(pack, 5000)
	pack = append(pack, "AAAA\x09\xff"...)
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(pack)+6))
	head = binary.LittleEndian.AppendUint16(head, 1)
	pack = append(head, pack...)
	dump := append([]byte{18, 1, 2, byte(len(pack))}, pack...)
	dump = append(dump, 10, 0)
	// The servers' CRC has no inversion at either end, and this one both.
	sum := ^crc64.Update(^uint64(0), crc64.MakeTable(0x95ac9329ac4bc9b5), dump)
	return string(binary.LittleEndian.AppendUint64(dump, sum))
}

// A tenant who restores what no server has dumped gets an error. It does not
// take the server of all tenants down, and nothing behind the value is shown.
func TestHostileRestore(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	k := startCanary(t, p)
	c := p.Connect(t, harness.Acme)
	restored, err := c.Do("RESTORE", "forged", "0", forged())
	if err != nil || !strings.HasPrefix(restored, "-") {
		t.Errorf("RESTORE: %q, %v", restored, err)
	}
	if strings.Contains(restored, "checksum") {
		t.Errorf("the test forges badly: %q", restored)
	}
	if reply, err := c.Do("LRANGE", "forged", "0", "-1"); err != nil || len(reply) > 1000 || !strings.HasPrefix(reply, "*0") {
		t.Errorf("LRANGE: %.200q, %v", reply, err)
	}
	if !r.Running() {
		t.Fatal("the server of all tenants is dead")
	}
	k.finish(t)
}
