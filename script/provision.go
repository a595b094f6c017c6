package script

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
)

// Errors of Provision. Others are of the connection, or temporary.
var (
	// ErrForbidden tells that the upstream does not let the proxy make users, so that isolated scripts can not run.
	ErrForbidden = errors.New("the upstream does not allow ACL SETUSER")
	// ErrRules tells that the upstream does not understand the rules.
	ErrRules = errors.New("the upstream does not accept the rules for its users")
)

// Account is a tenant, or one of its users with rules, for whom an upstream user is wanted.
type Account struct {
	Name   string // of the tenant, or what UserName makes of it and the rules
	Root   string // what all its keys and channels begin with: "t:<id>:"
	Limits bool   // its memory has a limit, so that a second user is wanted, which writes nothing
	Grants []Grant
}

// Grant is one set of rules of a user: commands of those that scripts may run at all, and the keys and channels that
// they may touch, as ACL SETUSER takes them. An account without any may do all of that with everything behind its root.
type Grant struct {
	Runs func(*command.Command) bool
	Keys []string
}

// Known asks the upstream which commands it has, for AllowList.
func Known(ctx context.Context, client redis.Cmdable) (func(*command.Command) bool, error) {
	var asked []*command.Command
	args := []any{"COMMAND", "INFO"}
	for _, c := range command.All() {
		if allowed(c) {
			asked = append(asked, c)
			args = append(args, c.Name)
		}
	}
	reply, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, args...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking the upstream for its commands: %w", err)
	}
	list, err := reply[0].(*redis.Cmd).Slice()
	if err != nil || len(list) != len(asked) {
		return nil, fmt.Errorf("asking the upstream for its commands: %d answers for %d, %w", len(list), len(asked), err)
	}
	known := make(map[string]bool, len(asked))
	for i, c := range asked {
		if entry, ok := list[i].([]any); ok && len(entry) > 0 {
			known[c.Name] = true
		}
	}
	return func(c *command.Command) bool { return known[c.Name] }, nil
}

// Provision creates the resting user and the tenants' users, or brings them up to date. It may be repeated at any time:
// each user changes in one step, and connections that have logged in as it stay logged in. allow is AllowList's result.
func Provision(ctx context.Context, client redis.Cmdable, users *Users, allow []string, accounts ...Account) error {
	commands, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		rest := users.Resting()
		p.Do(ctx, "ACL", "SETUSER", rest.Name, "reset", "on", rest.hash(), "+echo")
		for _, a := range accounts {
			p.Do(ctx, a.setUser(users.Tenant(a.Name), allow)...)
			if a.Limits {
				p.Do(ctx, a.setUser(users.Full(a.Name), withoutGrowth(allow))...)
			}
		}
		return nil
	})
	for _, c := range commands { // the first answer that is an error; without an answer, the connection's
		if failed := c.Err(); failed != nil {
			return provisionError(failed)
		}
	}
	return err
}

// setUser is the command that makes a user of the upstream.
func (a *Account) setUser(login Login, allow []string) []any {
	args := make([]any, 0, 8+len(allow))
	args = append(args, "ACL", "SETUSER", login.Name, "reset", "on", login.hash())
	if a.Grants == nil {
		args = append(args, "~"+escapeGlob(a.Root)+"[0-9]*", "&"+escapeGlob(a.Root)+"*")
		for _, rule := range allow {
			args = append(args, rule)
		}
	}
	for i, g := range a.Grants {
		rules := g.rules(allow)
		if i > 0 {
			args = append(args, selector(rules))
			continue
		}
		for _, rule := range rules {
			args = append(args, rule)
		}
	}
	return args
}

// rules are those of a grant. What runs a script at all is with each: that the user may run it has been checked, and a
// script can not. So is ECHO, which the prelude needs.
func (g *Grant) rules(allow []string) []string {
	rules := slices.Clone(g.Keys)
	for _, rule := range allow {
		if c := command.Named(rule[1:]); c != nil && (c.Cats&command.CatScripting != 0 || c.Handler == command.HandleEcho || g.Runs(c)) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// selector puts rules into parentheses. What a server might take for a quotation or the end is written as it reads it
// in double quotes.
func selector(rules []string) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, rule := range rules {
		if i > 0 {
			b.WriteByte(' ')
		}
		if !strings.ContainsFunc(rule, func(r rune) bool { return r == '"' || r == '\'' || r == '\\' || r <= ' ' || r > '~' }) {
			b.WriteString(rule)
			continue
		}
		b.WriteByte('"')
		for _, c := range []byte(rule) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		b.WriteByte('"')
	}
	b.WriteByte(')')
	return b.String()
}

// provisionError says what the upstream's refusal means.
func provisionError(err error) error {
	var said redis.Error
	if !errors.As(err, &said) {
		return err
	}
	text := strings.ToLower(said.Error())
	switch {
	case strings.Contains(text, "error in acl setuser"):
		return fmt.Errorf("%w: %w", ErrRules, err)
	case strings.HasPrefix(text, "noperm"), strings.Contains(text, "unknown command"),
		strings.Contains(text, "unknown subcommand"), strings.Contains(text, "not allowed"),
		strings.Contains(text, "acl is disabled"), strings.Contains(text, "not supported"):
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

// escapeGlob returns a pattern that matches text and nothing else.
func escapeGlob(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(`*?[]\`, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
