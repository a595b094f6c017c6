package jwt

import (
	"sort"
	"time"
)

// Status is how an issuer's keys are.
type Status struct {
	Issuer    string    // its name in the configuration
	Keys      int       // that signatures are checked with at this moment
	Succeeded uint64    // times that all sources could be read anew
	Failed    uint64    // times that some could not
	Read      time.Time // when all could the last time; zero: not since the start
}

// Status tells of all issuers, in the order of their names.
func (v *Verifier) Status() []Status {
	var all []Status
	for _, i := range v.issuers.Load().byClaim {
		s := Status{Issuer: i.name, Keys: len(*i.keys.Load()), Succeeded: i.succeeded.Load(), Failed: i.failed.Load()}
		if at := i.fresh.Load(); at > 0 {
			s.Read = time.Unix(at, 0)
		}
		all = append(all, s)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].Issuer < all[b].Issuer })
	return all
}
