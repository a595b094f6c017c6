package dictionary

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"

	"riptide-proxy/value"
)

const (
	// MinSamples is how many values a training takes at least.
	MinSamples = 32

	// trainBytes is how much of a sample a training looks at, in bytes; the time it takes grows with it.
	trainBytes = 512 << 10

	// slack is by how many percent a longer dictionary must be better than a shorter one: a
	// shorter one is quicker to load and to look things up in.
	slack = 2
)

// ErrNoGain is returned when no dictionary is worth keeping.
var ErrNoGain = errors.New("no dictionary makes the values enough shorter")

// ErrTooFew is returned for fewer values than MinSamples.
var ErrTooFew = errors.New("too few values")

// Params are how to train.
type Params struct {
	Settings value.Settings // how the values are sealed; Keys and Exclude do not matter
	Size     int            // how long the dictionary may become, in bytes
	Present  []byte         // the dictionary used so far, if there is one
	Seed     uint64         // the same values and the same seed make the same dictionary

	// Pace, if not nil, is called between steps, with how long the last one took.
	Pace func(took time.Duration)
}

// Trained is a dictionary and what it is good for.
type Trained struct {
	Blob    []byte
	Samples int // values it was trained with
	Gain    Gain
}

// Train makes a dictionary. Half of the values it is made of, by a quarter the best of several is chosen,
// and by the rest its gain is measured, against no dictionary and the present one. With ErrNoGain it
// also returns what it has found. Whatever the values are, it does not panic.
func Train(values [][]byte, p Params) (*Trained, error) {
	values = distinct(values)
	if len(values) < MinSamples {
		return nil, fmt.Errorf("%w: %d of at least %d", ErrTooFew, len(values), MinSamples)
	}
	if p.Size <= 0 || p.Size > MaxSize {
		return nil, fmt.Errorf("a dictionary of %d bytes is not between 1 and %d", p.Size, MaxSize)
	}
	rng := rand.New(rand.NewPCG(p.Seed, uint64(len(values))))
	mixed := make([][]byte, 0, len(values))
	bytes := 0
	for _, i := range rng.Perm(len(values)) {
		if bytes += len(values[i]); bytes > trainBytes && len(mixed) >= MinSamples {
			break
		}
		mixed = append(mixed, values[i])
	}
	n := len(mixed)
	material, choice, held := mixed[:n/2], mixed[n/2:n*3/4], mixed[n*3/4:]
	step := pacer(p.Pace)

	best, err := choose(candidates(material, p, step), choice, p, step)
	if err != nil {
		return nil, err
	}
	t := &Trained{Blob: best, Samples: len(material), Gain: Gain{Values: len(held)}}
	for _, v := range held {
		t.Gain.Plain += int64(len(v))
	}
	if t.Gain.Without, err = measured(p.Settings, held, nil); err != nil {
		return nil, err
	}
	step()
	if t.Gain.With, err = measured(p.Settings, held, best); err != nil {
		return nil, err
	}
	step()
	if len(p.Present) > 0 {
		if t.Gain.Present, err = measured(p.Settings, held, p.Present); err != nil {
			return nil, err
		}
		step()
	}
	if !t.Gain.Enough() {
		return t, ErrNoGain
	}
	return t, nil
}

// distinct leaves out values that are there already. What one writer stores again and again would look like what
// many have in common, and be measured on what the dictionary was made of.
func distinct(values [][]byte) [][]byte {
	seen := make(map[string]bool, len(values))
	var all [][]byte
	for _, v := range values {
		if !seen[string(v)] {
			seen[string(v)] = true
			all = append(all, v)
		}
	}
	return all
}

// pacer calls pace with the time since the last call.
func pacer(pace func(time.Duration)) func() {
	if pace == nil {
		return func() {}
	}
	began := time.Now()
	return func() {
		pace(time.Since(began))
		began = time.Now()
	}
}

// candidates are dictionaries made in several ways, shorter ones first.
func candidates(material [][]byte, p Params, step func()) [][]byte {
	var all [][]byte
	add := func(blob []byte, err error) {
		// A sample that is odd enough is an error for the library, which only means one candidate less.
		if err == nil && len(blob) > 0 {
			all = append(all, blob)
		}
		step()
	}
	c := newCover(material)
	step()
	chosen := c.choose(p.Size)
	step()
	for size := 1 << 10; ; size *= 2 {
		history, whole := join(chosen, min(size, p.Size))
		if len(history) > 0 {
			add(buildTables(material, history, level(p.Settings.Level)))
		}
		if whole || size >= p.Size {
			break
		}
	}
	for _, hashed := range []int{6, 7} {
		add(buildStrings(material, p.Size, hashed, level(p.Settings.Level)))
	}
	return all
}

// join puts pieces together, the best ones last: what is nearer is shorter to refer to. whole tells
// that there are no more.
func join(pieces [][]byte, size int) (history []byte, whole bool) {
	n, total := 0, 0
	for n < len(pieces) && total+len(pieces[n]) <= size {
		total += len(pieces[n])
		n++
	}
	for i := n - 1; i >= 0; i-- {
		history = append(history, pieces[i]...)
	}
	return history, n == len(pieces)
}

// level is what values are compressed with where there is a dictionary; see value.Dict.
func level(l int) zstd.EncoderLevel {
	if l == value.Better || l == value.Best {
		return zstd.SpeedBetterCompression
	}
	return zstd.SpeedFastest
}

// anyID is the id inside of the dictionary, which nothing here looks at.
const anyID = 1

// buildTables adds to the content of a dictionary the statistics of what it leaves over.
func buildTables(material [][]byte, history []byte, l zstd.EncoderLevel) (blob []byte, err error) {
	defer recovered(&err)
	return zstd.BuildDict(zstd.BuildDictOptions{
		ID: anyID, Contents: material, History: history, Offsets: [3]int{1, 4, 8}, Level: l,
	})
}

// buildStrings makes a dictionary of the strings that occur most often, by strings of that length.
func buildStrings(material [][]byte, size, hashed int, l zstd.EncoderLevel) (blob []byte, err error) {
	defer recovered(&err)
	return dict.BuildZstdDict(material, dict.Options{MaxDictSize: size, HashBytes: hashed, ZstdDictID: anyID, ZstdLevel: l})
}

// recovered turns a panic of the library into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("training failed: %v", r)
	}
}

// choose is the candidate with which values become shortest.
func choose(candidates [][]byte, values [][]byte, p Params, step func()) (best []byte, err error) {
	var least int64
	for _, blob := range candidates {
		size, failed := measured(p.Settings, values, blob)
		step()
		if failed != nil {
			err = failed
			continue
		}
		limit := least
		if len(blob) > len(best) {
			limit -= least * slack / 100
		}
		if best == nil || size < limit {
			best, least = blob, size
		}
	}
	switch {
	case best != nil:
		return best, nil
	case err != nil:
		return nil, err
	}
	return nil, ErrNoGain
}

// measured is sealedSize for a dictionary that may be broken.
func measured(s value.Settings, values [][]byte, blob []byte) (size int64, err error) {
	defer recovered(&err)
	return sealedSize(s, values, blob)
}
