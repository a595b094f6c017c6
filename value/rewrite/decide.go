package rewrite

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"riptide-proxy/value"
)

// change is a value as it was stored and as it shall be.
type change struct{ before, after []byte }

// errLooksSealed: it can not be stored as it is, since it would be taken for a
// sealed value.
var errLooksSealed = errors.New("the value looks like a sealed one itself, so it stays wrapped")

// reloadAgain is how long the dictionaries are not asked for again.
const reloadAgain = 5 * time.Second

// next is what a stored value is to be replaced by. Where it can stay, or can not be
// opened, replace is false.
func (r *run) next(ctx context.Context, stored []byte, name value.Name, field string) (next []byte, replace bool) {
	if r.Job == Rekey && r.current(stored) {
		return nil, false
	}
	header, _, sealed := value.ParseHeader(stored)
	if r.Plain && !sealed {
		return nil, false
	}
	plain, err := r.open(ctx, stored, name)
	if err == nil && r.Plain {
		if _, _, looks := value.ParseHeader(plain); looks {
			err = errLooksSealed
		}
	}
	if err != nil {
		r.fail(name, field, err)
		return nil, false
	}
	if r.Plain {
		return plain, true
	}
	next, ok := r.Codec.Seal(&r.counters, nil, plain, name)
	if !ok {
		next = plain
	}
	if r.Job == Rekey {
		return next, true
	}
	// Sealed the same way, a value is only worth a write if it becomes shorter. To
	// encrypt makes other bytes of it each time.
	h, _, isSealed := value.ParseHeader(next)
	same := sealed == isSealed && header.Algorithm == h.Algorithm && header.Dict == h.Dict &&
		header.Cipher == h.Cipher && header.KeyID == h.KeyID
	return next, (!same || len(next) < len(stored)) && !bytes.Equal(next, stored)
}

// current reports whether a value is encrypted as it shall be. The beginning of it is enough.
func (r *run) current(stored []byte) bool {
	h, _, sealed := value.ParseHeader(stored)
	return sealed && h.Cipher == r.now.Cipher && h.KeyID == r.now.KeyID
}

// open opens a value, if need be with dictionaries that are newer than the codec's.
func (r *run) open(ctx context.Context, stored []byte, name value.Name) ([]byte, error) {
	plain, err := r.Codec.Open(&r.counters, nil, stored, name)
	var missing *value.MissingDictError
	if !errors.As(err, &missing) || r.Reload == nil || time.Since(r.reloaded) < reloadAgain {
		return plain, err
	}
	r.reloaded = time.Now()
	if r.Reload(ctx) != nil {
		return plain, err
	}
	return r.Codec.Open(&r.counters, nil, stored, name)
}

// keep counts a value that stays as it is.
func (r *run) keep(stored []byte, length int) {
	r.state.Values++
	r.state.Before += int64(length)
	r.state.After += int64(length)
	r.tally(stored)
}

// changed counts a value that was to be replaced.
func (r *run) changed(c change, replaced bool) {
	r.state.Values++
	r.state.Before += int64(len(c.before))
	if !replaced {
		// How long it is now nobody has asked.
		r.state.After += int64(len(c.before))
		r.state.Raced++
		return
	}
	r.state.After += int64(len(c.after))
	r.state.Rewritten++
	r.tally(c.after)
}

// tally counts what a stored value needs to be opened, and reports whether it is sealed.
func (r *run) tally(stored []byte) bool {
	h, _, sealed := value.ParseHeader(stored)
	if sealed && h.Dict != 0 {
		count(r.state.Dicts, h.Dict)
	}
	if sealed && h.Cipher != value.NoCipher {
		count(r.state.KeyID, h.KeyID)
	}
	return sealed
}

const (
	// mostIDs is how many ids are counted one by one. A tenant has fewer, but its
	// scripts can store values that look sealed, with any ids.
	mostIDs = 1000
	// others are all further ones.
	others = "others"
)

func count(ids map[string]int64, id uint32) {
	name := hexID(id)
	if _, known := ids[name]; !known && len(ids) >= mostIDs {
		name = others
	}
	ids[name]++
}

// fail notes a value that could not be opened.
func (r *run) fail(name value.Name, field string, err error) {
	r.state.Failed++
	if len(r.state.Failures) >= mostFailures {
		return
	}
	f := Failure{Key: shown(string(name.Prefix) + string(name.Key)), Error: err.Error()}
	if field != "" {
		f.Field = shown(field)
	}
	r.state.Failures = append(r.state.Failures, f)
}

// shown is a name as it can be printed.
func shown(name string) string {
	const most = 200
	if len(name) > most {
		return strconv.Quote(name[:most]) + "..."
	}
	return strconv.Quote(name)
}
