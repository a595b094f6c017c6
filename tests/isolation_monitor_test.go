package tests

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// monitor collects everything that reaches the upstream.
type monitor struct {
	conn  *harness.Conn
	calls map[string]int
	order [][]string
	done  chan error
}

const monitorEnd = "end-of-the-monitored-time"

func (w *world) monitor(t *testing.T) *monitor {
	t.Helper()
	c, err := harness.Dial(w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := c.Do("MONITOR"); err != nil || reply != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", reply, err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	m := &monitor{conn: c, calls: make(map[string]int), done: make(chan error, 1)}
	go func() {
		defer c.Close()
		lines := bufio.NewReaderSize(c.R, 1<<20)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				m.done <- err
				return
			}
			args, err := parseMonitor(line)
			if err != nil {
				m.done <- err
				return
			}
			if len(args) == 2 && args[1] == monitorEnd {
				m.done <- nil
				return
			}
			if key := strings.Join(args, "\xff\xfe\xfd"); m.calls[key] == 0 {
				m.calls[key] = 1
				m.order = append(m.order, args)
			}
		}
	}()
	return m
}

// parseMonitor reads a line such as +1700000000.1 [0 127.0.0.1:1] "get" "k".
func parseMonitor(line string) (args []string, err error) {
	_, rest, ok := strings.Cut(line, "] ")
	if !ok {
		return nil, fmt.Errorf("MONITOR says %q", line)
	}
	rest = strings.TrimRight(rest, "\r\n")
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("MONITOR says %q: %w", rest, err)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	return args, nil
}

// keyless are the commands without a key that may reach the upstream, for the
// proxy's own sake or since they tell nothing about anybody.
var keyless = words("ping info command hello auth client time lolwut multi exec discard unwatch reset wait script acl echo function")

// channels are the commands whose arguments are channels, with the first one.
var channels = map[string]int{
	"publish": 1, "spublish": 1, "subscribe": 1, "psubscribe": 1, "ssubscribe": 1,
	"unsubscribe": 1, "punsubscribe": 1, "sunsubscribe": 1, "pubsub": 2,
}

func words(s string) map[string]bool {
	set := make(map[string]bool)
	for _, word := range strings.Fields(s) {
		set[word] = true
	}
	return set
}

// check asks the server itself which arguments of all those commands are keys.
func (m *monitor) check(t *testing.T, w *world, prefix string) {
	t.Helper()
	w.must(t, "ECHO", monitorEnd)
	if err := <-m.done; err != nil {
		t.Fatal(err)
	}
	const batch = 200
	reached, complaints := 0, 0
	for from := 0; from < len(m.order); from += batch {
		calls := m.order[from:min(from+batch, len(m.order))]
		var out []byte
		for _, args := range calls {
			out = append(out, harness.Request(append([]string{"COMMAND", "GETKEYS"}, args...)...)...)
		}
		if _, err := w.control.Write(out); err != nil {
			t.Fatal(err)
		}
		for _, args := range calls {
			reply, err := w.control.Reply()
			if err != nil {
				t.Fatal(err)
			}
			if reply[0] == '*' {
				reached++
			}
			if complaint := stray(t, args, reply, prefix); complaint != "" {
				if complaints++; complaints < 20 {
					t.Errorf("%.300q reached the upstream: %s", args, complaint)
				}
			}
		}
	}
	t.Logf("%d different commands reached the upstream, %d of them with keys", len(m.order), reached)
	if reached < 1000 {
		t.Errorf("only %d commands with keys reached the upstream: this is no test", reached)
	}
}

// stray says what is wrong with a command that reached the upstream. keys is
// what COMMAND GETKEYS says of it.
func stray(t *testing.T, args []string, keys, prefix string) string {
	name := strings.ToLower(args[0])
	switch {
	case name == "scan":
		return strayScan(args, prefix)
	case channels[name] > 0:
		return strayChannel(args[channels[name]:], name, args[1], prefix)
	case keys[0] == '*':
		if (strings.HasPrefix(name, "georadius") || strings.HasPrefix(name, "xread")) && badCount(args) {
			return "" // which GETKEYS does not notice, and the command refuses
		}
		if name == "xreadgroup" && secondGroup(args) {
			return "" // GETKEYS looks for the word STREAMS, which the command takes for a name
		}
		for _, key := range bulks(t, keys) {
			if strings.HasPrefix(key, "t::") || harness.Accounts(key) {
				continue // the proxy's own; no tenant has an empty name
			}
			if !strings.HasPrefix(key, prefix) {
				return fmt.Sprintf("the key %q", key)
			}
		}
		if name == "sort" || name == "sort_ro" {
			return straySort(args, prefix)
		}
		return ""
	case strings.HasPrefix(keys, "-ERR Invalid"):
		return "" // the server refuses the command as well, for its arguments
	case keyless[name] || name == "function" && strings.EqualFold(args[1], "LIST") || len(args) == 2 && strings.EqualFold(args[1], "HELP"):
		return ""
	}
	return fmt.Sprintf("it has no keys (%q)", keys)
}

// secondGroup reports whether the first word STREAMS behind XREADGROUP GROUP group consumer is the group or the consumer of
// another GROUP.
func secondGroup(args []string) bool {
	for i := 4; i < len(args); i++ {
		if strings.EqualFold(args[i], "STREAMS") {
			return strings.EqualFold(args[i-1], "GROUP") || i >= 6 && strings.EqualFold(args[i-2], "GROUP")
		}
	}
	return false
}

// strayScan reads the options of SCAN as the servers do, up to a zero byte. What
// they refuse does no harm.
func strayScan(args []string, prefix string) string {
	fenced := false
	for i := 2; i < len(args); i += 2 {
		option, _, _ := strings.Cut(strings.ToUpper(args[i]), "\x00")
		switch {
		case i+1 == len(args):
			return ""
		case option == "COUNT":
			if n, err := strconv.ParseInt(args[i+1], 10, 64); err != nil || n < 1 {
				return ""
			}
		case option == "MATCH":
			fenced = strings.HasPrefix(args[i+1], prefix)
		case option != "TYPE":
			return ""
		}
	}
	if !fenced {
		return "SCAN over everybody's keys"
	}
	return ""
}

func strayChannel(channels []string, name, sub, prefix string) string {
	switch {
	case name == "publish" || name == "spublish":
		channels = channels[:1]
	case name == "pubsub" && len(channels) > 1 && strings.HasSuffix(strings.ToLower(sub), "channels"):
		return "" // it takes one at most, or is refused
	}
	for _, channel := range channels {
		if strings.HasPrefix(channel, "t::") {
			continue // the proxy's own
		}
		if name == "publish" && channel == "riptide:wait" {
			continue // a message to nobody, which WAIT can wait for
		}
		if strings.HasSuffix(name, "subscribe") && (strings.HasPrefix(channel, "__keyspace@0__:"+prefix) || strings.HasPrefix(channel, "__keyevent@0__:")) {
			continue // the events of keys, of which the proxy passes on the tenant's
		}
		if !strings.HasPrefix(channel, prefix) {
			return fmt.Sprintf("the channel %q", channel)
		}
	}
	return ""
}

// badCount reports whether what follows COUNT or BLOCK is no number.
func badCount(args []string) bool {
	for i, arg := range args[:len(args)-1] {
		if strings.EqualFold(arg, "COUNT") || strings.EqualFold(arg, "BLOCK") {
			if _, err := strconv.Atoi(args[i+1]); err != nil {
				return true
			}
		}
	}
	return false
}

// straySort looks at the patterns of SORT, which COMMAND GETKEYS does not know.
// It reads the options as the servers do, up to a zero byte.
func straySort(args []string, prefix string) string {
	for i := 2; i < len(args); i++ {
		option, _, _ := strings.Cut(strings.ToUpper(args[i]), "\x00")
		switch left := len(args) - i - 1; {
		case option == "ASC", option == "DESC", option == "ALPHA":
		case option == "LIMIT" && left >= 2:
			i += 2
		case (option == "BY" || option == "GET" || option == "STORE") && left >= 1:
			i++
			if !strings.HasPrefix(args[i], prefix) && args[i] != "#" {
				return fmt.Sprintf("the pattern %q", args[i])
			}
		default:
			return "" // a syntax error
		}
	}
	return ""
}
