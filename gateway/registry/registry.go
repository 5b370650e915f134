package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// Options set up a Registry. Only Ledger is required.
type Options struct {
	Ledger *ledger.DB
	// Check builds the table that would be served if the registry had these
	// files, which it may go on reading; a *source.Error lists what is wrong.
	// Nothing is built when it is nil.
	Check func(workspace.Hashed) error
	// Over shows use the workspace as it would be with these files, those of the
	// directory included; the files alone are shown when it is nil.
	Over func(files workspace.Hashed, use func(fs.FS) error) error
	// Lint says what is wrong with the style of a document that is about to be
	// published; nothing when it is nil. The error is for settings that make no sense.
	Lint func(Place) ([]Finding, error)
	// Test runs the tests of a workspace's mappings, and says which failed; none
	// are run when it is nil.
	Test func(fs.FS) []source.Problem
	// Diff lists the changes from one version to the next. Without it, every
	// change passes for a compatible one.
	Diff func(before, after Place) ([]Change, error)
	// InUse lists who has used a version lately; nobody when it is nil.
	InUse func(ctx context.Context, api, version string) ([]Use, error)
	// NewKey makes an API key. Without it no keys are made.
	NewKey func() Key
	// Log gets what no caller is told; nowhere when nil.
	Log *slog.Logger
}

// Place is where a document stands: a folder apis/NAME/VERSION of files.
type Place struct {
	Files fs.FS
	Dir   string
}

// Change is a difference between two versions of an API.
type Change struct {
	source.Position
	// ID is the same for the same change wherever it stands: exceptions name it.
	ID string `json:"id"`
	// Rule names the kind of change; Level is breaking, risky or compatible.
	Rule  string `json:"rule"`
	Level string `json:"level"`
	// Where is METHOD PATH, or empty.
	Where string `json:"where,omitempty"`
	// Text says what has changed, Reason why that matters.
	Text   string `json:"text"`
	Reason string `json:"reason,omitempty"`
}

// String gives the change as file:line:column: level: METHOD path: what changed [rule id]; reason.
func (c Change) String() string {
	where := c.Where
	if where != "" {
		where += ": "
	}
	text := fmt.Sprintf("%s: %s: %s%s [%s %s]", c.Position, c.Level, where, c.Text, c.Rule, c.ID)
	if c.Reason != "" {
		text += "; " + c.Reason
	}
	return text
}

// Finding is what lint says of a document.
type Finding struct {
	source.Problem
	// Rule names what was looked for; Severity is error, which stops the version
	// from being published, or warning.
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
}

// Fatal is the severity of findings that stop a version.
const Fatal = "error"

// Breaking is the level of changes that need a new major version.
const Breaking = "breaking"

// Use is an app that uses something. App is empty for callers whom nobody knows.
type Use struct {
	App       string    `json:"app"`
	Operation string    `json:"operation,omitempty"`
	Calls     int64     `json:"calls"`
	Last      time.Time `json:"last,omitzero"`
}

func (u Use) String() string {
	who := "callers whom nobody knows use"
	if u.App != "" {
		who = fmt.Sprintf("the app %q uses", u.App)
	}
	return fmt.Sprintf("%s %s: %d calls, the last on %s", who, u.Operation, u.Calls, u.Last.UTC().Format(time.DateOnly))
}

// Key is an API key that was just made. Text is shown once and kept nowhere.
type Key struct{ Text, Prefix, Hash string }

// Registry is the control plane with its rules.
type Registry struct {
	options  Options
	ledger   *ledger.DB
	contents contents
	meanings meanings

	comparing, trying gate // for one caller each: they cost as much as a publish

	shown  sync.Mutex      // guards what follows
	last   *tree           // what Layer gave
	given  *ledger.Control // what that was made of
	served *ledger.Control // what the table that is served was built of; nil before the first
}

// New makes a registry on a ledger.
func New(o Options) *Registry {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Registry{options: o, ledger: o.Ledger, contents: contents{ledger: o.Ledger}, comparing: make(gate, 1), trying: make(gate, 1)}
}

// gate lets a few in at a time; the others wait before it as long as they like.
type gate chan struct{}

func (g gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Refusal says why a change was not made.
type Refusal struct {
	// Why is a word that programs can go by.
	Why Why
	// Wrong says what is wrong, Right what would be right.
	Wrong, Right string
	// Changes are the breaking ones, Uses who would be hit.
	Changes []Change
	Uses    []Use
}

// Why is the reason of a refusal.
type Why string

// The reasons.
const (
	NotFound  Why = "not-found"  // there is no such thing
	Exists    Why = "exists"     // there is one of this name
	Immutable Why = "immutable"  // a published version is as it is
	Breaks    Why = "breaking"   // the change needs a new major version
	InUse     Why = "in-use"     // somebody would be hit
	State     Why = "state"      // not in the state in which this can be done
	Invalid   Why = "invalid"    // what was handed in makes no sense
	NoReason  Why = "no-reason"  // this needs a reason
	ReadOnly  Why = "read-only"  // it stands in files, and is changed there
	TooMany   Why = "too-many"   // there are as many as there may be
	Different Why = "plan-stale" // the plan was made of another revision
)

func (r *Refusal) Error() string {
	text := r.Wrong
	if r.Right != "" {
		text += "; " + r.Right
	}
	for _, c := range r.Changes {
		text += "\n" + c.String()
	}
	for _, u := range r.Uses {
		text += "\n" + u.String()
	}
	return text
}

func refuse(why Why, right, format string, args ...any) *Refusal {
	return &Refusal{Why: why, Wrong: fmt.Sprintf(format, args...), Right: right}
}

// Control reads everything at one revision.
func (r *Registry) Control(ctx context.Context) (*ledger.Control, error) {
	return r.ledger.Control(ctx)
}

// Layer reads the files that the registry adds to a workspace. They are the same
// value as before where no table depends on what has changed.
func (r *Registry) Layer(ctx context.Context) (workspace.Layer, error) {
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return workspace.Layer{}, err
	}
	t, err := r.render(c, nil)
	if err != nil {
		return workspace.Layer{}, err
	}
	r.contents.only(t)
	r.meanings.only(c)
	r.shown.Lock()
	defer r.shown.Unlock()
	if !t.same(r.last) {
		r.last = t
	}
	r.given = c
	return workspace.Layer{Files: r.last, Revision: c.Revision}, nil
}

// change makes a change whose outcome can be built.
func (r *Registry) change(ctx context.Context, by ledger.By, fn func(*ledger.Draft) error) (int64, error) {
	return r.ledger.Change(ctx, by, func(d *ledger.Draft) error {
		d.Indifferent = indifferent
		if err := fn(d); err != nil {
			return notFound(err)
		}
		return r.check(d)
	})
}

// indifferent tells that a change of somebody else cannot break the table that a
// change was checked with: it concerns no table, or takes something away.
func indifferent(e *ledger.Entry, gone bool) bool {
	switch e.Kind {
	case KindVersion, KindFile, KindOrganisation, KindMember, KindApp, KindProduct, KindPlan:
		return false
	case KindCredential:
		i, err := item[Credential](e)
		return err == nil && !gone && i.Body.Revoked != nil
	case KindSubscription:
		i, err := item[Subscription](e)
		return err == nil && !gone && i.Body.Status != Approved
	}
	return true
}

// settled reads a thing as a change that was made has left it.
func settled[T any](d *ledger.Draft, kind, name string) (Item[T], error) {
	e, err := d.Get(kind, name)
	if err != nil {
		return Item[T]{}, err
	}
	return item[T](&e)
}

// quietly makes a change that no table depends on.
func (r *Registry) quietly(ctx context.Context, by ledger.By, fn func(*ledger.Draft) error) (int64, error) {
	return r.ledger.Change(ctx, by, func(d *ledger.Draft) error {
		d.Indifferent = indifferent
		return notFound(fn(d))
	})
}

// atOnce makes a change that no table depends on, or that takes something away.
// It does not wait for others that are being checked.
func (r *Registry) atOnce(ctx context.Context, by ledger.By, fn func(*ledger.Draft) error) (int64, error) {
	return r.ledger.ChangeAtOnce(ctx, by, func(d *ledger.Draft) error { return notFound(fn(d)) })
}

// try runs what a change would do, and changes nothing.
func (r *Registry) try(ctx context.Context, fn func(*ledger.Draft) error) error {
	leave, err := r.trying.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return r.ledger.Try(ctx, func(d *ledger.Draft) error { return notFound(fn(d)) })
}

// notFound puts the ledger's error into the registry's words.
func notFound(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return &Refusal{Why: NotFound, Wrong: "there is none: " + err.Error()}
	}
	return err
}

// check builds the table that a draft would make.
func (r *Registry) check(d *ledger.Draft) error {
	if r.options.Check == nil {
		return nil
	}
	t, err := r.render(d.Control(), func(hash string) ([]byte, error) {
		content, err := d.Content(hash)
		if err != nil { // the change may be over, and the table serves
			return r.contents.get(hash)
		}
		return content, nil
	})
	if err != nil {
		return err
	}
	return r.options.Check(t)
}

// tested runs the tests of the mappings as a draft leaves them.
func (r *Registry) tested(d *ledger.Draft) error {
	if r.options.Test == nil {
		return nil
	}
	return r.over(d, nil, func(files fs.FS) error {
		if failed := r.options.Test(files); len(failed) > 0 {
			return &source.Error{Problems: failed}
		}
		return nil
	})
}

// contents keeps contents that tables are built of each time. Documents are
// not among them: they are compiled once.
type contents struct {
	ledger *ledger.DB
	mu     sync.Mutex
	kept   map[string][]byte
}

// largest is the size of contents that are kept.
const largest = 64 << 10

func (c *contents) get(hash string) ([]byte, error) {
	c.mu.Lock()
	content, ok := c.kept[hash]
	c.mu.Unlock()
	if ok {
		return content, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	content, err := c.ledger.Content(ctx, hash)
	if err == nil && len(content) <= largest {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.kept == nil {
			c.kept = map[string][]byte{}
		}
		c.kept[hash] = content
	}
	return content, err
}

// only forgets what a tree does not have.
func (c *contents) only(t *tree) {
	used := map[string]bool{}
	for _, f := range t.files {
		used[f.hash] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash := range c.kept {
		if !used[hash] {
			delete(c.kept, hash)
		}
	}
}
