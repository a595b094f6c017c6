package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how far a job is. The upstream keeps it in the hash <root>jobs.
type State struct {
	Job      Job    `json:"job"`
	Plain    bool   `json:"plain,omitempty"`
	Config   string `json:"config"`   // Options.Config
	Upstream string `json:"upstream"` // which process the cursor is of
	Cursor   uint64 `json:"cursor,string"`

	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
	Finished time.Time `json:"finished,omitzero"`
	Seconds  float64   `json:"seconds"` // that runs have taken, without the time between them
	Runs     int       `json:"runs"`

	Figures

	// What is to be known for dropping dictionaries: those that were retired
	// when the pass began, and how often keys had been moved by then.
	Retired []string `json:"retired,omitempty"`
	Moves   int64    `json:"moves"`
	Dropped []string `json:"dropped,omitempty"` // dictionaries, in hexadecimal
	Kept    string   `json:"kept,omitempty"`    // why retired ones were not dropped

	// Running is set by Status: a job of the tenant runs now, maybe another one.
	Running string `json:"running,omitempty"`
}

// Figures count what a pass has seen. Bytes are those of values, without keys and
// without what the upstream needs to keep them.
type Figures struct {
	Keys    int64 `json:"keys"` // of all types
	Strings int64 `json:"strings"`
	Hashes  int64 `json:"hashes"`
	Streams int64 `json:"streams"`

	Values    int64 `json:"values"`    // of strings and hashes
	Rewritten int64 `json:"rewritten"` // of them
	Raced     int64 `json:"raced"`     // somebody else wrote them first
	Failed    int64 `json:"failed"`    // they could not be opened, or have no room, and were left

	Before int64 `json:"before"` // bytes of all Values, as they were stored
	After  int64 `json:"after"`  // and as they are

	// The values of streams' fields are never rewritten; they count for what is in use.
	StreamValues int64 `json:"stream_values"`
	StreamSealed int64 `json:"stream_sealed"`

	// Values by the dictionary and by the key that they need, as they are now; ids are
	// 8 hexadecimal digits.
	Dicts map[string]int64 `json:"dicts"`
	KeyID map[string]int64 `json:"key_ids"`

	Failures []Failure `json:"failures,omitempty"` // the first few of them
}

// Failure is a value that was left for a reason that the operator should know.
type Failure struct {
	Key   string `json:"key"` // as it is stored, quoted like a Go string
	Field string `json:"field,omitempty"`
	Error string `json:"error"`
}

// mostFailures is how many are kept.
const mostFailures = 20

// Done is how much of the keyspace has been visited, from 0 to 1. Cursors count
// with their bits in reverse, whatever the size of the table.
func (s *State) Done() float64 {
	switch {
	case !s.Finished.IsZero():
		return 1
	case s.Cursor == 0:
		return 0
	}
	return float64(bits.Reverse64(s.Cursor)) / (1 << 64)
}

// Saved is how many bytes the values have become shorter by; negative: longer.
func (s *State) Saved() int64 { return s.Before - s.After }

// Rate is how many keys were handled in a second.
func (s *State) Rate() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Keys) / s.Seconds
}

func (s *State) clone() State {
	c := *s
	c.Dicts, c.KeyID = maps.Clone(s.Dicts), maps.Clone(s.KeyID)
	c.Failures = slices.Clone(s.Failures)
	return c
}

// hexID is how ids are written.
func hexID(id uint32) string { return fmt.Sprintf("%08x", id) }

// jobsKey is where the states are kept.
func jobsKey(root string) string { return root + "jobs" }

// longestState is more than a state takes, in bytes. A tenant's scripts may have
// written anything there.
const longestState = 1 << 20

// Status reads the states of a tenant's jobs. A job that never ran has none.
func Status(ctx context.Context, client *redis.Client, root string) (map[Job]State, error) {
	var lengths, texts [len(jobs)]redis.Cmder
	var holder *redis.StringCmd
	ask := func(fill func(p redis.Pipeliner)) error {
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error { fill(p); return nil })
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return err
	}
	err := ask(func(p redis.Pipeliner) {
		holder = p.GetRange(ctx, lockKey(root), 0, 255)
		for i, job := range jobs {
			lengths[i] = p.HStrLen(ctx, jobsKey(root), string(job))
		}
	})
	if err != nil {
		return nil, err
	}
	err = ask(func(p redis.Pipeliner) {
		for i, job := range jobs {
			if n := lengths[i].(*redis.IntCmd).Val(); n > 0 && n <= longestState {
				texts[i] = p.HGet(ctx, jobsKey(root), string(job))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	states := map[Job]State{}
	for i, job := range jobs {
		text, ok := texts[i].(*redis.StringCmd)
		if !ok || text.Val() == "" {
			continue
		}
		s := State{}
		if err := json.Unmarshal([]byte(text.Val()), &s); err != nil {
			return nil, fmt.Errorf("the state of %s is damaged: %w", job, err)
		}
		s.Job = job
		_, s.Running, _ = strings.Cut(holder.Val(), " ")
		states[job] = s
	}
	return states, nil
}

// begin finds out where to go on.
func (r *run) begin(work context.Context) error {
	var server string
	var moves int64
	err := r.retry(work, func() (err error) {
		server, moves, err = r.server(work)
		return err
	})
	if err != nil {
		return err
	}
	var states map[Job]State
	if err := r.retry(work, func() (err error) { states, err = Status(work, r.Client, r.Root); return err }); err != nil {
		return err
	}
	now := time.Now()
	s, known := states[r.Job]
	resume := known && !r.Restart && s.Finished.IsZero() && s.Cursor != 0 &&
		s.Config == r.Config && s.Plain == r.Plain && s.Upstream == server
	if !resume {
		s = State{Job: r.Job, Plain: r.Plain, Config: r.Config, Upstream: server, Started: now, Moves: moves}
		if r.Retired != nil {
			ids, err := r.Retired(work)
			if err != nil {
				return fmt.Errorf("listing the retired dictionaries: %w", err)
			}
			for _, id := range ids {
				s.Retired = append(s.Retired, hexID(id))
			}
		}
	}
	if s.Dicts == nil {
		s.Dicts = map[string]int64{}
	}
	if s.KeyID == nil {
		s.KeyID = map[string]int64{}
	}
	s.Runs++
	s.Running = ""
	r.state = s
	r.worked, r.told = now, now
	if r.Progress != nil {
		r.Progress(s.clone())
	}
	return r.save(work)
}

// save writes the state, if the lock is still held.
func (r *run) save(work context.Context) error {
	now := time.Now()
	r.state.Updated = now.UTC()
	r.state.Seconds += now.Sub(r.worked).Seconds()
	r.worked, r.saved = now, now
	text, err := json.Marshal(&r.state)
	if err != nil {
		return err
	}
	return r.retry(work, func() error { return r.lock.save(work, r.Job, text) })
}
