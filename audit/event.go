package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Event is a record that does not come from a session: what operators do, what happens to the process, and who is
// refused. Fields that are empty are left out.
type Event struct {
	Event   string `json:"event"`            // as admin or reload
	Actor   string `json:"actor,omitempty"`  // name of the operator's token
	Role    string `json:"role,omitempty"`   // and what it may do
	Client  string `json:"client,omitempty"` // address that the request came from
	Tenant  string `json:"tenant,omitempty"` // whom it is about
	User    string `json:"user,omitempty"`   // likewise
	Action  string `json:"action,omitempty"` // what was done, as "PUT /admin/tenants/acme"
	Source  string `json:"source,omitempty"` // what brought it about, as "signal"
	Count   int    `json:"count,omitempty"`  // how many it is about; 0: one
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"` // why not

	// Before and After are what was changed, as far as it is no secret. They are written as encoding/json
	// does. Where that takes more than 64 KiB, its length is written instead.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`

	// Changes are differences, written likewise; MoreChanges is how many there are besides.
	Changes     any `json:"changes,omitempty"`
	MoreChanges int `json:"more_changes,omitempty"`

	Generation uint64 `json:"generation,omitempty"` // of the configuration
	Hash       string `json:"hash,omitempty"`       // of its files
}

// maxChange is how long Before and After may be, each.
const maxChange = 64 << 10

// maxText is how much of a text is kept.
const maxText = 4 << 10

// AppendEvent appends the record of an event, for an event loop that hands it over with its own.
func AppendEvent(b []byte, at time.Time, e Event) []byte {
	for _, text := range []*string{&e.Actor, &e.Role, &e.Client, &e.Tenant, &e.User, &e.Action, &e.Source, &e.Outcome, &e.Reason, &e.Hash} {
		if len(*text) > maxText {
			*text = (*text)[:maxText] + "..."
		}
	}
	e.Before, e.After, e.Changes = bounded(e.Before), bounded(e.After), bounded(e.Changes)
	text, err := marshal(e)
	if err != nil { // both were marshalled before
		text = fmt.Appendf(nil, `{"event":%q}`, e.Event)
	}
	return appendRecord(b, at, text)
}

// appendRecord appends the record with the time and the fields of a JSON object.
func appendRecord(b []byte, at time.Time, object []byte) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, at)
	b = append(b, `",`...)
	b = append(b, bytes.TrimPrefix(object, []byte("{"))...)
	return append(b, '\n')
}

// bounded is a value to be written, or what is said in its place.
func bounded(v any) any {
	if v == nil {
		return nil
	}
	text, err := marshal(v)
	switch {
	case err != nil:
		return "(" + err.Error() + ")"
	case len(text) > maxChange:
		return fmt.Sprintf("(%d bytes)", len(text))
	}
	return json.RawMessage(text)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
