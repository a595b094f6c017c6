package tests

// The calls that the sessions are made of. Placeholders stand in statePools.
// Whatever they answer is the same on two servers that were told the same:
// nothing here has the order of a hash table, a clock or chance in it.

var stateData = []string{
	"SET $s $v", "SET $s $n", "SET $s $v GET", "GET $s", "GET $k", "INCR $s", "INCRBY $s $n", "APPEND $s $v", "STRLEN $s", "MSET $s $v $s $v",
	"MGET $s $s none", "GETDEL $s", "SETNX $s $v", "SET $s $v EX 1000", "DEL $k", "DEL $k $k", "UNLINK $k", "EXISTS $k $k", "TYPE $k",
	"EXPIRE $k 1000", "PERSIST $k", "RENAME $l $l", "RENAME $s $s", "RENAME $z $z", "RENAMENX $k $k", "COPY $l $l REPLACE", "COPY $k $k REPLACE", "DEL $k", "DEL $k $k $k", "MOVE $k 1", "TOUCH $k $k",
	"RPUSH $l $v", "LPUSH $l $v $v", "RPUSH $l a b c", "LRANGE $l 0 -1", "LPOP $l", "RPOP $l 2", "LLEN $l", "LMOVE $l $l LEFT RIGHT",
	"RPOPLPUSH $l $l", "LREM $l 1 $v", "LTRIM $l 0 1", "SORT $l ALPHA STORE $l", "LMPOP 2 $l $l LEFT", "LPUSHX $l $v",
	"ZADD $z $n $v", "ZADD $z 1 a 2 b 3 c", "ZRANGE $z 0 -1 WITHSCORES", "ZPOPMIN $z", "ZPOPMAX $z 2", "ZREM $z $v", "ZCARD $z",
	"ZMPOP 2 $z $z MAX", "ZUNIONSTORE $z 2 $z $z", "XADD $x $u f $v", "XADD $x $u f $v g $v", "XLEN $x", "XRANGE $x - +", "XTRIM $x MAXLEN 3",
	"XGROUP CREATE $x $g $ MKSTREAM", "XGROUP CREATE $x g 0", "XGROUP DESTROY $x $g", "XREAD COUNT 2 STREAMS $x $x 0 0",
	"XREADGROUP GROUP $g c1 COUNT 1 STREAMS $x >", "XACK $x g $u", "HSET $h f $v", "HGETALL $h", "HDEL $h f", "HINCRBY $h n $n",
	"SADD $t 1 2 3", "SMEMBERS $t", "SREM $t 2", "SINTERSTORE $t 2 $t $t", "DBSIZE", "ECHO $v", "PING", "GET", "SET $s", "NOSUCH $s $v",
	"INCR $l", "RPUSH $s $v", "LPOP $z", "OBJECT ENCODING $k", "GETEX $s PERSIST", "BITOP NOT $s $s",
	"SET own0 $v", "SET own1 $v", "SET own2 $v", "KEYS *", "FLUSHDB",
}

var stateReads = []string{"GET $s", "GET $s", "MGET $s $s", "LRANGE $l 0 -1", "HGETALL $h", "EXISTS $k", "TYPE $k", "ZCARD $z"}

var stateWatch = []string{"WATCH $s", "WATCH $k $k", "WATCH $s $l", "WATCH $k none", "UNWATCH"}

// stateQueued are calls for transactions, beside those on data. There is none
// for subscriptions: in RESP3 their confirmations are no elements of EXEC's
// reply, which then has fewer than it announces.
var stateQueued = []string{
	"MULTI", "WATCH $s", "UNWATCH", "GET", "SET $s", "NOSUCH a b", "INCR $l", "SELECT 1", "SELECT 0", "SELECT 99", "PUBLISH $c $v", "SPUBLISH $S $v",
	"BLPOP $l $l 0", "BRPOP $l 0", "BLMOVE $l $l LEFT RIGHT 0", "BRPOPLPUSH $l $l 0", "BLMPOP 0 2 $l $l LEFT", "BZPOPMIN $z $z 0",
	"BZMPOP 0 1 $z MIN", "XREAD BLOCK 0 STREAMS $x $x $ $", "XREADGROUP GROUP $g c1 BLOCK 0 STREAMS $x >", "BLPOP $s 0", "BLPOP $l -1", "BLPOP $l",
	"WAIT 0 0", "PUBSUB NUMSUB $c", "PUBSUB NUMPAT", "CLIENT GETNAME", "CLIENT SETNAME me", "PING", "ECHO $v", "EXEC a", "OBJECT", "CLIENT NOSUCH",
	"DBSIZE", "FLUSHDB", "EVAL return 0",
}

// Of these @ is how long.
var stateBlock = []string{
	"BLPOP $l @", "BLPOP $l @", "BLPOP $l $l @", "BRPOP $l @", "BRPOP $l $l none @", "BLMOVE $l $l LEFT RIGHT @", "BLMOVE $l $l RIGHT LEFT @", "BRPOPLPUSH $l $l @",
	"BLMPOP @ 2 $l $l LEFT", "BLMPOP @ 1 $l RIGHT COUNT 2", "BZPOPMIN $z @", "BZPOPMIN $z $z @", "BZPOPMAX $z $z @",
	"BZMPOP @ 2 $z $z MIN", "BZMPOP @ 1 $z MAX COUNT 2", "XREAD BLOCK @ STREAMS $x $", "XREAD COUNT 1 BLOCK @ STREAMS $x $x $ $",
	"XREAD BLOCK @ STREAMS $x 99999999", "XREADGROUP GROUP g c1 BLOCK @ STREAMS $x >", "XREADGROUP GROUP g c2 COUNT 1 BLOCK @ NOACK STREAMS $x >",
	"XREADGROUP GROUP g c1 BLOCK @ STREAMS $x $x > >", "WAIT 0 0", "WAIT 1 10", "WAIT 0 100",
}

var stateBlockWrong = []string{
	"BLPOP $s 0", "BLPOP $z $l 0", "BLPOP $l -1", "BLPOP $l abc", "BLPOP $l", "BLPOP", "BRPOP $x 0.01x", "BLMOVE $l $l LEFT UP 0", "BLMOVE $s $l LEFT LEFT 0",
	"BRPOPLPUSH $l -1", "BLMPOP 0 0 $l LEFT", "BLMPOP 0 1 $l", "BLMPOP 0 1 $l MIDDLE", "BLMPOP 0 1 $l LEFT COUNT 0", "BLMPOP x 1 $l LEFT", "BZPOPMIN $s 0",
	"BZPOPMAX $z nan", "BZMPOP 0 1 $z LEFT", "BZMPOP 0 9 $z MIN", "XREAD BLOCK -1 STREAMS $x $", "XREAD BLOCK 10 STREAMS $x", "XREAD BLOCK 10 STREAMS $x >",
	"XREADGROUP GROUP nogroup c BLOCK 10 STREAMS $x >", "XREADGROUP GROUP g c BLOCK 10 STREAMS $s >", "WAIT x 0", "WAIT 0", "WAIT 0 -1", "WAIT 0 x",
	"WAITAOF 0 0 0", "WAITAOF 1 0 10", "WAITAOF 0", "CLIENT UNBLOCK x", "CLIENT UNBLOCK 999999", "CLIENT UNBLOCK $i NOW", "BLPOP $l inf",
}

// stateServe are calls that let blocked clients go on.
var stateServe = []string{
	"RPUSH $l $v", "LPUSH $l a b", "RPUSH $l a b c", "RPUSH l1 x", "ZADD $z $n $v", "ZADD z1 1 a 2 b", "XADD $x $u f $v", "XADD x1 $u f $v", "RENAME $l $l", "RENAME $z $z", "RENAME $k $l", "DEL $l $l $z", "DEL $x $z",
	"COPY $l $l", "LMOVE $l $l LEFT LEFT", "CLIENT UNBLOCK $i", "CLIENT UNBLOCK $i ERROR", "CLIENT UNBLOCK $i TIMEOUT", "DEL $k", "XGROUP CREATE $x g $ MKSTREAM",
	"XGROUP DESTROY $x g", "SET $l $v", "SORT $l ALPHA STORE $l", "COPY $z $z", "ZUNIONSTORE $z 1 $z", "LINSERT $l BEFORE a b", "RPUSHX $l $v",
}

var stateChannels = []string{
	"SUBSCRIBE $c", "SUBSCRIBE $c $c $c", "PSUBSCRIBE $p", "PSUBSCRIBE $p $p", "SSUBSCRIBE $S", "SSUBSCRIBE $S $S", "UNSUBSCRIBE $c", "UNSUBSCRIBE $c $c",
	"PUNSUBSCRIBE $p", "SUNSUBSCRIBE $S", "SUNSUBSCRIBE $S $S", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE",
}

// stateEvents are for sessions that listen to keyspace events as well.
var stateEvents = []string{"PSUBSCRIBE $P", "PSUBSCRIBE $P", "PSUBSCRIBE $P $p", "SUBSCRIBE $C", "SUBSCRIBE $C $C", "PUNSUBSCRIBE $P", "UNSUBSCRIBE $C", "SUBSCRIBE $c"}

var statePublish = []string{
	"PUBLISH $c $v", "PUBLISH $c $v", "PUBLISH $c $v", "SPUBLISH $S $v", "SPUBLISH $S $v", "PUBSUB CHANNELS", "PUBSUB CHANNELS $p", "PUBSUB NUMSUB $c $c", "PUBSUB NUMSUB",
	"PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDCHANNELS $p", "PUBSUB SHARDNUMSUB $S $S", "PUBLISH $c", "PUBSUB", "PUBSUB NOSUCH", "PUBSUB NUMPAT x",
}

// stateSubscriber are calls of a client that may only listen.
var stateSubscriber = []string{
	"PING", "PING $v", "GET $s", "SET $s $v", "PUBLISH $c $v", "MULTI", "EXEC", "BLPOP $l 0", "CLIENT ID", "HELLO 3", "SELECT 1", "NOSUCH", "GET", "RESET", "PING a b",
	"EVAL 1 0", "PUBSUB NUMPAT", "SPUBLISH $S a", "AUTH a b", "CLIENT REPLY OFF", "WATCH $s",
}

var stateTracking = []string{
	"CLIENT TRACKING ON", "CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON BCAST PREFIX s", "CLIENT TRACKING ON BCAST PREFIX l PREFIX s1 PREFIX x",
	"CLIENT TRACKING ON OPTIN", "CLIENT TRACKING ON OPTOUT", "CLIENT TRACKING ON NOLOOP", "CLIENT TRACKING ON BCAST NOLOOP", "CLIENT TRACKING ON OPTIN NOLOOP",
	"CLIENT TRACKING ON REDIRECT $i", "CLIENT TRACKING ON BCAST REDIRECT $i", "CLIENT TRACKING OFF", "CLIENT TRACKING OFF", "CLIENT TRACKINGINFO", "CLIENT GETREDIR",
	"CLIENT TRACKING ON OPTIN OPTOUT", "CLIENT TRACKING ON PREFIX s", "CLIENT TRACKING ON BCAST PREFIX s PREFIX s1", "CLIENT TRACKING ON REDIRECT 999999",
	"CLIENT TRACKING", "CLIENT TRACKING MAYBE", "CLIENT CACHING MAYBE", "CLIENT TRACKING ON BCAST OPTIN", "CLIENT TRACKING ON REDIRECT x", "CLIENT CACHING",
	`CLIENT TRACKING ON BCAST PREFIX ""`, "CLIENT TRACKING ON PREFIX",
}

var stateConnection = []string{
	"HELLO", "HELLO 2", "HELLO 3", "HELLO 4", "HELLO 3 SETNAME me", "SELECT 0", "SELECT 0", "SELECT 1", "SELECT 15", "SELECT 16", "RESET", "CLIENT ID",
	"CLIENT SETNAME me", "CLIENT GETNAME", "CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT TRACKING OFF", "CLIENT CACHING YES", "AUTH acme acme-secret", "PING",
	"HELLO 2 AUTH acme wrong", "AUTH wrong", "ECHO $v",
}

var stateScriptCommands = []string{"SCRIPT FLUSH", "SCRIPT FLUSH SYNC", "SCRIPT FLUSH NOW", "SCRIPT EXISTS", "SCRIPT NOSUCH", "SCRIPT LOAD", "EVAL", "EVALSHA", "EVALSHA abc 0", "SCRIPT LOAD return(", "SCRIPT"}

// stateScripts are scripts with what follows them in EVAL. An error that is a
// table without a text is not among them: it ends a Redis 7.0.
var stateScripts = [][]string{
	{"return 1", "0"}, {"return 3.99", "0"}, {"return -0.5", "0"}, {"return 'text'", "0"}, {"return {1,2,{3,'four',{}},nil,5}", "0"}, {"return true", "0"}, {"return false", "0"},
	{"return nil", "0"}, {"return {}", "0"}, {"return {ok='FINE'}", "0"}, {"return {err='MY error'}", "0"}, {"return {err='nocode'}", "0"}, {"return {double=3.5}", "0"},
	{"redis.setresp(3) return {double=3.5}", "0"}, {"redis.setresp(3) return {map={a=1}}", "0"}, {"redis.setresp(3) return {set={a=true}}", "0"}, {"redis.setresp(3) return true", "0"},
	{"redis.setresp(3) return redis.call('hgetall', KEYS[1])", "1", "$h"}, {"redis.setresp(3) return redis.call('zrange', KEYS[1], 0, -1, 'withscores')", "1", "$z"},
	{"return redis.status_reply('FINE')", "0"}, {"return redis.error_reply('BAD thing')", "0"}, {"return {KEYS[1],KEYS[2],ARGV[1],#KEYS,#ARGV}", "2", "$k", "$k", "$v"},
	{"return {#KEYS, #ARGV, KEYS[1], KEYS[2], ARGV[2]}", "1", "$k", "$v"}, {"return KEYS", "3", "$k", "$k", "$k", "$v"}, {"return ARGV", "0", "$v", "$v"}, {"return 1", "1"}, {"return 1", "-1"},
	{"return 1", "abc", "x"}, {"return 1", "2", "$k"}, {"return redis.call('get', KEYS[1])", "1", "$s"}, {"return redis.call('set', KEYS[1], ARGV[1])", "1", "$s", "$v"},
	{"return redis.call('incr', 's' .. ARGV[1])", "0", "1"}, {"redis.call('rpush', 'l' .. ARGV[1], 'x'); return redis.call('lrange', 'l' .. ARGV[1], 0, -1)", "0", "$n"},
	{"return redis.call('lpop', KEYS[1])", "1", "$k"}, {"return redis.pcall('lpop', KEYS[1])", "1", "$s"}, {"local e = redis.pcall('incr', KEYS[1]) if type(e) == 'table' then return e.err end return e", "1", "$k"},
	{"\n\nerror('third line')", "0"}, {"return nosuch", "0"}, {"\nreturn redis.call('nosuch')", "0"}, {"return redis.call('get')", "0"}, {"\n\n  return redis.call('incr', KEYS[1])", "1", "$l"},
	{"return redis.call()", "0"}, {"return redis.call(1)", "0"}, {"return redis.call('get', {})", "0"}, {"x = 1", "0"}, {"return (", "0"}, {"local x = 1\nreturn x +", "0"}, {"error({err='MINE own'})", "0"},
	{"return redis.sha1hex(ARGV[1] or '')", "0", "$v"}, {"return cjson.encode({KEYS[1], 1, true})", "1", "$k"}, {"return cjson.decode(ARGV[1])[2]", "0", "[1,\"two\"]"},
	{"return cmsgpack.unpack(cmsgpack.pack(ARGV[1]))", "0", "$v"}, {"return struct.pack('>I', 5)", "0"}, {"return bit.band(7, 3)", "0"}, {"return tostring(redis.LOG_WARNING)", "0"},
	{"return redis.call('publish', ARGV[1], ARGV[2])", "0", "$c", "$v"}, {"return redis.call('blpop', KEYS[1], 0)", "1", "$l"}, {"return redis.call('multi')", "0"}, {"return redis.call('subscribe', 'a')", "0"},
	{"return redis.call('select', 1)", "0"}, {"return redis.call('brpoplpush', KEYS[1], KEYS[2], 0)", "2", "$l", "$l"}, {"return redis.call('lmpop', 2, KEYS[1], KEYS[2], 'LEFT')", "2", "$l", "$l"},
	{"return redis.call('xread', 'STREAMS', KEYS[1], '0')", "1", "$x"}, {"return redis.call('zmpop', 1, KEYS[1], 'MIN')", "1", "$z"}, {"return {redis.call('exists', KEYS[1]), redis.call('type', KEYS[1])}", "1", "$k"},
	{"for i = 1, 3 do redis.call('rpush', KEYS[1], i) end return redis.call('llen', KEYS[1])", "1", "$l"}, {"#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])", "1", "$s"},
	{"#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)", "1", "$s"}, {"#!lua flags=nosuch\nreturn 1", "0"}, {"#!lua\nreturn redis.call('get', 's1')", "0"}, {"return loadstring('return KEYS[1]')()", "1", "$k"},
	{"local t = {} for i, k in ipairs(KEYS) do t[i] = redis.call('type', k).ok end return t", "2", "$k", "$k"}, {"return select('#', unpack(KEYS))", "2", "$k", "$k"},
	{"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end", "1", "$s", "$v"}, {"return redis.call('sort', KEYS[1], 'ALPHA')", "1", "$l"},
	{"return redis.call('eval', 'return 1', 0)", "0"}, {"return redis.call('ping')", "0"}, {"return redis.call('echo', 'x')", "0"}, {"return tostring(KEYS[3])", "2", "$k", "$k"},
	{"return redis.call('object', 'encoding', KEYS[1])", "1", "$k"}, {"return redis.call('mget', 's1', 's2', unpack(KEYS))", "1", "$s"}, {"return redis.call('hset', KEYS[1], 'f', ARGV[1], 'n', 1)", "1", "$h", "$v"},
}
