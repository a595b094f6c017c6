package upstream

import (
	"context"
	"testing"
	"time"
)

// The connections of a client that ends with a context do so also while the server has not greeted.
func TestClientUntil(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := &Target{Address: f.address(), ConnectTimeout: patience, Timeout: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	client := target.ClientUntil(ctx, 1)
	defer client.Close()
	ended := make(chan error, 2)
	go func() { ended <- client.Ping(context.Background()).Err() }()
	go func() {
		subscription := client.Subscribe(context.Background(), "ch")
		ended <- subscription.Close()
	}()
	for range 2 {
		await(t, f.conns, "a connection")
	}
	cancel()
	for range 2 {
		await(t, ended, "the end of who waits")
	}
}
