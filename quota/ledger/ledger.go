// Package ledger keeps what tenants have used, by hours, so that it adds up over
// any number of proxies, crashes and restarts.
//
// Each proxy process reports its own running totals of an hour, in whole, every few
// seconds. A report that is made twice, late or in the wrong order therefore
// changes nothing, and the sum over the processes is exact but for what a
// process had not reported when it was killed.
package ledger

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sample is what one process has counted of a tenant since it began.
type Sample struct {
	Figures // ConnPeak: since the last sample
}

// Tenant is one whose usage is kept.
type Tenant struct {
	ID, Root, Plan string
}

// Gauges tell what a tenant has in the upstream at the moment.
type Gauges interface {
	// Gauges are memory and cold storage in bytes, and the number of keys. ok is false
	// while they are not known.
	Gauges(tenant string) (memory, keys, storage int64, ok bool)
}

// Options are what a Ledger works with.
type Options struct {
	Client    *redis.Client
	Process   string // an id that no other process has or had
	Flush     time.Duration
	Grace     time.Duration
	Retention time.Duration // 0: for ever
	Spool     string        // a directory; empty: none

	// Sample is asked for all tenants' totals.
	Sample func(ctx context.Context) (map[string]Sample, error)
	// Tenants are those of the configuration.
	Tenants func() []Tenant
	Gauges  Gauges

	// Closed runs after hours were closed, on one of the proxies. May be nil.
	Closed func(ctx context.Context, s *Store) error

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Ledger reports one process's usage.
type Ledger struct {
	o     Options
	store *Store

	mu      sync.Mutex
	seq     int64
	before  map[string]Figures // as of the last sample
	at      time.Time          // of the last sample
	held    map[heldKey]*held
	mark    string // what the process left in the upstream with the last report
	looked  int64  // minute, since 1970, in which the levels were looked at last
	tidied  time.Time
	levels  map[string]Levels // of what counted that this process has looked at
	failing bool
	spooled int64 // seq as of which the spool file is; 0: there is none
}

type heldKey struct {
	tenant string
	hour   Hour
}

// held is what the process has to report of a tenant's hour.
type held struct {
	root    string
	rec     record
	seq     int64 // of the last change; 0: there was none
	told    int64 // of the last report
	tried   bool  // to report it, so that some of it may have arrived
	minutes map[int]observation
}

// New begins to count: what the samples say now is where they start.
func New(o Options) *Ledger {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{o: o, store: NewStore(o.Client, o.Grace), before: map[string]Figures{}, at: o.Now(), held: map[heldKey]*held{}, levels: map[string]Levels{}}
}

// Run reports until ctx ends. Close has to be called after it.
func (l *Ledger) Run(ctx context.Context) {
	for {
		now := l.o.Now()
		wait := min(l.o.Flush, (HourOf(now) + 1).Start().Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Millisecond)):
		}
		flushing, cancel := context.WithTimeout(ctx, flushTime)
		if err := l.Flush(flushing); err == nil {
			l.tidy(flushing)
		}
		cancel()
	}
}

// flushTime bounds one report of everything.
const flushTime = time.Minute

// Close reports for the last time. While that fails it tries again until ctx ends.
func (l *Ledger) Close(ctx context.Context) error {
	for {
		err := l.Flush(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(closeRetry):
		}
	}
}

const closeRetry = 100 * time.Millisecond

// Flush takes a sample and reports what has changed. What could not be reported is
// kept for the next time, and in the spool.
func (l *Ledger) Flush(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.sample(ctx); err != nil {
		return err
	}
	err := l.report(ctx)
	if err != nil && ctx.Err() == nil {
		err = l.report(ctx) // it may have been a connection that was lost long ago
	}
	if err != nil {
		if !l.failing && ctx.Err() == nil {
			slog.Warn("usage can not be reported to the upstream; it is kept here meanwhile", "error", err)
		}
		l.spool()
	} else {
		if l.failing {
			slog.Info("usage is reported to the upstream again")
		}
		l.unspool(ctx)
	}
	l.failing = err != nil
	l.drop()
	return err
}

// sample adds what was counted since the last sample to the hour that it was
// counted in.
func (l *Ledger) sample(ctx context.Context) error {
	all, err := l.o.Sample(ctx)
	if err != nil {
		return err
	}
	now := l.o.Now()
	hour := HourOf(now)
	if began := HourOf(l.at); began == hour-1 && now.Sub(hour.Start()) <= l.o.Flush {
		hour = began // this is the report at the hour's turn
	}
	tenants := make(map[string]Tenant)
	for _, t := range l.o.Tenants() {
		tenants[t.ID] = t
	}
	l.seq++
	for id, s := range all {
		t, known := tenants[id]
		if !known {
			continue // not logged in
		}
		before := l.before[id]
		grown := s.Figures.beyond(&before)
		l.before[id] = s.Figures
		h := l.held[heldKey{id, hour}]
		if grown.zero() && (h == nil || s.ConnPeak <= h.rec.ConnPeak && h.rec.Plan == t.Plan) {
			continue
		}
		h = l.hold(t, hour)
		h.rec.Figures.add(&grown)
		h.rec.ConnPeak = max(h.rec.ConnPeak, s.ConnPeak)
		h.rec.Plan, h.rec.At, h.seq = t.Plan, now.UnixMilli(), l.seq
	}
	l.at = now
	return nil
}

func (l *Ledger) hold(t Tenant, hour Hour) *held {
	key := heldKey{t.ID, hour}
	h := l.held[key]
	if h == nil {
		h = &held{root: t.Root}
		l.held[key] = h
	}
	return h
}

// report writes what the upstream does not have.
func (l *Ledger) report(ctx context.Context) error {
	mark, err := l.store.client.Get(ctx, markKey(l.o.Process)).Result()
	if err != nil && err != redis.Nil {
		return err
	}
	if mark != l.mark { // the upstream has lost something
		for _, h := range l.held {
			h.told = 0
		}
	}
	l.look()
	var keys []heldKey
	var reports []*report
	for key, h := range l.held {
		if h.told == h.seq && len(h.minutes) == 0 {
			continue
		}
		r := &report{tenant: key.tenant, root: h.root, hour: key.hour, process: l.o.Process, seq: h.seq, minutes: h.minutes}
		if h.seq > 0 {
			rec := h.rec
			r.rec = &rec
		}
		h.tried = true
		keys, reports = append(keys, key), append(reports, r)
	}
	arrived, err := l.store.write(ctx, reports)
	for i, ok := range arrived {
		if h := l.held[keys[i]]; ok {
			h.told, h.minutes = h.seq, nil
			l.noteLevels(keys[i].tenant, reports[i].first)
		}
	}
	if err != nil {
		return err
	}
	return l.leaveMark(ctx, mark)
}

// markLasts is for how long the mark of a process that has ended stays.
const markLasts = 24 * time.Hour

func markKey(process string) string { return "riptide:usage:mark:" + process }

// leaveMark notes how far the reports have got, so that the process notices when the
// upstream has lost some of them.
func (l *Ledger) leaveMark(ctx context.Context, there string) error {
	mark := strconv.FormatInt(l.seq, 10)
	if err := l.store.client.Set(ctx, markKey(l.o.Process), mark, markLasts).Err(); err != nil {
		l.mark = there
		return err
	}
	l.mark = mark
	return nil
}

// look takes note of what the tenants have in the upstream, once a minute. What of
// all proxies comes first counts.
func (l *Ledger) look() {
	now := l.o.Now()
	minute := now.Unix() / 60
	if minute == l.looked {
		return
	}
	l.looked = minute
	hour := HourOf(now)
	for _, t := range l.o.Tenants() {
		memory, keys, storage, ok := l.o.Gauges.Gauges(t.ID)
		_, active := l.held[heldKey{t.ID, hour}]
		if !ok || memory == 0 && keys == 0 && storage == 0 && !active {
			continue
		}
		h := l.hold(t, hour)
		if h.minutes == nil {
			h.minutes = make(map[int]observation)
		}
		h.minutes[int(minute%60)] = observation{memory, keys, storage, t.Plan}
	}
}

// Levels are the sums over minutes of what a tenant has in the upstream.
type Levels struct{ Memory, Storage int64 }

func (l *Ledger) noteLevels(tenant string, counted []observation) {
	if len(counted) == 0 {
		return
	}
	n := l.levels[tenant]
	for _, o := range counted {
		n.Memory += o.memory
		n.Storage += o.storage
	}
	l.levels[tenant] = n
}

// Counted is what this process has put into the ledger, or is about to: the
// sums over all processes are what is in the ledger.
func (l *Ledger) Counted() (figures map[string]Figures, levels map[string]Levels) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.before), maps.Clone(l.levels)
}

// Store is where the ledger is kept.
func (l *Ledger) Store() *Store { return l.store }

// drop forgets hours that were reported and can not change any more.
func (l *Ledger) drop() {
	now := l.o.Now()
	for key, h := range l.held {
		if h.told == h.seq && len(h.minutes) == 0 && now.After(l.store.deadline(key.hour).Add(l.o.Grace)) {
			delete(l.held, key)
		}
	}
}

// tidyEvery is how often closed hours are looked for.
const tidyEvery = time.Minute

// tidy closes hours and deletes old ones, if it is this process's turn.
func (l *Ledger) tidy(ctx context.Context) {
	if l.o.Now().Sub(l.tidied) < tidyEvery {
		return
	}
	l.tidied = l.o.Now()
	mine, err := l.store.Turn(ctx, l.o.Process, tidyEvery*9/10)
	if err == nil && mine {
		err = l.closeAll(ctx)
	}
	if err != nil && ctx.Err() == nil {
		slog.Warn("usage could not be closed", "error", err)
	}
}

func (l *Ledger) closeAll(ctx context.Context) error {
	tenants, err := l.store.Tenants(ctx)
	if err != nil {
		return err
	}
	open, err := l.store.ClosedBefore(ctx)
	if err != nil {
		return err
	}
	for id, root := range tenants {
		if _, err := l.store.Close(ctx, id, root, open); err != nil {
			return err
		}
	}
	if l.o.Closed != nil {
		if err := l.o.Closed(ctx, l.store); err != nil {
			return err
		}
	}
	if l.o.Retention == 0 {
		return nil
	}
	keep := open - Hour(l.o.Retention/time.Hour)
	for id, root := range tenants {
		for more := true; more; {
			if more, err = l.store.Sweep(ctx, id, root, keep); err != nil {
				return err
			}
		}
	}
	return nil
}
