package registry

import (
	"context"
	"io/fs"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// File is a file of a workspace that belongs to no version: of a system, a
// mapping, or what documents share. Its name is its path.
type File struct {
	Hash string `json:"hash" yaml:"hash" check:"required" doc:"SHA-256 of the content, in hexadecimal."`
	Size int    `json:"size" yaml:"size" doc:"Length in bytes."`
	From `yaml:",inline"`
}

func (*File) parent() string                              { return "" }
func (*File) check(string, source.Node, *source.Problems) {}

// CommonDir holds what documents share.
const CommonDir = "common"

// folders are those whose files are kept one by one.
func folders() []string { return []string{workspace.SystemsDir, workspace.MappingsDir, CommonDir} }

func checkPath(name string) error {
	top, _, below := strings.Cut(name, "/")
	if !fs.ValidPath(name) || !below || !slices.Contains(folders(), top) || strings.Contains("/"+name, "/.") {
		return refuse(Invalid, "a path below "+strings.Join(folders(), "/, ")+"/", "%q is not a file that the registry keeps", name)
	}
	return nil
}

// PutFile makes or changes a file.
func (r *Registry) PutFile(ctx context.Context, by ledger.By, name string, content []byte, m ledger.Match) (int64, error) {
	return r.change(ctx, by, func(d *ledger.Draft) error {
		if err := putFile(d, name, content, ByAPI, m); err != nil {
			return err
		}
		return r.testedAfter(d, name)
	})
}

func putFile(d *ledger.Draft, name string, content []byte, origin Origin, m ledger.Match) error {
	if err := checkPath(name); err != nil {
		return err
	}
	if len(content) > largestFile {
		return refuse(Invalid, "", "%s is larger than %s", name, source.Size(largestFile))
	}
	f := &File{Hash: d.Blob(content), Size: len(content), From: From{origin}}
	if err := promised(d, name, f.Hash); err != nil {
		return err
	}
	text, err := encode(f)
	if err != nil {
		return err
	}
	return keep(d, ledger.Entry{Kind: KindFile, Name: name, Body: text}, m)
}

// DeleteFile ends a file.
func (r *Registry) DeleteFile(ctx context.Context, by ledger.By, name string, m ledger.Match) (int64, error) {
	return r.change(ctx, by, func(d *ledger.Draft) error {
		if err := deleteFile(d, name, m); err != nil {
			return err
		}
		return r.testedAfter(d, name)
	})
}

// testedAfter runs the tests after a mapping, or a test of one, has changed.
func (r *Registry) testedAfter(d *ledger.Draft, name string) error {
	if !strings.HasPrefix(name, workspace.MappingsDir+"/") {
		return nil
	}
	return r.tested(d)
}

func deleteFile(d *ledger.Draft, name string, m ledger.Match) error {
	if err := promised(d, name, ""); err != nil {
		return err
	}
	return d.Delete(KindFile, name, m)
}

// promised refuses to change what a published version is made of.
func promised(d *ledger.Draft, name, hash string) error {
	for _, e := range d.List(KindVersion, "") {
		i, err := item[Version](&e)
		if err != nil {
			return err
		}
		v := &i.Body
		if was := v.Uses[name]; was != "" && was != hash && v.Status != Draft && v.Status != Retired {
			return refuse(Immutable, "add a new file beside it, and refer to that in the next version", "%s is part of %s", name, v.name())
		}
	}
	return nil
}

// ReadFile reads a file's content.
func (r *Registry) ReadFile(ctx context.Context, name string) ([]byte, error) {
	f, err := Get[File](ctx, r, KindFile, name)
	if err != nil {
		return nil, err
	}
	return r.ledger.Content(ctx, f.Body.Hash)
}
