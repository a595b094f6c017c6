package acl

import (
	"errors"
	"fmt"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/config"
)

// The grammar is that of ACL SETUSER, for a user that is made anew: it may do nothing until a rule says so.
//
//	+command  -command  +command|subcommand  +command|first-argument  +@category  -@category
//	allcommands (+@all)  nocommands (-@all)
//	~pattern  %R~pattern  %W~pattern  %RW~pattern  allkeys (~*)  resetkeys
//	&pattern  allchannels (&*)  resetchannels
//	(rules of a selector)  clearselectors  reset

func init() {
	config.RulesGrammar(func(rules string) error {
		_, err := Parse(rules)
		return err
	})
}

// maxRules bounds what is compiled; a text of that length is a mistake. It is in bytes.
const maxRules = 64 << 10

// Parse compiles rules. Its error says which rule is wrong and why, and quotes no rule that may hold a secret.
func Parse(text string) (*Rules, error) {
	if len(text) > maxRules {
		return nil, fmt.Errorf("the rules are longer than %d bytes", maxRules)
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New(`there are no rules, so the user could do nothing; "nocommands" says so, and without acl it may do everything`)
	}
	r := &Rules{selectors: []*selector{newSelector()}, text: strings.Join(words, " ")}
	for _, word := range words {
		if err := r.add(word); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// split takes a text apart at its spaces; what is in parentheses stays in one piece.
func split(text string) (words []string, err error) {
	open := -1
	for _, word := range strings.FieldsFunc(text, isSpace) {
		switch {
		case open >= 0:
			words[open] += " " + word
		case word[0] == '(':
			open = len(words)
			words = append(words, word)
		default:
			words = append(words, word)
		}
		if open >= 0 && strings.HasSuffix(word, ")") {
			open = -1
		}
	}
	if open >= 0 {
		return nil, fmt.Errorf("the parenthesis of the selector %q is not closed", words[open])
	}
	return words, nil
}

// isSpace is what separates rules; a pattern may have other characters in it that are called spaces.
func isSpace(c rune) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// add is a rule of the user's own.
func (r *Rules) add(word string) error {
	switch lower := strings.ToLower(word); {
	case word[0] == '(':
		return r.addSelector(word)
	case lower == "clearselectors":
		r.selectors = r.selectors[:1]
	case lower == "reset":
		r.selectors = []*selector{newSelector()}
	case lower == "on", lower == "sanitize-payload": // which users are
	case lower == "off":
		return errors.New(`"off" is not for here: a user without secrets can not log in`)
	case lower == "nopass", lower == "resetpass", strings.IndexByte("><#!", word[0]) >= 0:
		return errors.New("passwords are not for here: users' secrets stand in sha256 and argon2id")
	case lower == "skip-sanitize-payload":
		return errors.New(`"skip-sanitize-payload" is not for here: payloads of RESTORE are always checked`)
	default:
		return r.selectors[0].add(word)
	}
	return nil
}

func (r *Rules) addSelector(word string) error {
	if strings.ContainsAny(word, `"'`) {
		return fmt.Errorf("the selector %q has quotes in it, which are not supported there", word)
	}
	s := newSelector()
	for _, rule := range strings.FieldsFunc(word[1:len(word)-1], isSpace) {
		if err := s.add(rule); err != nil {
			return fmt.Errorf("in the selector %q: %w", word, err)
		}
	}
	r.selectors = append(r.selectors, s)
	return nil
}

func newSelector() *selector {
	return &selector{commands: make([]uint64, (command.Count()+63)/64)}
}

// add is one rule of a selector.
func (s *selector) add(word string) error {
	switch lower := strings.ToLower(word); {
	case lower == "allkeys", lower == "~*":
		s.allKeys, s.keys = true, nil
	case lower == "resetkeys":
		s.allKeys, s.keys = false, nil
	case lower == "allchannels", lower == "&*":
		s.allChannels, s.channels = true, nil
	case lower == "resetchannels":
		s.allChannels, s.channels = false, nil
	case lower == "allcommands", lower == "+@all":
		s.every(true)
	case lower == "nocommands", lower == "-@all":
		s.every(false)
	case word[0] == '~':
		return s.addKeys(word, word[1:], everything)
	case word[0] == '%':
		return s.addSome(word)
	case word[0] == '&':
		return s.addChannels(word)
	case strings.HasPrefix(word, "+@"), strings.HasPrefix(word, "-@"):
		return s.category(word)
	case word[0] == '+' && strings.Contains(word, "|"):
		return s.allowPart(word)
	case word[0] == '+', word[0] == '-':
		return s.command(word)
	default:
		return fmt.Errorf("%q is no rule (+command, -command, +@category, ~keys, &channels, ...)", word)
	}
	return nil
}

// every is about all commands.
func (s *selector) every(allow bool) {
	for i := range s.commands {
		s.commands[i] = 0
		if allow {
			s.commands[i] = ^uint64(0)
		}
	}
	s.first = nil
	if s.words = nil; allow {
		s.words = []string{"+@all"}
	}
}

// set is about a command, with all its subcommands.
func (s *selector) set(c *command.Command, allow bool) {
	bit := uint64(1) << (c.ID % 64)
	if s.commands[c.ID/64] &^= bit; allow {
		s.commands[c.ID/64] |= bit
	}
	delete(s.first, c.ID)
	for _, sub := range c.Subs {
		s.set(sub, allow)
	}
}

func (s *selector) category(word string) error {
	cat, known := command.ParseCategory(strings.ToLower(word[2:]))
	if !known {
		return fmt.Errorf("%q: there is no such category (ACL CAT lists them)", word)
	}
	for _, c := range command.All() {
		if c.Cats&cat != 0 {
			s.set(c, word[0] == '+')
		}
	}
	s.words = append(s.words, strings.ToLower(word))
	return nil
}

func (s *selector) command(word string) error {
	c := command.Named(strings.ToLower(word[1:]))
	if c == nil {
		return fmt.Errorf("%q: there is no such command", word)
	}
	s.set(c, word[0] == '+')
	s.words = append(s.words, strings.ToLower(word))
	return nil
}

// allowPart is +command|subcommand, or +command|first-argument of a command without subcommands.
func (s *selector) allowPart(word string) error {
	name, part, _ := strings.Cut(strings.ToLower(word[1:]), "|")
	switch c := command.Named(name); {
	case c == nil:
		return fmt.Errorf("%q: there is no such command", word)
	case part == "" || strings.Contains(part, "|"):
		return fmt.Errorf("%q: what stands behind the | is neither a subcommand nor an argument", word)
	case len(c.Subs) > 0:
		return s.command(word)
	default:
		if s.first == nil {
			s.first = make(map[int][]string)
		}
		s.first[c.ID] = append(s.first[c.ID], part)
		s.words = append(s.words, strings.ToLower(word))
		return nil
	}
}

// addSome is %R~pattern and its like.
func (s *selector) addSome(word string) error {
	flags, pattern, found := strings.Cut(word[1:], "~")
	var may command.Need
	for _, c := range strings.ToUpper(flags) {
		var one command.Need
		switch c {
		case 'R':
			one = command.NeedsRead
		case 'W':
			one = command.NeedsWrite
		}
		if one == 0 || may&one != 0 {
			found = false
		}
		may |= one
	}
	if !found || may == 0 {
		return fmt.Errorf("%q is no rule (%%R~keys, %%W~keys, %%RW~keys)", word)
	}
	return s.addKeys(word, pattern, may)
}

func (s *selector) addKeys(word, pattern string, may command.Need) error {
	switch {
	case s.allKeys:
		return fmt.Errorf(`%q comes after all keys were allowed, so it says nothing ("resetkeys" begins anew)`, word)
	case strings.IndexByte(pattern, 0) >= 0:
		return fmt.Errorf("%q has a zero byte in it", word)
	}
	for i := range s.keys {
		if string(s.keys[i].pattern) == pattern {
			s.keys[i].may |= may
			return nil
		}
	}
	s.keys = append(s.keys, keyPattern{[]byte(pattern), may})
	return nil
}

func (s *selector) addChannels(word string) error {
	switch {
	case s.allChannels:
		return fmt.Errorf(`%q comes after all channels were allowed, so it says nothing ("resetchannels" begins anew)`, word)
	case strings.IndexByte(word, 0) >= 0:
		return fmt.Errorf("%q has a zero byte in it", word)
	}
	for _, p := range s.channels {
		if string(p) == word[1:] {
			return nil
		}
	}
	s.channels = append(s.channels, []byte(word[1:]))
	return nil
}
