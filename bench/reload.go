package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A proxy under load whose configuration is changed all the time, beside the same one that is left alone.

const (
	reloadEvery   = 50 * time.Millisecond
	reloadRun     = 4 * time.Second
	reloadClients = 50
	fewTenants    = 10
	reloadWait    = 10 * time.Second // for one of them
)

func reloadRow() sideRow {
	r := sideRow{
		label: "reload", latency: true, noise: "reloads/s",
		what: fmt.Sprintf("%d clients, no pipeline, %s, GET, a reload every %v", reloadClients, small.label, reloadEvery),
		run:  (*bench).runReload,
	}
	r.sides = []side{fewQuiet, fewReloads, manyQuiet, manyReloads}
	return r
}

var (
	fewQuiet    = side{name: fmt.Sprintf("%d tenants", fewTenants), server: "few"}
	fewReloads  = side{name: fmt.Sprintf("%d tenants, reloads", fewTenants), server: "few", noise: "few"}
	manyQuiet   = side{name: fmt.Sprintf("%d tenants", tenantCount), server: "many"}
	manyReloads = side{name: fmt.Sprintf("%d tenants, reloads", tenantCount), server: "many", noise: "many"}
)

// runReload measures what clients wait. The reloads are another tenant's new quota and new secret, and a tenant that
// comes or goes; each is over when the new secret is good.
func (b *bench) runReload(ctx context.Context, d side) (sample, error) {
	s := b.sides[d.server]
	g, err := startGenerator(ctx, b.env.self, job{
		Addr: s.addr(), Logins: slices.Repeat([]login{s.login}, reloadClients), Pipeline: 1, Op: "GET", Keys: tenantKeys, Duration: reloadRun,
	})
	if err != nil {
		return sample{}, fmt.Errorf("load generator: %w", err)
	}
	defer g.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		n   int
		err error
	}
	reloaded := make(chan outcome, 1)
	if d.noise != "" {
		go func() {
			n, err := keepReloading(ctx, s)
			reloaded <- outcome{n, err}
		}()
	} else {
		reloaded <- outcome{}
	}
	got, _, err := g.run()
	cancel()
	o := <-reloaded
	if err := errors.Join(err, o.err); err != nil {
		return sample{}, err
	}
	got.noise = float64(o.n) / reloadRun.Seconds()
	return got, nil
}

// keepReloading changes the configuration again and again until ctx ends, and counts.
func keepReloading(ctx context.Context, s *server) (n int, err error) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return n, nil
		case <-tick.C:
		}
		if err := reloadOnce(ctx, s, n); err != nil {
			if ctx.Err() != nil {
				return n, nil
			}
			return n, err
		}
		n++
	}
}

// changeTenants writes files; who is returned can log in once they are taken over.
func changeTenants(folder string, n int) (who login, err error) {
	who = login{User: "fresh", Secret: rand.Text()}
	text := fmt.Sprintf("{users: {default: {sha256: [%q]}}, quotas: {connections: %d}}\n", hexSHA256(who.Secret), 100+n%2)
	if err := replaceFile(filepath.Join(folder, who.User+".yaml"), text); err != nil {
		return who, err
	}
	guest := filepath.Join(folder, "guest.yaml")
	if n%2 == 1 {
		return who, os.Remove(guest)
	}
	return who, replaceFile(guest, fmt.Sprintf("{users: {default: {sha256: [%q]}}}\n", hexSHA256(rand.Text())))
}

func reloadOnce(ctx context.Context, s *server, n int) error {
	who, err := changeTenants(s.folder, n)
	if err != nil {
		return err
	}
	s.proc.signal(syscall.SIGHUP)
	for end := time.Now().Add(reloadWait); ; {
		c, err := dial(ctx, s.addr(), who, reloadWait)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("a reload has not taken effect: %w", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func replaceFile(name, text string) error {
	beside := filepath.Join(filepath.Dir(name), ".new")
	if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, name)
}
