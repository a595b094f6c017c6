package dictionary

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

const (
	// collectValues is how many values of a pattern Collect wants.
	collectValues = 600
	scanCount     = 100
	hashFields    = 2 // how many values of one hash are looked at
	longestStored = longestSample + 128
)

// Collection is what Collect has found.
type Collection struct {
	Samples map[string][][]byte // by pattern
	Keys    int                 // how many keys were looked at
	Failed  int                 // values that could not be opened
	Err     error               // why the first of them could not

	wanted []string
	bytes  map[string]int
	match  matcher
	all    []string // patterns in order
}

// Collect samples values that a tenant has stored, for some of its patterns: strings and values of hashes. It goes through the
// keys until it has enough, or has seen them all. The codec opens what is sealed, and says what a
// dictionary could be for; it is used for nothing else at the same time.
func Collect(ctx context.Context, client *redis.Client, t *Tenant, codec *value.Codec, match func(pattern, key []byte) bool, patterns []string) (*Collection, error) {
	c := &Collection{Samples: map[string][][]byte{}, wanted: patterns, bytes: map[string]int{}, match: match, all: t.patterns()}
	codec.SetSampler(c.add)
	defer codec.SetSampler(nil)
	cursor := uint64(0)
	for {
		names, next, err := client.Scan(ctx, cursor, escapeGlob(t.Root)+"*", scanCount).Result()
		if err != nil {
			return nil, err
		}
		if err := c.page(ctx, client, t, codec, names); err != nil {
			return nil, err
		}
		if cursor = next; cursor == 0 || c.enough() {
			return c, nil
		}
	}
}

func (c *Collection) enough() bool {
	for _, p := range c.wanted {
		if len(c.Samples[p]) < collectValues && c.bytes[p] < 2*trainBytes {
			return false
		}
	}
	return true
}

// add is the codec's sampler.
func (c *Collection) add(name value.Name, plain []byte) {
	for i, p := range c.all {
		if i < len(c.all)-1 && !c.match([]byte(p), name.Key) {
			continue
		}
		if len(c.Samples[p]) < collectValues && c.bytes[p] < 2*trainBytes {
			c.Samples[p] = append(c.Samples[p], bytes.Clone(plain))
			c.bytes[p] += len(plain)
		}
		return
	}
}

// page looks at the values of some keys. What is not there any more, or has another type now, is passed over.
func (c *Collection) page(ctx context.Context, client *redis.Client, t *Tenant, codec *value.Codec, names []string) error {
	var keys []string
	for _, name := range names {
		if _, ok := splitName(t, name); ok {
			keys = append(keys, name)
		}
	}
	c.Keys += len(keys)
	types, err := ask(ctx, client, keys, func(p redis.Pipeliner, key string) *redis.StatusCmd { return p.Type(ctx, key) })
	if err != nil {
		return err
	}
	var strs, hashes []string
	for i, key := range keys {
		switch types[i].Val() {
		case "string":
			strs = append(strs, key)
		case "hash":
			hashes = append(hashes, key)
		}
	}
	values, err := ask(ctx, client, strs, func(p redis.Pipeliner, key string) *redis.StringCmd { return p.GetRange(ctx, key, 0, longestStored) })
	if err != nil {
		return err
	}
	for i, key := range strs {
		c.see(t, codec, key, values[i].Val())
	}
	fields, err := ask(ctx, client, hashes, func(p redis.Pipeliner, key string) *redis.StringSliceCmd { return p.HRandField(ctx, key, hashFields) })
	if err != nil {
		return err
	}
	for i, key := range hashes {
		if err := c.hash(ctx, client, t, codec, key, fields[i].Val()); err != nil {
			return err
		}
	}
	return nil
}

func (c *Collection) hash(ctx context.Context, client *redis.Client, t *Tenant, codec *value.Codec, key string, fields []string) error {
	lengths, err := ask(ctx, client, fields, func(p redis.Pipeliner, f string) *redis.IntCmd { return p.HStrLen(ctx, key, f) })
	if err != nil {
		return err
	}
	for i, f := range fields {
		if lengths[i].Val() > longestStored {
			continue
		}
		v, err := client.HGet(ctx, key, f).Result()
		if err != nil && !isAnswer(err) {
			return err
		}
		c.see(t, codec, key, v)
	}
	return nil
}

// see opens a value. Sealing it again asks the sampler.
func (c *Collection) see(t *Tenant, codec *value.Codec, key, stored string) {
	name, _ := splitName(t, key)
	if stored == "" || len(stored) > longestStored {
		return
	}
	var n value.Counters
	plain, err := codec.Open(&n, nil, []byte(stored), name)
	if err != nil {
		if c.Failed++; c.Err == nil {
			c.Err = err
		}
		return
	}
	codec.Seal(&n, nil, plain, name)
}

// ask sends a command for each of some arguments. Only an upstream that does not answer is an error.
func ask[C redis.Cmder](ctx context.Context, client *redis.Client, args []string, f func(redis.Pipeliner, string) C) ([]C, error) {
	if len(args) == 0 {
		return nil, nil
	}
	all := make([]C, len(args))
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, arg := range args {
			all[i] = f(p, arg)
		}
		return nil
	})
	if err != nil && !isAnswer(err) {
		return nil, err
	}
	return all, nil
}

// isAnswer tells an error that the upstream answered from one of the connection.
func isAnswer(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// splitName takes the name of a tenant's key apart: <root><database>:<key>.
func splitName(t *Tenant, name string) (value.Name, bool) {
	rest, ok := strings.CutPrefix(name, t.Root)
	if !ok {
		return value.Name{}, false
	}
	digits, key, ok := strings.Cut(rest, ":")
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return value.Name{}, false
	}
	return value.Name{Prefix: []byte(name[:len(name)-len(key)]), Key: []byte(key)}, true
}

// escapeGlob is a pattern for that text and nothing else.
func escapeGlob(text string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`).Replace(text)
}
