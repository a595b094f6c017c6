package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"riptide-proxy/proxy"
)

// deleteTenant takes a tenant's file away, so that its connections end, and then deletes its keys.
func deleteTenant(a *api, w http.ResponseWriter, c *call) error {
	keep := false
	switch c.URL.Query().Get("data") {
	case "keep":
		keep = true
	case "", "purge":
	default:
		return problem("bad-request", "data is purge or keep")
	}
	unlock, err := a.startEdit(c)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := a.original(c, true)
	if err != nil {
		return err
	}
	if keep {
		if err := a.drop(c, old); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if full := a.jobs.full(c.tenant); full != nil {
		return full
	}
	// It is noted before the tenant is gone, so that a crash in between leaves nothing behind for ever.
	if err := a.o.Proxy.BeginPurge(c.Context(), c.tenant); err != nil {
		return problem("upstream", "so its keys could not be deleted; data=keep leaves them")
	}
	if err := a.drop(c, old); err != nil {
		return errors.Join(err, a.o.Proxy.EndPurge(context.WithoutCancel(c.Context()), c.tenant))
	}
	return answerJob(w, a.purge(c.tenant, c.who.Name))
}

// drop has the proxy go on without the tenant.
func (a *api) drop(c *call, old []byte) error {
	if err := a.files.remove(c.cfg.TenantsDir, c.tenant); err != nil {
		return err
	}
	return a.take(c, old, nil)
}

// purgeTenant deletes what is left of a tenant that the configuration does not have.
func purgeTenant(a *api, w http.ResponseWriter, c *call) error {
	unlock, err := a.files.lock(c)
	if err != nil {
		return err
	}
	defer unlock()
	if a.configured(c.tenant) {
		return problem("conflict", "the tenant is not deleted")
	}
	if full := a.jobs.full(c.tenant); full != nil {
		return full
	}
	if err := a.o.Proxy.BeginPurge(c.Context(), c.tenant); err != nil {
		return problem("upstream", "")
	}
	return answerJob(w, a.purge(c.tenant, c.who.Name))
}

func (a *api) configured(id string) bool { return a.o.State.Current().Config.Tenants[id] != nil }

var errBack = errors.New("the tenant is there again")

// purge deletes everything of a tenant, and stops if the tenant is configured again.
func (a *api) purge(id, by string) Job {
	return a.jobs.start(Job{Kind: "purge", Tenant: id, By: by}, func(ctx context.Context, progress func(proxy.Swept)) error {
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		check := func() {
			if a.configured(id) {
				stop(errBack)
			}
		}
		check()
		err := a.o.Proxy.Sweep(ctx, proxy.Sweep{Tenant: id, All: true}, func(n proxy.Swept) {
			progress(n)
			check()
		})
		if err != nil && context.Cause(ctx) != errBack {
			return err // it goes on when a proxy starts
		}
		return errors.Join(err, a.o.Proxy.EndPurge(context.WithoutCancel(ctx), id))
	})
}

// resumeRetry is how often the upstream is asked for what is left to delete, until it answers.
const resumeRetry = 5 * time.Second

// resume goes on with what a process that has ended was deleting.
func (a *api) resume() {
	for {
		ids, err := a.o.Proxy.Purges(a.jobs.ctx)
		if err == nil {
			for _, id := range ids {
				a.resumeOne(id)
			}
			return
		}
		select {
		case <-time.After(resumeRetry):
		case <-a.jobs.ctx.Done():
			return
		}
	}
}

func (a *api) resumeOne(id string) {
	if a.configured(id) { // whoever has written the file wants it
		if err := a.o.Proxy.EndPurge(a.jobs.ctx, id); err != nil {
			slog.Warn("a tenant is still noted as being deleted", "tenant", id, "error", err)
		}
		return
	}
	slog.Info("going on with deleting a tenant's keys", "tenant", id)
	a.purge(id, "")
}
