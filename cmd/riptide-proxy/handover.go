package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"riptide-proxy/config"
)

// handover lets a new process, of a new binary, take over the listeners of this one: with SIGUSR2
// the program is started once more with the same arguments, and inherits the sockets. Clients that connect meanwhile wait
// in the kernel's queue, which both processes share, and none is refused.
type handover struct {
	upgrader *tableflip.Upgrader
	pid      *pidFile // nil: there is no state_dir
	refuse   error    // why this process can not be replaced
	signals  chan os.Signal
	asked    map[string]int  // how often for a listener of an address: with port 0 there can be several
	ctx      context.Context // ends with close
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	once     sync.Once
}

// upgradeTime bounds how long a new process may take until it serves.
const upgradeTime = 30 * time.Second

func newHandover(cfg *config.Config) (*handover, error) {
	u, err := tableflip.New(tableflip.Options{UpgradeTimeout: upgradeTime})
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	h := &handover{upgrader: u, signals: make(chan os.Signal, 1), asked: make(map[string]int)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if u.HasParent() {
		// What tells the parent is not for programs that print keys.
		unix.CloseOnExec(3)
		unix.CloseOnExec(4)
	}
	if cfg.Upstream.Mode == config.Embedded {
		h.refuse = errors.New("the embedded upstream's data would be lost")
	}
	if cfg.StateDir != "" {
		h.pid = newPIDFile(cfg.StateDir)
		if err := h.pid.free(); err != nil {
			u.Stop()
			return nil, fmt.Errorf("state_dir: %w", err)
		}
	}
	signal.Notify(h.signals, syscall.SIGUSR2)
	return h, nil
}

// listen returns the parent's listener of that address, or has one made. It is called by one goroutine at a time.
func (h *handover) listen(network, address string, create func() (net.Listener, error)) (net.Listener, error) {
	name := address
	if h.asked[address]++; h.asked[address] > 1 {
		name = fmt.Sprintf("%s#%d", address, h.asked[address])
	}
	ln, err := h.upgrader.Listener(network, name)
	if ln != nil || err != nil {
		return ln, err
	}
	if ln, err = create(); err != nil {
		return nil, advised(err)
	}
	if err := h.upgrader.AddListener(network, name, ln.(tableflip.Listener)); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// listenNew is listen for one that is made by package net.
func (h *handover) listenNew(network, address string) (net.Listener, error) {
	return h.listen(network, address, func() (net.Listener, error) { return net.Listen(network, address) })
}

// ready tells the parent, if there is one, that this process serves, and begins to wait for the signal. Before it
// starts a new process, before runs.
func (h *handover) ready(before func()) error {
	if h.pid != nil {
		if err := h.pid.claim(); err != nil {
			return fmt.Errorf("state_dir: %w", err)
		}
	}
	// The service manager hears of the new main process before the old one ends.
	if _, err := daemon.SdNotify(false, fmt.Sprintf("%s\nMAINPID=%d", daemon.SdNotifyReady, os.Getpid())); err != nil {
		slog.Warn("the service manager could not be told", "error", err)
	}
	if err := h.upgrader.Ready(); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	h.ended.Go(func() {
		for range h.signals {
			before()
			h.upgrade()
		}
	})
	return nil
}

// upgrade starts the new process and waits until it serves. If it does not, nothing has happened.
func (h *handover) upgrade() {
	err := h.refuse
	if err == nil {
		err = h.waitForParent()
	}
	if err == nil {
		slog.Info("starting a new process to take over")
		err = h.upgrader.Upgrade()
	}
	if err != nil {
		slog.Error("no new process has taken over; this one goes on", "error", err)
	}
}

// heardOf is how long the upgrader may take to hear of the parent's end.
const heardOf = 50 * time.Millisecond

// waitForParent waits for the process that this one has replaced: there are never three.
func (h *handover) waitForParent() error {
	if !h.upgrader.HasParent() {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, upgradeTime)
	defer cancel()
	h.upgrader.WaitForParent(ctx) // how it has ended does not matter
	if ctx.Err() != nil {
		return errors.New("the process that this one has replaced still serves clients")
	}
	time.Sleep(heardOf)
	return nil
}

// over is closed when a new process serves.
func (h *handover) over() <-chan struct{} { return h.upgrader.Exit() }

// close ends all of it, and the listeners with it as far as nobody else has them.
func (h *handover) close() {
	h.once.Do(func() {
		h.cancel()
		h.upgrader.Stop()
		<-h.upgrader.Exit()
		signal.Stop(h.signals)
		close(h.signals)
		h.ended.Wait()
	})
}

// release leaves the folder of the state to the next process.
func (h *handover) release() {
	if h.pid != nil {
		h.pid.release()
	}
}
