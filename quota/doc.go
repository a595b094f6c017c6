// Package quota keeps what limits a tenant over all proxies of an upstream. What several proxies
// have to agree on lies in the upstream; a proxy's event loops work with what they have been lent.
package quota
