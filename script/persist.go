package script

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// persistedKey follows the tenant's root in the name of the key under which the upstream keeps its scripts, as plain
// Redis does as long as it runs: a hash, by the client's hash of the script. The keys that clients name have the number of
// a database there, so none can be this one.
const persistedKey = "scripts"

// LongestSaved is the size of the largest script that is saved.
const LongestSaved = 1 << 20

// ErrTooLong tells that a script is too long to be saved.
var ErrTooLong = errors.New("the script is too long to be kept")

// Save keeps a script in the upstream, where all proxies of the fleet find it. When the tenant has more there than
// limits allow, others are dropped, no matter which: the client loads again what it misses.
func Save(ctx context.Context, client redis.Cmdable, root string, s *Script, limits Limits) error {
	if len(s.Source) > LongestSaved {
		return ErrTooLong
	}
	key := root + persistedKey
	for range 100 { // each round drops some; others may be adding meanwhile
		var count, size *redis.IntCmd
		if _, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.HSet(ctx, key, s.SHA, s.Source)
			count = p.HLen(ctx, key)
			size = p.MemoryUsage(ctx, key)
			return nil
		}); err != nil {
			return fmt.Errorf("saving a script: %w", err)
		}
		n, over := int(count.Val()), 0
		if n > limits.Scripts {
			over = n - limits.Scripts
		} else if size.Val() > int64(limits.Bytes) {
			over = (n + 9) / 10
		}
		if over == 0 || n < 2 {
			return nil
		}
		fields, err := client.HRandField(ctx, key, min(over, 100)+1).Result()
		if err != nil {
			return fmt.Errorf("saving a script: %w", err)
		}
		var drop []string
		for _, f := range fields {
			if f != s.SHA && len(drop) < over {
				drop = append(drop, f)
			}
		}
		if len(drop) == 0 {
			continue
		}
		if err := client.HDel(ctx, key, drop...).Err(); err != nil {
			return fmt.Errorf("saving a script: %w", err)
		}
	}
	return nil
}

// Load returns the sources of those of the tenant's saved scripts that are asked for, by hash in lower-case hex. What
// has not the hash that it is kept under is left out.
func Load(ctx context.Context, client redis.Cmdable, root string, shas ...string) (map[string][]byte, error) {
	fields := make([]string, 0, len(shas))
	for _, sha := range shas {
		if len(sha) == hex.EncodedLen(sha1.Size) {
			fields = append(fields, strings.ToLower(sha))
		}
	}
	found := make(map[string][]byte)
	if len(fields) == 0 {
		return found, nil
	}
	values, err := client.HMGet(ctx, root+persistedKey, fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("loading scripts: %w", err)
	}
	for i, v := range values {
		if source, ok := v.(string); ok && Sum([]byte(source)) == fields[i] {
			found[fields[i]] = []byte(source)
		}
	}
	return found, nil
}

// DeleteOne removes one of a tenant's saved scripts.
func DeleteOne(ctx context.Context, client redis.Cmdable, root, sha string) error {
	return client.HDel(ctx, root+persistedKey, sha).Err()
}

// DeleteSaved removes all saved scripts of a tenant.
func DeleteSaved(ctx context.Context, client redis.Cmdable, root string) error {
	return client.Unlink(ctx, root+persistedKey).Err()
}
