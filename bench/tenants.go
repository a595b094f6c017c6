package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

const (
	tenantRun  = 1200 * time.Millisecond
	tenantKeys = 100 // of each connection
)

// tenantSet is how many tenants share the connections.
type tenantSet struct {
	name  string
	count int
}

var (
	oneTenant   = tenantSet{name: "1 tenant", count: 1}
	manyTenants = tenantSet{name: fmt.Sprintf("%d tenants", tenantCount), count: tenantCount}
)

// logins gives each of the connections its tenant.
func (t tenantSet) logins(all []login) []login {
	chosen := make([]login, len(all))
	for i := range chosen {
		chosen[i] = all[i%t.count]
	}
	return chosen
}

// runTenants measures one set. Both sets load the same proxy, which knows all
// the tenants; they differ only in who is logged in.
func (b *bench) runTenants(ctx context.Context, s *server, r tenantRow, set tenantSet) (sample, error) {
	return b.generate(ctx, s, job{
		Addr: s.addr(), Logins: set.logins(s.tenants), Pipeline: r.pipeline,
		Op: r.op, Keys: tenantKeys, Duration: tenantRun,
	})
}

// runStateful measures a row of statefulRows, all of it as one tenant.
func (b *bench) runStateful(ctx context.Context, s *server, r statefulRow) (sample, error) {
	return b.generate(ctx, s, job{
		Addr: s.addr(), Logins: slices.Repeat([]login{s.login}, r.clients), Pipeline: 1,
		Op: r.op, Keys: r.keys, Duration: tenantRun,
	})
}

// generate has a load generator carry out a job, and measures it.
func (b *bench) generate(ctx context.Context, s *server, j job) (sample, error) {
	if s.down {
		return sample{}, errEnded
	}
	ctx, cancel := context.WithTimeoutCause(ctx, toolTimeout, fmt.Errorf("not finished within %s", toolTimeout))
	defer cancel()
	g, err := startGenerator(ctx, b.env.self, j)
	if err != nil {
		return sample{}, fmt.Errorf("load generator: %w", err)
	}
	defer g.close()
	return b.observe(ctx, s, j.Op, g.run)
}

// generator is the load generator as its parent sees it.
type generator struct {
	cmd    *exec.Cmd
	to     *json.Encoder
	from   *json.Decoder
	stderr bytes.Buffer
	close  func()
}

// startGenerator returns when all connections are open and ready to start.
func startGenerator(ctx context.Context, self string, j job) (*generator, error) {
	ctx, cancel := context.WithCancel(ctx)
	args := []string{self, "loadgen"}
	if j.Op == opNoise {
		args = append([]string{"nice", "-n", "19"}, args...)
	}
	g := &generator{cmd: command(ctx, args[0], args[1:]...)}
	g.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	g.cmd.Stderr = &g.stderr
	in, err1 := g.cmd.StdinPipe()
	out, err2 := g.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, g.cmd.Start()); err != nil {
		cancel()
		return nil, err
	}
	g.close = func() {
		cancel()
		g.cmd.Wait()
	}
	g.to, g.from = json.NewEncoder(in), json.NewDecoder(out)
	var answer string
	err := g.to.Encode(j)
	if err == nil {
		err = g.from.Decode(&answer)
	}
	if err == nil && answer != ready {
		err = fmt.Errorf("unexpected answer %q", answer)
	}
	if err != nil {
		return nil, g.failed(err)
	}
	return g, nil
}

// run gives the starting shot and returns figures and number of commands.
func (g *generator) run() (sample, int64, error) {
	var v verdict
	err := g.to.Encode("start")
	if err == nil {
		err = g.from.Decode(&v)
	}
	if err != nil {
		return sample{}, 0, g.failed(err)
	}
	if v.Commands == 0 {
		return sample{}, 0, errors.New("not a single command was answered")
	}
	return sample{rps: float64(v.Commands) / v.Seconds, p50: v.P50, p99: v.P99}, v.Commands, nil
}

// failed ends the process and adds what it said about the reason.
func (g *generator) failed(err error) error {
	g.close()
	if text := g.stderr.String(); text != "" {
		return errors.New(tail(text, 3))
	}
	return err
}
