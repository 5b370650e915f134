package main

import (
	"context"
	"io/fs"
	"path"
	"slices"

	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/portal"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// history knows earlier versions of APIs: those of the registry, and those whose
// folders stand in the workspace.
type history struct {
	registry *registry.Registry
	live     *workspace.Live
}

// Releases is of portal.History.
func (h history) Releases(ctx context.Context, api string) ([]portal.Release, error) {
	kept, err := h.kept(ctx, api)
	if err != nil {
		return nil, err
	}
	err = h.over(ctx, func(files fs.FS) error {
		entries, err := fs.ReadDir(files, path.Join(workspace.APIsDir, api))
		if err != nil {
			return nil // it stands in the registry alone
		}
		for _, e := range entries {
			known := slices.ContainsFunc(kept, func(r portal.Release) bool { return r.Version == e.Name() })
			if e.IsDir() && !known && public(files, path.Join(workspace.APIsDir, api, e.Name())) {
				kept = append(kept, portal.Release{Version: e.Name()})
			}
		}
		return nil
	})
	slices.SortFunc(kept, func(a, b portal.Release) int { return registry.CompareVersions(b.Version, a.Version) })
	return kept, err
}

// kept lists what the registry has published.
func (h history) kept(ctx context.Context, api string) ([]portal.Release, error) {
	var list []portal.Release
	for after := ""; ; {
		page, more, err := registry.List[registry.Version](ctx, h.registry, registry.KindVersion, api, after, 100)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			after = i.Name
			if i.Body.Status == registry.Draft || i.Body.Canary != nil {
				continue
			}
			r := portal.Release{Version: i.Body.Version}
			if i.Body.Published != nil {
				r.Published = *i.Body.Published
			}
			list = append(list, r)
		}
		if !more {
			return list, nil
		}
	}
}

// public tells whether a version in the files is one that everybody may see.
func public(files fs.FS, dir string) bool {
	ps := &source.Problems{}
	c := specs.LoadContract(files, dir, ps)
	return c != nil && ps.Err() == nil && c.Governance.Status != registry.Draft && c.Governance.Canary == nil
}

// Changes is of portal.History.
func (h history) Changes(ctx context.Context, api, from, to string) (changes []registry.Change, err error) {
	if _, changes, err = h.registry.Changes(ctx, api, from, to); err == nil {
		return changes, nil
	}
	err = h.over(ctx, func(files fs.FS) error {
		at := func(version string) registry.Place {
			return registry.Place{Files: files, Dir: path.Join(workspace.APIsDir, api, version)}
		}
		changes, err = diffVersions(at(from), at(to))
		return err
	})
	return changes, err
}

// over shows the workspace as it is served.
func (h history) over(ctx context.Context, use func(fs.FS) error) error {
	layer, err := h.registry.Layer(ctx)
	if err != nil {
		return err
	}
	return h.live.Over(layer.Files, use)
}
