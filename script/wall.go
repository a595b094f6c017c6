package script

import (
	"strings"

	"riptide-proxy/command"
)

// AllowList returns the ACL rules for the upstream users that scripts run as: the commands that a script may run at
// all, given that the user's patterns confine the keys and channels. known says whether the upstream has a command: a
// rule about one that it has not makes it refuse all of them.
func AllowList(known func(*command.Command) bool) []string {
	var rules []string
	for _, c := range command.All() {
		if allowed(c) && known(c) {
			rules = append(rules, "+"+c.Name)
		}
	}
	return rules
}

// withoutGrowth leaves out what may make keys take more memory.
func withoutGrowth(rules []string) (some []string) {
	for _, rule := range rules {
		if c := command.Named(rule[1:]); c != nil && !c.Grows {
			some = append(some, rule)
		}
	}
	return some
}

// allowed reports whether the users may run a command: what is confined, and what runs scripts, which scripts themselves
// can not call. Functions run as that user too, so those that an operator has installed are confined like scripts.
func allowed(c *command.Command) bool {
	return len(c.Subs) == 0 && (confined(c) || c.Parent == nil && c.Cats&command.CatScripting != 0)
}

// confined reports whether patterns of keys and channels confine the whole effect of a command, its answer included.
//
// A command qualifies by naming every key and channel that it touches, where the server looks for them when it checks
// a user's patterns. Excluded are those which do more (column Unwalled of the table), those that the proxy answers or
// changes itself since the upstream's answer would not be the tenant's, and those for operators.
func confined(c *command.Command) bool {
	return harmless[c.Name] || !c.Unwalled && namesAll(c)
}

// namesAll reports whether a command names all that it touches, be it that patterns confine it or not.
func namesAll(c *command.Command) bool {
	switch {
	case c.Run == command.Refused || c.Handler != command.NoHandler && !c.Channels:
		return false // what is published reaches the tenant's channels only; the proxy but corrects the count
	case c.Has(command.Admin) || c.Has(command.NoScript):
		return false
	case c.Cats&command.CatScripting != 0 || c.Cats&command.CatTransaction != 0:
		return false
	case strings.HasSuffix(c.Name, "|help"):
		return false
	}
	return c.Shape.Kind != command.ShapeNone
}

// harmless are the commands without keys that tell nothing about anybody.
var harmless = map[string]bool{"echo": true, "ping": true, "time": true}
