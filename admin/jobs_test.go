package admin

import (
	"context"
	"testing"

	"riptide-proxy/proxy"
	"riptide-proxy/tests/harness"
)

// How many keys there are in the upstream, which are everybody's, is not told to a token for one tenant.
func TestJobOfTenant(t *testing.T) {
	j := newJobs()
	defer j.close()
	j.start(Job{Kind: "clear", Tenant: "acme"}, func(_ context.Context, progress func(proxy.Swept)) error {
		progress(proxy.Swept{Keys: 36064, Looked: 9016, Deleted: 3})
		return nil
	})
	acme, all := Principal{Tenant: "acme"}, Principal{}
	harness.Eventually(t, "the job has ended", func() bool { return j.seen(all)[0].Ended != nil })
	if own := j.seen(acme)[0]; own.Keys != 100 || own.Looked != 25 || own.Deleted != 3 {
		t.Errorf("acme sees %+v", own)
	}
	if job := j.seen(all)[0]; job.Keys != 36064 || job.Looked != 9016 {
		t.Errorf("an operator sees %+v", job)
	}
	if others := j.seen(Principal{Tenant: "globex"}); len(others) != 0 {
		t.Errorf("globex sees %+v", others)
	}
}
