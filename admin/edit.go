package admin

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"riptide-proxy/config"
)

// Edits are made one after the other. Each looks at the tenant's file and at the configuration
// that runs, checks what would come of the change, writes the file and has it taken. If that fails
// the file is what it was.

// startEdit waits for its turn. What c has seen of the configuration may be old by then.
func (a *api) startEdit(c *call) (unlock func(), err error) {
	if unlock, err = a.files.lock(c); err != nil {
		return nil, err
	}
	now := a.o.State.Current()
	c.cfg = now.Config
	switch {
	case strings.HasPrefix(now.Source, rolledBack):
		err = problem("conflict", "the proxy runs with an earlier configuration than the files have; set them right and reload first")
	case c.cfg.TenantsDir == "" || a.files.file == "":
		err = errNoDir()
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// original is the file of the tenant that c is about, if c may change it as it is now.
func (a *api) original(c *call, conditional bool) ([]byte, error) {
	t, etag, err := a.tenant(c.cfg, c.tenant)
	if err != nil {
		return nil, err
	}
	c.before = t.Config
	header := c.Header.Values("If-Match")
	switch {
	case len(header) == 0 && conditional:
		return nil, problem("precondition-required", "send the ETag that GET gives as If-Match; * takes the tenant as it is")
	case len(header) > 0 && !matches(header, etag):
		return nil, problem("changed", "GET it again, and decide anew")
	}
	data, err := a.files.read(c.cfg.TenantsDir, c.tenant)
	if err == nil && data == nil {
		err = problem("conflict", "the tenant has no file in tenants_dir: it is in the configuration file, which is edited by hand, or somebody has just taken its file away")
	}
	return data, err
}

// change edits the tenant's file by f, and answers with what the tenant is then.
func (a *api) change(w http.ResponseWriter, c *call, conditional bool, f func(top *yaml.Node) error) error {
	unlock, err := a.startEdit(c)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := a.original(c, conditional)
	if err != nil {
		return err
	}
	top, err := parseTree(old)
	if err != nil {
		return err
	}
	if err := f(top); err != nil {
		return err
	}
	if err := a.commit(c, old, top); err != nil {
		return err
	}
	return a.answerEdited(w, c, http.StatusOK)
}

func (a *api) answerEdited(w http.ResponseWriter, c *call, status int) error {
	t, etag, err := a.tenant(a.o.State.Current().Config, c.tenant)
	if err != nil {
		return err
	}
	c.after = t.Config
	return a.answerTenant(w, status, t, etag)
}

// commit makes a tree the tenant's file, in place of old (nil: there was none).
func (a *api) commit(c *call, old []byte, top *yaml.Node) error {
	data, err := text(top)
	if err != nil {
		return err
	}
	// Variables are only of whoever has written the file by hand: those of requests are no variables (literal).
	if _, _, err := c.cfg.CheckTenant(c.tenant, fileOf(c.tenant), data, os.LookupEnv); err != nil {
		return c.invalid(err)
	}
	if old != nil && bytes.Equal(old, data) {
		return nil
	}
	if err := a.files.write(c.cfg.TenantsDir, c.tenant, data); err != nil {
		return err
	}
	return a.take(c, old, data)
}

// take has the tenant's file taken that was old and is data now (nil: there is none), or puts old back.
func (a *api) take(c *call, old, data []byte) error {
	err := a.edited(c, data)
	if err == nil {
		return nil
	}
	p := problem("conflict", "the configuration could not be taken, so nothing was changed")
	if c.who.Tenant == "" { // what is wrong may be another tenant's file
		p.Errors = faultsOf(err)
	}
	if err := a.files.put(c.cfg.TenantsDir, c.tenant, old); err != nil {
		slog.Error("a tenant's file could not be put back that was not taken over", "tenant", c.tenant, "error", err)
		p.Detail = "the configuration could not be taken, and the tenant's file could not be made what it was: it is the new one, which is not in effect"
	}
	return p
}

// invalid tells what is wrong with a tenant. Whose secret it is that is taken already is nothing that a
// token for one tenant may find out.
func (c *call) invalid(err error) error {
	var errs config.Errors
	if !errors.As(err, &errs) {
		return err
	}
	p := problem("invalid", "")
	p.Errors = faults(errs)
	for i := range p.Errors {
		if c.who.Tenant != "" && strings.HasPrefix(p.Errors[i].Text, "the same secret as ") {
			p.Errors[i].Text = "is a secret that is taken"
		}
	}
	return p
}

// createTenant takes an id and what a tenant's file can have.
func createTenant(a *api, w http.ResponseWriter, c *call) error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	given, err := treeOf(body)
	if err != nil {
		return err
	}
	at := indexOf(given, "id")
	if at < 0 || given.Content[at+1].Tag != "!!str" {
		return problem("bad-request", "the body has no id")
	}
	id := given.Content[at+1].Value
	if !config.ValidTenantID(id) {
		p := problem("invalid", "")
		p.Errors = []Fault{{Path: "id", Text: quoted(id) + " is not a tenant id (1 to 63 of a-z 0-9 _ -, the first a letter or digit; not default)"}}
		return p
	}
	c.tenant = id
	given.Content = append(given.Content[:at], given.Content[at+2:]...)
	top := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	merge(top, given) // without what is null

	unlock, err := a.startEdit(c)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.free(c); err != nil {
		return err
	}
	if err := a.commit(c, nil, top); err != nil {
		return err
	}
	w.Header().Set("Location", "/admin/tenants/"+id)
	return a.answerEdited(w, c, http.StatusCreated)
}

// free tells whether there may be a tenant of this id.
func (a *api) free(c *call) error {
	data, err := a.files.read(c.cfg.TenantsDir, c.tenant)
	switch {
	case err != nil:
		return err
	case data != nil || c.cfg.Tenants[c.tenant] != nil:
		return problem("exists", "there is a tenant of this id")
	}
	purging, err := a.o.Proxy.Purging(c.Context(), c.tenant)
	switch {
	case err != nil:
		return problem("upstream", "so it is not known whether there was a tenant of this id whose keys are still being deleted")
	case purging:
		return problem("conflict", "there was a tenant of this id, whose keys are still being deleted")
	}
	return nil
}

// updateTenant is a JSON merge patch of the tenant's file.
func updateTenant(a *api, w http.ResponseWriter, c *call) error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	patch, err := treeOf(body)
	if err != nil {
		return err
	}
	return a.change(w, c, true, func(top *yaml.Node) error {
		merge(top, patch)
		return nil
	})
}

func suspendTenant(a *api, w http.ResponseWriter, c *call) error {
	return a.change(w, c, false, func(top *yaml.Node) error {
		set(top, "suspended", &yaml.Node{Kind: yaml.ScalarNode, Value: "true"})
		return nil
	})
}

func resumeTenant(a *api, w http.ResponseWriter, c *call) error {
	return a.change(w, c, false, func(top *yaml.Node) error {
		if i := indexOf(top, "suspended"); i >= 0 {
			top.Content = append(top.Content[:i], top.Content[i+2:]...)
		}
		return nil
	})
}

// KeyChange is what /rotate-key takes: the hash of the new secret, since secrets are no concern of
// this side's.
type KeyChange struct {
	User   string `json:"user"`   // absent: default
	SHA256 string `json:"sha256"` // of the new secret, in hexadecimal
	// Revoke ends all other secrets of the user at once, and the connections that have used them.
	// Otherwise the one before goes on working until the next change.
	Revoke bool `json:"revoke"`
}

func rotateKey(a *api, w http.ResponseWriter, c *call) error {
	k := KeyChange{User: "default"}
	if err := c.decode(&k, true); err != nil {
		return err
	}
	if !config.ValidUserName(k.User) {
		return problem("bad-request", quoted(k.User)+" is not a user name")
	}
	return a.change(w, c, false, func(top *yaml.Node) error {
		if t := c.cfg.Tenants[c.tenant]; t.Users[k.User] == nil {
			return problem("not-found", "the tenant has no such user")
		}
		user := child(child(top, "users"), k.User)
		keys := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		keys.Content = []*yaml.Node{literal(k.SHA256)}
		if k.Revoke {
			if i := indexOf(user, "argon2id"); i >= 0 {
				user.Content = append(user.Content[:i], user.Content[i+2:]...)
			}
		} else if i := indexOf(user, "sha256"); i >= 0 && user.Content[i+1].Kind == yaml.SequenceNode && len(user.Content[i+1].Content) > 0 {
			keys.Content = append(keys.Content, user.Content[i+1].Content[0])
		}
		set(user, "sha256", keys)
		return nil
	})
}
