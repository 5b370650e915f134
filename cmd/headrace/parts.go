package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/headrace/headrace/admin"
	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/telemetry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies"
	"github.com/headrace/headrace/specs/source"
)

// parts are what lives as long as the process and outlasts every table.
type parts struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry // nil for commands that only look at files
	stores    *stores
	fleet     *system.Fleet
	kinds     []gateway.Kind
	started   time.Time
	// served is the system layer of the current table; nil before the first.
	served atomic.Pointer[system.Set]
	// systemNames are those of the current table.
	systemNames atomic.Pointer[[]string]
}

// newParts makes the parts that a look at files needs: nothing is exported,
// and nobody is called.
func newParts(log *slog.Logger) *parts {
	return assemble(memoryStores(), system.Options{Log: log})
}

// assemble puts together what stands on the stores.
func assemble(s *stores, o system.Options) *parts {
	o.Store = s.budgets
	return &parts{
		log:     o.Log,
		stores:  s,
		fleet:   system.Open(o),
		kinds:   policies.All(policies.Options{Counters: s.counters, Log: o.Log}),
		started: time.Now(),
	}
}

// openParts makes the parts of a server.
func openParts(ctx context.Context, config *workspace.Config, log io.Writer) (*parts, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(config.Telemetry.Level)); err != nil {
		return nil, err
	}
	t, err := telemetry.Open(ctx, telemetry.Options{Version: version(), LogWriter: log, LogLevel: level})
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	otel.SetErrorHandler(t)
	stores, err := openStores(config.Stores, t.Logger())
	if err != nil {
		t.Close(ctx)
		return nil, err
	}
	p := assemble(stores, system.Options{Log: t.Logger(), Tracer: t.Tracer(), Observer: t})
	p.telemetry = t
	return p, nil
}

func (p *parts) close() {
	p.fleet.Close()
	p.stores.close()
	if p.telemetry != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.telemetry.Close(ctx)
	}
}

// options tell how a workspace becomes a table.
func (p *parts) options() workspace.Options {
	return workspace.Options{
		Kinds: p.kinds,
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			set := p.fleet.Build(fsys, systems, ps)
			return layer{Set: set, bind: p.observe(set)}
		},
	}
}

// layer is the system layer, with a span for the policies before it.
type layer struct {
	*system.Set
	bind gateway.Layer
}

func (l layer) Bind(b *gateway.Binding) gateway.Handler { return l.bind.Bind(b) }

func (p *parts) observe(l gateway.Layer) gateway.Layer {
	if p.telemetry == nil {
		return l
	}
	return p.telemetry.Layer(l)
}

// admin is the operators' application of a server.
func (s *server) admin() (http.Handler, error) {
	token := ""
	if !s.config.Admin.Token.IsZero() {
		var err error
		if token, err = s.config.Admin.Token.Resolve(); err != nil {
			return nil, fmt.Errorf("admin.token: %w", err)
		}
	}
	return admin.New(admin.Options{
		Version: version(), Started: s.parts.started, Token: token, Metrics: s.parts.telemetry.Handler(),
		Tables: s.gateway, Systems: s.parts.systemStatus, Stores: s.parts.storeStatus, Draining: s.draining.Load, Log: s.parts.log,
		Reload: func() admin.Reload {
			r := s.live.Last()
			return admin.Reload{At: r.At, Took: r.Took, Revision: r.Revision, Problems: r.Problems, Attempts: r.Count, Refused: r.Failed}
		},
	}), nil
}

// watch lets the metrics see the table, the systems and the reloads.
func (s *server) watch() error {
	return s.parts.telemetry.Watch(telemetry.Sources{
		Table:   s.gateway.Table,
		Systems: s.parts.systemUse,
		Stores:  s.parts.storeUse,
		Reloads: func() (int, int) {
			last := s.live.Last()
			return last.Count, last.Failed
		},
	})
}
