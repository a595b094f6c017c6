package command

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	prefix = "t:acme:0:"
	rounds = 14
	calls  = 1500 // per round
)

// vocabulary is what hostile calls are made of: names, which are also the names of other people's keys, options, also
// of other commands, and numbers that are none.
var vocabulary = strings.Fields(`
	a b c d e f g h STORE STREAMS KEYS BY GET streams store storedist GROUP ASC a* #* * a*->a # nosort
	BLOCK COUNT NOACK LIMIT WEIGHTS AGGREGATE SUM LEFT RIGHT MIN MAX WITHSCORES NX XX ALPHA DESC ANY WITHDIST CLAIM
	STORE\0 STREAMS\0 GET\0 BY\0 LIMIT\0 \0 ~ km m FIELDS FROMMEMBER BYRADIUS REPLACE ABSTTL IDLETIME MATCH
	0 1 2 3 -1 4 10 01 +1 1.0 1x 1\0 9223372036854775807 18446744073709551617 -9223372036854775808 > $ 0-0 - +`)

func init() {
	for i, word := range vocabulary {
		vocabulary[i] = strings.ReplaceAll(strings.ReplaceAll(word, "~", ""), `\0`, "\x00")
	}
}

// unpredictable lists what gives a different answer each time, or depends on the time that passes between two calls.
var unpredictable = strings.Fields(`
	expire pexpire expireat pexpireat hexpire hpexpire hexpireat hpexpireat ttl pttl httl hpttl expiretime pexpiretime
	hexpiretime hpexpiretime setex psetex getex hgetex hsetex spop srandmember hrandfield zrandmember
	object|idletime object|freq memory|usage dump xadd xclaim xautoclaim xpending xinfo|consumers xinfo|stream restore`)

// TestNobodyElsesKeysMatter is the isolation test of the finders. It sends thousands of random and mutilated calls,
// prefixed as the finders say, to two databases: in one of them lie other people's keys, under the very names that
// occur in the calls; the other holds the tenant's keys alone. Both must give the same replies, other people's keys
// must not change, and no key may appear outside the prefix. A single argument that should have been prefixed and was
// not breaks one of the three.
func TestNobodyElsesKeysMatter(t *testing.T) {
	client := startServer(t)
	server := serverOf(t, client)
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(7, 11))
	var candidates []*Command
	for _, c := range All() {
		if c.Run == Shared && c.Handler == NoHandler && !c.Later && c.Shape.Kind != ShapeNone && c.KnownTo(server) &&
			!slices.Contains(unpredictable, c.Name) {
			candidates = append(candidates, c)
			if c.Shape.Kind == ShapeCustom { // where mistakes would be
				candidates = append(candidates, c, c, c, c, c, c, c, c, c)
			}
		}
	}
	crowded, alone := client.Conn(), client.Conn()
	defer crowded.Close()
	defer alone.Close()
	if err := alone.Select(ctx, 1).Err(); err != nil {
		t.Fatal(err)
	}
	reached := 0
	for round := range rounds {
		client.FlushAll(ctx)
		for _, conn := range []*redis.Conn{crowded, alone} {
			populate(t, conn, prefix, round)
		}
		populate(t, crowded, "", 3*round+1)
		for _, element := range []string{"a", "b", "c", "1"} { // what the patterns of SORT lead to
			crowded.Set(ctx, "a"+element, "secret", 0)
			crowded.Set(ctx, "#"+element, "secret", 0)
		}
		before := digests(t, crowded)

		var made []list
		for len(made) < calls {
			c := candidates[rnd.IntN(len(candidates))]
			call := mutilate(rnd, validCall(rnd, c, c.On(server).Arity), c, round)
			found, verdict := c.Prefixed(nil, call)
			if verdict&Blocks != 0 || hasExpiry(call) {
				continue
			}
			for _, i := range found {
				call[i] = prefix + call[i]
			}
			made = append(made, call)
		}
		first, second := send(crowded, made), send(alone, made)
		for i, call := range made {
			if first[i] != second[i] {
				t.Errorf("%q: other people's keys changed the reply from %q to %q", call, second[i], first[i])
			}
			if !strings.HasPrefix(first[i], "error") || strings.HasPrefix(first[i], "error WRONGTYPE") {
				reached++
			}
		}
		if after := digests(t, crowded); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("other people's keys were changed: %v, before: %v", after, before)
		}
		if stray := digests(t, alone); len(stray) > 0 {
			t.Errorf("keys outside the prefix: %v", stray)
		}
		if t.Failed() {
			return
		}
	}
	if reached < rounds*calls/3 {
		t.Errorf("only %d of %d calls reached the data", reached, rounds*calls)
	}
}

// hasExpiry reports whether a call sets an expiry by an option, after which the two databases may differ for a while.
func hasExpiry(call list) bool {
	for _, arg := range call {
		switch strings.ToUpper(arg) {
		case "EX", "PX", "EXAT", "PXAT":
			return true
		}
	}
	return false
}

// mutilate fills the names of a valid call with words of the vocabulary, mostly with names of keys of the right type,
// and then in half of the cases replaces, inserts and drops some arguments.
func mutilate(rnd *rand.Rand, call list, c *Command, offset int) list {
	word := func() string { return vocabulary[rnd.IntN(len(vocabulary))] }
	fixed := len(strings.Split(c.Name, "|"))
	for i := fixed; i < len(call); i++ {
		if strings.HasPrefix(call[i], "arg") {
			at := rnd.IntN(len(vocabulary))
			for rnd.IntN(10) > 0 && c.Cats&typeCategories[(at+offset)%len(typeCategories)] == 0 {
				at = rnd.IntN(len(vocabulary))
			}
			call[i] = vocabulary[at]
			if after := strings.ToUpper(call[i-1]); (after == "GET" || after == "BY") && rnd.IntN(2) == 0 {
				call[i] = []string{"a*", "#*"}[rnd.IntN(2)]
			}
		}
	}
	for range rnd.IntN(2) * rnd.IntN(4) {
		at := fixed + rnd.IntN(len(call)-fixed+1)
		switch rnd.IntN(4) {
		case 0:
			if at < len(call) {
				call[at] = word()
			}
		case 3: // what is an option to the servers, which stop reading at a zero byte
			if at < len(call) {
				call[at] += "\x00"
			}
		case 1:
			call = slices.Insert(call, at, word())
		case 2:
			if at < len(call) && len(call) > fixed+1 {
				call = slices.Delete(call, at, at+1)
			}
		}
	}
	return call
}

// typeCategories are the categories of the commands on the types that populate makes, in the same order.
var typeCategories = []Category{
	CatList, CatSet, CatSortedSet | CatGeo, CatStream, CatHash, CatString | CatBitmap | CatKeyspace,
}

// populate makes one key for each word of the vocabulary, of all types in turn.
func populate(t *testing.T, conn *redis.Conn, prefix string, offset int) {
	t.Helper()
	ctx := context.Background()
	pipe := conn.Pipeline()
	for i, word := range vocabulary {
		key, secret := prefix+word, fmt.Sprintf("of %q", prefix)
		switch (i + offset) % len(typeCategories) {
		case 0:
			pipe.RPush(ctx, key, "a", "b", "1", secret)
		case 1:
			pipe.SAdd(ctx, key, "a", "b", "c")
		case 2:
			pipe.GeoAdd(ctx, key, &redis.GeoLocation{Name: "a", Longitude: 1, Latitude: 2},
				&redis.GeoLocation{Name: secret, Longitude: 1, Latitude: 2})
		case 3:
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, ID: "1-1", Values: []string{"a", secret}})
			pipe.XGroupCreate(ctx, key, "g", "0")
			pipe.XGroupCreate(ctx, key, "STREAMS", "0")
		case 4:
			pipe.HSet(ctx, key, "a", secret)
		case 5:
			pipe.Set(ctx, key, fmt.Sprint(len(prefix)), 0)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

// digests returns what is in every key outside the prefix.
func digests(t *testing.T, conn *redis.Conn) map[string]string {
	t.Helper()
	ctx := context.Background()
	keys, err := conn.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			digest, err := conn.Do(ctx, "DEBUG", "DIGEST-VALUE", key).StringSlice()
			if err != nil {
				t.Fatal(err)
			}
			all[key] = digest[0]
		}
	}
	return all
}

// send makes the calls one after the other in one write, and returns the replies as text.
func send(conn *redis.Conn, calls []list) []string {
	ctx := context.Background()
	pipe := conn.Pipeline()
	answers := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		args := make([]any, len(call))
		for k, arg := range call {
			args[k] = arg
		}
		answers[i] = pipe.Do(ctx, args...)
	}
	pipe.Exec(ctx)
	replies := make([]string, len(calls))
	for i, answer := range answers {
		value, err := answer.Result()
		replies[i] = fmt.Sprintf("%q", value)
		if err != nil && err != redis.Nil {
			replies[i] = "error " + err.Error()
		}
	}
	return replies
}
