package admin

import "testing"

// How many keys all tenants have together is told to none of them.
func TestJobTellsTenantsNoCounts(t *testing.T) {
	job := Job{Tenant: "acme", Keys: 3_000, Looked: 1_501, Deleted: 7}
	if seen := job.as(Principal{Tenant: "acme"}); seen.Keys != 100 || seen.Looked != 50 || seen.Deleted != 7 {
		t.Errorf("a tenant sees %+v", seen)
	}
	if seen := job.as(Principal{}); seen != job {
		t.Errorf("an operator of all sees %+v", seen)
	}
}
