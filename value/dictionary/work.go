package dictionary

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// lookAgain is how long after a training the next one may be; each that finds nothing better doubles it, up
	// to lookLate.
	lookAgain = time.Hour
	lookLate  = 8 * time.Hour
	// lookFirst is the same where there is no dictionary yet.
	lookFirst = 10 * time.Minute
	// lookSoon is when to try again if another proxy was training, or the upstream did not answer.
	lookSoon = time.Minute

	// giveUp is after how long a sample that is not large enough makes room for others, if room is scarce.
	giveUp = 10 * time.Minute

	// rest is how many times as long as a step of a training the pause after it is.
	rest = 3
)

// plan is when a pattern's values are collected again.
type plan struct {
	next  time.Time
	delay time.Duration // what the last one was put off by
}

// job is a training to be done.
type job struct {
	tenant  *tenant
	place   Tenant
	pattern string
	values  [][]byte
	present *Entry
	all     int // dictionaries that the tenant has
}

// train trains, one dictionary after the other, until ctx ends.
func (m *Manager) train(ctx context.Context) {
	tick := time.NewTicker(m.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.work(ctx)
		}
	}
}

// work opens and closes collections, and does one training if one is due.
func (m *Manager) work(ctx context.Context) {
	j := m.due()
	if j == nil {
		return
	}
	if err := m.do(ctx, j); err == nil || ctx.Err() == nil {
		m.finish(j, err)
	}
}

// due is one of the trainings that can be done.
func (m *Manager) due() *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted {
		return nil
	}
	now := m.Now()
	var chosen *job
	ready := 0
	for _, t := range m.tenants {
		if !t.Writes || t.version == "" {
			continue
		}
		for _, pattern := range t.patterns() {
			p := t.plan(pattern)
			is := t.sampler.sample(pattern, now, m.Settle)
			switch {
			case !is.open && !now.Before(p.next):
				t.sampler.collect(pattern, true, now)
			case is.open && len(is.values) == 0 && is.waited > giveUp && m.used.Load() > allBytes/2:
				t.sampler.collect(pattern, false, now)
				p.next = now.Add(giveUp)
			case len(is.values) > 0:
				// Any of them with the same chance, so that none waits for ever.
				if ready++; rand.IntN(ready) == 0 {
					chosen = &job{tenant: t, place: t.Tenant, pattern: pattern, values: is.values,
						present: current(t.sorted(), pattern), all: len(t.entries)}
				}
			}
		}
	}
	return chosen
}

func (t *tenant) plan(pattern string) *plan {
	p := t.plans[pattern]
	if p == nil {
		p = &plan{}
		t.plans[pattern] = p
	}
	return p
}

// settled puts the next training of a pattern off, since it has a new dictionary. m.mu is held.
func (m *Manager) settled(t *tenant, pattern string) {
	if !t.has(pattern) {
		return
	}
	p := t.plan(pattern)
	p.delay = lookAgain
	p.next = m.Now().Add(lookAgain)
	t.sampler.collect(pattern, false, m.Now())
}

// do trains and stores.
func (m *Manager) do(ctx context.Context, j *job) error {
	if j.all >= MaxDictionaries {
		return ErrFull
	}
	e, err := m.store.train(ctx, &j.place, j.pattern, j.values, m.pause(ctx))
	if err != nil {
		return err
	}
	slog.Info("a new dictionary", "tenant", j.place.ID, "pattern", j.pattern, "dictionary", field(e.ID), "size", len(e.Blob),
		"samples", e.Samples, "saved_percent", e.Gain.Saved(), "total_percent", e.Gain.Total())
	return nil
}

// pause makes a training take a part of a processor only.
func (m *Manager) pause(ctx context.Context) func(time.Duration) {
	if m.pace != nil {
		return m.pace
	}
	return func(took time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(min(rest*took, time.Second)):
		}
	}
}

// finish plans what comes after a training.
func (m *Manager) finish(j *job, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := j.tenant.plan(j.pattern)
	first := lookFirst
	if j.present != nil {
		first = lookAgain
	}
	switch {
	case err == nil:
		p.delay = lookAgain
		m.wake()
	case errors.Is(err, ErrBusy), errors.Is(err, ErrChanged):
		p.delay = 0
		m.wake()
	case errors.Is(err, ErrNoGain):
		p.delay = min(max(2*p.delay, first), lookLate)
	default:
		slog.Warn("no dictionary was trained", "tenant", j.place.ID, "pattern", j.pattern, "error", err)
		p.delay = min(max(2*p.delay, first), lookLate)
	}
	wait := p.delay
	if wait == 0 {
		wait = lookSoon
	}
	now := m.Now()
	p.next = now.Add(wait)
	j.tenant.sampler.collect(j.pattern, false, now)
}
