package command

import (
	"strconv"
	"strings"
)

// Server is a server's product and version, as its INFO tells them.
type Server struct {
	Product      string // "redis" or "valkey"
	Major, Minor int
}

// AtLeast reports whether the server is product, in a version of at least
// major.minor.
func (s Server) AtLeast(product string, major, minor int) bool {
	return s.Product == product && !s.before(product, major, minor)
}

// before reports whether the server is a version of product older than major.minor.
func (s Server) before(product string, major, minor int) bool {
	return s.Product == product && (s.Major < major || s.Major == major && s.Minor < minor)
}

// difference is what some servers report of some commands otherwise than the rows say, which follow the newest Redis.
// Nothing in the proxy depends on these: a row is as lenient as the most lenient server, and a stricter server's error
// reaches the client. They are kept so that the test that compares the table with a server need not look away.
type difference struct {
	names  string
	on     func(Server) bool
	change func(*Command)
}

var differences = []difference{
	{"zrank zrevrank", redis70, func(c *Command) { c.Arity = 3 }},                           // WITHSCORE came
	{"command|getkeys command|getkeysandflags", redis70, func(c *Command) { c.Arity = -4 }}, // keyless ones came
	{"blmove blpop brpop brpoplpush bzpopmax bzpopmin", redis70, func(c *Command) { c.Flags |= NoScript }},
	{"wait", redis70, func(c *Command) { c.Flags = NoScript; c.Cats &^= CatBlocking }},
	{"cluster|slots cluster|shards", redis70, func(c *Command) { c.Flags &^= Loading }},
	{"sinterstore", redis70, func(c *Command) { c.Keys = key(RW | Update).and(c.Keys[1:]) }},
	{"acl|setuser acl|deluser acl|save", redis70, policies(SplitNone, JoinDefault)},
	{"client|setname config|resetstat config|rewrite", redis70, policies(SplitNone, JoinDefault)},
	{"msetnx", redis70, policies(SplitByKeys, JoinMin)}, // which was wrong: it is all or nothing
	{"latency|reset", redis70, policies(SplitAllNodes, JoinAllSucceeded)},
	{"randomkey", redis70, policies(SplitAllShards, JoinDefault)},
	{"scan", redis70, policies(SplitSpecial, JoinDefault)},

	{"cluster|info cluster|nodes cluster|myid cluster|myshardid", valkey, func(c *Command) { c.Flags |= Loading }},
	{"multi watch", valkey, func(c *Command) { c.Flags |= NoMulti }},
}

func redis70(s Server) bool { return s.before("redis", 7, 2) }
func valkey(s Server) bool  { return s.Product == "valkey" }

func policies(split Split, join Join) func(*Command) {
	return func(c *Command) { c.Split, c.Join = split, join }
}

// On returns the row as a server of this version reports it. What a server is not known to report differently is as
// in the row.
func (c *Command) On(s Server) Command {
	reported := *c
	for _, d := range differences {
		if d.on(s) && strings.Contains(" "+d.names+" ", " "+c.Name+" ") {
			d.change(&reported)
		}
	}
	return reported
}

// KnownTo reports whether a server of this version is expected to know the command.
func (c *Command) KnownTo(s Server) bool {
	if c.Since == "" {
		return true
	}
	for since := range strings.SplitSeq(c.Since, ", ") {
		product, version, _ := strings.Cut(since, " ")
		major, minor, _ := strings.Cut(version, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		if product == s.Product && !s.before(product, x, y) {
			return true
		}
	}
	return false
}
