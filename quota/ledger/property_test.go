package ledger

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// Whatever happens between several processes and the upstream, the sum is what
// they had reported, or spooled, to the last unit, and closed hours never change.
func TestSumsAreExact(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			r := rand.New(rand.NewPCG(seed, 5))
			type tracked struct {
				*process
				flushed map[string]Sample // as of its last try to report
			}
			var alive []*tracked
			begin := func() {
				alive = append(alive, &tracked{w.process(), map[string]Sample{}})
			}
			begin()
			want := map[string]*Figures{"acme": {}, "globex": {}} // of processes that are gone
			closed := map[string]*Row{}
			var sent []*report
			away := false
			flush := func(p *tracked) {
				err := p.Flush(t.Context())
				if (err != nil) != away {
					t.Fatalf("away: %t, but %v", away, err)
				}
				for id, n := range p.counts {
					p.flushed[id] = n
				}
				for key, h := range p.held {
					rec := h.rec
					sent = append(sent, &report{tenant: key.tenant, root: h.root, hour: key.hour, process: p.o.Process, seq: h.seq, rec: &rec})
				}
			}
			for range 300 {
				p := alive[r.IntN(len(alive))]
				switch n := r.IntN(100); {
				case n < 40:
					p.count([]string{"acme", "globex"}[r.IntN(2)], r.Int64N(1000), r.Int64N(1<<40))
				case n < 65:
					flush(p)
				case n < 70:
					begin()
				case n < 75 && len(alive) > 1: // kill -9
					for id, n := range p.flushed {
						want[id].add(&n.Figures)
					}
					for i := range alive {
						if alive[i] == p {
							alive = append(alive[:i], alive[i+1:]...)
							break
						}
					}
				case n < 80 && len(sent) > 0 && !away: // an old report arrives once more
					if _, err := w.store.write(t.Context(), []*report{sent[r.IntN(len(sent))]}); err != nil {
						t.Fatal(err)
					}
				case n < 84:
					if away = !away; away {
						w.mini.SetError("LOADING")
					} else {
						w.mini.SetError("")
					}
				case n < 94:
					w.pass(time.Duration(r.Int64N(int64(40 * time.Minute))))
				case !away:
					w.close()
					for _, id := range []string{"acme", "globex"} {
						for _, row := range w.rows(id) {
							key := id + row.Hour.String()
							if was := closed[key]; was != nil && !reflect.DeepEqual(was, row) {
								t.Fatalf("closed hour %s is %+v, and was %+v", key, row, was)
							}
							if row.Closed != 0 {
								closed[key] = row
							}
						}
					}
				}
			}
			w.mini.SetError("")
			away = false
			if len(alive) == 0 {
				begin()
			}
			for _, p := range alive {
				flush(p)
				for id, n := range p.flushed {
					want[id].add(&n.Figures)
				}
			}
			flush(alive[0]) // and what others have left
			for id := range want {
				if got := w.total(id); got != *want[id] {
					t.Errorf("%s: %+v, want %+v", id, got, *want[id])
				}
			}
		})
	}
}
