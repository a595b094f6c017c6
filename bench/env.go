package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// env is what all targets share: a directory for configurations and logs, one
// Redis, the tools, and the list of processes to stop in the end.
type env struct {
	dir       string
	benchmark string // path of redis-benchmark
	self      string // path of this program
	redis     *server
	counters  *conn // to Redis, past every proxy

	benchmarkVersion string
	procs            []*process
}

const installRedis = "apt-get install redis-server redis-tools"

// newEnv starts Redis. It keeps nothing on disk, so that saving cannot fall
// into a measurement.
func newEnv(ctx context.Context) (_ *env, err error) {
	e := &env{}
	_, err1 := exec.LookPath("redis-server")
	e.benchmark, err = exec.LookPath("redis-benchmark")
	if err := errors.Join(err1, err); err != nil {
		return nil, fmt.Errorf("%w\nto install them: %s", err, installRedis)
	}
	if e.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if err := raiseFileLimit(); err != nil {
		return nil, fmt.Errorf("raise the limit of open files: %w", err)
	}
	if e.dir, err = os.MkdirTemp("", "riptide-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.redis, err = e.startRedis(ctx, "redis"); err != nil {
		return nil, err
	}
	e.benchmarkVersion = versionOf{[]string{"--version"}, `redis-benchmark (\S+)`}.find(ctx, e.benchmark)
	e.counters, err = dial(ctx, e.redis.addr(), login{}, 24*time.Hour)
	return e, err
}

// startRedis starts one more; the first is the one that all targets share.
func (e *env) startRedis(ctx context.Context, name string) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	conf, err := e.write(name+".conf", redisConfig(ports[0], e.dir))
	if err != nil {
		return nil, err
	}
	s := &server{name: name, port: ports[0], version: versionOf{[]string{"--version"}, `v=(\S+)`}.find(ctx, path)}
	return s, e.launch(ctx, s, path, conf)
}

func redisConfig(port int, dir string) string {
	return fmt.Sprintf(`bind %s
port %d
dir %s
save ""
appendonly no
maxclients 8000
tcp-backlog 4000
loglevel warning
`, host, port, dir)
}

// write puts a configuration into the directory and returns its path.
func (e *env) write(name, text string) (string, error) {
	path := filepath.Join(e.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// launch starts a server's process and waits until it answers PING.
func (e *env) launch(ctx context.Context, s *server, path string, args ...string) error {
	p, err := startProcess(s.name, filepath.Join(e.dir, s.name+".out"), path, args...)
	if err != nil {
		return err
	}
	s.proc = p
	e.procs = append(e.procs, p)
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("%s did not answer PING within %s", s.name, startTimeout))
	defer cancel()
	var last error
	for {
		if last = ping(ctx, s); last == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("%w (last try: %v)", context.Cause(ctx), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ping(ctx context.Context, s *server) error {
	c, err := dial(ctx, s.addr(), s.login, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.do("PING")
	return err
}

// close stops everything, the latest first but side by side, and takes no
// longer than the slowest needs.
func (e *env) close() {
	if e.counters != nil {
		e.counters.Close()
	}
	var wg sync.WaitGroup
	for _, p := range e.procs {
		wg.Go(p.stop)
	}
	wg.Wait()
	os.RemoveAll(e.dir)
}

// freePorts asks the system for ports, all at once so that they differ.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", address(0))
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
