package command

// Class is the kind of work that a command is, as far as quotas, usage and bills
// tell kinds apart.
type Class uint8

const (
	ClassOther  Class = iota // connections, transactions, the server
	ClassRead                // reads keys
	ClassWrite               // writes keys
	ClassScript              // runs scripts and functions
	ClassPubSub              // publishes and subscribes
	Classes                  // how many there are
)

var classNames = [Classes]string{"other", "read", "write", "script", "pubsub"}

// String is the class's name in configuration, metrics and bills.
func (c Class) String() string { return classNames[c] }

// ClassNamed is the class of that name.
func ClassNamed(name string) (c Class, ok bool) {
	for i, n := range classNames {
		if n == name {
			return Class(i), true
		}
	}
	return 0, false
}

// classOf tells it from what the row says already.
func classOf(c *Command) Class {
	switch {
	case c.Cats&CatScripting != 0:
		return ClassScript
	case c.Has(PubSub) || c.Channels:
		return ClassPubSub
	case c.Has(Write):
		return ClassWrite
	case c.Has(ReadOnly):
		return ClassRead
	}
	return ClassOther
}
