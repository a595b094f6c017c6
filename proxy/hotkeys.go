package proxy

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
)

// Which keys a tenant's commands name most often is found out by looking at one command of about a hundred. Between two of
// them are as many as chance says, since clients do things in turn: with a fixed number one of two keys could always escape.
// What is found goes into a list of the tenant's own, so nobody's keys push out another's.

const (
	// Between two commands that are looked at are hotLeast to hotLeast+hotSpread-1.
	hotLeast, hotSpread = 64, 64
	// hotWeight is how many commands one stands for.
	hotWeight = hotLeast + (hotSpread-1)/2
	// hotKeySize is how much of a key's name is kept, in bytes.
	hotKeySize = 256
	// hotPerCommand is how many keys of one command are taken.
	hotPerCommand = 16
	// A list has room for hotKeys keys, and for fewer when there are so many tenants and loops that all lists
	// together would have more than hotTotal, but not for fewer than hotFew.
	hotKeys, hotFew, hotTotal = 64, 8, 64 << 10
	// hotHalf is how long it takes for what was seen to count half.
	hotHalf = time.Minute
)

// hotSampler is a loop's.
type hotSampler struct {
	left    uint32 // commands up to the next one that is looked at
	off     bool
	room    int            // of a list
	has     []*tenantStats // those that have one
	indexes []int32
}

// apply goes by a configuration.
func (h *hotSampler) apply(cfg *config.Config, loops int) {
	h.room = hotRoom(len(cfg.Tenants), loops)
	h.off = !cfg.HotKeys.Enabled
	if h.off {
		for _, t := range h.has {
			t.hot = nil
		}
		h.has = nil
	}
	h.rest()
}

func hotRoom(tenants, loops int) int {
	return min(max(hotTotal/max(1, tenants*loops), hotFew), hotKeys)
}

// rest chooses the next command. Without lists it is one that comes in a long time.
func (h *hotSampler) rest() {
	h.left = 0
	if !h.off {
		h.left = hotLeast + rand.Uint32N(hotSpread)
	}
}

// sampleKeys is told of each command that is run. It is on everybody's way, and costs a decrement and a comparison.
func (s *session) sampleKeys(cmd *command.Command, r *namespace.Request) {
	if s.w.hot.left--; s.w.hot.left == 0 {
		s.w.hot.look(s, cmd, r)
	}
}

// look takes the keys of a command.
func (h *hotSampler) look(s *session, cmd *command.Command, r *namespace.Request) {
	h.rest()
	if h.off || s.who == nil || !cmd.HasKeys() {
		return
	}
	h.indexes, _ = cmd.Prefixed(h.indexes[:0], r)
	n := len(h.indexes)
	if n == 0 {
		return
	}
	list := s.stats.hot
	if list == nil {
		list = &hotList{halved: s.w.loop.Now()}
		s.stats.hot = list
		h.has = append(h.has, s.stats)
	}
	from := 0
	if n > hotPerCommand {
		from = rand.IntN(n)
	}
	for i := range min(n, hotPerCommand) {
		at := h.indexes[(from+i)%n]
		if _, isKey := cmd.NeedAt(r, at); isKey {
			list.add(r.At(int(at)), s.db, h.room)
		}
	}
	if cap(h.indexes) > maxScratch {
		h.indexes = nil
	}
}

// age halves what was seen, where it is time to. It is called once a second.
func (h *hotSampler) age(now int64) {
	h.has = slices.DeleteFunc(h.has, func(t *tenantStats) bool {
		if t.hot != nil && time.Duration(now-t.hot.halved) >= hotHalf {
			t.hot.halved = now
			t.hot.halve(h.room)
			if len(t.hot.keys) == 0 {
				t.hot = nil
			}
		}
		return t.hot == nil
	})
}

// hotList is what a loop knows of a tenant's keys. When it is full, a new key takes the place of the one that was seen
// least, together with its count (Space-Saving): a key with more than its share of what is seen always
// gets into the list and stays there, whatever else is named.
type hotList struct {
	keys   []hotKey
	total  uint32 // keys seen, whatever has become of them
	halved int64  // loop's clock
}

type hotKey struct {
	name  []byte // as much as is kept
	cut   bool   // it is longer
	db    int
	count uint32 // of when it was seen, with
	taken uint32 // what those had that were in its place before
}

// seen is how often the key was seen since it is in the list.
func (k *hotKey) seen() uint32 { return k.count - k.taken }

func (k *hotKey) is(name []byte, cut bool, db int) bool {
	return k.db == db && k.cut == cut && bytes.Equal(k.name, name)
}

// add counts a key. Once the list is full nothing is allocated for further ones.
func (l *hotList) add(name []byte, db, room int) {
	cut := len(name) > hotKeySize
	if cut {
		name = name[:hotKeySize]
	}
	l.total++
	least := 0
	for i := range l.keys {
		k := &l.keys[i]
		if k.is(name, cut, db) {
			k.count++
			return
		}
		if k.count < l.keys[least].count {
			least = i
		}
	}
	if len(l.keys) < room {
		l.keys = append(l.keys, hotKey{name: bytes.Clone(name), cut: cut, db: db, count: 1})
		return
	}
	k := &l.keys[least]
	*k = hotKey{name: append(k.name[:0], name...), cut: cut, db: db, count: k.count + 1, taken: k.count}
}

// halve has all that was seen count half, and forgets what then does not count any more or has no room.
func (l *hotList) halve(room int) {
	l.total /= 2
	for i := range l.keys {
		l.keys[i].count /= 2
		l.keys[i].taken /= 2
	}
	l.keys = slices.DeleteFunc(l.keys, func(k hotKey) bool { return k.count == 0 })
	if len(l.keys) > room {
		slices.SortFunc(l.keys, byCount)
		clear(l.keys[room:])
		l.keys = l.keys[:room]
	}
}

func byCount(a, b hotKey) int { return cmp.Compare(b.count, a.count) }

// copy is for use outside the loop.
func (l *hotList) copy() hotList {
	if l == nil {
		return hotList{}
	}
	c := hotList{keys: slices.Clone(l.keys), total: l.total}
	for i := range c.keys {
		c.keys[i].name = bytes.Clone(c.keys[i].name)
	}
	return c
}
