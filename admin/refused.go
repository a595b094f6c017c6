package admin

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/config"
)

// refusals are requests that were refused for the token, for what that may do, or for how many there are. Anybody can cause them
// as often as they like, so only the first of what is alike is told at once, and what follows is counted by who and from
// where, once a second.
type refusals struct {
	tell func(Event) // nil: there is nobody to tell

	mu    sync.Mutex
	seen  audit.Refusals // guarded by mu
	timer *time.Timer    // guarded by mu; nil: nothing is counted that was not told
}

// refused reports whether a problem is one of those.
func (p *Problem) refused() bool {
	return p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden || p.Type == typeOf("rate-limited")
}

// note tells of a refusal, or counts it, and reports whether it was told.
func (r *refusals) note(e Event, client string) (told bool) {
	alike := audit.Event{Event: "admin", Actor: e.Who.Name, Role: string(e.Who.Role), Client: client, Outcome: strconv.Itoa(e.Status), Reason: e.Reason}
	if e.Who.Name != "" { // what strangers ask for is of their making
		alike.Action = e.Action
	}
	r.mu.Lock()
	first := r.seen.Add(alike)
	if r.timer == nil {
		r.timer = time.AfterFunc(audit.RefusalsEvery, r.flush)
	}
	r.mu.Unlock()
	if first && r.tell != nil {
		r.tell(e)
	}
	return first
}

// flush tells what was counted. It is done before the listener ends, too.
func (r *refusals) flush() {
	var counted []audit.Event
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.seen.Take(func(e audit.Event) { counted = append(counted, e) })
	r.mu.Unlock()
	if r.tell == nil {
		return
	}
	for _, e := range counted {
		status, _ := strconv.Atoi(e.Outcome) // as note has written it
		r.tell(Event{Action: e.Action, Who: Principal{Name: e.Actor, Role: config.Role(e.Role)}, Remote: e.Client, Status: status, Reason: e.Reason, Count: e.Count})
	}
}
