package rewrite

import (
	"context"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

// hash handles the values of a hash, some at a time.
func (r *run) hash(ctx context.Context, key string) error {
	name, _ := r.name(key)
	cursor, count := uint64(0), firstCount
	for {
		var scan *redis.ScanCmd
		err := r.pipe(ctx, func(p redis.Pipeliner) { scan = p.HScan(ctx, key, cursor, "", int64(count)) })
		if err != nil {
			return err
		}
		pairs, next, err := scan.Result()
		if is, err := gone(err); is || err != nil {
			return err
		}
		bytes, err := r.pairs(ctx, key, name, pairs)
		if err != nil || next == 0 {
			return err
		}
		cursor, count = next, count.next(bytes)
		r.rest(0)
	}
}

// pairs handles fields and their values, and returns how long they are together.
func (r *run) pairs(ctx context.Context, key string, name value.Name, pairs []string) (bytes int, err error) {
	var swaps []*swap
	var todo []fieldChange
	var open [2]*swap // for values that become shorter, and for those that do not
	for i := 0; i+1 < len(pairs); i += 2 {
		field, stored := pairs[i], []byte(pairs[i+1])
		bytes += len(field) + len(stored)
		next, replace := r.next(ctx, stored, name, field)
		if !replace {
			r.keep(stored, len(stored))
			continue
		}
		grows := 0
		if len(next) > len(stored) {
			grows = 1
		}
		s := open[grows]
		if s == nil || s.before+s.after > mostBytes {
			s = &swap{by: fields, key: key}
			swaps, open[grows] = append(swaps, s), s
		}
		todo = append(todo, fieldChange{change{stored, next}, field, s, len(s.args) / 3})
		s.args = append(s.args, field, stored, next)
		s.before += len(stored)
		s.after += len(next)
	}
	if err := r.swapAll(ctx, swaps); err != nil {
		return bytes, err
	}
	for _, f := range todo {
		r.settle(f.swap, f.place, f.change, name, f.field)
	}
	return bytes, nil
}

// fieldChange is a change of a field, and where in which swap it is.
type fieldChange struct {
	change
	field string
	swap  *swap
	place int
}

// stream looks at the values of a stream's entries, which can not be replaced: to
// add an entry anew is to give it another place. They count for what is in use.
func (r *run) stream(ctx context.Context, key string) error {
	start, count := "-", firstCount
	for {
		// As it comes: an entry may have a field several times.
		var entries *redis.Cmd
		err := r.pipe(ctx, func(p redis.Pipeliner) {
			entries = p.Do(ctx, "XRANGE", key, start, "+", "COUNT", int64(count))
		})
		if err != nil {
			return err
		}
		list, err := entries.Slice()
		if is, err := gone(err); is || err != nil || len(list) == 0 {
			return err
		}
		last, bytes := "", 0
		for _, entry := range list {
			var n int
			last, n = r.entry(entry)
			bytes += n
		}
		start, count = "("+last, count.next(bytes)
		r.rest(0)
	}
}

// entry counts the values of a stream's entry, and returns its id and how many bytes it has.
func (r *run) entry(entry any) (id string, bytes int) {
	parts, _ := entry.([]any)
	if len(parts) != 2 {
		return "", 0
	}
	id, _ = parts[0].(string)
	pairs, _ := parts[1].([]any)
	for i, part := range pairs {
		text, _ := part.(string)
		bytes += len(text)
		if i%2 == 1 {
			r.state.StreamValues++
			if r.tally([]byte(text)) {
				r.state.StreamSealed++
			}
		}
	}
	return id, bytes
}
