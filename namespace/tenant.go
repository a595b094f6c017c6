// Package namespace gives every tenant a Redis of its own inside a shared one:
// who a client is, under which prefix its keys are stored, and how requests and
// replies change on the way. It sees the bytes of one request or reply at a
// time and owns no connection.
package namespace

import (
	"bytes"
	"fmt"
	"strconv"

	"riptide-proxy/config"
)

// Tenant is one isolated keyspace. It never changes once made; a new
// configuration makes new ones.
type Tenant struct {
	ID        string
	Databases int
	Suspended bool
	Scripts   config.Scripts

	root     []byte   // what all its keys begin with
	prefixes [][]byte // by database
}

func newTenant(id string, c *config.Tenant) *Tenant {
	t := &Tenant{ID: id, Databases: c.Databases, Suspended: c.Suspended, Scripts: c.Scripts}
	tag := id
	if c.HashTag {
		tag = "{" + id + "}"
	}
	t.root = fmt.Appendf(nil, "t:%s:", tag)
	t.prefixes = make([][]byte, c.Databases)
	for db := range t.prefixes {
		t.prefixes[db] = append(strconv.AppendInt(append([]byte(nil), t.root...), int64(db), 10), ':')
	}
	return t
}

// same reports whether another one would be the same to everybody.
func (t *Tenant) same(other *Tenant) bool {
	return other != nil && t.ID == other.ID && t.Databases == other.Databases && t.Suspended == other.Suspended &&
		t.Scripts == other.Scripts && bytes.Equal(t.root, other.root)
}

// Root is what every key of the tenant begins with, in all its databases:
// "t:<id>:".
func (t *Tenant) Root() []byte { return t.root }

// Prefix is what its keys in one database begin with: "t:<id>:<db>:".
func (t *Tenant) Prefix(db int) []byte { return t.prefixes[db] }

// Split takes a name apart that the upstream gives: the tenant's database, and
// the name in it. ok is false for a name that is not the tenant's.
func (t *Tenant) Split(name []byte) (db int, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(name, t.root)
	if !ok {
		return 0, nil, false
	}
	digits, rest, ok := bytes.Cut(rest, []byte(":"))
	if !ok {
		return 0, nil, false
	}
	return t.Database(digits, rest)
}

// Database reads the number of a database as it is written in names: without
// zeros in front. rest is returned as it is.
func (t *Tenant) Database(digits, rest []byte) (db int, _ []byte, ok bool) {
	db, err := strconv.Atoi(string(digits))
	if err != nil || db < 0 || db >= t.Databases || strconv.Itoa(db) != string(digits) {
		return 0, nil, false
	}
	return db, rest, true
}
