package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/usage"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies/apikey"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/lint"
	"github.com/headrace/headrace/specs/source"
)

// newRegistry makes the registry of a server. What gets into it is built as
// the server's own table would be.
func newRegistry(p *parts, live *workspace.Live) *registry.Registry {
	return registry.New(registry.Options{
		Ledger: p.ledger, Check: live.Check, Over: live.Over, Log: p.log,
		Lint: lintVersion, Diff: diffVersions, Test: testMappings,
		InUse: p.usesOf,
		NewKey: func() registry.Key {
			k := apikey.New()
			return registry.Key{Text: k.Text, Prefix: k.Prefix, Hash: k.Hash}
		},
	})
}

// lintVersion looks at a version by the lint settings of its workspace.
func lintVersion(at registry.Place) ([]registry.Finding, error) {
	ps := &source.Problems{}
	settings := lintSettings(at.Files, ps)
	c := specs.LoadContract(at.Files, at.Dir, ps)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	var list []registry.Finding
	for _, f := range lint.Check(c, settings) {
		wrong := f.Wrong
		if f.Operation != "" {
			wrong = f.Operation + ": " + wrong
		}
		list = append(list, registry.Finding{
			Problem: source.Problem{Position: f.Position, Wrong: wrong, Right: f.Right + " [" + f.Rule + "]"},
			Rule:    f.Rule, Severity: string(f.Severity),
		})
	}
	return list, nil
}

// diffVersions puts what has changed into the registry's words.
func diffVersions(before, after registry.Place) ([]registry.Change, error) {
	ps := &source.Problems{}
	was, is := specs.LoadContract(before.Files, before.Dir, ps), specs.LoadContract(after.Files, after.Dir, ps)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	found, err := specs.Diff(was, is)
	if err != nil {
		return nil, err
	}
	changes := []registry.Change{} // compared, though nothing may have changed
	for _, c := range found {
		changes = append(changes, registry.Change{
			Position: c.Position, ID: c.ID, Rule: c.Rule, Level: string(c.Level),
			Where: strings.TrimSpace(c.Method + " " + c.Path), Text: c.Text, Reason: c.Reason,
		})
	}
	return changes, nil
}

// testMappings says which tests of a workspace's mappings fail.
func testMappings(files fs.FS) []source.Problem {
	ps := &source.Problems{}
	for _, r := range mapping.RunTests(files, mapping.Limits{}, ps) {
		if r.Failure != "" {
			ps.Append(source.Problem{Position: r.Position, Wrong: fmt.Sprintf("the test %q of %s fails: %s", r.Test, r.Mapping, r.Failure)})
		}
	}
	return ps.List()
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

// again says that there is something new to report. Where a table could not be
// built, what was taken from consumers meanwhile is refused by the old one.
func (s *server) again(r workspace.Reload) {
	if len(r.Problems) > 0 {
		s.withdraw()
	}
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

// swapping swaps the table. What was taken from consumers while it was built is
// refused from its first call on.
func (s *server) swapping(next *workspace.Loaded, revision int64, swap func()) {
	s.withdrawing.Lock()
	defer s.withdrawing.Unlock()
	s.registry.Serves(revision)
	s.withdrawFrom(next.Table)
	swap()
}

// withdraw has the table that is served refuse what no longer holds.
func (s *server) withdraw() {
	s.withdrawing.Lock()
	defer s.withdrawing.Unlock()
	if table := s.gateway.Table(); table != nil {
		s.withdrawFrom(table)
	}
}

func (s *server) withdrawFrom(table *gateway.Table) {
	ctx, cancel := context.WithTimeout(context.Background(), layerPatience)
	defer cancel()
	w, err := s.registry.Withdrawn(ctx)
	if err != nil {
		s.parts.log.Error("what was taken from consumers may still be accepted: the registry cannot be read", "error", err)
		return
	}
	table.Consumers.Withdraw(w)
}

// refuse has what is taken from consumers refused at once, before a table without
// it is built, until ctx ends.
func (s *server) refuse(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.taken:
			s.withdraw()
		}
	}
}

// pause is the time between two looks for contents that nothing refers to.
const pause = time.Hour

// pruning deletes contents that nothing refers to any more, until ctx ends.
func (s *server) pruning(ctx context.Context) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, pause/10)
		n, err := s.parts.ledger.Prune(bounded)
		cancel()
		switch {
		case err != nil && ctx.Err() == nil:
			s.parts.log.Warn("contents that nothing refers to cannot be deleted", "error", err)
		case n > 0:
			s.parts.log.Info("contents that nothing refers to were deleted", "contents", n)
		}
	}
}
