package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

// Sweep says which of a tenant's keys an operator wants deleted.
type Sweep struct {
	Tenant string

	// All takes everything that the upstream has of a tenant that the configuration
	// does not have any more, but for what it has used and its bills.
	All bool

	// Otherwise it is the keys that match Pattern, as KEYS takes it, in a database, or all
	// keys in all databases if that is -1.
	Database int
	Pattern  string
}

// Swept is how far a sweep is. Looked counts the upstream's keys, of which there were Keys when it began.
type Swept struct{ Keys, Looked, Deleted int64 }

// Sweep deletes keys, a thousand looked at in a step, and rests between two steps for as long as one takes. It
// tells how far it is after each.
func (s *Server) Sweep(ctx context.Context, sweep Sweep, progress func(Swept)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.ctx, stop)()
	var n Swept
	size, err := s.client.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	areas, err := s.areas(sweep)
	if err != nil {
		return err
	}
	n.Keys = size * int64(len(areas))
	op := &slowOp{srv: s, client: s.client}
	for _, a := range areas {
		err := op.each(ctx, []byte(a.prefix), a.pattern, func(keys []string) error {
			n.Looked = min(n.Looked+scanCount, n.Keys)
			chosen := keys[:0]
			for _, k := range keys {
				if !a.ledger || !ledger.IsKey(a.prefix, k) {
					chosen = append(chosen, k)
				}
			}
			if len(chosen) > 0 {
				gone, err := s.client.Unlink(ctx, chosen...).Result()
				if err != nil {
					return err
				}
				n.Deleted += gone
			}
			progress(n)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if n.Looked = n.Keys; sweep.All {
		err = s.forgetUsers(ctx, sweep.Tenant)
	} else {
		s.swept(sweep.Tenant)
	}
	progress(n)
	return err
}

// area is where keys are swept.
type area struct {
	prefix, pattern string
	ledger          bool // what the ledger has there is kept
}

// errNoTenant tells that a tenant was deleted meanwhile.
var errNoTenant = errors.New("the tenant is not there any more")

func (s *Server) areas(sweep Sweep) ([]area, error) {
	if sweep.All { // its keys may lie in either place, by what hash_tag was
		return []area{
			{config.KeyPrefix(sweep.Tenant, false), "*", true},
			{config.KeyPrefix(sweep.Tenant, true), "*", true},
		}, nil
	}
	t := s.conf().cfg.Tenants[sweep.Tenant]
	if t == nil {
		return nil, errNoTenant
	}
	root := config.KeyPrefix(sweep.Tenant, t.HashTag)
	if sweep.Database < 0 {
		return []area{{prefix: root, pattern: anyDatabase}}, nil
	}
	return []area{{prefix: fmt.Sprintf("%s%d:", root, sweep.Database), pattern: sweep.Pattern}}, nil
}

// swept has what a tenant's keys take measured anew.
func (s *Server) swept(tenant string) {
	for _, w := range s.workers {
		w.loop.Post(func() {
			if t := w.stats[tenant]; t != nil && t.space != nil {
				t.space.unsure, t.space.pressed = true, true
				t.space.ask()
			}
		})
	}
}

// forgetUsers removes the upstream's users that ran a tenant's scripts. Where that is not allowed they
// stay: they can reach nothing but what is gone.
func (s *Server) forgetUsers(ctx context.Context, tenant string) error {
	users := s.scripts.users
	err := s.client.Do(ctx, "ACL", "DELUSER", users.Tenant(tenant).Name, users.Full(tenant).Name).Err()
	if _, told := err.(redis.Error); told {
		return nil
	}
	return err
}

// purgesKey has the tenants that were deleted and whose keys are still being deleted, with when that began. It
// is in the upstream so that no proxy gives a tenant a name under which another one deletes, and so that
// what one has begun another can end.
const purgesKey = "riptide:purges"

// BeginPurge notes that everything of a tenant is going to be deleted.
func (s *Server) BeginPurge(ctx context.Context, tenant string) error {
	return s.client.HSet(ctx, purgesKey, tenant, time.Now().UTC().Format(time.RFC3339)).Err()
}

// EndPurge notes that it has been, or is not going to be.
func (s *Server) EndPurge(ctx context.Context, tenant string) error {
	return s.client.HDel(ctx, purgesKey, tenant).Err()
}

// Purging reports whether a tenant's keys are being deleted, by whichever proxy.
func (s *Server) Purging(ctx context.Context, tenant string) (bool, error) {
	return s.client.HExists(ctx, purgesKey, tenant).Result()
}

// Purges are the tenants that are being deleted.
func (s *Server) Purges(ctx context.Context) ([]string, error) {
	return s.client.HKeys(ctx, purgesKey).Result()
}
