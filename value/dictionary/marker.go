package dictionary

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// A tenant that has sealed values, or had, has a key in the upstream that says what they are: its root
// and Marker. Proxies whose configuration has the tenant's values plain look at it.
const (
	Marker          = "values"
	MarkerSealed    = "sealed"
	MarkerEncrypted = "encrypted" // some of them

	// Announcements is the channel on which proxies are told to look again.
	Announcements = "t::values"
)

// Mark marks a tenant, by its root, and tells the proxies if that is news.
func (s *Store) Mark(ctx context.Context, root string, encrypts bool) error {
	fresh, err := s.client.SetNX(ctx, root+Marker, MarkerSealed, 0).Result()
	if err == nil && encrypts {
		was, e := s.client.SetArgs(ctx, root+Marker, MarkerEncrypted, redis.SetArgs{Get: true}).Result()
		fresh, err = fresh || was != MarkerEncrypted, e
	}
	if err != nil || !fresh {
		return err
	}
	return s.client.Publish(ctx, Announcements, "").Err()
}
