package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	tenantCount = 1000
	mainPackage = "riptide-proxy/cmd/riptide-proxy"
)

// variant is riptide with certain settings. All variants share one Redis, so
// each has its own tenants; all names are four letters long, so that all
// prefixes cost the same.
type variant struct {
	tenant   string // the one that redis-benchmark logs in as
	settings string // one more line of YAML for each tenant
	limits   string // what the limits' section has, if anything
	apart    bool   // it has a Redis of its own
	encrypts bool   // settings name the encryption key "bench"
	audits   bool   // it has an audit log, at level write
	count    int    // of its tenants; 0: a thousand
	folder   bool   // each tenant has a file of its own
}

func (v variant) start(ctx context.Context, e *env) (*server, error) {
	binary, err := e.buildRiptide(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	tenants := v.tenants()
	redis := e.redis
	if v.apart {
		if redis, err = e.startRedis(ctx, "redis-"+v.tenant); err != nil {
			return nil, err
		}
	}
	inside, folder := tenants, ""
	if v.folder {
		inside = nil
		if folder, err = e.tenantFiles("tenants-"+v.tenant, tenants); err != nil {
			return nil, err
		}
	}
	text := riptideConfig(ports[0], ports[1], redis.port, inside, v.settings)
	if v.folder {
		text += fmt.Sprintf("tenants_dir: %q\n", folder)
	}
	if v.limits != "" {
		text += fmt.Sprintf("limits: {%s}\n", v.limits)
	}
	if v.audits {
		text += fmt.Sprintf("audit: {dir: %q, level: write, keep_files: 2}\n", filepath.Join(e.dir, "audit-"+v.tenant))
	}
	if v.encrypts {
		key, err := e.write("riptide-"+v.tenant+".key", hexSHA256(rand.Text()))
		if err != nil {
			return nil, err
		}
		text += fmt.Sprintf("encryption_keys: {bench: {file: %q}}\n", key)
	}
	conf, err := e.write("riptide-"+v.tenant+".yaml", text)
	if err != nil {
		return nil, err
	}
	s := &server{name: "riptide-" + v.tenant, port: ports[0], version: revision(binary),
		login: tenants[0], tenants: tenants, folder: folder}
	return s, e.launch(ctx, s, binary, "serve", "--config", conf)
}

// buildRiptide compiles the proxy as it is in the working tree. A proxy that
// does not build is left out like a peer that is not installed; the peers can
// be measured without it.
func (e *env) buildRiptide(ctx context.Context) (string, error) {
	binary := filepath.Join(e.dir, "riptide-proxy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil // another variant was here before
	}
	// Stamped with the commit whatever GOFLAGS says: the report names it.
	out, err := command(ctx, "go", "build", "-buildvcs=auto", "-o", binary, mainPackage).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", missing("the go command is not in PATH")
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", missing(fmt.Sprintf("it does not build: %v: %s", err, tail(string(out), 5)))
	}
	return binary, nil
}

// tenantFiles makes a folder with a file for each.
func (e *env) tenantFiles(name string, tenants []login) (folder string, err error) {
	folder = filepath.Join(e.dir, name)
	err = os.Mkdir(folder, 0o700)
	for _, t := range tenants {
		text := fmt.Sprintf("users: {default: {sha256: [%q]}}\n", hexSHA256(t.Secret))
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, t.User+".yaml"), []byte(text), 0o600))
	}
	return folder, err
}

// tenants invents them with secrets that live for one run.
func (v variant) tenants() []login {
	all := make([]login, cmp.Or(v.count, tenantCount))
	for i := range all {
		name := v.tenant
		if i > 0 {
			name = fmt.Sprintf("%s%03d", v.tenant[:1], i)
		}
		all[i] = login{User: name, Secret: rand.Text()}
	}
	return all
}

// riptideConfig is what an operator would run: namespaces, a thousand tenants,
// and the admin listener, so that metrics are kept.
func riptideConfig(listen, admin, redis int, tenants []login, settings string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen: %s
loops: 1
admin:
  listen: %s
  tokens: [{name: bench, role: viewer, sha256: "%s"}]
upstream:
  mode: standalone
  addresses: ["%s"]
tenants:
`, address(listen), address(admin), hexSHA256(rand.Text()), address(redis))
	for _, t := range tenants {
		fmt.Fprintf(&b, "  %s:\n    users: {default: {sha256: [\"%s\"]}}\n", t.User, hexSHA256(t.Secret))
		if settings != "" {
			fmt.Fprintf(&b, "    %s\n", settings)
		}
	}
	return b.String()
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// revision is the commit that a binary was built from, as the Go tool records
// it. Reading it from the binary asks nothing of the proxy's command line.
func revision(binary string) string {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "unknown revision"
	}
	rev, modified := "unknown revision", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				modified = " with changes"
			}
		}
	}
	return rev + modified + ", " + info.GoVersion
}
