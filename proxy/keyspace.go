package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"time"

	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// The upstream's keyspace holds everybody's keys. What Redis answers from its
// own tables, how many keys there are or a random one, has to be found by
// scanning for the tenant's.

const (
	// scanCount is how many of the upstream's keys one step looks at. It takes
	// the upstream well below a millisecond, so that others hardly wait.
	scanCount = 1000
	// scanBudget is how long SCAN looks for as many keys of the tenant as were
	// asked for, before it returns what it has.
	scanBudget = 20 * time.Millisecond
)

// maxRest bounds the pause between two steps.
const maxRest = 5 * time.Millisecond

// page is one step of SCAN over the keys that match a pattern. Between two steps
// it rests for as long as the last one took, so that scanning leaves the
// upstream half of its time at least.
func (op *slowOp) page(ctx context.Context, cursor, pattern string, count int64, more ...any) (next string, keys []string, err error) {
	if op.rest > 0 {
		select {
		case <-time.After(op.rest):
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	args := append([]any{"SCAN", cursor, "MATCH", pattern, "COUNT", count}, more...)
	start := time.Now()
	reply, err := op.client.Do(ctx, args...).Slice()
	if err != nil {
		return "", nil, err
	}
	op.rest = min(time.Since(start), maxRest)
	if len(reply) == 2 {
		next, _ = reply[0].(string)
		list, isList := reply[1].([]any)
		for _, k := range list {
			if key, isString := k.(string); isString {
				keys = append(keys, key)
			}
		}
		if _, err := strconv.ParseUint(next, 10, 64); err == nil && isList && len(keys) == len(list) {
			return next, keys, nil
		}
	}
	return "", nil, fmt.Errorf("SCAN: unexpected reply")
}

// each calls f with every page of the keys that begin with prefix and match
// pattern behind it. A key that is there all the time is met at least once.
func (op *slowOp) each(ctx context.Context, prefix []byte, pattern string, f func(keys []string) error) error {
	match := namespace.EscapeGlob(prefix) + pattern
	cursor := "0"
	for {
		next, keys, err := op.page(ctx, cursor, match, scanCount)
		if err != nil {
			return err
		}
		if err := f(own(keys, prefix)); err != nil {
			return err
		}
		if next == "0" {
			return nil
		}
		cursor = next
	}
}

// own drops whatever does not begin with the prefix. The pattern lets nothing
// else through; this is the second wall.
func own(keys []string, prefix []byte) []string {
	n := 0
	for _, k := range keys {
		if len(k) >= len(prefix) && k[:len(prefix)] == string(prefix) {
			keys[n] = k
			n++
		}
	}
	return keys[:n]
}

// keys is KEYS pattern.
func keys(ctx context.Context, op *slowOp) []byte {
	seen := make(map[string]struct{})
	size := 0
	err := op.each(ctx, op.prefix, string(op.args[1]), func(keys []string) error {
		for _, k := range keys {
			if _, dup := seen[k]; !dup {
				seen[k] = struct{}{}
				size += len(k) - len(op.prefix) + 16
			}
		}
		if size > maxReply {
			return errOversized
		}
		return nil
	})
	if err != nil {
		return failure(err, false)
	}
	reply := resp.AppendArray(make([]byte, 0, size+16), len(seen))
	for k := range seen {
		reply = resp.AppendBulkString(reply, k[len(op.prefix):])
	}
	return reply
}

// scan is SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]. On a crowded
// keyspace it goes on until there is something to return, or for scanBudget.
func scan(ctx context.Context, op *slowOp) []byte {
	o, err := parseScan(op.args)
	if err != nil {
		return op.scanError(ctx, err)
	}
	match := namespace.EscapeGlob(op.prefix) + o.match
	cursor, count := string(op.args[1]), min(o.count, scanCount)
	deadline := time.Now().Add(scanBudget)
	var found []string
	for {
		next, keys, err := op.page(ctx, cursor, match, count, o.more...)
		if err != nil {
			return failure(err, false)
		}
		cursor = next
		found = append(found, own(keys, op.prefix)...)
		if cursor == "0" || int64(len(found)) >= o.count || time.Now().After(deadline) {
			break
		}
		count = scanCount
	}
	reply := resp.AppendArray(nil, 2)
	reply = resp.AppendBulkString(reply, cursor)
	reply = resp.AppendArray(reply, len(found))
	for _, k := range found {
		reply = resp.AppendBulkString(reply, k[len(op.prefix):])
	}
	return reply
}

type scanOptions struct {
	match string
	count int64
	more  []any // TYPE, as given
}

var (
	errSyntax     = errors.New("ERR syntax error")
	errNotInteger = errors.New("ERR value is not an integer or out of range")
)

func parseScan(args [][]byte) (o scanOptions, err error) {
	o = scanOptions{match: "*", count: 10}
	for i := 2; i < len(args); i += 2 {
		if i+1 == len(args) {
			return o, errSyntax
		}
		switch value := args[i+1]; {
		case fold(args[i], "MATCH"):
			o.match = string(value)
		case fold(args[i], "COUNT"):
			n, isInt := resp.ParseInt(value)
			if !isInt {
				return o, errNotInteger
			}
			if n < 1 {
				return o, errSyntax
			}
			o.count = n
		case fold(args[i], "TYPE"):
			o.more = []any{"TYPE", string(value)}
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

// scanError answers for arguments that do not parse. A wrong cursor comes
// before them, and what is one only the upstream knows for sure.
func (op *slowOp) scanError(ctx context.Context, wrong error) []byte {
	if _, _, err := op.page(ctx, string(op.args[1]), namespace.EscapeGlob(op.prefix)+"*", 1); err != nil {
		return failure(err, false)
	}
	return resp.AppendError(nil, wrong.Error())
}

// randomKey is RANDOMKEY: a key near a random place of the upstream's table.
// Any number serves as a cursor, as the upstream uses only so many of its bits
// as it needs.
func randomKey(ctx context.Context, op *slowOp) []byte {
	match := namespace.EscapeGlob(op.prefix) + "*"
	cursor := strconv.FormatInt(rand.Int64(), 10)
	for wrapped := false; ; {
		next, keys, err := op.page(ctx, cursor, match, scanCount)
		if err != nil {
			return failure(err, false)
		}
		if keys = own(keys, op.prefix); len(keys) > 0 {
			return resp.AppendBulkString(nil, keys[rand.IntN(len(keys))][len(op.prefix):])
		}
		cursor = next
		if cursor == "0" {
			if wrapped {
				return resp.AppendNull(nil, op.proto)
			}
			wrapped = true
		}
	}
}

// maxDistinct bounds the memory for telling keys that a scan meets twice, as
// it can when the upstream shrinks its table meanwhile.
const maxDistinct = 1 << 22

// dbSize is DBSIZE.
func dbSize(ctx context.Context, op *slowOp) []byte {
	seed := maphash.MakeSeed()
	seen := make(map[uint64]struct{})
	n := int64(0)
	err := op.each(ctx, op.prefix, "*", func(keys []string) error {
		for _, k := range keys {
			if len(seen) < maxDistinct {
				h := maphash.String(seed, k)
				if _, dup := seen[h]; dup {
					continue
				}
				seen[h] = struct{}{}
			}
			n++
		}
		return nil
	})
	if err != nil {
		return failure(err, false)
	}
	return resp.AppendInt(nil, n)
}

// flushDB is FLUSHDB [ASYNC | SYNC].
func flushDB(ctx context.Context, op *slowOp) []byte { return op.flush(ctx, op.prefix, "*") }

// flushAll is FLUSHALL [ASYNC | SYNC].
func flushAll(ctx context.Context, op *slowOp) []byte {
	return op.flush(ctx, op.tenant.Root(), anyDatabase)
}

// anyDatabase matches what follows a tenant's root in the names of its keys,
// and not that of where its scripts are kept.
const anyDatabase = "[0-9]*:*"

func (op *slowOp) flush(ctx context.Context, prefix []byte, pattern string) []byte {
	if len(op.args) > 2 || len(op.args) == 2 && !fold(op.args[1], "SYNC") && !fold(op.args[1], "ASYNC") {
		return resp.AppendError(nil, "ERR syntax error")
	}
	wrote := false
	err := op.each(ctx, prefix, pattern, func(keys []string) error {
		if len(keys) == 0 {
			return nil
		}
		wrote = true
		return op.client.Unlink(ctx, keys...).Err()
	})
	if err != nil {
		return failure(err, wrote)
	}
	return bytes.Clone(ok)
}
