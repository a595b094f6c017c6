package tests

import (
	"strings"

	"riptide-proxy/command"
)

// examples are calls that the servers accept, one or more for every command
// that takes options or more than one name, so that a hostile word meets a
// parser that is well under way. The names have the types that ownKeys gives
// them. Commands that are not here are called with as many plain arguments as
// they ask for.
const examples = `
append k x | bitcount k 0 -1 BYTE | bitfield b GET u4 0 INCRBY u8 0 1 | bitfield_ro b GET u4 0 | bitop AND out b k
bitop NOT out b | bitpos b 1 0 -1 BIT | copy k out | copy k out DB 1 REPLACE | copy k out REPLACE DB 1 | del k l
dump k | exists k l nokey | expire k 100 NX | expireat k 9999999999 | geoadd g NX 1 1 m | geodist g m1 m2 km
geohash g m1 m2 | geopos g m1 m2 | georadius g 1 1 5000 km WITHDIST COUNT 3 ANY ASC STORE out
georadius g 1 1 5000 km STOREDIST out | georadius_ro g 1 1 5000 km WITHCOORD DESC
georadiusbymember g m1 5000 km STORE out STOREDIST out2 | georadiusbymember_ro g m1 5000 km COUNT 2
geosearch g FROMMEMBER m1 BYRADIUS 5000 km ASC | geosearchstore out g FROMLONLAT 1 1 BYBOX 1 1 km STOREDIST
getex k EX 100 | getset k v | getrange k 0 -1 | hset h f v f2 v2 | hmget h f f2 | hincrby h n 1 | hrandfield h 2 WITHVALUES
hscan h 0 MATCH * COUNT 5 | incrby n 2 | incrbyfloat n 1.5 | keys * | lcs k k2 LEN | lcs k k2 IDX MINMATCHLEN 1 WITHMATCHLEN
linsert l BEFORE 1 0 | lmove l l2 LEFT RIGHT | lmpop 2 l l2 LEFT COUNT 2 | lpop l 1 | lpos l 1 RANK 1 COUNT 0 MAXLEN 9
lpush l a b | lrange l 0 -1 | lset l 0 v | ltrim l 0 1 | memory|usage k SAMPLES 5 | mget k k2 nokey | move k 1
mset k v k2 v2 | msetnx new v new2 v2 | object|encoding k | object|freq k | object|idletime k | object|refcount k
pfadd p a b | pfcount p p2 | pfmerge out p p2 | psetex k 100000 v | randomkey | rename k out | renamenx k out
restore out 0 junk REPLACE | rpoplpush l l2 | scan 0 MATCH * COUNT 100 TYPE string | scan 0 COUNT 1000 | sdiff s s2
sdiffstore out s s2 | set k v EX 100 NX GET | set k v KEEPTTL XX | setbit b 1 1 | setex k 100 v | setrange k 1 v
sinter s s2 | sintercard 2 s s2 LIMIT 1 | sinterstore out s s2 | smismember s 1 2 | smove s s2 1
sort l BY w_* LIMIT 0 10 GET d_* GET # GET h->f ASC ALPHA STORE out | sort l BY nosort | sort s BY h->* DESC ALPHA
sort_ro l BY w_* GET d_* | spop s 1 | srandmember s 2 | sscan s 0 MATCH * | sunion s s2 | sunionstore out s s2 | touch k l
unlink k l | xack x grp 1-1 | xadd x NOMKSTREAM MAXLEN ~ 10 LIMIT 5 * f v | xadd x MINID = 0 5-5 f v
xautoclaim x grp c 0 0 COUNT 2 JUSTID | xclaim x grp c 0 1-1 IDLE 1 FORCE JUSTID | xdel x 1-1 | xgroup|create x grp2 $ MKSTREAM
xgroup|createconsumer x grp c2 | xgroup|delconsumer x grp c | xgroup|destroy x nogroup | xgroup|setid x grp 0
xinfo|consumers x grp | xinfo|consumers x nogroup | xinfo|groups x | xinfo|stream x FULL COUNT 2 | xlen x
xpending x grp IDLE 0 - + 5 c | xpending x nogroup | xrange x - + COUNT 5 | xread COUNT 5 STREAMS x y 0 0
xread BLOCK 10 STREAMS x $ | xreadgroup GROUP grp c COUNT 2 NOACK STREAMS x y > > | xreadgroup GROUP nogroup c STREAMS x >
xrevrange x + - COUNT 2 | xsetid x 9-9 ENTRIESADDED 5 MAXDELETEDID 0-0 | xtrim x MAXLEN = 5
zadd z NX CH 1 a | zadd z GT INCR 1 a | zdiff 2 z z2 WITHSCORES | zdiffstore out 2 z z2 | zinter 2 z z2 WEIGHTS 1 2 AGGREGATE MAX
zintercard 2 z z2 LIMIT 1 | zinterstore out 2 z z2 WEIGHTS 1 2 AGGREGATE SUM | zmpop 2 z z2 MIN COUNT 2
zrandmember z 2 WITHSCORES | zrange z ( 5 BYSCORE LIMIT 0 1 WITHSCORES | zrangestore out z 0 -1 REV | zrevrangebyscore z 9 0 LIMIT 0 2
zscan z 0 MATCH * | zunion 2 z z2 WITHSCORES | zunionstore out 2 z z2 WEIGHTS 1 2 AGGREGATE MIN | zpopmin z 1
blmove l l2 LEFT RIGHT 0.01 | blmpop 0.01 2 nol nol2 LEFT | blpop nol nol2 0.01 | brpop nol 0.01 | brpoplpush nol l2 0.01
bzmpop 0.01 2 noz noz2 MIN | bzpopmin noz 0.01 | bzpopmax noz 0.01 | eval return(redis.call('get',KEYS[1])) 1 k arg
eval_ro return(redis.call('get',ARGV[1])) 0 k | evalsha ffffffffffffffffffffffffffffffffffffffff 1 k | fcall f 1 k a
script|load return(1) | script|exists ffffffffffffffffffffffffffffffffffffffff | function|list LIBRARYNAME *
subscribe c c2 | psubscribe c* | ssubscribe c | publish c m | spublish c m | pubsub|channels * | pubsub|numsub c
pubsub|shardchannels * | watch k l | client|kill ID 1 | client|kill 127.0.0.1:1 | client|list TYPE normal | client|list ID 1
client|tracking ON PREFIX k BCAST | client|setname me | client|setinfo LIB-NAME x | client|reply ON | client|pause 1 WRITE
command|getkeys get k | command|getkeysandflags set k v | command|info get set | command|docs get | command|list FILTERBY PATTERN *
config|get * | config|set maxmemory 1 | migrate 127.0.0.1 1 k 0 10 COPY REPLACE KEYS k | migrate 127.0.0.1 1 k 0 10
debug object k | swapdb 0 1 | flushdb ASYNC | flushall SYNC | select 1 | wait 0 1 | info keyspace | hello 3 AUTH acme wrong
auth globex wrong | auth wrong | slowlog|get 5 | acl|setuser x on | acl|dryrun default get k | latency|histogram get
cluster|keyslot k | cluster|getkeysinslot 0 5 | cluster|countkeysinslot 0 | failover TO 127.0.0.1 1 | replicaof no one
shutdown NOSAVE | lolwut VERSION 5 1 1 1 | object|help | module|load x | role | time | echo hi | ping hi`

// bases are the well-formed calls of a row, each with the command's name.
func bases(c *command.Command) (calls [][]string) {
	for _, call := range exampleCalls[c.Name] {
		calls = append(calls, append(strings.Split(c.Name, "|"), call...))
	}
	if calls != nil {
		return calls
	}
	call := strings.Split(c.Name, "|")
	plain := []string{"k", "1", "2", "3", "4", "5", "6", "7"}
	for _, words := range plainKeys {
		if c.Cats&words.cats != 0 {
			plain[0] = words.key
		}
	}
	want := c.Arity
	if want < 0 {
		want = -want + 1
	}
	for i := 0; len(call) < want && i < len(plain); i++ {
		call = append(call, plain[i])
	}
	return [][]string{call}
}

// plainKeys are the keys of the attacker that commands of a category work on.
var plainKeys = []struct {
	cats command.Category
	key  string
}{
	{command.CatList, "l"}, {command.CatSet, "s"}, {command.CatSortedSet, "z"}, {command.CatHash, "h"},
	{command.CatStream, "x"}, {command.CatGeo, "g"}, {command.CatHyperLogLog, "p"}, {command.CatBitmap, "b"},
}

// exampleCalls are the examples' arguments by the name of the row.
var exampleCalls = func() map[string][][]string {
	calls := make(map[string][][]string)
	for line := range strings.Lines(examples) {
		for call := range strings.SplitSeq(line, " | ") {
			words := strings.Fields(call)
			if len(words) > 0 {
				calls[words[0]] = append(calls[words[0]], words[1:])
			}
		}
	}
	return calls
}()
