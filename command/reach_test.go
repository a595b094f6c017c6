package command

import (
	"strings"
	"testing"
)

func TestReach(t *testing.T) {
	for line, want := range map[string]int64{
		"SETRANGE k 10 abc": 13, "SETRANGE k 0 a": 1, "SETRANGE k -1 a": 0, "SETRANGE k x a": 0, "SETRANGE k 99999999999999999999 a": 0,
		"SETBIT k 0 1": 1, "SETBIT k 7 1": 1, "SETBIT k 8 1": 2, "SETBIT k -8 1": 0, "SETBIT k 4294967295 1": 512 << 20,
		"BITFIELD k GET u8 800": 0, "BITFIELD k SET u8 0 1": 1, "BITFIELD k SET u8 1 1": 2, "BITFIELD k SET u8 #3 1": 4, "BITFIELD k OVERFLOW SAT INCRBY i5 100 1": 14,
		"BITFIELD k SET u8 0 1 GET u8 800 INCRBY u16 #2 1": 6, "BITFIELD k SET u8": 0, "BITFIELD k SET u8 0 1 SET u8 #9": 1, "BITFIELD k": 0, "BITFIELD k SET u8 # 1": 0,
	} {
		words := strings.Fields(line)
		cmd := Lookup([]byte(words[0]))
		if got := cmd.Reach(words2args(words)); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
	if got := Lookup([]byte("setrange")).Reach(words2args{"SETRANGE", "k", "5", ""}); got != 0 {
		t.Errorf("nothing makes it %d long", got)
	}
}

type words2args []string

func (w words2args) Len() int        { return len(w) }
func (w words2args) At(i int) []byte { return []byte(w[i]) }
