package upstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// oldest is the first version of Redis that has all that the proxy takes for granted:
// users with rules, RESP3 and COMMAND with subcommands.
const oldest = 7

// fewest is how many connections a server should take at least: the proxy leaves a hundred to everything but clients.
const fewest = 200

// role notes what makes the server none that tenants can be served from, whatever its settings are. info
// is its section "server".
func (f *Facts) role(ctx context.Context, c *redis.Client, info string) error {
	major, _, _ := strings.Cut(f.RedisVersion, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldest {
		f.Risks = append(f.Risks, "its version is "+f.RedisVersion+": the proxy is made for Redis 7.0 and later")
	}
	if infoField(info, "redis_mode") == "cluster" {
		f.Risks = append(f.Risks, "it is a node of a cluster, which the proxy does not support: commands for slots of other nodes fail")
	}
	if f.MaxClients < fewest {
		f.Risks = append(f.Risks, fmt.Sprintf("maxclients is %d: next to no transactions, blocking commands and subscribers have the connection of their own that they need", f.MaxClients))
	}
	replication, err := c.Info(ctx, "replication").Result()
	if err != nil && !isCommandError(err) {
		return err
	}
	if infoField(replication, "role") == "slave" {
		f.Risks = append(f.Risks, "it is a replica: whatever writes is refused with READONLY; name its master in upstream.addresses")
	}
	return nil
}
