package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"riptide-proxy/proxy"
)

// Job is something that takes long: keys being deleted.
type Job struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // purge: all of a deleted tenant; clear, invalidate
	Tenant   string     `json:"tenant"`
	Database *int       `json:"database,omitempty"`
	Pattern  string     `json:"pattern,omitempty"`
	By       string     `json:"by"`
	State    string     `json:"state"` // waiting, running, done, failed
	Error    string     `json:"error,omitempty"`
	Keys     int64      `json:"keys"`   // that have to be looked at: the upstream's. For a tenant's token 100
	Looked   int64      `json:"looked"` // at so many of them so far. For a tenant's token the percentage
	Deleted  int64      `json:"deleted"`
	Created  time.Time  `json:"created"`
	Ended    *time.Time `json:"ended,omitempty"`
}

// JobList is /admin/jobs.
type JobList struct {
	Jobs []Job `json:"jobs"` // the youngest first
}

const (
	jobsAtOnce  = 2
	jobsWaiting = 1000 // and running
	jobsOfOne   = 4    // of them of one tenant
	jobsKept    = 200  // that have ended
)

// jobs are those of this process.
type jobs struct {
	mu    sync.Mutex
	list  []*Job // the oldest first
	turns chan struct{}
	ctx   context.Context
	stop  context.CancelFunc
	wait  sync.WaitGroup
}

func newJobs() *jobs {
	j := &jobs{turns: make(chan struct{}, jobsAtOnce)}
	j.ctx, j.stop = context.WithCancel(context.Background())
	return j
}

// close ends what runs. A purge goes on when a proxy starts again.
func (j *jobs) close() {
	j.stop()
	j.wait.Wait()
}

// full tells whether there is no room for another job about a tenant.
func (j *jobs) full(tenant string) *Problem {
	j.mu.Lock()
	defer j.mu.Unlock()
	open, own := 0, 0
	for _, job := range j.list {
		if job.Ended == nil {
			open++
			if job.Tenant == tenant {
				own++
			}
		}
	}
	if open < jobsWaiting && own < jobsOfOne {
		return nil
	}
	return problem("busy", "too many jobs wait")
}

// start begins a job. f tells how far it is.
func (j *jobs) start(job Job, f func(ctx context.Context, progress func(proxy.Swept)) error) Job {
	var id [8]byte
	rand.Read(id[:])
	job.ID, job.State, job.Created = hex.EncodeToString(id[:]), "waiting", time.Now().UTC()
	own := &job
	j.mu.Lock()
	j.list = append(j.list, own)
	j.trim()
	begun := *own
	j.mu.Unlock()
	j.wait.Go(func() {
		select {
		case j.turns <- struct{}{}:
			defer func() { <-j.turns }()
		case <-j.ctx.Done():
			j.end(own, j.ctx.Err())
			return
		}
		j.update(func() { own.State = "running" })
		j.end(own, j.guarded(f, own))
	})
	return begun
}

func (j *jobs) guarded(f func(ctx context.Context, progress func(proxy.Swept)) error, job *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a job", "job", job.Kind, "panic", p, "stack", string(debug.Stack()))
			err = problem("internal", "")
		}
	}()
	return f(j.ctx, func(n proxy.Swept) {
		j.update(func() { job.Keys, job.Looked, job.Deleted = n.Keys, n.Looked, n.Deleted })
	})
}

func (j *jobs) update(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

func (j *jobs) end(job *Job, err error) {
	j.update(func() {
		now := time.Now().UTC()
		job.State, job.Ended = "done", &now
		if err != nil {
			job.State, job.Error = "failed", "the upstream could not be asked, or the proxy was stopped"
		}
	})
	slog.Info("job ended", "job", job.Kind, "tenant", job.Tenant, "deleted", job.Deleted, "error", err)
}

// trim forgets the oldest jobs that have ended.
func (j *jobs) trim() {
	ended := 0
	for _, job := range j.list {
		if job.Ended != nil {
			ended++
		}
	}
	j.list = slices.DeleteFunc(j.list, func(job *Job) bool {
		if ended > jobsKept && job.Ended != nil {
			ended--
			return true
		}
		return false
	})
}

// seen are copies of the jobs that somebody may see, the youngest first.
func (j *jobs) seen(who Principal) []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := []Job{}
	for _, job := range j.list {
		if who.Tenant == "" || who.Tenant == job.Tenant {
			list = append(list, job.as(who))
		}
	}
	slices.SortStableFunc(list, func(a, b Job) int { return cmp.Compare(b.Created.UnixNano(), a.Created.UnixNano()) })
	return list
}

// as is a copy of the job as somebody may see it: how many keys all tenants have is told to none of them.
func (job *Job) as(who Principal) Job {
	j := *job
	if who.Tenant != "" && j.Keys > 0 {
		j.Keys, j.Looked = 100, min(100, 100*j.Looked/j.Keys)
	}
	return j
}

func listJobs(a *api, w http.ResponseWriter, c *call) error {
	list := a.jobs.seen(c.who)
	if id := c.URL.Query().Get("tenant"); id != "" {
		list = slices.DeleteFunc(list, func(j Job) bool { return j.Tenant != id })
	}
	return writeJSON(w, http.StatusOK, JobList{list})
}

func showJob(a *api, w http.ResponseWriter, c *call) error {
	for _, job := range a.jobs.seen(c.who) {
		if job.ID == c.PathValue("job") {
			return writeJSON(w, http.StatusOK, job)
		}
	}
	return problem("not-found", "there is no such job any more")
}

// answerJob says that a job was begun, and where it is to be seen.
func answerJob(w http.ResponseWriter, job Job) error {
	w.Header().Set("Location", "/admin/jobs/"+job.ID)
	return writeJSON(w, http.StatusAccepted, job)
}
