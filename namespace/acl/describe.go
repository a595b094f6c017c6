package acl

import (
	"strings"

	"riptide-proxy/command"
)

// Selector is one set of rules, as ACL GETUSER shows it and as an upstream's user is made from it.
type Selector struct {
	// Commands, Keys and Channels are the rules that make it up, without those that later ones have undone.
	Commands, Keys, Channels string

	s *selector
}

// Selectors are all sets of rules, the user's own first.
func (r *Rules) Selectors() []Selector {
	all := make([]Selector, len(r.selectors))
	for i, s := range r.selectors {
		all[i] = Selector{Commands: s.describeCommands(), Keys: strings.Join(s.keyRules(""), " "), Channels: strings.Join(s.channelRules(""), " "), s: s}
	}
	return all
}

// Runs reports whether the selector allows a command with any arguments. What is allowed only with a certain first
// argument is not.
func (d Selector) Runs(cmd *command.Command) bool { return d.s.runs(cmd) }

// KeyRules are the rules for keys, with something in front of their patterns: a pattern itself, of where keys are stored.
// Rules that allow all keys are one with the pattern "*".
func (d Selector) KeyRules(front string) []string { return d.s.keyRules(front) }

// ChannelRules are likewise those for channels.
func (d Selector) ChannelRules(front string) []string { return d.s.channelRules(front) }

func (s *selector) describeCommands() string {
	if len(s.words) > 0 && s.words[0] == "+@all" {
		return strings.Join(s.words, " ")
	}
	return strings.Join(append([]string{"-@all"}, s.words...), " ")
}

var keyMarks = map[command.Need]string{command.NeedsRead: "%R~", command.NeedsWrite: "%W~", everything: "~"}

// keyRules is Selector.KeyRules.
func (s *selector) keyRules(front string) (rules []string) {
	if s.allKeys {
		return []string{"~" + front + "*"}
	}
	for _, k := range s.keys {
		rules = append(rules, keyMarks[k.may]+front+string(k.pattern))
	}
	return rules
}

// channelRules is Selector.ChannelRules.
func (s *selector) channelRules(front string) (rules []string) {
	if s.allChannels {
		return []string{"&" + front + "*"}
	}
	for _, p := range s.channels {
		rules = append(rules, "&"+front+string(p))
	}
	return rules
}
