package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is where usage is kept: in the upstream, below each tenant's root.
//
//	<root>usage              sorted set: the hours that there are
//	<root>usage:open         sorted set: those that are not closed
//	<root>usage:<yyyymmddhh> hash: one hour, see the fields in row.go
//	<root>usage:bills        hash: bills of closed periods
//	riptide:usage:tenants    hash: the root of every tenant that has usage
type Store struct {
	client *redis.Client
	grace  time.Duration
}

// NewStore uses client. Grace is for how long after its end an hour takes reports;
// all proxies of an upstream must have the same.
func NewStore(client *redis.Client, grace time.Duration) *Store {
	return &Store{client: client, grace: grace}
}

const tenantsKey = "riptide:usage:tenants"

// IsKey tells whether a key that begins with a tenant's root is one of the ledger's.
func IsKey(root, key string) bool {
	return key == indexKey(root) || strings.HasPrefix(key, root+"usage:")
}

func indexKey(root string) string        { return root + "usage" }
func openKey(root string) string         { return root + "usage:open" }
func hourKey(root string, h Hour) string { return root + "usage:" + h.String() }

// Deadline is from when on an hour is closed.
func (s *Store) deadline(h Hour) time.Time { return (h + 1).Start().Add(s.grace) }

// writeHour takes a report unless the hour is closed, which it is by the
// upstream's clock and for everybody at the same moment, whether or not its sum was
// made yet. An older report of the same process changes nothing, and a
// minute counts as it was reported first.
//
// KEYS: the hour, the index, the open ones. ARGV: the hour and its number, when it
// closes; field, number and text of the report or three empty ones; then pairs of minute and observation.
// It returns whether the report was taken, and of each minute whether it was the first.
var writeHour = redis.NewScript(`
local now = tonumber(redis.call('TIME')[1])
if now >= tonumber(ARGV[3]) or redis.call('HEXISTS', KEYS[1], 'closed') == 1 then return {0} end
if ARGV[4] ~= '' then
  local had = redis.call('HGET', KEYS[1], ARGV[4])
  if not had or tonumber(string.match(had, '^%d+')) < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], ARGV[4], ARGV[6])
  end
end
local first = {1}
for i = 7, #ARGV, 2 do table.insert(first, redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])) end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return first
`)

// report is what one process has to say of one tenant's hour.
type report struct {
	tenant, root string
	hour         Hour
	process      string
	seq          int64
	rec          *record             // nil: no totals
	minutes      map[int]observation // not yet reported
	first        []observation       // of those, which count; set by write
}

func (r *report) args(deadline time.Time) (keys []string, args []any) {
	keys = []string{hourKey(r.root, r.hour), indexKey(r.root), openKey(r.root)}
	args = []any{r.hour.String(), int64(r.hour), deadline.Unix(), "", "", ""}
	if r.rec != nil {
		args[3], args[4], args[5] = fieldProxy+r.process, r.seq, r.rec.encode(r.seq)
	}
	for _, m := range slices.Sorted(maps.Keys(r.minutes)) {
		args = append(args, fmt.Sprintf("%s%02d", fieldMinute, m), r.minutes[m].encode())
	}
	return keys, args
}

// batch is how many reports travel together.
const batch = 100

// write makes reports and returns for each whether it has arrived. What comes after
// its hour was closed is carried over to the present one.
func (s *Store) write(ctx context.Context, reports []*report) (arrived []bool, err error) {
	arrived = make([]bool, len(reports))
	for at := 0; at < len(reports); at += batch {
		part := reports[at:min(at+batch, len(reports))]
		late, err := s.writeBatch(ctx, part, arrived[at:])
		if err != nil {
			return arrived, err
		}
		for _, i := range late {
			if err := s.carry(ctx, part[i]); err != nil {
				return arrived, err
			}
			arrived[at+i] = true
		}
	}
	return arrived, nil
}

func (s *Store) writeBatch(ctx context.Context, reports []*report, arrived []bool) (late []int, err error) {
	roots := make(map[string]string)
	for _, r := range reports {
		roots[r.tenant] = r.root
	}
	if err := s.client.HSet(ctx, tenantsKey, roots).Err(); err != nil {
		return nil, err
	}
	send := func() ([]redis.Cmder, error) {
		return s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, r := range reports {
				keys, args := r.args(s.deadline(r.hour))
				writeHour.EvalSha(ctx, p, keys, args...)
			}
			return nil
		})
	}
	done, err := send()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := writeHour.Load(ctx, s.client).Err(); err != nil {
			return nil, err
		}
		done, err = send()
	}
	if err != nil {
		return nil, err
	}
	for i, c := range done {
		taken, err := c.(*redis.Cmd).Int64Slice()
		if err != nil {
			return nil, err
		}
		if len(taken) == 0 || taken[0] == 0 {
			late = append(late, i)
			continue
		}
		arrived[i] = true
		for n, minute := range slices.Sorted(maps.Keys(reports[i].minutes)) {
			if len(taken) > n+1 && taken[n+1] == 1 {
				reports[i].first = append(reports[i].first, reports[i].minutes[minute])
			}
		}
	}
	return late, nil
}

// carryTries bounds how often somebody else may come in between.
const carryTries = 20

var errBusy = errors.New("the usage of an hour is changed by others all the time")

// carry adds what a report says beyond what its hour was closed with to the
// present hour. How far it has got stands in the closed hour, and both change in
// one transaction, so it counts once however often it is tried. Minutes are not
// carried over.
func (s *Store) carry(ctx context.Context, r *report) error {
	if r.rec == nil || r.rec.zero() {
		return nil
	}
	from := hourKey(r.root, r.hour)
	for range carryTries {
		now, err := s.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		hour := HourOf(now)
		to := hourKey(r.root, hour)
		field := fieldLate + r.hour.String() + ":" + r.process
		err = s.client.Watch(ctx, func(tx *redis.Tx) error {
			had, err := tx.HMGet(ctx, from, fieldCarried+r.process, fieldProxy+r.process).Result()
			if err != nil {
				return err
			}
			grown := r.rec.Figures
			for _, text := range had {
				if text, ok := text.(string); ok {
					base, _, err := decodeRecord(text)
					if err != nil {
						return err
					}
					grown = r.rec.Figures.beyond(&base.Figures)
					break // the first that is there is the later one
				}
			}
			grown.ConnPeak = 0
			if grown.zero() {
				return nil
			}
			text, err := tx.HGet(ctx, to, field).Result()
			if err != nil && err != redis.Nil {
				return err
			}
			sum := record{Figures: grown, Plan: r.rec.Plan, At: r.rec.At}
			if err == nil {
				before, _, err := decodeRecord(text)
				if err != nil {
					return err
				}
				sum.Figures.add(&before.Figures)
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.HSet(ctx, from, fieldCarried+r.process, r.rec.encode(r.seq))
				p.HSet(ctx, to, field, sum.encode(r.seq))
				p.ZAdd(ctx, indexKey(r.root), redis.Z{Score: float64(r.hour), Member: r.hour.String()}, redis.Z{Score: float64(hour), Member: hour.String()})
				p.ZAdd(ctx, openKey(r.root), redis.Z{Score: float64(hour), Member: hour.String()})
				return nil
			})
			return err
		}, from, to)
		if err != redis.TxFailedErr {
			return err
		}
	}
	return errBusy
}

// Tenants are the roots of all tenants that have usage, by id; also of those
// that the configuration does not have any more.
func (s *Store) Tenants(ctx context.Context) (map[string]string, error) {
	return s.client.HGetAll(ctx, tenantsKey).Result()
}

// Rows are a tenant's hours in [from, to), in order, without those in which there
// was nothing.
func (s *Store) Rows(ctx context.Context, tenant, root string, from, to Hour) ([]*Row, error) {
	names, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: indexKey(root), ByScore: true, Start: strconv.FormatInt(int64(from), 10), Stop: "(" + strconv.FormatInt(int64(to), 10),
	}).Result()
	if err != nil {
		return nil, err
	}
	var rows []*Row
	for part := range slices.Chunk(names, batch) {
		found := make([]*redis.MapStringStringCmd, len(part))
		if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, name := range part {
				found[i] = p.HGetAll(ctx, root+"usage:"+name)
			}
			return nil
		}); err != nil {
			return nil, err
		}
		for i, name := range part {
			hour, err := ParseHour(name)
			if err != nil {
				return nil, err
			}
			row, err := sum(tenant, hour, found[i].Val())
			if err != nil {
				return nil, err
			}
			if !row.empty() {
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}
