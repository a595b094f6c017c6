package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"riptide-proxy/tests/harness"
)

// asynqLog takes what asynq says and keeps it for a test that fails.
type asynqLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *asynqLog) add(level string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+": "+fmt.Sprint(args...))
}

func (l *asynqLog) Debug(...any)      {}
func (l *asynqLog) Info(...any)       {}
func (l *asynqLog) Warn(args ...any)  { l.add("warning", args...) }
func (l *asynqLog) Error(args ...any) { l.add("error", args...) }
func (l *asynqLog) Fatal(args ...any) { l.add("fatal", args...) }

// seen counts which tasks ran.
type seen struct {
	mu sync.Mutex
	of map[string]int
}

func (s *seen) add(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[name]++
	return s.of[name]
}

func (s *seen) count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, times := range s.of {
		if strings.HasPrefix(name, prefix) {
			n += times
		}
	}
	return n
}

// Asynq, a job queue in Go: Lua scripts, and pub/sub to cancel tasks.
func TestSoftwareAsynq(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		login := asynq.RedisClientOpt{Addr: a.addr, Username: a.user, Password: a.secret}
		ran := &seen{of: map[string]int{}}
		log := &asynqLog{}
		server := asynq.NewServer(login, asynq.Config{
			Concurrency:              8,
			Queues:                   map[string]int{"critical": 3, "default": 1},
			Logger:                   log,
			LogLevel:                 asynq.WarnLevel,
			TaskCheckInterval:        200 * time.Millisecond,
			DelayedTaskCheckInterval: 200 * time.Millisecond,
			RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return time.Millisecond },
			GroupGracePeriod:         time.Second,
			GroupAggregator: asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
				for _, task := range tasks {
					ran.add("member " + string(task.Payload()))
				}
				return asynq.NewTask("grouped", []byte(a.name+group))
			}),
		})
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			payload := string(task.Payload())
			if !strings.HasPrefix(payload, a.name) {
				t.Errorf("%s got the task %s %q", a.name, task.Type(), payload)
			}
			times := ran.add(task.Type() + " " + payload)
			switch {
			case task.Type() == "flaky" && times < 3:
				return errors.New("not yet")
			case task.Type() == "hopeless":
				return errors.New("never")
			case task.Type() == "cancelled" && times == 1:
				<-ctx.Done()
				return ctx.Err()
			case task.Type() == "result":
				_, err := io.WriteString(task.ResultWriter(), "result of "+payload)
				return err
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			server.Shutdown()
			if log.mu.Lock(); t.Failed() {
				t.Logf("asynq of %s says: %q", a.name, log.lines)
			}
			log.mu.Unlock()
		}()

		client := asynq.NewClient(login)
		defer client.Close()
		inspector := asynq.NewInspector(login)
		defer inspector.Close()
		enqueue := func(kind, payload string, o ...asynq.Option) *asynq.TaskInfo {
			t.Helper()
			info, err := client.Enqueue(asynq.NewTask(kind, []byte(a.name+payload)), o...)
			if err != nil {
				t.Errorf("enqueue %s: %v", kind, err)
				return &asynq.TaskInfo{}
			}
			return info
		}
		began := time.Now()
		for i := range 100 {
			enqueue("plain", fmt.Sprint(i), asynq.Queue([]string{"default", "critical"}[i%2]))
		}
		enqueue("flaky", "", asynq.MaxRetry(5))
		hopeless := enqueue("hopeless", "", asynq.MaxRetry(1))
		enqueue("later", "", asynq.ProcessIn(2*time.Second))
		result := enqueue("result", "", asynq.Retention(time.Hour))
		cancelled := enqueue("cancelled", "", asynq.Retention(time.Hour))
		for i := range 3 {
			enqueue("member", fmt.Sprint(i), asynq.Group("g"))
		}
		enqueue("unique", "", asynq.Unique(time.Minute), asynq.ProcessIn(time.Hour))
		if _, err := client.Enqueue(asynq.NewTask("unique", []byte(a.name)), asynq.Unique(time.Minute)); !errors.Is(err, asynq.ErrDuplicateTask) {
			t.Errorf("the same unique task again: %v", err)
		}

		await := func(kind string, n int) {
			t.Helper()
			harness.Eventually(t, fmt.Sprintf("%s ran %d times", kind, n), func() bool { return ran.count(kind+" ") >= n })
		}
		await("plain", 100)
		await("later", 1)
		// Asynq counts in whole seconds.
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("a task for later ran after %v", took)
		}
		await("flaky", 3)
		await("hopeless", 2)
		await("cancelled", 1)
		await("grouped", 1)
		await("member", 3)
		// Cancelling goes by pub/sub.
		harness.Eventually(t, "a cancelled task is tried again", func() bool {
			if err := inspector.CancelProcessing(cancelled.ID); err != nil {
				t.Error(err)
			}
			return ran.count("cancelled ") == 2
		})
		state := func(what string, of *asynq.TaskInfo, want asynq.TaskState) *asynq.TaskInfo {
			t.Helper()
			var info *asynq.TaskInfo
			harness.Eventually(t, what, func() bool {
				info, err = inspector.GetTaskInfo("default", of.ID)
				return err == nil && info.State == want
			})
			return info
		}
		state("a task out of attempts is archived", hopeless, asynq.TaskStateArchived)
		state("a cancelled task completes at its second attempt", cancelled, asynq.TaskStateCompleted)
		if info := state("a finished task is kept", result, asynq.TaskStateCompleted); string(info.Result) != "result of "+a.name {
			t.Errorf("result %q", info.Result)
		}

		queues, err := inspector.Queues()
		slices.Sort(queues)
		if err != nil || !slices.Equal(queues, []string{"critical", "default"}) {
			t.Errorf("queues %q, %v", queues, err)
		}
		if info, err := inspector.GetQueueInfo("critical"); err != nil || info.ProcessedTotal != 50 || info.Size != 0 {
			t.Errorf("critical: %+v, %v", info, err)
		}
		// A script asks for the memory of each task, under names that it makes up.
		if info, err := inspector.GetQueueInfo("default"); err != nil || info.Scheduled != 1 || info.MemoryUsage < 100 {
			t.Errorf("default: %+v, %v", info, err)
		}
		if servers, err := inspector.Servers(); err != nil || len(servers) != 1 {
			t.Errorf("%d servers are listed, %v", len(servers), err)
		}
		if n, err := inspector.DeleteAllScheduledTasks("default"); err != nil || n != 1 {
			t.Errorf("%d scheduled tasks deleted, %v", n, err)
		}
		if err := inspector.DeleteQueue("default", true); err != nil {
			t.Error(err)
		}
	})
}

// Its scheduler, which repeats tasks.
func TestSoftwareAsynqScheduler(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		login := asynq.RedisClientOpt{Addr: a.addr, Username: a.user, Password: a.secret}
		scheduler := asynq.NewScheduler(login, &asynq.SchedulerOpts{Logger: &asynqLog{}, LogLevel: asynq.FatalLevel})
		if _, err := scheduler.Register("@every 1s", asynq.NewTask("tick", []byte(a.name))); err != nil {
			t.Fatal(err)
		}
		if err := scheduler.Start(); err != nil {
			t.Fatal(err)
		}
		defer scheduler.Shutdown()
		inspector := asynq.NewInspector(login)
		defer inspector.Close()
		harness.Eventually(t, "two ticks are pending", func() bool {
			tasks, err := inspector.ListPendingTasks("default")
			for _, task := range tasks {
				if string(task.Payload) != a.name {
					t.Errorf("%s sees the task %q", a.name, task.Payload)
				}
			}
			return err == nil && len(tasks) >= 2
		})
	})
}
