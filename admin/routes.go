package admin

import (
	"net/http"
	"slices"

	"riptide-proxy/config"
	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
	"riptide-proxy/value/dictionary"
)

// What parameters mean, for the document.
var (
	usageQuery = []parameter{
		{name: "from", about: "when it begins: 2026-11, 2026-11-23, 2026-11-23T15; absent: this month"},
		{name: "to", about: "when it ends; absent: now"},
		{name: "tenant", about: "only this tenant"},
		{name: "by", about: "what a line is for: hour, day, month, total"},
		{name: "format", about: "json, csv, table"},
		{name: "tag", about: "only tenants with this tag, name=value", many: true},
	}
	billQuery  = slices.DeleteFunc(slices.Clone(usageQuery), func(p parameter) bool { return p.name == "by" })
	closeQuery = []parameter{
		{name: "from", about: "when the period begins; it has to be given"},
		{name: "to", about: "when it ends; likewise"},
		{name: "tenant", about: "only this tenant"},
		{name: "format", about: "json, csv, table"},
		{name: "tag", about: "only tenants with this tag, name=value", many: true},
	}
	tenantQuery = []parameter{{name: "tenant", about: "only this tenant"}}
)

const plainText = "text/plain"

// routes are all that the listener serves, in the order of its document.
func routes(o *Options) []*route {
	const (
		get, post, patch, remove = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete

		viewer, operator, admin = config.Viewer, config.Operator, config.Administrator
	)
	list := []*route{
		{method: get, path: "/healthz", name: "healthz", summary: "Whether the process lives", media: plainText, run: healthz},
		{method: get, path: "/readyz", name: "readyz", summary: "Whether the upstream answers", media: plainText, run: readyz},
		{method: get, path: "/admin/openapi.json", name: "openAPI", summary: "This document", role: viewer, reach: seen, answer: map[string]any{}, run: openAPI},
		{method: get, path: "/metrics", name: "metrics", summary: "Metrics for Prometheus", role: viewer, reach: fleet, media: plainText, run: metrics},
		{method: get, path: TenantsPath, name: "tenantsReport", summary: "What this proxy has counted of tenants", role: viewer, reach: seen,
			query: []parameter{{name: "tenant", about: "only these tenants", many: true}}, answer: TenantsReport{}, run: tenantsReport},

		{method: get, path: "/admin/tenants", name: "listTenants", tagged: true, summary: "The tenants", role: viewer, reach: seen,
			query: []parameter{
				{name: "after", about: "only ids behind this one"}, {name: "limit", about: "how many at most"}, {name: "plan", about: "only with this plan"},
				{name: "suspended", about: "true or false"}, {name: "tag", about: "only with this tag, name=value", many: true},
			},
			answer: TenantList{}, run: listTenants},
		{method: post, path: "/admin/tenants", name: "createTenant", summary: "Make a tenant: write its file and use it", role: admin, reach: fleet,
			body: newTenant{}, status: http.StatusCreated, answer: Tenant{}, run: createTenant},
		{method: get, path: "/admin/tenants/{id}", name: "getTenant", tagged: true, summary: "A tenant, without its secrets", role: viewer, reach: named, answer: Tenant{}, run: showTenant},
		{method: patch, path: "/admin/tenants/{id}", name: "updateTenant", summary: "Change a tenant by a JSON merge patch", role: admin, reach: fleet,
			body: config.Tenant{}, cond: true, answer: Tenant{}, run: updateTenant},
		{method: remove, path: "/admin/tenants/{id}", name: "deleteTenant", summary: "Delete a tenant, and then its keys in the background", role: admin, reach: fleet,
			query: []parameter{{name: "data", about: "purge, or keep to leave its keys"}}, cond: true, status: http.StatusAccepted, answer: Job{}, run: deleteTenant},
		{method: post, path: "/admin/tenants/{id}/purge", name: "purgeTenant", summary: "Delete the keys that a tenant has left which is deleted", role: admin, reach: fleet,
			status: http.StatusAccepted, answer: Job{}, run: purgeTenant},
		{method: post, path: "/admin/tenants/{id}/suspend", name: "suspendTenant", summary: "Refuse its logins and end its connections", role: operator, reach: fleet,
			cond: true, answer: Tenant{}, run: suspendTenant},
		{method: post, path: "/admin/tenants/{id}/resume", name: "resumeTenant", summary: "End a suspension", role: operator, reach: fleet,
			cond: true, answer: Tenant{}, run: resumeTenant},
		{method: post, path: "/admin/tenants/{id}/rotate-key", name: "rotateKey", summary: "Take the hash of a new secret of a user", role: admin, reach: named,
			body: KeyChange{}, cond: true, answer: Tenant{}, run: rotateKey},
		{method: get, path: "/admin/tenants/{id}/connections", name: "listConnections", summary: "Its connections to this proxy", role: viewer, reach: named,
			answer: ConnectionList{}, run: listConnections},
		{method: get, path: "/admin/tenants/{id}/slowlog", name: "listSlow", summary: "Its slow commands on this proxy; a viewer gets no arguments", role: viewer, reach: named,
			answer: SlowList{}, run: listSlow},
		{method: get, path: "/admin/tenants/{id}/hotkeys", name: "listHotKeys", summary: "The keys that its commands on this proxy name most often; a viewer gets no names", role: viewer, reach: named,
			answer: HotList{}, run: listHot},

		{method: get, path: "/admin/plans", name: "listPlans", tagged: true, summary: "The plans", role: viewer, reach: fleet, answer: PlanList{}, run: listPlans},
		{method: get, path: "/admin/plans/{plan}", name: "getPlan", tagged: true, summary: "A plan", role: viewer, reach: fleet, answer: Plan{}, run: showPlan},

		{method: get, path: "/admin/cache/stats", name: "cacheStats", summary: "Hits, misses, memory and keys", role: viewer, reach: seen,
			query: tenantQuery, answer: CacheStats{}, run: cacheStats},
		{method: post, path: "/admin/cache/invalidate", name: "invalidateCache", summary: "Delete a tenant's keys that match a pattern, in the background", role: operator, reach: seen,
			body: Keys{}, status: http.StatusAccepted, answer: Job{}, run: invalidateCache},
		{method: post, path: "/admin/cache/clear", name: "clearCache", summary: "Delete all of a tenant's keys, in the background", role: admin, reach: seen,
			body: Keys{}, status: http.StatusAccepted, answer: Job{}, run: clearCache},
		{method: get, path: "/admin/jobs", name: "listJobs", summary: "What is done in the background", role: viewer, reach: seen,
			query: tenantQuery, answer: JobList{}, run: listJobs},
		{method: get, path: "/admin/jobs/{job}", name: "getJob", summary: "How far a job is", role: viewer, reach: seen, answer: Job{}, run: showJob},

		{method: get, path: "/admin/state/current", name: "getState", tagged: true, summary: "The configuration that runs, and those before it", role: viewer, reach: fleet, answer: StateReport{}, run: showState},
		{method: post, path: "/admin/state/reload", name: "reloadState", summary: "Read the files and run with them, or go on as before", role: operator, reach: fleet,
			cond: true, answer: StateReport{}, run: reloadState},
		{method: post, path: "/admin/state/rollback", name: "rollbackState", summary: "Run with an earlier configuration", role: admin, reach: fleet,
			body: Numbered{}, cond: true, answer: StateReport{}, run: rollbackState},
	}
	if o.Checkpoints != nil {
		list = append(list,
			&route{method: post, path: "/admin/state/checkpoint", name: "takeCheckpoint", summary: "Save the proxy's own state now", role: operator, reach: fleet,
				cond: true, answer: Checkpoint{}, run: takeCheckpoint},
			&route{method: post, path: "/admin/state/restore", name: "restoreCheckpoint", summary: "Take over a saved state", role: admin, reach: fleet,
				body: Numbered{}, cond: true, answer: Checkpoint{}, run: restoreCheckpoint})
	}
	if o.Usage != nil {
		list = append(list,
			&route{method: get, path: "/usage", name: "usage", summary: "What tenants have used, over all proxies", role: viewer, reach: seen,
				query: usageQuery, answer: []ledger.Line{}, run: showUsage},
			&route{method: get, path: "/billing", name: "bills", summary: "The bills of tenants", role: viewer, reach: seen,
				query: billQuery, answer: []billing.Bill{}, run: showBills},
			&route{method: post, path: "/billing/close", name: "closeBills", summary: "Close a period, and keep its bills for ever", role: admin, reach: fleet,
				query: closeQuery, answer: []billing.Bill{}, run: closeBills})
		for _, way := range []struct{ prefix, name string }{{"/admin/tenants", "Tenant"}, {"/tenants", "TenantShort"}} {
			list = append(list,
				&route{method: get, path: way.prefix + "/{id}/usage", name: "usageOf" + way.name, summary: "What a tenant has used, over all proxies", role: viewer, reach: named,
					query: usageQuery, answer: []ledger.Line{}, run: showUsage},
				&route{method: get, path: way.prefix + "/{id}/billing", name: "billsOf" + way.name, summary: "A tenant's bill", role: viewer, reach: named,
					query: billQuery, answer: []billing.Bill{}, run: showBills})
		}
	}
	if o.Dictionaries != nil {
		list = append(list,
			&route{method: get, path: "/tenants/{id}/dictionaries", name: "listDictionaries", summary: "A tenant's compression dictionaries", role: viewer, reach: named,
				answer: []dictionary.Info{}, run: listDictionaries},
			&route{method: get, path: "/tenants/{id}/dictionaries/{dict}", name: "getDictionary", summary: "A compression dictionary", role: viewer, reach: named,
				answer: dictionary.Info{}, run: showDictionary})
	}
	return list
}

// newTenant is a tenant's configuration with its id.
type newTenant struct {
	ID string `yaml:"id"`

	config.Tenant `yaml:",inline"`
}
