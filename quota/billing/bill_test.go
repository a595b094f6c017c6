package billing

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what is printed with a file, byte for byte.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

const file = `
upstream: {mode: embedded}
billing: {currency: EUR}
plans:
  free: {}
  pro:
    prices: {base: 20, operations: 0.35, writes: 0.7, scripts: 1.05, ingress: 0, egress: 0.09, memory: 0.0125, connections: 0.0001}
    included: {operations: 10.5, egress: 1, memory: 72}
  big:
    prices: {base: 100, operations: 0.1, memory: 0.01, storage: 0.0003}
    included: {operations: 1000}
tenants:
  acme: {plan: pro, tags: {cost_center: "0815", formula: "=1+1"}, users: {default: {}}}
  globex: {plan: big, users: {default: {}}}
  idle: {plan: pro, users: {default: {}}}
  gratis: {users: {default: {}}}
`

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	c, _, err := config.Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	november = ledger.HourOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	december = ledger.HourOf(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	made     = time.Date(2026, 12, 1, 0, 10, 30, 0, time.UTC)
)

// acmeRows is a month with a change of plan in its middle.
func acmeRows() []*ledger.Row {
	var rows []*ledger.Row
	for i := range int64(december - november) {
		r := &ledger.Row{
			Tenant: "acme", Hour: november + ledger.Hour(i), Plan: "pro", Minutes: 60, Closed: 1,
			Figures: ledger.Figures{
				Read: 31_337 * i, Write: 1_001 * i, Script: 17, PubSub: 3, Other: 9, In: 1 << 20, Out: 12_345_678, ConnMillis: 3_600_001, ConnPeak: 7,
			},
			Memory: ledger.Level{Sum: 60 * (1<<28 + i), Peak: 1 << 29}, Keys: ledger.Level{Sum: 60_000, Peak: 1_000},
		}
		if i >= 400 {
			r.Plan = "big"
		}
		if i%5 != 4 { // some hours have nothing
			rows = append(rows, r)
		}
	}
	return rows
}

func TestBillsGolden(t *testing.T) {
	cfg := parsed(t, file)
	bills := []*Bill{
		Make(cfg, "acme", "pro", acmeRows(), november, december, made),
		Make(cfg, "gone", "", []*ledger.Row{{Hour: november + 3, Plan: "vanished", Figures: ledger.Figures{Read: 5}}}, november, december, made),
		Make(cfg, "idle", "pro", nil, november, december, made),
	}
	for _, f := range []ledger.Format{ledger.CSV, ledger.JSON, ledger.Table} {
		var out bytes.Buffer
		if err := Write(&out, f, bills); err != nil {
			t.Fatal(err)
		}
		golden(t, "bills."+string(f), out.Bytes())
	}
}

func TestUsageGolden(t *testing.T) {
	lines := ledger.Lines(acmeRows()[:39], ledger.ByDay, november, november+49, map[string]string{"formula": "=1+1", "team": "web"})
	lines = append(lines, ledger.Lines([]*ledger.Row{{Tenant: "globex", Hour: november, Figures: ledger.Figures{Read: 1}, Late: &ledger.Figures{Read: 1}}},
		ledger.ByTotal, november, november+49, nil)...)
	for _, f := range []ledger.Format{ledger.CSV, ledger.JSON, ledger.Table} {
		var out bytes.Buffer
		if err := ledger.Write(&out, f, lines); err != nil {
			t.Fatal(err)
		}
		golden(t, "usage."+string(f), out.Bytes())
	}
}

func TestRound(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0.00", "0.005": "0.00", "0.015": "0.02", "0.025": "0.02", "0.0250000001": "0.03", "1.995": "2.00", "12.344": "12.34", "1/3": "0.33", "2/3": "0.67",
		"-0.005": "0.00", "-0.015": "-0.02", "-1/3": "-0.33", "999999999999999.995": "1000000000000000.00",
	} {
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		if got := Round(r, 2); string(got) != want {
			t.Errorf("%s is rounded to %s, want %s", text, got, want)
		}
	}
	if got := Round(big.NewRat(5, 2), 0); got != "2" {
		t.Errorf("2.5 yen: %s", got)
	}
}

// A bill's total is the sum of what is on it.
func TestItemsAddUp(t *testing.T) {
	b := Make(parsed(t, file), "acme", "pro", acmeRows(), november, december, made)
	sum := new(big.Rat)
	for _, i := range b.Items {
		n, ok := new(big.Rat).SetString(string(i.Amount))
		if !ok {
			t.Fatal(i.Amount)
		}
		sum.Add(sum, n)
	}
	if got := Round(sum, 2); got != b.Total {
		t.Errorf("the items' sum is %s, the total %s", got, b.Total)
	}
}

// A closed period's bill stays as it is when prices change, a tenant is removed,
// or usage comes late.
func TestClosedBillNeverChanges(t *testing.T) {
	mini := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: mini.Addr(), MaxRetries: -1})
	defer client.Close()
	store := ledger.NewStore(client, 10*time.Minute)
	now := november.Start().Add(5 * time.Hour)
	mini.SetTime(now)
	counted := ledger.Sample{}
	l := ledger.New(ledger.Options{
		Client: client, Process: "p", Flush: time.Second, Grace: 10 * time.Minute,
		Sample: func(context.Context) (map[string]ledger.Sample, error) {
			return map[string]ledger.Sample{"acme": counted}, nil
		},
		Tenants: func() []ledger.Tenant { return []ledger.Tenant{{ID: "acme", Root: "t:acme:", Plan: "pro"}} },
		Gauges:  nothing{}, Now: func() time.Time { return now },
	})
	use := func(reads int64) {
		t.Helper()
		counted.Read += reads
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	use(50_000_000)
	cfg := parsed(t, file)
	q := &Query{From: november, To: december}
	show := func(cfg *config.Config) string {
		t.Helper()
		bills, err := (&Query{From: november, To: december, Tenant: "acme"}).Run(t.Context(), store, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Write(&out, ledger.JSON, bills); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if _, err := q.Close(t.Context(), store, cfg); err != ErrOpen {
		t.Fatalf("closed a month that is not over: %v", err)
	}
	before := show(cfg)
	now = december.Start().Add(11 * time.Minute)
	mini.SetTime(now)
	if err := new(Closer).Run(t.Context(), store, cfg); err != nil {
		t.Fatal(err)
	}
	final := show(cfg)
	if final == before || !bytes.Contains([]byte(final), []byte(`"total": "33.82"`)) { // 20 + (50-10.5)*0.35
		t.Fatalf("the final bill is %s", final)
	}
	dearer := parsed(t, string(bytes.ReplaceAll([]byte(file), []byte("operations: 0.35"), []byte("operations: 99"))))
	gone := parsed(t, "upstream: {mode: embedded}\nbilling: {currency: USD}\ntenants: {other: {}}\n")
	use(1_000_000)
	for range 2 {
		for i, cfg := range []*config.Config{cfg, dearer, gone} {
			if err := new(Closer).Run(t.Context(), store, cfg); err != nil {
				t.Fatal(err)
			}
			if _, err := (&Query{From: november, To: december, Tenant: "acme"}).Close(t.Context(), store, cfg); err != nil {
				t.Fatal(err)
			}
			if got := show(cfg); got != final {
				t.Errorf("configuration %d: the bill is\n%s\nand was\n%s", i, got, final)
			}
		}
		now = now.Add(time.Hour)
		mini.SetTime(now)
		use(1)
	}
	// No hour is in two final bills.
	for _, period := range [][2]ledger.Hour{{november - 1, november + 1}, {november + 10, november + 11}, {december - 1, december + 1}} {
		bills, err := (&Query{From: period[0], To: period[1], Tenant: "acme"}).Close(t.Context(), store, cfg)
		if !errors.Is(err, ledger.ErrOverlap) || len(bills) > 0 {
			t.Errorf("%v: %v, %v", period, bills, err)
		}
	}
	if _, err := (&Query{From: december, To: december + 1, Tenant: "acme"}).Close(t.Context(), store, cfg); err != nil {
		t.Error(err)
	}
}

type nothing struct{}

func (nothing) Gauges(string) (int64, int64, int64, bool) { return 0, 0, 0, false }

// What several proxies keep at once is one bill.
func TestOneBillIsKept(t *testing.T) {
	mini := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: mini.Addr(), MaxRetries: -1})
	defer client.Close()
	store := ledger.NewStore(client, time.Minute)
	var first []byte
	for i := range 5 {
		kept, err := store.KeepBill(t.Context(), "acme", "t:acme:", "x", fmt.Appendf(nil, "bill %d", i))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = kept
		}
		if !bytes.Equal(kept, first) {
			t.Errorf("kept %q, then %q", first, kept)
		}
	}
}
