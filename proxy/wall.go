package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/script"
)

// wall is what keeps isolated scripts inside: the tenant, or the rules of one of its users. There is an upstream user for
// each.
type wall struct {
	tenant *namespace.Tenant
	rules  *acl.Rules // nil: everything that the tenant has
	// db is the only database that there is, for a user who may not change it; or allDatabases.
	db int
}

const allDatabases = -1

var selectRow = command.Lookup([]byte("select"))

// walls are a tenant's, with what a loop knows of the upstream's users for them.
type walls map[wall]*scriptUser

// lost has the upstream's users made again, which may be gone, or may have to be others.
func (all walls) lost() {
	for _, u := range all {
		u.ready = false
	}
}

// reruled forgets the users with rules, of which there may be others now.
func (all walls) reruled() {
	for behind, u := range all {
		if behind.rules != nil && !u.asked {
			delete(all, behind)
		}
	}
}

// wall is the one behind which the session's scripts run now.
func (s *session) wall() wall {
	w := wall{tenant: s.who.Tenant, rules: s.rules, db: allDatabases}
	if w.rules != nil && !w.rules.MayRun(selectRow) {
		w.db = s.db
	}
	return w
}

// isolates reports whether the session's scripts run behind a wall. Those of a user with rules do, also where the tenant's
// are trusted: what they call, the upstream has to check.
func (s *session) isolates() bool {
	switch s.who.Tenant.Scripts {
	case config.IsolatedScripts:
		return true
	case config.TrustedScripts:
		return s.rules != nil
	}
	return false
}

// account is the upstream's user for it. With rules its name follows from them: a proxy that knows other
// rules for the same user has another one.
func (w *wall) account() script.Account {
	a := script.Account{Name: w.tenant.ID, Root: string(w.tenant.Root())}
	if w.rules == nil {
		return a
	}
	sum := sha256.Sum256([]byte(strconv.Itoa(w.db) + "\x00" + strconv.Itoa(w.tenant.Databases) + "\x00" + a.Root + "\x00" + w.rules.String()))
	a.Name += "." + hex.EncodeToString(sum[:8])
	channels := namespace.EscapeGlob(w.tenant.Root())
	for _, set := range w.rules.Selectors() {
		var rules []string
		for _, front := range w.fronts() {
			rules = append(rules, set.KeyRules(front)...)
		}
		a.Grants = append(a.Grants, script.Grant{Keys: append(rules, set.ChannelRules(channels)...), Runs: func(c *command.Command) bool {
			return set.Runs(c) || runsForm(set, c)
		}})
	}
	return a
}

// runsForm reports whether a command is what the upstream is given in a script in the place of another that the user may
// run: the form of GEORADIUS that only reads.
func runsForm(set acl.Selector, c *command.Command) bool {
	name, reads := strings.CutSuffix(c.Name, "_ro")
	if !reads {
		return false
	}
	whole := command.Named(name)
	return whole != nil && whole.Unwalled && set.Runs(whole)
}

// fronts are patterns of what the names of the tenant's keys begin with: its databases by the number of their digits,
// since a star would match more than a number.
func (w *wall) fronts() (fronts []string) {
	if w.db != allDatabases {
		return []string{namespace.EscapeGlob(w.tenant.Prefix(w.db))}
	}
	root, digits := namespace.EscapeGlob(w.tenant.Root()), "[0-9]"
	for n := len(strconv.Itoa(w.tenant.Databases - 1)); n > 0; n-- {
		fronts = append(fronts, root+digits+":")
		digits = strings.Replace(digits, "[0-9]", "[1-9][0-9]", 1)
	}
	return fronts
}

// asTheClientKnows puts the name of the session's user in the place of that of the upstream's user for its scripts, which
// newer servers tell in their refusals.
func (s *session) asTheClientKnows(text []byte) []byte {
	before, behind, found := strings.Cut(string(text), "User riptide")
	if !found {
		return text
	}
	_, rest, found := strings.Cut(behind, " ")
	if !found {
		return text
	}
	return []byte(before + "User " + s.user() + " " + rest)
}
