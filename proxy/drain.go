package proxy

import "github.com/redis/go-redis/v9"

// drain has every session end once its commands are answered.
func (w *worker) drain() {
	w.draining = true
	w.dropHeaders()
	var blocked []int64
	for _, s := range w.sessions {
		if s.blocked > 0 && s.pin.ID() > 0 {
			blocked = append(blocked, s.pin.ID())
		}
		s.drain()
	}
	if len(blocked) > 0 {
		w.release(blocked)
	}
}

// release has the upstream end what blocked clients wait for, as if their time
// were over. Just closing their connections could lose an element that is on its way.
func (w *worker) release(ids []int64) {
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		ctx := w.srv.ctx
		if _, err := w.srv.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids {
				p.Do(ctx, "CLIENT", "UNBLOCK", id)
			}
			return nil
		}); err == nil {
			return
		}
		w.loop.Post(func() {
			for _, s := range w.sessions {
				if s.blocked > 0 {
					s.conn.Close(nil)
				}
			}
		})
	}()
}
