package rewrite

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

const (
	// scanCount is how many keys, of all tenants, the upstream looks at in one step.
	scanCount = 500
	// mostBytes is about how much is read or written in one step, in bytes, unless a
	// single value is longer.
	mostBytes = 2 << 20
	// headerPart is more than a header takes, in bytes.
	headerPart = 64
)

// pattern matches all keys of the tenant, in all its databases.
func pattern(root string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(root) + "[0-9]*:*"
}

// name takes a stored key apart. ok is false for keys that are not in a database of the tenant.
func (r *run) name(key string) (value.Name, bool) {
	digits, rest, ok := strings.Cut(key[len(r.Root):], ":")
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return value.Name{}, false
	}
	at := len(key) - len(rest)
	return value.Name{Prefix: []byte(key[:at]), Key: []byte(key[at:])}, true
}

// scan handles the keys of one page and returns the cursor of the next.
func (r *run) scan(ctx context.Context) (next uint64, err error) {
	r.pace.from = time.Now()
	// Which server answers is asked each time: the client connects anew by itself.
	var server *redis.StringCmd
	var page *redis.ScanCmd
	err = r.pipe(ctx, func(p redis.Pipeliner) {
		server = p.Info(ctx, "server")
		page = p.Scan(ctx, r.state.Cursor, pattern(r.Root), scanCount)
	})
	if err != nil {
		return 0, err
	}
	if processID(server.Val()) != r.state.Upstream {
		return 0, errOtherServer
	}
	keys, next, err := page.Result()
	if err != nil {
		return 0, err
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { _, ok := r.name(key); return !ok })
	for chunk := range slices.Chunk(keys, r.pace.chunk()) {
		if err := r.keys(ctx, chunk); err != nil {
			return 0, err
		}
		r.rest(len(chunk))
	}
	if len(keys) == 0 {
		r.rest(0)
	}
	return next, nil
}

// keys handles some keys. Those that vanish meanwhile, or become something else,
// are left: what they are now was written just now.
func (r *run) keys(ctx context.Context, keys []string) error {
	types := make([]*redis.StatusCmd, len(keys))
	err := r.pipe(ctx, func(p redis.Pipeliner) {
		for i, key := range keys {
			types[i] = p.Type(ctx, key)
		}
	})
	if err != nil {
		return err
	}
	var texts []string
	for i, key := range keys {
		kind, err := types[i].Result()
		if err != nil {
			return err
		}
		switch kind {
		case "none":
			continue
		case "string":
			texts = append(texts, key)
		case "hash":
			r.state.Hashes++
			err = r.hash(ctx, key)
		case "stream":
			r.state.Streams++
			err = r.stream(ctx, key)
		}
		if err != nil {
			return err
		}
		r.state.Keys++
	}
	r.state.Strings += int64(len(texts))
	return r.strings(ctx, texts)
}

// strings handles keys with strings, as many at a time as are not too long together.
func (r *run) strings(ctx context.Context, keys []string) error {
	lengths, starts := make([]*redis.IntCmd, len(keys)), make([]*redis.StringCmd, len(keys))
	err := r.pipe(ctx, func(p redis.Pipeliner) {
		for i, key := range keys {
			lengths[i] = p.StrLen(ctx, key)
			if r.Job == Rekey {
				starts[i] = p.GetRange(ctx, key, 0, headerPart-1)
			}
		}
	})
	if err != nil {
		return err
	}
	var batch []string
	bytes := int64(0)
	for i, key := range keys {
		length, err := lengths[i].Result()
		if is, err := gone(err); err != nil {
			return err
		} else if is {
			continue
		}
		if start := starts[i]; start != nil && r.current([]byte(start.Val())) {
			r.keep([]byte(start.Val()), int(length))
			continue
		}
		if bytes+length > mostBytes && len(batch) > 0 {
			if err := r.batch(ctx, batch); err != nil {
				return err
			}
			batch, bytes = batch[:0], 0
		}
		batch, bytes = append(batch, key), bytes+length
	}
	return r.batch(ctx, batch)
}

// batch reads strings and replaces those that shall be otherwise.
func (r *run) batch(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	values := make([]*redis.StringCmd, len(keys))
	err := r.pipe(ctx, func(p redis.Pipeliner) {
		for i, key := range keys {
			values[i] = p.Get(ctx, key)
		}
	})
	if err != nil {
		return err
	}
	var swaps []*swap
	var changes []change
	for i, key := range keys {
		stored, err := values[i].Bytes()
		if is, err := gone(err); err != nil {
			return err
		} else if is {
			continue
		}
		name, _ := r.name(key)
		next, replace := r.next(ctx, stored, name, "")
		if !replace {
			r.keep(stored, len(stored))
			continue
		}
		changes = append(changes, change{stored, next})
		swaps = append(swaps, &swap{by: texts, key: key, args: []any{stored, next}, before: len(stored), after: len(next)})
	}
	if err := r.swapAll(ctx, swaps); err != nil {
		return err
	}
	for i, s := range swaps {
		name, _ := r.name(s.key)
		r.settle(s, 0, changes[i], name, "")
	}
	return nil
}

// adaptive is how many parts of one key to ask for, so that they are neither many
// steps nor more than mostBytes.
type adaptive int64

const firstCount adaptive = 16

// next follows from how many bytes the last answer had.
func (a adaptive) next(bytes int) adaptive {
	switch {
	case bytes > mostBytes:
		return max(a/2, 1)
	case bytes < mostBytes/8:
		return min(a*2, 1024)
	}
	return a
}
