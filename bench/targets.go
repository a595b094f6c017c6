package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// target is one thing to measure. Its start function returns an error of kind
// missing when this machine does not have it.
type target struct {
	name  string
	extra bool // runs only when -targets names it
	seals bool // runs only with valueRows, unless -targets names it
	whole bool // takes every command; twemproxy has neither MULTI nor BLPOP nor PUBLISH
	start func(context.Context, *env) (*server, error)
}

// targets in the order of the tables. A further variant of riptide is one more
// entry; its tenants need a name of their own, see variant.
var targets = []target{
	{name: "direct", whole: true, start: startDirect},
	{name: "haproxy", whole: true, start: startHAProxy},
	{name: "twemproxy", start: startTwemproxy},
	{name: "predixy", start: startPredixy},
	{name: "riptide", whole: true, start: variant{tenant: "acme"}.start},
	{name: "riptide-quotas", whole: true, extra: true, start: variant{
		tenant:   "quip",
		settings: "quotas: {ops_per_second: 10000000, memory: 100GiB}",
	}.start},
	{name: "riptide-lz4", whole: true, seals: true, start: variant{tenant: "lima", settings: "compression: {algorithm: lz4}"}.start},
	{name: "riptide-s2", whole: true, seals: true, start: variant{tenant: "sand", settings: "compression: {algorithm: s2}"}.start},
	{name: "riptide-zstd", whole: true, seals: true, start: variant{
		tenant:   "zeta",
		settings: "compression: {algorithm: zstd, dictionaries: {enabled: false}}", // training would fall into some round
	}.start},
	{name: "riptide-aes", whole: true, seals: true, start: variant{
		tenant:   "echo",
		settings: "encryption: {algorithm: aes-256-gcm, key: bench}",
		encrypts: true,
	}.start},
}

// server is a target that runs.
type server struct {
	name    string
	version string
	port    int
	login   login
	proc    *process // nil for direct: its work is that of Redis
	folder  string   // of tenants' files; empty: they are in the configuration
	tenants []login  // those of riptide, to compare one with many
	whole   bool     // as its target
	seals   bool     // takes part in valueRows only
	down    bool     // found dead; not measured any more
}

const host = "127.0.0.1"

func (s *server) addr() string { return address(s.port) }

func address(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// chooseTargets applies -targets. Those that seal values are there by default if
// there are rows for them.
func chooseTargets(o options, forValues bool) ([]target, error) {
	var chosen []target
	for _, t := range targets {
		switch {
		case slices.Contains(o.targets, t.name):
			t.seals = false // it was asked for, so it takes part in all rows
			chosen = append(chosen, t)
		case o.targets == nil && !t.extra && (forValues || !t.seals):
			chosen = append(chosen, t)
		}
	}
	for _, name := range o.targets {
		if !slices.ContainsFunc(targets, func(t target) bool { return t.name == name }) {
			return nil, fmt.Errorf("no target is called %q (see -list)", name)
		}
	}
	return chosen, nil
}

func startDirect(_ context.Context, e *env) (*server, error) {
	return &server{port: e.redis.port, version: e.redis.version}, nil
}

func startHAProxy(ctx context.Context, e *env) (*server, error) {
	return e.startPeer(ctx, peer{
		program: "haproxy",
		hint:    "apt-get install haproxy",
		version: versionOf{args: []string{"-v"}, pattern: `version (\S+)`},
		config:  haproxyConfig,
		args:    func(conf string, _ []int) []string { return []string{"-db", "-f", conf} },
	})
}

func startTwemproxy(ctx context.Context, e *env) (*server, error) {
	return e.startPeer(ctx, peer{
		program: "nutcracker",
		hint:    "apt-get install nutcracker",
		version: versionOf{args: []string{"-V"}, pattern: `nutcracker-(\S+)`},
		config:  twemproxyConfig,
		args: func(conf string, ports []int) []string {
			return []string{"-c", conf, "-a", host, "-s", strconv.Itoa(ports[1]),
				"-o", conf + ".log", "-p", conf + ".pid"}
		},
	})
}

func startPredixy(ctx context.Context, e *env) (*server, error) {
	program := os.Getenv("PREDIXY")
	if program == "" {
		return nil, missing("the environment variable PREDIXY does not name its binary " +
			"(https://github.com/joyieldInc/predixy)")
	}
	return e.startPeer(ctx, peer{
		program: program,
		hint:    "PREDIXY must name its binary",
		version: versionOf{args: []string{"--version"}, pattern: `predixy-(\S+)$`},
		config:  predixyConfig,
		args:    func(conf string, _ []int) []string { return []string{conf} },
	})
}

// peer is how to run a proxy that somebody else wrote.
type peer struct {
	program string
	hint    string // what to do when it is missing
	version versionOf
	config  func(listen, redis int) string
	args    func(conf string, ports []int) []string // two free ports; it listens on the first
}

func (e *env) startPeer(ctx context.Context, p peer) (*server, error) {
	path, err := exec.LookPath(p.program)
	if err != nil {
		return nil, missing(fmt.Sprintf("%v (%s)", err, p.hint))
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	conf, err := e.write(name+".conf", p.config(ports[0], e.redis.port))
	if err != nil {
		return nil, err
	}
	s := &server{name: name, port: ports[0], version: p.version.find(ctx, path)}
	return s, e.launch(ctx, s, path, p.args(conf, ports)...)
}

// One thread, TCP only, and room for a thousand clients.
func haproxyConfig(listen, redis int) string {
	return fmt.Sprintf(`global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    maxconn 4000
    timeout connect 5s
    timeout client 5m
    timeout server 5m
listen redis
    bind %s backlog 4000
    server redis %s
`, address(listen), address(redis))
}

// Everything that decides about speed is left at its default: one connection
// to the server, buffers of 16 KiB.
func twemproxyConfig(listen, redis int) string {
	return fmt.Sprintf(`bench:
  listen: %s
  backlog: 4000
  redis: true
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  servers:
   - %s:1
`, address(listen), address(redis))
}

func predixyConfig(listen, redis int) string {
	return fmt.Sprintf(`Name bench
Bind %s
WorkerThreads 1
Authority {
    Auth {
        Mode write
    }
}
StandaloneServerPool {
    Hash crc16
    Distribution modula
    RefreshMethod fixed
    Group bench {
        + %s
    }
}
`, address(listen), address(redis))
}

// versionOf finds the version of a program in what it prints when asked.
type versionOf struct {
	args    []string
	pattern string // its first group is the version
}

func (v versionOf) find(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Some print it to standard error and some end with an error after it.
	out, _ := command(ctx, path, v.args...).CombinedOutput()
	return v.match(string(out))
}

func (v versionOf) match(text string) string {
	found := regexp.MustCompile(v.pattern).FindStringSubmatch(strings.TrimSpace(text))
	if found == nil {
		return "unknown version"
	}
	return found[1]
}

var errEnded = errors.New("ended while it was being measured")
