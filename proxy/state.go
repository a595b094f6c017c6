package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"riptide-proxy/quota"
	"riptide-proxy/value/dictionary"
)

// State is what a proxy wants to know again after a restart. All of it can be found out anew, but for usage
// that was not reported; but that takes an upstream that answers, and has lost nothing.
type State struct {
	Version  int       `json:"version"` // of this form: stateVersion
	Process  string    `json:"process"` // that it is of
	At       time.Time `json:"at"`
	Upstream string    `json:"upstream"` // address; of another one nothing is taken over

	// Spaces are what tenants' keys take, as far as is known.
	Spaces map[string]quota.Space `json:"spaces,omitempty"`
	// Peaks are the most memory that tenants were seen to take, in bytes.
	Peaks map[string]int64 `json:"peaks,omitempty"`
	// Shares are this process's of tenants' rates, in tokens per second by quota.Limit.Key.
	Shares map[string]map[string]float64 `json:"shares,omitempty"`
	// HotKeys are those that tenants' commands have named most often lately.
	HotKeys map[string]KeptKeys `json:"hot_keys,omitempty"`
	// Dictionaries are those that tenants' values are compressed with.
	Dictionaries map[string][]dictionary.Kept `json:"dictionaries,omitempty"`
	// Usage is what is not in the ledger yet, in the ledger's own form.
	Usage json.RawMessage `json:"usage,omitempty"`
}

const (
	stateVersion = 1
	// stateLasts is for how long estimates and shares are better than nothing.
	stateLasts = time.Hour
	// maxStateDictionaries bounds how many bytes of a state are dictionaries, before they are encoded.
	maxStateDictionaries = 64 << 20
)

// ParseState reads what State.Encode has written. Unknown fields are an error: a state of another version
// is not to be taken for one of this.
func ParseState(text []byte) (*State, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	st := new(State)
	if err := d.Decode(st); err != nil {
		return nil, fmt.Errorf("the state can not be read: %w", err)
	}
	if st.Version != stateVersion {
		return nil, fmt.Errorf("the state is of version %d, and %d can be read", st.Version, stateVersion)
	}
	return st, nil
}

// Encode is the state's text.
func (st *State) Encode() ([]byte, error) { return json.Marshal(st) }

// State is the server's at this moment. It may be called while the server runs, and after Shutdown.
func (s *Server) State() (*State, error) {
	st := &State{
		Version: stateVersion, Process: s.id, At: time.Now().UTC(), Upstream: s.target.Address,
		Spaces: s.keeper.spaces.all(), Peaks: make(map[string]int64), Shares: make(map[string]map[string]float64),
	}
	for id, own := range s.conf().own {
		if peak := own.peak.Load(); peak > 0 {
			st.Peaks[id] = peak
		}
		if shares := own.board.shares(); len(shares) > 0 {
			st.Shares[id] = shares
		}
	}
	s.keepHotKeys(st)
	left := 0
	if st.Dictionaries, left = s.codecs.dictionaries.Keep(maxStateDictionaries); left > 0 {
		slog.Warn("some dictionaries are not in the checkpoint", "dictionaries", left)
	}
	if s.usage == nil {
		return st, nil
	}
	var err error
	st.Usage, err = s.usage.ledger.Unreported()
	return st, err
}

// Restore takes a state over, as far as the server does not know better. Whatever can be used of it is used; the error
// tells of the rest.
func (s *Server) Restore(st *State) error {
	if st.Upstream != s.target.Address {
		return fmt.Errorf("the state is that of upstream %s, and this one is %s", st.Upstream, s.target.Address)
	}
	var failed error
	if s.usage != nil {
		failed = s.usage.ledger.Recover(st.Usage)
	}
	tenants := s.conf().own
	if age := time.Since(st.At); age >= 0 && age < stateLasts {
		s.keeper.spaces.recall(st.Spaces, tenants)
		s.recallHotKeys(st)
		for id, shares := range st.Shares {
			if own := tenants[id]; own != nil && own.board != nil {
				s.lending.lender.Remember(own.board.limits, shares)
				own.board.recall(shares)
			}
		}
	}
	for id, peak := range st.Peaks {
		if own := tenants[id]; own != nil {
			own.peak.Store(max(own.peak.Load(), peak))
		}
	}
	return errors.Join(failed, s.codecs.dictionaries.Recall(st.Dictionaries))
}

// all is a copy of what there is.
func (s *spaces) all() map[string]quota.Space {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]quota.Space, len(s.of))
	for id, space := range s.of {
		all[id] = space
	}
	return all
}

// recall takes figures for those tenants of which there are none.
func (s *spaces) recall(all map[string]quota.Space, tenants map[string]*tenantOwn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[string]quota.Space)
	}
	for id, space := range all {
		if _, known := s.of[id]; !known && tenants[id] != nil {
			s.of[id] = space
		}
	}
}

// shares are what the upstream has told last, by limit.
func (b *board) shares() map[string]float64 {
	if b == nil {
		return nil
	}
	of := make(map[string]float64)
	for i, limit := range b.limits.All {
		if share := math.Float64frombits(b.fleet[i].share.Load()); share > 0 {
			of[limit.Key] = share
		}
	}
	return of
}

// recall takes shares that are not known, so that they are known on.
func (b *board) recall(shares map[string]float64) {
	for i, limit := range b.limits.All {
		if share, has := shares[limit.Key]; has && share > 0 {
			b.fleet[i].share.CompareAndSwap(0, math.Float64bits(share))
		}
	}
}
