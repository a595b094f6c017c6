package script

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed probe.lua
var probeSource string

//go:embed fenced.lua
var fencedSource string

// knownGlobals are what scripts find in a server's Lua, in those that were looked at: Redis 7.0 to 8.0, Valkey 8.0. With
// them the prelude keeps scripts from reaching beyond their own run. What another server adds may break that.
const knownGlobals = "_G _VERSION __redis__err__handler ARGV KEYS assert bit cjson cmsgpack collectgarbage coroutine " +
	"error gcinfo getfenv getmetatable ipairs load loadstring math newproxy next os pairs pcall rawequal rawget rawset " +
	"redis select server setfenv setmetatable string struct table tonumber tostring type unpack xpcall"

// Probe reports what in the upstream's Lua would let one tenant's script change what another's sees. When it finds
// anything, scripts of isolated tenants must be refused. It runs two small scripts.
func Probe(ctx context.Context, client redis.Cmdable) (risks []string, err error) {
	const prefix = "t:probe:0:"
	fence := New([]byte(fencedSource), Mode{}) // first, since it mends what can be mended for good
	known := strings.Replace(probeSource, "@KNOWN@", knownGlobals, 1)
	for _, run := range []func() *redis.Cmd{
		func() *redis.Cmd { return client.Eval(ctx, string(fence.Wrapped), nil, prefix) },
		func() *redis.Cmd { return client.Eval(ctx, known, nil) },
	} {
		found, err := run().StringSlice()
		if err != nil {
			var said redis.Error
			if errors.As(err, &said) && strings.Contains(said.Error(), "user_script") {
				return append(risks, "a script fails: "+said.Error()), nil
			}
			return nil, fmt.Errorf("probing the upstream's Lua: %w", err)
		}
		risks = append(risks, found...)
	}
	return risks, nil
}
