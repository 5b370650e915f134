package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/portal"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve DIR",
		Short: "Run the gateway on a workspace, and follow its changes",
		Long: "Run the gateway on a workspace. Changes of its files are checked and go live without a restart,\n" +
			"as does SIGHUP; a faulty state is refused as a whole and the old one goes on.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := newServer(cmd.Context(), args[0], os.Stdout)
			if err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
}

// server is a running Headrace: two listeners, and a table that follows a
// directory and the registry.
type server struct {
	parts    *parts
	config   *workspace.Config
	gateway  *gateway.Gateway
	live     *workspace.Live
	registry *registry.Registry
	tried    chan struct{} // a table was loaded, or refused
	keys     chan struct{} // the control plane has changed, and perhaps signing keys with it
	taken    chan struct{} // the same, and perhaps something was taken from consumers
	draining atomic.Bool

	withdrawing sync.Mutex                 // held while what was taken is put into the table that is served
	tls         atomic.Pointer[tls.Config] // nil without TLS

	outbox bool // the portal shows mails instead of sending them

	gatewayListener, adminListener net.Listener
	portalListener                 net.Listener // nil without a portal
}

// newServer reads the workspace, refuses it if anything is wrong, and listens.
func newServer(ctx context.Context, dir string, log io.Writer) (*server, error) {
	config := workspace.ReadConfig(dir)
	tuneMemory()
	parts, err := openParts(ctx, dir, config, log)
	if err != nil {
		return nil, err
	}
	s := &server{parts: parts, config: config, tried: make(chan struct{}, 1), keys: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
	s.gateway = gateway.New(gateway.Options{Recorder: parts.telemetry, Meter: parts.usage})
	options := parts.options()
	options.Served = s.served
	options.Registry, options.Tried, options.Swapping = s.layer, s.again, s.swapping
	s.live = workspace.NewLive(dir, options, s.gateway, parts.log)
	s.registry = newRegistry(parts, s.live)
	err = s.start()
	if err == nil {
		if err = s.bootstrap(ctx, log); err != nil {
			s.stopListening()
		}
	}
	if err != nil {
		s.gateway.Stop()
		parts.close()
		return nil, err
	}
	return s, nil
}

func (s *server) start() error {
	if err := s.watch(); err != nil {
		return err
	}
	s.parts.ledger.WatchControl(s.changed)
	if err := s.live.Reload(); err != nil {
		return err
	}
	var err error
	if s.gatewayListener, err = net.Listen("tcp", s.config.Listen.Gateway); err != nil {
		return fmt.Errorf("the gateway cannot listen: %w; set listen.gateway in headrace.yaml", err)
	}
	if s.adminListener, err = net.Listen("tcp", s.config.Listen.Admin); err != nil {
		s.stopListening()
		return fmt.Errorf("the admin API cannot listen: %w; set listen.admin in headrace.yaml", err)
	}
	if s.config.Portal != nil {
		if s.portalListener, err = net.Listen("tcp", s.config.Portal.Listen); err != nil {
			s.stopListening()
			return fmt.Errorf("the portal cannot listen: %w; set portal.listen in headrace.yaml", err)
		}
	}
	s.gatewayListener = patient{s.gatewayListener, s.config.Limits.Write.Std()}
	if s.config.TLS != nil {
		s.gatewayListener = tls.NewListener(s.gatewayListener, &tls.Config{
			MinVersion:         tls.VersionTLS12,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil },
		})
	}
	return nil
}

// stopListening closes the listeners that there are, when the start has failed.
func (s *server) stopListening() {
	for _, l := range []net.Listener{s.gatewayListener, s.adminListener, s.portalListener} {
		if l != nil {
			l.Close()
		}
	}
}

// changed hears that the control plane has changed.
func (s *server) changed() {
	s.live.Wake()
	for _, told := range []chan struct{}{s.keys, s.taken} {
		select {
		case told <- struct{}{}:
		default: // it has been told already
		}
	}
}

// served takes over what headrace.yaml says now, and names what has to wait.
func (s *server) served(l *workspace.Loaded) {
	if set, ok := l.Systems.(layer); ok {
		s.parts.served.Store(set.System())
		s.parts.buffer.Configure(s.parts.bufferSettings(&l.Workspace.Config))
		s.parts.buffer.Use(set.Set)
		s.parts.flows.Configure(l.Workspace.Config.Writes.Keys.Std())
		s.parts.flows.Use(*set.flows)
	}
	s.parts.consumers.Store(l.Table.Consumers)
	names := slices.Collect(maps.Keys(l.Workspace.Systems))
	s.parts.systemNames.Store(&names)
	now := &l.Workspace.Config
	s.parts.usage.SetKeep(now.Usage.Keep.Std())
	s.parts.inUse.Store(int64(now.Usage.InUse))
	var level slog.Level
	if level.UnmarshalText([]byte(now.Telemetry.Level)) == nil {
		s.parts.telemetry.SetLevel(level)
	}
	if l.TLS != nil {
		s.tls.Store(l.TLS)
	}
	if waiting := s.config.Waiting(now); len(waiting) > 0 {
		s.parts.log.Warn("changes of headrace.yaml take effect at the next start", "keys", strings.Join(waiting, ", "))
	}
}

// tuneMemory trades memory for CPU: a gateway keeps little alive, so a small
// heap would be collected all the time. GOGC and GOMEMLIMIT override it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// run serves until ctx ends, then drains: readiness turns false, no new
// connections are taken, and requests under way may end.
func (s *server) run(ctx context.Context) error {
	defer s.parts.close()
	limits := s.config.Limits
	pages, err := s.admin()
	if err != nil {
		return err
	}
	front := &http.Server{
		Handler:           s.gateway,
		ReadHeaderTimeout: limits.ReadHeader.Std(),
		ReadTimeout:       limits.Read.Std(),
		IdleTimeout:       limits.Idle.Std(),
		MaxHeaderBytes:    int(limits.Header),
		ErrorLog:          slog.NewLogLogger(s.parts.log.Handler(), slog.LevelDebug),
		// OPTIONS * is answered and recorded like everything else.
		DisableGeneralOptionsHandler: true,
	}
	back, side := s.beside(pages), (*http.Server)(nil)
	var partners *portal.Portal
	if s.portalListener != nil {
		if partners, err = s.portal(); err != nil {
			return err
		}
		side = s.beside(partners)
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	s.parts.log.Info("serving", "gateway", s.gatewayListener.Addr().String(), "admin", s.adminListener.Addr().String(), "version", version())

	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return ignoreClosed(front.Serve(s.gatewayListener)) })
	g.Go(func() error { return ignoreClosed(back.Serve(s.adminListener)) })
	if side != nil {
		s.parts.log.Info("serving the portal", "portal", s.portalListener.Addr().String())
		g.Go(func() error { return ignoreClosed(side.Serve(s.portalListener)) })
		g.Go(func() error { partners.Run(running); return nil })
	}
	g.Go(func() error { return s.live.Run(running, again) })
	if s.parts.issuer != nil {
		g.Go(func() error { s.parts.issuer.Run(running, s.keys); return nil })
	}
	if s.parts.events != nil {
		g.Go(func() error { s.parts.events.Run(running); return nil })
	}
	g.Go(func() error { return s.report(running) })
	g.Go(func() error { return s.pruning(running) })
	g.Go(func() error { return s.refuse(running) })
	g.Go(func() error {
		<-running.Done()
		s.draining.Store(true)
		time.Sleep(s.config.Shutdown.Delay.Std())
		s.parts.flows.Drain()
		s.parts.buffer.Drain()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Shutdown.Drain.Std())
		defer cancel()
		err := front.Shutdown(drain)
		if err != nil {
			front.Close()
			err = fmt.Errorf("requests were still under way after %s: %w", s.config.Shutdown.Drain, err)
		}
		s.parts.flows.Close(drain)
		s.parts.buffer.Close(drain)
		quick, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		for _, beside := range []*http.Server{back, side} {
			if beside != nil && beside.Shutdown(quick) != nil {
				beside.Close()
			}
		}
		return err
	})
	err = g.Wait()
	s.gateway.Stop()
	s.parts.log.Info("stopped")
	return err
}

// beside is a server of pages, next to the gateway's.
func (s *server) beside(pages http.Handler) *http.Server {
	limits := s.config.Limits
	return &http.Server{
		Handler:           pages,
		ReadHeaderTimeout: limits.ReadHeader.Std(),
		ReadTimeout:       limits.Read.Std(),
		IdleTimeout:       limits.Idle.Std(),
		MaxHeaderBytes:    int(limits.Header),
		ErrorLog:          slog.NewLogLogger(s.parts.log.Handler(), slog.LevelDebug),
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
