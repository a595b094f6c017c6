// Package keys gets the master keys that a configuration names, from files, from
// the environment or from programs, and builds tenants' codecs with them.
//
// No error of it and nothing that it logs contains a key.
package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"riptide-proxy/config"
)

// Size is the length of a master key in bytes.
const Size = 32

// atOnce is how many keys are got at the same time: programs that ask a service
// take a while each.
const atOnce = 8

// Load gets all master keys, by name. One that can not be had is an error, also
// if no tenant writes with it: there may be values that only it opens. The error
// names every such key, one a line.
//
// A file that everybody on the machine may read or write is used, and a warning is logged:
// Docker and Kubernetes hand secrets to a container just so, where there is
// nobody else, and who was refused them would copy them to somewhere worse.
func Load(ctx context.Context, from map[string]*config.MasterKey) (map[string][]byte, error) {
	names := slices.Sorted(maps.Keys(from))
	got := make([][]byte, len(names))
	errs := make([]error, len(names))
	limit := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			key, err := load(ctx, from[name])
			if err != nil {
				errs[i] = config.At(err, "encryption_keys", name)
			}
			got[i] = key
			if err != nil {
				return
			}
			if why := weak(key); why != "" {
				slog.Warn("an encryption key is easy to guess; openssl rand -hex 32 makes a better one", "key", name, "why", why)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	keys := make(map[string][]byte, len(names))
	for i, name := range names {
		keys[name] = got[i]
	}
	return keys, nil
}

func load(ctx context.Context, k *config.MasterKey) ([]byte, error) {
	switch {
	case k.File != "":
		return fromFile(k.File)
	case k.Env != "":
		text, set := os.LookupEnv(k.Env)
		if !set {
			return nil, fmt.Errorf("the environment variable %s is not set", k.Env)
		}
		key, err := parse([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the environment variable %s %w", k.Env, err)
		}
		return key, nil
	case len(k.Command) > 0:
		return fromCommand(ctx, k.Command)
	}
	return nil, errors.New("there is no file, env or command to get it from")
}
