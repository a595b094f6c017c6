package dictionary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"riptide-proxy/value"
)

// Entry is a dictionary with what is known about it. It does not change once it is stored or loaded.
type Entry struct {
	ID   uint32
	Blob []byte // in the format of zstd --train; empty if dropped
	Meta

	dict *value.Dict // nil if dropped
}

// Meta is what is stored beside a dictionary.
type Meta struct {
	Version int       `json:"version"` // of this form: 1
	Pattern string    `json:"pattern"` // which keys it was trained for
	Created time.Time `json:"created"` // by the upstream's clock, as all times here
	Retired time.Time `json:"retired,omitzero"`
	Dropped time.Time `json:"dropped,omitzero"`
	Samples int       `json:"samples"` // values it was trained with
	Gain    Gain      `json:"gain"`
	Size    int       `json:"size"`             // of what follows, in bytes
	Sealed  bool      `json:"sealed,omitempty"` // what follows is encrypted
}

// State is current, retired or dropped.
func (m *Meta) State() string {
	switch {
	case !m.Dropped.IsZero():
		return "dropped"
	case !m.Retired.IsZero():
		return "retired"
	}
	return "current"
}

// Info is what people and programs are told of a dictionary.
type Info struct {
	ID      string     `json:"id"` // 8 hexadecimal digits
	Pattern string     `json:"pattern"`
	State   string     `json:"state"` // current, retired or dropped
	Size    int        `json:"size"`  // bytes
	Created time.Time  `json:"created"`
	Retired *time.Time `json:"retired,omitempty"`
	Samples int        `json:"samples"`
	Gain    Gain       `json:"gain"`
	Saved   float64    `json:"saved_percent"` // compared with no dictionary
	Total   float64    `json:"total_percent"` // compared with no compression
}

// Info describes the entry.
func (e *Entry) Info() Info {
	i := Info{
		ID: field(e.ID), Pattern: e.Pattern, State: e.State(), Size: len(e.Blob), Created: e.Created,
		Samples: e.Samples, Gain: e.Gain, Saved: e.Gain.Saved(), Total: e.Gain.Total(),
	}
	if !e.Retired.IsZero() {
		i.Retired = &e.Retired
	}
	return i
}

const (
	metaVersion = 1
	maxMeta     = 8 << 10 // a pattern is at most 512 bytes
	maxEntry    = maxMeta + MaxSize + 64
)

var errEntry = errors.New("not a stored dictionary that can be read")

// NewEntry is a dictionary that was just trained.
func NewEntry(pattern string, trained *Trained) (*Entry, error) {
	d, err := value.NewDict(pattern, trained.Blob)
	if err != nil {
		return nil, err
	}
	return &Entry{ID: d.ID, Blob: trained.Blob, dict: d,
		Meta: Meta{Version: metaVersion, Pattern: pattern, Samples: trained.Samples, Gain: trained.Gain}}, nil
}

// Dict is the dictionary to read and write values with; nil if it was dropped.
func (e *Entry) Dict() *value.Dict { return e.dict }

// with is the same dictionary with something else known about it.
func (e *Entry) with(change func(*Meta)) *Entry {
	other := *e
	change(&other.Meta)
	if !other.Dropped.IsZero() {
		other.Blob, other.dict = nil, nil
	}
	return &other
}

// sharing is the entry with what another one of the same id has made already.
func (e *Entry) sharing(old *Entry) *Entry {
	other := *e
	other.Blob, other.dict = old.Blob, old.dict
	return &other
}

// field is the entry's name in the tenant's hash.
func field(id uint32) string { return fmt.Sprintf("%08x", id) }

// ParseID reads an id as it is written for people: 8 hexadecimal digits.
func ParseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 16, 32)
	if err != nil || field(uint32(id)) != text {
		return 0, fmt.Errorf("%q is not the id of a dictionary (8 hexadecimal digits)", text)
	}
	return uint32(id), nil
}

// stored is the entry as the upstream has it: the meta data in JSON on a line, then the dictionary.
func (e *Entry) stored(t *Tenant) ([]byte, error) {
	vault, err := t.vault()
	if err != nil {
		return nil, err
	}
	blob, meta := e.Blob, e.Meta
	meta.Sealed = vault.Encrypts() && len(blob) > 0
	if meta.Sealed {
		blob, _ = vault.Seal(new(value.Counters), nil, blob, entryName(t, e.ID))
	}
	meta.Version, meta.Size = metaVersion, len(blob)
	line, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxMeta {
		return nil, fmt.Errorf("the dictionary's description is longer than %d bytes", maxMeta)
	}
	return append(append(line, '\n'), blob...), nil
}

// parseEntry reads what is stored. An entry that was altered is an error, since reading a value with another
// dictionary than it was written with would give something else.
func parseEntry(t *Tenant, id uint32, stored []byte) (*Entry, error) {
	line, blob, ok := bytes.Cut(stored[:min(len(stored), maxEntry)], []byte("\n"))
	if !ok || len(line) >= maxMeta || len(stored) > maxEntry {
		return nil, errEntry
	}
	e := &Entry{ID: id}
	if err := json.Unmarshal(line, &e.Meta); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	if e.Version != metaVersion {
		return nil, fmt.Errorf("%w: it is of version %d", errEntry, e.Version)
	}
	if e.Size != len(blob) {
		return nil, fmt.Errorf("%w: it has %d bytes of %d", errEntry, len(blob), e.Size)
	}
	if !e.Dropped.IsZero() {
		return e, nil
	}
	e.Blob = blob
	if e.Sealed {
		if !value.IsSealed(blob) {
			return nil, fmt.Errorf("%w: it is not encrypted as it says", errEntry)
		}
		vault, err := t.vault()
		if err != nil {
			return nil, err
		}
		if e.Blob, err = vault.Open(new(value.Counters), nil, blob, entryName(t, id)); err != nil {
			return nil, fmt.Errorf("%w: %w", errEntry, err)
		}
	}
	if value.DictID(e.Blob) != id {
		return nil, fmt.Errorf("%w: its content has another id", errEntry)
	}
	var err error
	if e.dict, err = value.NewDict(e.Pattern, e.Blob); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	return e, nil
}

// isLocked reports whether an entry can not be read for want of the right key.
func isLocked(err error) bool {
	var missing *value.MissingKeyError
	return errors.As(err, &missing) || errors.Is(err, value.ErrWrongKey)
}

// entryName is what ties an encrypted entry to its place.
func entryName(t *Tenant, id uint32) value.Name {
	return value.Name{Prefix: []byte(t.Root), Key: []byte("dicts/" + field(id))}
}
