package dictionary

import (
	"math"

	"riptide-proxy/value"
)

// MinGain is by how many percent values must be shorter with a new dictionary than without it, or with the
// present one, for keeping it. Less would not pay for one more dictionary that has to
// stay as long as values need it.
const MinGain = 10

// Gain says what a dictionary saves, in bytes as they are stored, on values that it was not trained with.
type Gain struct {
	Values  int   `json:"values"`
	Plain   int64 `json:"plain"`             // not compressed at all
	Without int64 `json:"without"`           // as stored without a dictionary
	Present int64 `json:"present,omitempty"` // with the one used so far, if there is one
	With    int64 `json:"with"`              // with the new one
}

// Enough reports whether the dictionary is worth keeping.
func (g Gain) Enough() bool {
	best := g.Without
	if g.Present > 0 {
		best = min(best, g.Present)
	}
	return g.Values > 0 && g.With*100 <= best*(100-MinGain)
}

// Saved is by how many percent the dictionary makes the values shorter than they would be without it.
func (g Gain) Saved() float64 { return percent(g.With, g.Without) }

// Total is by how many percent the values are shorter than the originals.
func (g Gain) Total() float64 { return percent(g.With, g.Plain) }

func percent(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Round(1000*(1-float64(part)/float64(whole))) / 10
}

// sealedSize is how many bytes values take as a tenant with these settings stores them, encryption aside.
// blob is the dictionary, or empty.
func sealedSize(s value.Settings, values [][]byte, blob []byte) (int64, error) {
	s.Keys, s.Exclude = nil, nil
	codec, err := value.NewCodec(s)
	if err != nil {
		return 0, err
	}
	if len(blob) > 0 {
		d, err := value.NewDict(Everything, blob)
		if err != nil {
			return 0, err
		}
		codec.SetDicts(value.NewDicts(nil, []*value.Dict{d}))
	}
	var n value.Counters
	var buf []byte
	total := int64(0)
	for _, v := range values {
		out, sealed := codec.Seal(&n, buf[:0], v, value.Name{})
		if sealed {
			total += int64(len(out))
		} else {
			total += int64(len(v))
		}
		buf = out
	}
	return total, nil
}
