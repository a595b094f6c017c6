package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrTooEarly tells that an hour still takes reports.
var ErrTooEarly = errors.New("the hour can not be closed yet: it takes reports until usage.grace after its end")

// Close makes the sums of a tenant's hours that take no more reports, up to but
// without the hour before, and returns how many that were. A sum that was made is
// never made again.
func (s *Store) Close(ctx context.Context, tenant, root string, before Hour) (closed int, err error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, err
	}
	last := min(before-1, HourOf(now.Add(-s.grace))-1)
	for {
		names, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: openKey(root), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(int64(last), 10), Count: batch,
		}).Result()
		if err != nil || len(names) == 0 {
			return closed, err
		}
		for _, name := range names {
			hour, err := ParseHour(name)
			if err != nil {
				return closed, err
			}
			if err := s.closeHour(ctx, tenant, root, hour, now); err != nil {
				return closed, err
			}
			closed++
		}
	}
}

func (s *Store) closeHour(ctx context.Context, tenant, root string, hour Hour, now time.Time) error {
	if now.Before(s.deadline(hour)) {
		return ErrTooEarly
	}
	key := hourKey(root, hour)
	for range carryTries {
		err := s.client.Watch(ctx, func(tx *redis.Tx) error {
			fields, err := tx.HGetAll(ctx, key).Result()
			if err != nil {
				return err
			}
			row, err := sum(tenant, hour, fields)
			if err != nil {
				return err
			}
			var minutes []string
			for m := range 60 {
				minutes = append(minutes, fmt.Sprintf("%s%02d", fieldMinute, m))
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				if row.Closed == 0 && !row.empty() {
					row.Closed = now.Unix()
					b, err := json.Marshal(row)
					if err != nil {
						return err
					}
					p.HSetNX(ctx, key, fieldClosed, b)
					p.HDel(ctx, key, minutes...)
				}
				p.ZRem(ctx, openKey(root), hour.String())
				return nil
			})
			return err
		}, key)
		if err != redis.TxFailedErr {
			return err
		}
	}
	return errBusy
}

// Sweep deletes a tenant's hours before keep, which have to be closed. It does a
// bounded part at a time and reports whether there is more. A tenant that has nothing left is forgotten.
func (s *Store) Sweep(ctx context.Context, tenant, root string, keep Hour) (more bool, err error) {
	names, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: indexKey(root), ByScore: true, Start: "-inf", Stop: "(" + strconv.FormatInt(int64(keep), 10), Count: batch,
	}).Result()
	if err != nil {
		return false, err
	}
	if len(names) > 0 {
		_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, name := range names {
				p.Unlink(ctx, root+"usage:"+name)
				p.ZRem(ctx, indexKey(root), name)
				p.ZRem(ctx, openKey(root), name)
			}
			return nil
		})
		return len(names) == batch, err
	}
	left, err := s.client.Exists(ctx, indexKey(root), billsKey(root)).Result()
	if err == nil && left == 0 {
		err = s.client.HDel(ctx, tenantsKey, tenant).Err()
	}
	return false, err
}

func billsKey(root string) string { return root + "usage:bills" }

// ErrOverlap tells that there is a bill of a period that has hours of this one.
var ErrOverlap = errors.New("there is a bill of a period that overlaps this one")

const overlapWord = "OVERLAP"

// keepBill keeps a bill: ARGV are its period, yyyymmddhh-yyyymmddhh, and its text.
var keepBill = redis.NewScript(`
local from, to = string.match(ARGV[1], '^(%d+)-(%d+)$')
for _, period in ipairs(redis.call('HKEYS', KEYS[1])) do
  local f, t = string.match(period, '^(%d+)-(%d+)$')
  if period ~= ARGV[1] and f and f < to and from < t then return redis.error_reply('` + overlapWord + ` ' .. period) end
end
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])`)

// KeepBill stores the bill of a closed period unless there is one, and returns the
// one that holds. An hour is in one bill only: else it is ErrOverlap.
func (s *Store) KeepBill(ctx context.Context, tenant, root, period string, bill []byte) ([]byte, error) {
	if err := s.client.HSet(ctx, tenantsKey, tenant, root).Err(); err != nil {
		return nil, err
	}
	text, err := keepBill.Run(ctx, s.client, []string{billsKey(root)}, period, bill).Text()
	if other, overlaps := strings.CutPrefix(fmt.Sprint(err), overlapWord+" "); err != nil && overlaps {
		return nil, fmt.Errorf("%w: %s", ErrOverlap, other)
	}
	return []byte(text), err
}

// Bill returns the bill that is kept of a period, nil if there is none.
func (s *Store) Bill(ctx context.Context, root, period string) ([]byte, error) {
	b, err := s.client.HGet(ctx, billsKey(root), period).Bytes()
	if err == redis.Nil {
		return nil, nil
	}
	return b, err
}

// ClosedBefore is the first hour that still takes reports, by the upstream's clock.
func (s *Store) ClosedBefore(ctx context.Context) (Hour, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, err
	}
	return HourOf(now.Add(-s.grace)), nil
}

// Now is the upstream's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.client.Time(ctx).Result() }

// First is a tenant's first hour that is kept; any is false if there is none.
func (s *Store) First(ctx context.Context, root string) (first Hour, any bool, err error) {
	names, err := s.client.ZRange(ctx, indexKey(root), 0, 0).Result()
	if err != nil || len(names) == 0 {
		return 0, false, err
	}
	first, err = ParseHour(names[0])
	return first, err == nil, err
}

// Turn reports whether this process is the one to close hours now: one of all
// proxies is, for as long as it says.
func (s *Store) Turn(ctx context.Context, process string, lasts time.Duration) (bool, error) {
	err := s.client.SetArgs(ctx, "riptide:usage:closer", process, redis.SetArgs{Mode: "NX", TTL: lasts}).Err()
	if err == redis.Nil {
		return false, nil
	}
	return err == nil, err
}
