package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// allowed lists every command that the wall lets through. A new row of the table that would join them has to be judged,
// and entered here: do the patterns of a user confine all that it does and tells, also when it is called with options
// twice, or with counts that do not fit?
const allowedCommands = `append arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget
armset arnext arop arring arscan arseek arset bitcount bitfield bitfield_ro bitop bitpos blmove blmovem blmpop blpop brpop
brpoplpush bzmpop bzpopmax bzpopmin decr decrby del delex delifeq digest dump echo eval eval_ro evalsha evalsha_ro exists
expire expireat expiretime fcall fcall_ro geoadd geodist geohash geopos georadius_ro georadiusbymember_ro geosearch
geosearchstore get getbit getdel getex getrange getset hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel
hgetex hincrby hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset
hsetex hsetnx hstrlen httl hvals incr incrby incrbyfloat increx lcs lindex linsert llen lmove lmovem lmpop lpop lpos lpush
lpushx lrange lrem lset ltrim memory|usage mget mset msetex msetnx object|encoding object|freq object|idletime
object|refcount persist pexpire pexpireat pexpiretime pfadd pfcount ping psetex pttl publish rename renamenx rpop
rpoplpush rpush rpushx sadd scard sdiff sdiffcard sdiffstore set setbit setex setnx setrange sinter sintercard sinterstore
sismember smembers smismember smove sort sort_ro spop spublish srandmember srem sscan strlen substr sunion sunioncard
sunionstore time touch ttl type unlink vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr
vsim xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex xgroup|create xgroup|createconsumer xgroup|delconsumer
xgroup|destroy xgroup|setid xidmprecord xinfo|consumers xinfo|groups xinfo|stream xlen xnack xpending xrange xread xreadgroup
xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore
zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank
zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore`

func TestAllowList(t *testing.T) {
	judged := make(map[string]bool)
	for _, name := range strings.Fields(allowedCommands) {
		judged["+"+name] = true
	}
	all := AllowList(func(*command.Command) bool { return true })
	for _, rule := range all {
		if !judged[rule] {
			t.Errorf("%s: nobody has judged it", rule)
		}
		delete(judged, rule)
	}
	for rule := range judged {
		t.Errorf("%s is no longer allowed", rule)
	}
	if some := AllowList(func(c *command.Command) bool { return c.Name == "get" }); fmt.Sprint(some) != "[+get]" {
		t.Error(some)
	}
}

func TestUsers(t *testing.T) {
	again := NewUsers([]byte("the fleet's secret"))
	if users.Tenant("acme") != again.Tenant("acme") || users.Resting() != again.Resting() {
		t.Error("another proxy has other passwords")
	}
	seen := map[string]bool{}
	for _, login := range []Login{
		users.Resting(), users.Tenant("acme"), users.Tenant("rest"), users.Tenant("globex"),
		NewUsers([]byte("another")).Tenant("acme"),
	} {
		if seen[login.Password] || len(login.Password) != 64 {
			t.Errorf("the password of %s", login.Name)
		}
		seen[login.Password] = true
	}
	if users.Tenant("acme").Name != "riptide-acme" {
		t.Error(users.Tenant("acme").Name)
	}
}

func TestProvision(t *testing.T) {
	w := newWorld(t, Mode{})
	ctx := harness.Context(t)
	if got := do(t, w.wall, "SET", "t:acme:0:x", "1"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	list := w.admin.Do(ctx, "ACL", "LIST").String()
	// Again, while a connection is logged in and waits.
	waiting := dial(t, w.wall.RemoteAddr().String())
	login(t, waiting, "acme")
	if err := waiting.Send("BLPOP", "t:acme:0:queue", "5"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it waits", func() bool {
		return strings.Contains(w.admin.ClientList(ctx).Val(), "cmd=blpop")
	})
	provision(t, w.admin, "acme", "globex")
	if after := w.admin.Do(ctx, "ACL", "LIST").String(); after != list {
		t.Errorf("not idempotent:\n%s\n%s", list, after)
	}
	if got := do(t, w.wall, "GET", "t:acme:0:x"); got != "$1\r\n1\r\n" {
		t.Error(got)
	}
	w.admin.RPush(ctx, "t:acme:0:queue", "job")
	if got, err := waiting.Reply(); err != nil || !strings.Contains(got, "job") {
		t.Errorf("%q, %v", got, err)
	}

	// Names with what means something in patterns.
	if err := Provision(ctx, w.admin, users, []string{"+get"}, Account{Name: "odd", Root: "t:{o*[a]?\\}:"}); err != nil {
		t.Fatal(err)
	}
	odd := dial(t, w.wall.RemoteAddr().String())
	login(t, odd, "odd")
	if got := do(t, odd, "GET", "t:{o*[a]?\\}:0:x"); got != "$-1\r\n" {
		t.Error(got)
	}
	for _, key := range []string{"t:{oxxxa?\\}:0:x", "t:{o*a?}:0:x", "t:acme:0:x"} {
		if got := do(t, odd, "GET", key); !strings.HasPrefix(got, "-NOPERM") {
			t.Errorf("%s: %s", key, got)
		}
	}
}

func TestProvisionErrors(t *testing.T) {
	server := harness.StartRedis(t)
	ctx := harness.Context(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	defer admin.Close()
	if err := Provision(ctx, admin, users, []string{"+nonesuch"}, Account{Name: "acme", Root: "t:acme:"}); !errors.Is(err, ErrRules) {
		t.Errorf("an unknown command: %v", err)
	}
	admin.Do(ctx, "ACL", "SETUSER", "weak", "on", ">pw", "~*", "&*", "+@all", "-acl")
	weak := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "weak", Password: "pw", MaxRetries: -1})
	defer weak.Close()
	if err := Provision(ctx, weak, users, []string{"+get"}, Account{Name: "acme", Root: "t:acme:"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("no permission: %v", err)
	}
	server.Kill()
	err := Provision(ctx, admin, users, []string{"+get"}, Account{Name: "acme", Root: "t:acme:"})
	if err == nil || errors.Is(err, ErrForbidden) || errors.Is(err, ErrRules) {
		t.Errorf("no server: %v", err)
	}
	renamed := harness.StartRedis(t, "--rename-command", "ACL", "")
	none := redis.NewClient(&redis.Options{Addr: renamed.Addr, MaxRetries: -1})
	defer none.Close()
	if err := Provision(ctx, none, users, []string{"+get"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("no such command: %v", err)
	}
}

func TestProvisionMany(t *testing.T) {
	server := harness.StartRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	known, err := Known(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	var accounts []Account
	for i := range 1000 {
		id := fmt.Sprintf("tenant-%d", i)
		accounts = append(accounts, Account{Name: id, Root: "t:" + id + ":"})
	}
	begin, before := time.Now(), used(t, admin)
	if err := Provision(ctx, admin, users, AllowList(known), accounts...); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	t.Logf("%v and %d bytes for each user", took/1000, (used(t, admin)-before)/1000)
	if n := len(admin.Do(ctx, "ACL", "USERS").Val().([]any)); n != 1002 {
		t.Errorf("%d users", n)
	}
}

func used(t *testing.T, client *redis.Client) (n int) {
	info := client.Info(harness.Context(t), "memory").Val()
	fmt.Sscanf(info[strings.Index(info, "used_memory:"):], "used_memory:%d", &n)
	return n
}

func TestProbeFinds(t *testing.T) {
	w := newWorld(t, Mode{})
	// What an operator has left open is a table of the Lua state that can be changed; there is none to be had on these
	// servers, so the probe is shown one that it does not know.
	known := strings.Replace(probeSource, "@KNOWN@", strings.Replace(knownGlobals, " cjson ", " ", 1), 1)
	found, err := w.admin.Eval(harness.Context(t), known, nil).StringSlice()
	if err != nil || !strings.Contains(fmt.Sprint(found), "unknown global cjson") {
		t.Errorf("%q, %v", found, err)
	}
}
