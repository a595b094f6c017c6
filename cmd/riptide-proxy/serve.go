package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"riptide-proxy/admin"
	"riptide-proxy/config"
	"riptide-proxy/control"
	"riptide-proxy/proxy"
	"riptide-proxy/upstream"
)

// serveCommand is both `riptide-proxy serve` and `riptide-proxy` alone.
func serveCommand() *cobra.Command {
	var file string
	run := func(cmd *cobra.Command, _ []string) error { return serve(file, cmd.OutOrStdout()) }
	root := newRoot(run)
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy (the default)",
		Args:  cobra.NoArgs,
		RunE:  run,
	}
	for _, c := range []*cobra.Command{root, serve} {
		c.Flags().StringVarP(&file, "config", "c", "", "configuration file; without one a demo runs in memory")
	}
	root.AddCommand(serve)
	return root
}

// serve runs the proxy until it is told to stop.
func serve(file string, out io.Writer) error {
	logAs(config.Default().Log) // until the file says how
	files, cfg, warnings, logins, err := load(file)
	if err != nil {
		return err
	}
	h, err := newHandover(cfg)
	if err != nil {
		return err
	}
	defer h.release()
	defer h.close()
	st, err := openState(cfg)
	if err != nil {
		return err
	}
	target, stop, err := connect(cfg)
	if err != nil {
		return files.Locate(err)
	}
	defer stop()
	signals, hangups := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer signal.Stop(hangups)
	srv, err := proxy.StartWith(cfg, target, proxy.Options{Listen: h.listen, State: st.found})
	if err != nil {
		return files.Locate(err)
	}
	st.keep(cfg, srv)
	defer st.close()
	manager := control.New(srv, files, cfg, warnings)
	if srv.Audit() != nil { // what is different is some work to find out
		manager.OnResult(func(r control.Result) { srv.Audit().Event(reloadEvent(r)) })
	}
	traces := &traces{srv: srv, upstream: target.Address}
	traces.apply(cfg.Tracing)
	defer traces.close()
	manager.OnApply(func(_, now *config.Config) {
		logAs(now.Log)
		traces.apply(now.Tracing)
		st.apply(now)
	})
	var usage admin.Usage
	if v := srv.Usage(); v != nil {
		usage = v
	}
	adm, err := admin.Start(cfg.Admin.Listen, admin.Options{
		Proxy: srv, State: manager, File: file, Dictionaries: srv.Dictionaries(), Usage: usage, Signed: srv.Tokens(),
		Collectors: append(st.metrics(), manager.Metrics()), Checkpoints: st.checkpoints(), Listen: h.listenNew,
		Audit: func(e admin.Event) { srv.Audit().Event(adminEvent(e)) },
	})
	if err != nil {
		return errors.Join(err, srv.Shutdown(context.Background()), srv.Audit().Close())
	}
	if err := h.ready(st.save); err != nil {
		adm.Close()
		return errors.Join(err, srv.Shutdown(context.Background()), srv.Audit().Close())
	}
	slog.Info("now serving clients", "listen", srv.Addr().String(), "admin", adm.Addr(), "upstream", target.Address, "tenants", len(cfg.Tenants), "version", version, "process", os.Getpid())
	if logins != nil {
		welcome(out, srv.Addr(), logins)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { manager.Watch(ctx) })
	watching.Go(func() { reloadOn(ctx, hangups, manager) })
	defer watching.Wait()
	defer cancel()
	return wait(manager, signals, srv, adm, h, st)
}

// reloadOn takes the files over whenever the process is told to.
func reloadOn(ctx context.Context, hangups <-chan os.Signal, manager *control.Manager) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := manager.Reload(ctx, "signal"); errors.Is(err, control.ErrNoFile) {
				slog.Warn("there is nothing to reload", "error", err)
			}
		}
	}
}

// wait returns when the proxy has been stopped by a signal, was replaced, or has failed.
func wait(manager *control.Manager, signals <-chan os.Signal, srv *proxy.Server, adm *admin.Server, h *handover, st *state) error {
	var failed error
	replaced := false
	select {
	case sig := <-signals:
		slog.Info("shutting down", "signal", sig.String(), "timeout", manager.Current().Config.ShutdownTimeout.String())
	case <-h.over():
		replaced = true
		slog.Info("a new process has taken over; serving who is still here", "timeout", manager.Current().Config.ShutdownTimeout.String())
	case failed = <-srv.Failed():
		slog.Error("shutting down", "error", failed)
	}
	timeout := time.Duration(manager.Current().Config.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	h.close()
	st.close()
	if replaced {
		adm.Close() // whoever asks whether the proxy is ready means the new process
		retire(ctx, timeout/2, signals, srv)
	} else {
		daemon.SdNotify(false, daemon.SdNotifyStopping)
	}
	go func() {
		<-signals // a second one: at once
		cancel()
	}()
	err := srv.Shutdown(ctx)
	if timeout == 0 {
		err = nil // it was asked not to wait
	}
	adm.Close()
	if !replaced {
		st.save() // else the new process keeps the state
	}
	err = errors.Join(err, srv.Audit().Close())
	slog.Info("stopped", "error", err)
	return errors.Join(failed, err)
}

// retire serves who is here for a while longer, but not after a signal.
func retire(ctx context.Context, limit time.Duration, signals <-chan os.Signal, srv *proxy.Server) {
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	go func() {
		select {
		case <-signals:
			done()
		case <-ctx.Done():
		}
	}()
	srv.Retire(ctx)
}

// load reads the configuration, or makes the demo's.
func load(file string) (*config.Files, *config.Config, []config.Warning, []config.DemoLogin, error) {
	if file == "" {
		cfg, logins := config.Demo()
		return nil, cfg, nil, logins, nil
	}
	files, cfg, warnings, err := config.ReadFiles(file)
	if cfg != nil {
		logAs(cfg.Log)
	}
	for _, w := range warnings {
		slog.Warn(w.String())
	}
	return files, cfg, warnings, nil, err
}

// connect makes the upstream's target; stop ends what was started for it.
func connect(cfg *config.Config) (target *upstream.Target, stop func(), err error) {
	logging.Disable() // each outage is told once, by whoever notices it
	if cfg.Upstream.Mode != config.Embedded {
		target, err = upstream.NewTarget(&cfg.Upstream)
		return target, func() {}, err
	}
	target = &upstream.Target{
		ConnectTimeout: time.Duration(cfg.Upstream.ConnectTimeout),
		Timeout:        time.Duration(cfg.Upstream.Timeout),
	}
	e, err := upstream.StartEmbedded()
	if err != nil {
		return nil, nil, err
	}
	target.Address = e.Address()
	return target, e.Close, nil
}

func welcome(out io.Writer, addr net.Addr, logins []config.DemoLogin) {
	host, port, _ := net.SplitHostPort(addr.String())
	fmt.Fprintf(out, "\nriptide-proxy runs a demo on %s: an embedded backend, in memory only, with %d tenants.\n", addr, len(logins))
	fmt.Fprintf(out, "Both use the key \"greeting\", and neither sees the other's. Try:\n\n")
	for _, l := range logins {
		cli := fmt.Sprintf("redis-cli -h %s -p %s --user %s --pass %s --no-auth-warning", host, port, l.Tenant, l.Secret)
		fmt.Fprintf(out, "  %s SET greeting \"hello from %s\"\n", cli, l.Tenant)
		fmt.Fprintf(out, "  %s GET greeting\n", cli)
		fmt.Fprintf(out, "  %s KEYS '*'\n\n", cli)
	}
	fmt.Fprintf(out, "For a Redis of your own: riptide-proxy serve --config riptide.yaml (see README.md). Ctrl-C stops.\n\n")
}
