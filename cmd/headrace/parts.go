package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/headrace/headrace/admin"
	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/flow"
	"github.com/headrace/headrace/gateway/issuer"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/telemetry"
	"github.com/headrace/headrace/gateway/usage"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies"
	"github.com/headrace/headrace/policies/jwt"
	"github.com/headrace/headrace/specs/source"
)

// parts are what lives as long as the process and outlasts every table.
type parts struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry // nil for commands that only look at files
	stores    *stores
	fleet     *system.Fleet
	ledger    *ledger.DB     // nil for commands that only look at files
	buffer    *buffer.Buffer // only compiles without a ledger
	flows     *flow.Flows    // only compiles without a ledger
	issuer    *issuer.Issuer // nil without a token endpoint, and for commands that only look at files
	own       jwt.Own        // the same, or what the workspace says of it; nil without a token endpoint
	usage     *usage.Meter   // nil without a ledger
	events    *event.Sender  // nil without webhooks
	kinds     []gateway.Kind
	state     string // the state directory; empty for commands that only look at files
	started   time.Time
	// served is the system layer of the current table; nil before the first.
	served atomic.Pointer[system.Set]
	// consumers are those of the current table; nil before the first.
	consumers atomic.Pointer[gateway.Consumers]
	// inUse is for how long a version that was called is in use.
	inUse atomic.Int64
	// systemNames are those of the current table.
	systemNames atomic.Pointer[[]string]
}

// newParts makes the parts that a look at files needs: nothing is exported,
// and nobody is called. own is the token endpoint that the workspace says it has.
func newParts(log *slog.Logger, own jwt.Own) *parts {
	p := assemble(memoryStores(), system.Options{Log: log})
	p.use(own)
	return p
}

// use makes the policies, which know the token endpoint.
func (p *parts) use(own jwt.Own) {
	p.own = own
	p.kinds = policies.All(policies.Options{Counters: p.stores.counters, Log: p.log, Own: own})
}

// assemble puts together what stands on the stores.
func assemble(s *stores, o system.Options) *parts {
	o.Store = s.budgets
	return &parts{
		log:     o.Log,
		stores:  s,
		fleet:   system.Open(o),
		buffer:  buffer.New(buffer.Options{Log: o.Log}),
		flows:   flow.New(flow.Options{Log: o.Log}),
		started: time.Now(),
	}
}

// openParts makes the parts of a server on a workspace.
func openParts(ctx context.Context, dir string, config *workspace.Config, log io.Writer) (*parts, error) {
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
	if p.state, err = workspace.StateDirectory(dir); err != nil {
		p.close()
		return nil, fmt.Errorf("the state directory: %w; set STATE_DIRECTORY, or an absolute path in stores.ledger", err)
	}
	if p.ledger, err = openLedger(ctx, p.state, config, t.Logger()); err != nil {
		p.close()
		return nil, err
	}
	if err := stores.remember(ctx, p.ledger, t.Logger()); err != nil {
		p.close()
		return nil, err
	}
	p.usage = usage.Open(usage.Options{Ledger: p.ledger, Keep: config.Usage.Keep.Std(), Log: t.Logger()})
	p.buffer = buffer.New(buffer.Options{Ledger: p.ledger, Settings: p.bufferSettings(config), Log: t.Logger(), Observer: measured{t}})
	if p.events, err = openEvents(dir, config, p); err != nil {
		p.close()
		return nil, err
	}
	p.flows = flow.New(flow.Options{Ledger: p.ledger, Buffer: p.buffer, Log: t.Logger(), Observer: t})
	p.flows.Configure(config.Writes.Keys.Std())
	if p.issuer, err = openIssuer(ctx, dir, config, p); err != nil {
		p.close()
		return nil, err
	}
	if p.issuer != nil {
		p.use(p.issuer)
	} else {
		p.use(nil)
	}
	return p, nil
}

// openLedger opens what keeps the writes.
func openLedger(ctx context.Context, state string, config *workspace.Config, log *slog.Logger) (*ledger.DB, error) {
	url, err := config.Stores.Ledger.Resolve(state)
	if err != nil {
		return nil, fmt.Errorf("stores.ledger: %w", err)
	}
	db, err := ledger.Open(ctx, url, ledger.Options{Replica: config.Stores.Replica, Lease: buffer.DefaultLease, Log: log})
	if err != nil {
		return nil, fmt.Errorf("stores.ledger %s: %w", config.Stores.Ledger, err)
	}
	return db, nil
}

// bufferSettings puts the workspace's words into the buffer's.
func (p *parts) bufferSettings(c *workspace.Config) buffer.Settings {
	w := &c.Writes
	archive := w.Archive
	if archive != "" && !filepath.IsAbs(archive) {
		archive = filepath.Join(p.state, archive)
	}
	return buffer.Settings{
		Writes: int64(w.Most), Bytes: int64(w.Bytes), Share: float64(w.Share) / 100, KeyLifetime: w.Keys.Std(), Attempts: w.Attempts,
		Expiry: w.Expiry.Std(), Gap: w.Gap.Std(),
		Retention: ledger.Retention{Settled: w.Keep.Std(), Dead: w.KeepDead.Std(), Audit: w.KeepAudit.Std()},
		Archive:   archive,
	}
}

func (p *parts) close() {
	ending, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p.flows.Close(ending)
	p.buffer.Close(ending) // has been closed before, with more time, where anything was sent
	if p.usage != nil {
		last, done := context.WithTimeout(context.Background(), 3*time.Second)
		defer done()
		if err := p.usage.Close(last); err != nil {
			p.log.Warn("the last counts of usage are lost", "error", err)
		}
	}
	p.fleet.Close()
	p.stores.close(p.log)
	if p.ledger != nil {
		if err := p.ledger.Close(); err != nil {
			p.log.Warn("closing the ledger", "error", err)
		}
	}
	if p.telemetry != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.telemetry.Close(ctx)
	}
}

// options tell how a workspace becomes a table.
func (p *parts) options() workspace.Options {
	files, dir := buffer.Document()
	runs, runsDir := flow.Document()
	own := []workspace.Own{{Files: files, Dir: dir, Layer: p.buffer.Resource()}, {Files: runs, Dir: runsDir, Layer: p.flows.Resource()}}
	if p.own != nil {
		files, dir := issuer.Document()
		own = append(own, workspace.Own{Files: files, Dir: dir, Layer: p.issuer.Endpoints(), Open: true})
	}
	return workspace.Options{
		Kinds: p.kinds,
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			set := p.buffer.Build(p.fleet.Build(fsys, systems, ps))
			return layer{Set: set, bind: p.observe(set), flows: new(*flow.Set)}
		},
		Flows: func(fsys fs.FS, apis []*gateway.API, consumers *gateway.Consumers, systems workspace.SystemLayer, ps *source.Problems) workspace.FlowLayer {
			below := systems.(layer)
			*below.flows = p.flows.Build(fsys, apis, consumers, below.Set, ps)
			return *below.flows
		},
		Own: own,
	}
}

// layer is the system layer behind the buffer, with a span for the policies before it.
type layer struct {
	*buffer.Set
	bind gateway.Layer
	// flows are those of the same table.
	flows **flow.Set
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
	people, err := newPeople(s.config.Admin.OIDC, s.parts)
	if err != nil {
		return nil, err
	}
	return admin.New(admin.Options{
		OIDC: people, Version: version(), Started: s.parts.started, Token: token, Metrics: s.parts.telemetry.Handler(),
		Open: s.config.Admin.OpenHere(s.config.Listen.Admin), Registry: s.registry, Store: s.parts.ledger,
		Writes: s.parts.buffer.Operator, Runs: s.parts.flows.Operator, Ledger: s.parts.ledger.Err,
		Tables: s.gateway, Systems: s.parts.systemStatus, Stores: s.parts.storeStatus, Draining: s.draining.Load, Log: s.parts.log,
		Reload: func() admin.Reload {
			r := s.live.Last()
			return admin.Reload{At: r.At, Took: r.Took, Revision: r.Revision, Problems: r.Problems, Attempts: r.Count, Refused: r.Failed, Registry: r.Registry, Served: r.Served}
		},
	}), nil
}

// watch lets the metrics see the table, the systems and the reloads.
func (s *server) watch() error {
	return s.parts.telemetry.Watch(telemetry.Sources{
		Table:   s.gateway.Table,
		Systems: s.parts.systemUse,
		Writes:  s.parts.writeUse,
		Runs:    s.parts.runUse,
		Ledger:  s.parts.ledger.Err,
		Stores:  s.parts.storeUse,
		Registry: func() (int64, int64) {
			last := s.live.Last()
			return last.Registry, last.Served
		},
		Reloads: func() (int, int) {
			last := s.live.Last()
			return last.Count, last.Failed
		},
	})
}
