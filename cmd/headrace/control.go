package main

import (
	"context"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/usage"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies/apikey"
)

// newRegistry makes the registry of a server. What gets into it is built as
// the server's own table would be.
func newRegistry(p *parts, live *workspace.Live) *registry.Registry {
	return registry.New(registry.Options{
		Ledger: p.ledger, Check: live.Check, Over: live.Over, Log: p.log,
		InUse: p.usesOf,
		NewKey: func() registry.Key {
			k := apikey.New()
			return registry.Key{Text: k.Text, Prefix: k.Prefix, Hash: k.Hash}
		},
	})
}

// usesOf lists who has called a version lately.
func (p *parts) usesOf(ctx context.Context, api, version string) ([]registry.Use, error) {
	days := int(time.Duration(p.inUse.Load()) / (24 * time.Hour))
	found, err := usage.Book{Ledger: p.ledger}.InUse(ctx, api, version, days)
	list := make([]registry.Use, 0, len(found))
	for _, u := range found {
		list = append(list, registry.Use{App: u.App, Operation: u.Operation, Calls: u.Calls, Last: u.Last})
	}
	return list, err
}

// layerPatience is how long the registry may take to be read.
const layerPatience = 30 * time.Second

// layer reads what the registry adds to the directory.
func (s *server) layer() (workspace.Layer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), layerPatience)
	defer cancel()
	return s.registry.Layer(ctx)
}

// beat is how often a replica says what it serves, though nothing has changed.
const beat = 15 * time.Second

// report tells the other replicas which revision this one serves, until ctx ends.
func (s *server) report(ctx context.Context) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		saying, cancel := context.WithTimeout(ctx, beat)
		if err := s.parts.ledger.Seen(saying, standOf(s.live.Last())); err != nil {
			s.parts.log.Debug("telling the other replicas what is served", "error", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-s.tried:
		case <-tick.C:
		}
	}
}

// again says that there is something new to report.
func (s *server) again(workspace.Reload) {
	select {
	case s.tried <- struct{}{}:
	default: // it has been said
	}
}

// standOf is how a replica stands after a reload.
func standOf(r workspace.Reload) ledger.Replica {
	stand := ledger.Replica{Revision: r.Registry, Served: r.Served, Built: r.Built}
	for _, p := range r.Problems {
		stand.Problems = append(stand.Problems, p.String())
	}
	return stand
}
