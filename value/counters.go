package value

// Counters is what happened to values. It has no lock: each loop has its own, and
// Add sums them up.
type Counters struct {
	Sealed  [Algorithms]Flow // by the algorithm that the values were sealed with
	Opened  [Algorithms]Flow // sealed values only
	Skipped [SkipReasons]uint64

	DictSealed uint64 // values that a dictionary compressed
	DictOpened uint64
	DictMissed uint64 // values without dictionary because its encoder would not fit in memory

	Encrypted uint64
	Decrypted uint64
	Failed    uint64 // values that Open could not open

	seals, opens uint64 // calls, to tell which of them are timed
}

// Flow counts the values that took the same way.
type Flow struct {
	Values uint64
	In     uint64 // bytes before
	Out    uint64 // bytes after

	// Nanos is the time spent, failures included. It is an estimate from one value in
	// sampleEvery, since to look at the clock for each would cost as much as some of the values.
	Nanos uint64
}

// Skip is why a value was not compressed.
type Skip uint8

const (
	SkipSmall          Skip = iota // shorter than the minimum size
	SkipNative                     // a number or a HyperLogLog, which the server itself computes with
	SkipExcluded                   // its key matches an exclusion pattern
	SkipCompressed                 // begins like data that is compressed already
	SkipIncompressible             // the algorithm did not make it shorter
	SkipNoGain                     // it did, though by less than the minimum saving
	SkipReasons        = iota
)

func (s Skip) String() string {
	return [SkipReasons]string{"small", "native", "excluded", "already_compressed", "incompressible", "no_gain"}[s]
}

// sampleEvery is how many values share one look at the clock.
const sampleEvery = 64

// Add adds what o counted.
func (c *Counters) Add(o *Counters) {
	for i := range o.Sealed {
		c.Sealed[i].add(&o.Sealed[i])
		c.Opened[i].add(&o.Opened[i])
	}
	for i, n := range o.Skipped {
		c.Skipped[i] += n
	}
	c.DictSealed += o.DictSealed
	c.DictOpened += o.DictOpened
	c.DictMissed += o.DictMissed
	c.Encrypted += o.Encrypted
	c.Decrypted += o.Decrypted
	c.Failed += o.Failed
}

func (f *Flow) add(o *Flow) {
	f.Values += o.Values
	f.In += o.In
	f.Out += o.Out
	f.Nanos += o.Nanos
}
