package proxy

// subscriptions are what a session listens to. A name of the client's can
// stand for several of the upstream's, and the other way round, when it is about
// the events of keys; see notify.go.
type subscriptions struct {
	names [kinds]map[string][]string // the upstream's names, by the client's
	up    [kinds]map[string][]string // the client's names, by the upstream's
}

// count is the number in a confirmation.
func (b *subscriptions) count(kind int) int {
	switch {
	case b == nil:
		return 0
	case kind == shards:
		return len(b.names[shards])
	}
	return len(b.names[channels]) + len(b.names[patterns])
}

// total is how many there are of all kinds.
func (b *subscriptions) total() int {
	if b == nil {
		return 0
	}
	return len(b.names[channels]) + len(b.names[patterns]) + len(b.names[shards])
}

func (b *subscriptions) empty() bool { return b.total() == 0 }

// add notes a name and returns those that the upstream does not know of yet.
func (b *subscriptions) add(kind int, name string, up []string) (fresh []string) {
	if _, has := b.names[kind][name]; has {
		return nil
	}
	if b.names[kind] == nil {
		b.names[kind], b.up[kind] = make(map[string][]string), make(map[string][]string)
	}
	b.names[kind][name] = up
	for _, u := range up {
		if len(b.up[kind][u]) == 0 {
			fresh = append(fresh, u)
		}
		b.up[kind][u] = append(b.up[kind][u], name)
	}
	return fresh
}

// remove forgets a name and returns those that the upstream may forget.
func (b *subscriptions) remove(kind int, name string) (stale []string) {
	if b == nil {
		return nil
	}
	for _, u := range b.names[kind][name] {
		users := b.up[kind][u]
		for i := range users {
			if users[i] == name {
				users = append(users[:i], users[i+1:]...)
				break
			}
		}
		if len(users) == 0 {
			delete(b.up[kind], u)
			stale = append(stale, u)
			continue
		}
		b.up[kind][u] = users
	}
	delete(b.names[kind], name)
	return stale
}
