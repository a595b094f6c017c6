package admin

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/config"
)

// TenantList is /admin/tenants.
type TenantList struct {
	Tenants []TenantLine `json:"tenants"`        // in the order of their ids
	Next    string       `json:"next,omitempty"` // more follow: ask again with after=
}

// TenantLine is a tenant in a list.
type TenantLine struct {
	ID        string            `json:"id"`
	Plan      string            `json:"plan,omitempty"`
	Suspended bool              `json:"suspended"`
	Managed   bool              `json:"managed"` // its file is in tenants_dir, so that it can be edited here
	Users     []string          `json:"users"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// Tenant is one tenant: its configuration with the keys that its file has, without secrets.
type Tenant struct {
	ID      string         `json:"id"`
	Managed bool           `json:"managed"`
	Config  map[string]any `json:"config"`
	Limits  any            `json:"limits"` // that hold, of the tenant and its plan
}

// How many tenants a list has, if it is not said, and at most.
const (
	listed     = 1000
	mostListed = 10000
)

func listTenants(a *api, w http.ResponseWriter, c *call) error {
	q := c.URL.Query()
	limit := listed
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostListed {
			return problem("bad-request", "limit is 1 to "+strconv.Itoa(mostListed))
		}
		limit = n
	}
	var suspended *bool
	if text := q.Get("suspended"); text != "" {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return problem("bad-request", "suspended is true or false")
		}
		suspended = &b
	}
	managed, err := a.files.list(c.cfg.TenantsDir)
	if err != nil {
		return err
	}
	list := TenantList{Tenants: []TenantLine{}}
	for _, id := range sortedIDs(c.cfg) {
		t := c.cfg.Tenants[id]
		switch {
		case c.who.Tenant != "" && id != c.who.Tenant, id <= q.Get("after") && q.Has("after"),
			q.Has("plan") && t.Plan != q.Get("plan"), suspended != nil && t.Suspended != *suspended, !tagged(t, q["tag"]):
			continue
		}
		if len(list.Tenants) == limit {
			list.Next = list.Tenants[limit-1].ID
			break
		}
		line := TenantLine{ID: id, Plan: t.Plan, Suspended: t.Suspended, Managed: managed[id], Users: []string{}, Tags: t.Tags}
		for name := range t.Users {
			line.Users = append(line.Users, name)
		}
		slices.Sort(line.Users)
		list.Tenants = append(list.Tenants, line)
	}
	return c.writeTagged(w, list)
}

func sortedIDs(c *config.Config) []string {
	ids := make([]string, 0, len(c.Tenants))
	for id := range c.Tenants {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// tagged tells whether a tenant has all of these tags, each name=value.
func tagged(t *config.Tenant, tags []string) bool {
	for _, tag := range tags {
		name, value, _ := strings.Cut(tag, "=")
		if v, has := t.Tags[name]; !has || v != value {
			return false
		}
	}
	return true
}

// showTenant answers with a tenant, or that it has not changed.
func showTenant(a *api, w http.ResponseWriter, c *call) error {
	t, etag, err := a.tenant(c.cfg, c.tenant)
	if err != nil {
		return err
	}
	if c.has(w, etag) {
		return nil
	}
	return a.answerTenant(w, http.StatusOK, t, etag)
}

func (a *api) answerTenant(w http.ResponseWriter, status int, t *Tenant, etag string) error {
	w.Header().Set("ETag", etag)
	return writeJSON(w, status, t)
}

// tenant is one of a configuration, with the tag of what it is and what its file says.
func (a *api) tenant(cfg *config.Config, id string) (*Tenant, string, error) {
	t := cfg.Tenants[id]
	if t == nil {
		return nil, "", noTenant()
	}
	var file []byte
	if cfg.TenantsDir != "" {
		// What can not be read can not be edited.
		if data, err := a.files.read(cfg.TenantsDir, id); err == nil {
			file = data
		}
	}
	view := &Tenant{ID: id, Managed: file != nil, Config: viewOf(t), Limits: limitsOf(cfg, id)}
	shown, err := json.Marshal(view)
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	h.Write([]byte(strconv.Itoa(len(file)) + "\n"))
	h.Write(file)
	h.Write(shown)
	return view, `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`, nil
}

// has answers whoever has this already. Only here weak tags count: what changes has to be the same to the letter.
func (c *call) has(w http.ResponseWriter, etag string) bool {
	known := slices.Clone(c.Header.Values("If-None-Match"))
	for i := range known {
		known[i] = strings.ReplaceAll(known[i], `W/"`, `"`)
	}
	if !matches(known, etag) {
		return false
	}
	w.Header().Set("ETag", etag)
	w.WriteHeader(http.StatusNotModified)
	return true
}

// writeTagged answers with a value that somebody may have already.
func (c *call) writeTagged(w http.ResponseWriter, v any) error {
	body, err := bodyOf(v)
	if err != nil {
		return err
	}
	etag := etagOf(body)
	if c.has(w, etag) {
		return nil
	}
	w.Header().Set("ETag", etag)
	writeBody(w, http.StatusOK, body)
	return nil
}

// etagOf is the ETag of an answer.
func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// matches tells whether one of the tags of a header is this one.
func matches(header []string, etag string) bool {
	for _, line := range header {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || one == etag {
				return true
			}
		}
	}
	return false
}

// PlanList is /admin/plans.
type PlanList struct {
	Plans []Plan `json:"plans"` // in the order of their names
}

// Plan is one plan: its configuration with the keys that the file has.
type Plan struct {
	Name    string `json:"name"`
	Tenants int    `json:"tenants"` // that have it
	Config  any    `json:"config"`
}

func listPlans(_ *api, w http.ResponseWriter, c *call) error {
	list := PlanList{Plans: []Plan{}}
	for name := range c.cfg.Plans {
		list.Plans = append(list.Plans, planOf(c.cfg, name))
	}
	slices.SortFunc(list.Plans, func(a, b Plan) int { return cmp.Compare(a.Name, b.Name) })
	return c.writeTagged(w, list)
}

func showPlan(_ *api, w http.ResponseWriter, c *call) error {
	name := c.PathValue("plan")
	if c.cfg.Plans[name] == nil {
		return problem("not-found", "there is no such plan")
	}
	return c.writeTagged(w, planOf(c.cfg, name))
}
