package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// Many clients change a few keys through two proxies at once, in every way that looks inside of
// a value, while others see to it that the values are stored sealed. What was
// acknowledged has to be there exactly once, what was not at most once.

// valueModel is what the clients were told in one round, whose keys are its own.
type valueModel struct {
	mu     sync.Mutex
	round  int
	tokens map[string]*modelToken // what was appended, by token
	counts map[string]*modelCount
	last   map[string]*modelPlace
	drains []string // texts that a SET ... GET has taken away
}

// modelToken is what is known of one change.
type modelToken struct {
	key   string
	known bool // acknowledged
}

// modelCount is how often a counter was raised.
type modelCount struct{ known, unknown int }

// modelPlace is what a place that one client writes to may hold.
type modelPlace struct {
	known string
	maybe []string // written later, with an unknown outcome
}

func newValueModel(round int) *valueModel {
	return &valueModel{round: round, tokens: make(map[string]*modelToken), counts: make(map[string]*modelCount), last: make(map[string]*modelPlace)}
}

func (m *valueModel) key(name string) string { return fmt.Sprintf("%s:%d", name, m.round) }

// outcome is what became of a command.
type outcome int

const (
	done outcome = iota
	refused
	unclear
)

func (m *valueModel) token(key, token string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o != refused {
		m.tokens[token] = &modelToken{key, o == done}
	}
}

func (m *valueModel) count(key string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[key] == nil {
		m.counts[key] = new(modelCount)
	}
	switch o {
	case done:
		m.counts[key].known++
	case unclear:
		m.counts[key].unknown++
	}
}

func (m *valueModel) wrote(place, value string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.last[place]
	if l == nil {
		l = new(modelPlace)
		m.last[place] = l
	}
	switch o {
	case done:
		l.known, l.maybe = value, nil
	case unclear:
		l.maybe = append(l.maybe, value)
	}
}

// modelSeed is what texts begin with: long enough to be sealed, and without what tokens are
// made of.
var modelSeed = strings.Repeat("all work and no play makes a value long; ", 50)

// modelClient is a client that comes back to whichever proxy is there.
type modelClient struct {
	t     *testing.T
	w     *modelWorld
	id    int
	via   int
	conn  *harness.Conn
	m     *valueModel
	rnd   *rand.Rand
	seq   int
	away  int  // how often it was refused or knows nothing
	drain bool // it may take texts away
}

// modelWorld is what the clients share.
type modelWorld struct {
	mu      sync.Mutex
	proxies []*harness.Proxy
	calm    bool // nothing fails, so that every command must be acknowledged
	tally   map[outcome]int
}

func (w *modelWorld) proxy(i int) *harness.Proxy {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.proxies[i]
}

// connect waits until the client is logged in.
func (c *modelClient) connect() bool {
	for end := time.Now().Add(15 * time.Second); c.conn == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Errorf("client %d found no proxy", c.id)
			return false
		}
		conn, err := harness.Dial(c.w.proxy(c.via).Addr)
		if err != nil {
			continue
		}
		if reply, err := conn.Do("AUTH", harness.Acme.ID, harness.Acme.Secret); err != nil || reply != "+OK\r\n" {
			conn.Close()
			continue
		}
		c.conn = conn
	}
	return true
}

// do sends commands at once and returns the last reply, and what it means.
func (c *modelClient) do(commands ...[]string) (string, outcome) {
	if !c.connect() {
		return "", refused
	}
	var out []byte
	for _, words := range commands {
		out = append(out, harness.Request(words...)...)
	}
	reply, o := "", unclear
	_, err := c.conn.Write(out)
	for range commands {
		if err == nil {
			reply, err = c.conn.Reply()
		}
	}
	switch {
	case err != nil:
		c.conn.Close()
		c.conn = nil
	case strings.HasPrefix(reply, "-UNKNOWN "):
	case strings.HasPrefix(reply, unavailable), strings.HasPrefix(reply, "-EXECABORT"), reply == "*-1\r\n":
		o = refused
	case strings.HasPrefix(reply, "-LOADING"):
		o = refused
	case reply[0] == '-':
		c.t.Errorf("%.60q: %.200q", commands, reply)
		o = refused
	default:
		o = done
	}
	if o != done && reply != "*-1\r\n" {
		c.away++
	}
	c.w.mu.Lock()
	c.w.tally[o]++
	c.w.mu.Unlock()
	if o != done && c.w.calm && reply != "*-1\r\n" {
		c.t.Errorf("%.60q: %.200q, %v", commands, reply, err)
	}
	return reply, o
}

// transaction runs commands in one. That it has begun is certain before they are sent: what
// is refused while the upstream is away is not the commands behind it.
func (c *modelClient) transaction(commands ...[]string) (string, outcome) {
	if reply, o := c.do(one("MULTI")); o != done {
		return reply, refused
	}
	return c.do(append(commands, one("EXEC"))...)
}

// settle waits until commands are not refused any more.
func (c *modelClient) settle() {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, o := c.do(one("EXISTS", "settled")); o == done {
			return
		}
	}
	c.t.Errorf("client %d is refused for ever", c.id)
}

func one(words ...string) []string { return words }

const appendScript = "return redis.call('APPEND',KEYS[1],ARGV[1])"

// hopScript appends to whichever of two keys there is.
const hopScript = "for i=1,2 do if redis.call('EXISTS',KEYS[i])==1 then return redis.call('APPEND',KEYS[i],ARGV[1]) end end return 0"

// step is one change at random.
func (c *modelClient) step() {
	m := c.m
	c.seq++
	token := fmt.Sprintf("<%d-%d-%d>", c.id, m.round, c.seq)
	text := m.key(fmt.Sprintf("text%d", c.rnd.IntN(2)))
	bits, hash := m.key("bits"), m.key("hash")
	switch n := c.rnd.IntN(16); n {
	case 0, 1:
		_, o := c.do(one("APPEND", text, token))
		m.token(text, token, o)
	case 2:
		_, o := c.do(one("EVAL", appendScript, "1", text, token))
		m.token(text, token, o)
	case 3:
		reply, o := c.transaction(one("APPEND", text, token), one("INCR", m.key("n")))
		if o == done && !strings.HasPrefix(reply, "*2\r\n:") {
			c.t.Errorf("EXEC: %.200q", reply)
		}
		m.token(text, token, o)
		m.count(m.key("n"), o)
	case 4:
		c.update(text, token)
	case 5:
		c.update(text, "") // seals it again
	case 6:
		_, o := c.do(one("INCR", m.key("n")))
		m.count(m.key("n"), o)
	case 7:
		_, o := c.do(one("INCRBYFLOAT", m.key("f"), "0.5"))
		m.count(m.key("f"), o)
	case 8:
		_, o := c.do(one("HINCRBY", hash, "n", "1"))
		m.count(hash, o)
	case 9:
		field := fmt.Sprintf("c%d", c.id)
		_, o := c.do(one("HSET", hash, field, modelSeed+token))
		m.wrote(hash+" "+field, modelSeed+token, o)
	case 10:
		at, word := fmt.Sprint(4096+16*c.id), fmt.Sprintf("%016d", c.seq)
		_, o := c.do(one("SETRANGE", bits, at, word))
		m.wrote(bits+" "+at, word, o)
	case 11:
		slot := fmt.Sprintf("%d", 8*(8192+4*c.id))
		_, o := c.do(one("BITFIELD", bits, "INCRBY", "u32", slot, "1"))
		m.count(bits+" "+slot, o)
	case 12:
		bit, word := fmt.Sprint(8*(12288+c.id)+7), fmt.Sprint(c.seq%2)
		_, o := c.do(one("SETBIT", bits, bit, word))
		m.wrote(bits+" bit "+fmt.Sprint(12288+c.id), word, o)
	case 13:
		c.update(bits, "")
	case 14:
		reply, o := c.do(one("EVAL", hopScript, "2", m.key("hop"), m.key("hup"), token))
		if o == done && reply == ":0\r\n" {
			c.t.Errorf("neither name was there")
		}
		m.token(m.key("hop"), token, o)
	case 15:
		if !c.drain {
			c.hop()
			return
		}
		words := one("SET", text, modelSeed, "GET")
		if c.seq%2 == 0 {
			words = one("GETSET", text, modelSeed)
		}
		reply, o := c.do(words)
		if o == done {
			m.mu.Lock()
			m.drains = append(m.drains, diffParse(reply).text)
			m.mu.Unlock()
		}
	}
}

// update appends a token by WATCH, GET and SET; without a token it writes what is there.
func (c *modelClient) update(key, token string) {
	for range 20 {
		reply, o := c.do(one("WATCH", key), one("GET", key))
		if o != done {
			return
		}
		text := diffParse(reply)
		if text.null || !strings.HasPrefix(text.text, modelSeed) {
			c.t.Errorf("GET %s: %.200q", key, reply)
			return
		}
		reply, o = c.transaction(one("SET", key, text.text+token))
		if reply == "*-1\r\n" {
			continue // somebody was faster
		}
		if token != "" {
			c.m.token(key, token, o)
		}
		return
	}
}

// hop renames a key and back again. Only the first client does so.
func (c *modelClient) hop() {
	if c.id != 0 {
		return
	}
	from, to := c.m.key("hop"), c.m.key("hup")
	for range 2 {
		reply, o := c.do(one("EXISTS", from))
		if o != done {
			return
		}
		if reply == ":0\r\n" {
			from, to = to, from
		}
		if reply, o = c.do(one("GET", from)); o == done && !strings.HasPrefix(diffParse(reply).text, modelSeed) {
			c.t.Errorf("GET %s: %.200q", from, reply)
		}
		if _, o = c.do(one("RENAME", from, to)); o != done {
			return
		}
		if reply, o = c.do(one("COPY", to, c.m.key("copy"), "REPLACE")); o == done && reply != ":1\r\n" {
			c.t.Errorf("COPY: %.200q", reply)
		}
		from, to = to, from
	}
}

// seed stores what a round begins with.
func (c *modelClient) seed() {
	for _, name := range []string{"text0", "text1", "hop", "bits"} {
		harness.Eventually(c.t, "it is stored", func() bool {
			_, o := c.do(one("SET", c.m.key(name), modelSeed))
			return o == done
		})
	}
}

// modelVariants are the ways in which values are stored.
var modelVariants = []struct{ name, yaml string }{
	{"compressed", "    compression: {algorithm: zstd, min_size: 1, dictionaries: {enabled: false}}\n"},
	{"encrypted", "    compression: {algorithm: lz4, min_size: 1}\n    encryption: {algorithm: aes-256-gcm, key: test}\n"},
}

func modelProxy(t *testing.T, r *harness.Process, yaml string) *harness.Proxy {
	tenant := harness.Acme
	tenant.YAML = yaml
	return harness.StartProxy(t, r.Addr, harness.Options{
		Tenants: []harness.Tenant{tenant},
		Top:     "encryption_keys:\n  test: {env: RIPTIDE_MODEL_KEY}\nloops: 2\n",
		Env:     []string{"RIPTIDE_MODEL_KEY=" + config.HashSecret("a key of the model's")},
	})
}

// runModel runs rounds of clients until the time is over. between is called in the middle of
// each round.
func runModel(t *testing.T, w *modelWorld, rounds int, between func(round int)) {
	const clients, steps = 10, 30
	for _, p := range w.proxies {
		p.Ready(t)
	}
	all := make([]*modelClient, clients)
	for i := range all {
		all[i] = &modelClient{t: t, w: w, id: i, via: i % len(w.proxies), rnd: rand.New(rand.NewPCG(4, uint64(i))), drain: w.calm && i%3 == 2}
	}
	w.tally = make(map[outcome]int)
	for round := 0; round < rounds && !t.Failed(); round++ {
		m := newValueModel(round)
		for _, c := range all {
			c.m = m
		}
		all[0].seed()
		var wg sync.WaitGroup
		for _, c := range all {
			wg.Go(func() {
				for range steps {
					before := c.away
					if c.step(); c.away != before {
						c.settle()
					}
				}
			})
		}
		if between != nil {
			between(round)
		}
		wg.Wait()
		for _, c := range all[:2] {
			c.check()
		}
	}
	t.Logf("%d acknowledged, %d refused, %d unknown", w.tally[done], w.tally[refused], w.tally[unclear])
}

// modelRounds is for how many rounds a test goes on.
func modelRounds(n int) int {
	if os.Getenv("RIPTIDE_TEST_FULL") != "" {
		return 20 * n
	}
	return n
}

func TestValuesModel(t *testing.T) {
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			r := harness.StartRedis(t)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}, calm: true}
			runModel(t, w, modelRounds(8), nil)
		})
	}
}

// A proxy that dies in the middle of what it does takes nothing with it.
func TestValuesModelProxyKilled(t *testing.T) {
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			r := harness.StartRedis(t)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}}
			runModel(t, w, modelRounds(3), func(round int) {
				w.busy(t)
				w.proxy(0).Kill()
				p := modelProxy(t, r, v.yaml)
				w.mu.Lock()
				w.proxies[0] = p
				w.mu.Unlock()
			})
		})
	}
}

// An upstream that dies and comes back has all that was acknowledged.
func TestValuesModelUpstreamKilled(t *testing.T) {
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			port, keep := harness.FreePort(t), []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir()}
			r := harness.StartRedisOn(t, port, keep...)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}}
			runModel(t, w, modelRounds(3), func(round int) {
				w.busy(t)
				r.Kill()
				r = harness.StartRedisOn(t, port, keep...)
			})
		})
	}
}

// busy waits until the clients are in the middle of it.
func (w *modelWorld) busy(t *testing.T) {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.tally[done]
	}
	want := count() + 100
	harness.Eventually(t, "the clients are busy", func() bool { return count() >= want })
}
