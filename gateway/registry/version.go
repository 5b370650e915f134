package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Version is a version of an API. Its name is API/VERSION, its parent the API.
type Version struct {
	API     string `json:"api" yaml:"api" check:"required" doc:"Name of the API."`
	Version string `json:"version" yaml:"version" check:"required" doc:"Semantic version."`
	Status  string `json:"status" yaml:"status" enum:"draft,published,deprecated,retired" default:"draft" doc:"Lifecycle state."`
	// Files are the hashes of the files of its folder, by their names in it;
	// Hash stands for all of them. Neither changes once it is published.
	Files map[string]string `json:"files" yaml:"files"`
	Hash  string            `json:"hash" yaml:"hash"`
	// Uses are the hashes of the files outside its folder that it refers to.
	Uses map[string]string `json:"uses,omitempty" yaml:"uses"`

	Published *time.Time `json:"published,omitempty" yaml:"published"`
	Retired   *time.Time `json:"retired,omitempty" yaml:"retired"`
	// Deprecation is nil while the version is not deprecated.
	Deprecation *Deprecation `json:"deprecation,omitempty" yaml:"deprecation"`
	// Shadow tells that a draft is tried on the traffic of the version that is served.
	Shadow bool `json:"shadow,omitempty" yaml:"shadow"`
	// Canary says which apps meet the version; nil for all of them. A retired
	// version that has one was withdrawn before all others met it.
	Canary *Canary `json:"canary,omitempty" yaml:"canary"`
	// Exceptions are breaking changes that were let through.
	Exceptions []Exception `json:"exceptions,omitempty" yaml:"exceptions"`
	From       `yaml:",inline"`
}

// Deprecation says when a version ends.
type Deprecation struct {
	Since  time.Time  `json:"since" yaml:"since"`
	Sunset *time.Time `json:"sunset,omitempty" yaml:"sunset"`
	// Successor is a path of the gateway or a URL, Link a page about the move.
	Successor string `json:"successor,omitempty" yaml:"successor"`
	Link      string `json:"link,omitempty" yaml:"link"`
}

// Canary says which apps meet a version before all others do: a part of them in
// percent, chosen by their names, and those that are named.
type Canary struct {
	Share int      `json:"share" yaml:"share"`
	Apps  []string `json:"apps,omitempty" yaml:"apps"`
}

func (c *Canary) same(o *Canary) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.Share == o.Share && slices.Equal(c.Apps, o.Apps)
}

func (c *Canary) check() error {
	if c != nil && (c.Share < 0 || c.Share > 100 || c.Share == 0 && len(c.Apps) == 0) {
		return refuse(Invalid, "a share between 1 and 100 percent, or apps", "the canary is met by nobody, or by more than all")
	}
	return nil
}

// trial tells that only some apps meet the version.
func (v *Version) trial() bool { return v.Canary != nil && v.Status != Draft && v.Status != Retired }

// withdrawn tells that the version ended before all others met it.
func (v *Version) withdrawn() bool { return v.Canary != nil && v.Status == Retired }

// Exception is a breaking change that was let through, and why.
type Exception struct {
	Change string    `json:"change" yaml:"change"`
	Text   string    `json:"text" yaml:"text"`
	Reason string    `json:"reason" yaml:"reason"`
	By     string    `json:"by" yaml:"by"`
	At     time.Time `json:"at" yaml:"at"`
}

// The states of a version.
const (
	Draft      = "draft"
	Published  = "published"
	Deprecated = "deprecated"
	Retired    = "retired"
)

func (v *Version) parent() string                              { return v.API }
func (v *Version) check(string, source.Node, *source.Problems) {}
func (v *Version) name() string                                { return v.API + "/" + v.Version }
func (v *Version) dir() string                                 { return path.Join(workspace.APIsDir, v.API, v.Version) }
func (v *Version) number() number                              { n, _ := parseNumber(v.Version); return n }
func putVersion(d *ledger.Draft, v *Version, m ledger.Match) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	return keep(d, ledger.Entry{Kind: KindVersion, Name: v.name(), Parent: v.API, Body: text}, m)
}

// number is a semantic version.
type number [3]int

var numberPattern = regexp.MustCompile(`^(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?$`)

func parseNumber(text string) (number, bool) {
	m := numberPattern.FindStringSubmatch(text)
	if m == nil {
		return number{}, false
	}
	var n number
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // an absent patch is 0
	}
	return n, true
}

// CompareVersions orders semantic versions as slices.SortFunc needs it.
func CompareVersions(a, b string) int {
	x, _ := parseNumber(a)
	y, _ := parseNumber(b)
	return x.compare(y)
}

func (n number) compare(o number) int { return slices.Compare(n[:], o[:]) }

// major is NAME/vMAJOR.
func (v *Version) major() string { return v.API + "/v" + strconv.Itoa(v.number()[0]) }

// Release is a version that is to be published.
type Release struct {
	API, Version string
	// Files are the contents of its folder by their names in it; those of the
	// draft when nil.
	Files map[string][]byte
	// Common are contents of files below common/, by their paths, that the document
	// refers to and that come with it. What is there already is left as it is.
	Common map[string][]byte
	// Exceptions are reasons for breaking changes that are let through, by the
	// change's ID.
	Exceptions map[string]string
	// Canary has some apps meet the version before the others. To publish the same
	// version again without it promotes it to all.
	Canary *Canary
	// Origin is ByAPI or ByApply.
	Origin Origin
	// Match is what has to be there.
	Match ledger.Match
}

// Publication is a version as it was published.
type Publication struct {
	Item[Version]
	// Changes are those against the version before it in the same major; nil
	// when there is none.
	Changes []Change `json:"changes"`
	// Findings are what lint says, though it stops nothing.
	Findings []Finding `json:"findings,omitempty"`
}

// SaveDraft keeps a version that is being worked on. It is compiled by nobody. Of
// the release, API, Version, Files, Common and Match count.
func (r *Registry) SaveDraft(ctx context.Context, by ledger.By, release Release) (Item[Version], error) {
	if err := checkFiles(release.API, release.Version, release.Files); err != nil {
		return Item[Version]{}, err
	}
	var last *ledger.Draft
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) error {
		if err := share(d, release.Common, ByAPI); err != nil {
			return err
		}
		last = d
		v := &Version{API: release.API, Version: release.Version, Status: Draft}
		if old, err := versionOf(d, v.name()); err == nil && old.Status != Draft {
			return refuse(Immutable, "choose another version", "%s is %s", v.name(), old.Status)
		}
		if old, err := versionOf(d, v.name()); err == nil {
			v.Shadow = old.Shadow
		}
		v.take(d, release.Files)
		if err := putVersion(d, v, release.Match); err != nil {
			return err
		}
		if v.Shadow || len(release.Common) > 0 { // tables depend on it
			return r.check(d)
		}
		return nil
	})
	if err != nil {
		return Item[Version]{}, err
	}
	return settled[Version](last, KindVersion, release.API+"/"+release.Version)
}

// Shadow has a draft tried on the traffic of the version that is served of its
// major, or ends that.
func (r *Registry) Shadow(ctx context.Context, by ledger.By, api, version string, on bool, m ledger.Match) (Item[Version], error) {
	return r.changeVersion(ctx, by, api+"/"+version, func(d *ledger.Draft) error {
		v, err := versionOf(d, api+"/"+version)
		if err != nil {
			return err
		}
		if v.Status != Draft {
			return refuse(State, "try a draft", "%s is %s", v.name(), v.Status)
		}
		if on {
			main, err := v.main(d)
			if err != nil {
				return err
			}
			if main == nil || main.Status == Retired {
				return refuse(State, "publish a version of it first", "no version of %s is served, whose traffic it could be tried on", v.major())
			}
		}
		v.Shadow = on
		return putVersion(d, v, m)
	})
}

// changeVersion makes a change of a version, and returns it.
func (r *Registry) changeVersion(ctx context.Context, by ledger.By, name string, fn func(*ledger.Draft) error) (Item[Version], error) {
	var last *ledger.Draft
	_, err := r.change(ctx, by, func(d *ledger.Draft) error {
		last = d
		return fn(d)
	})
	if err != nil {
		return Item[Version]{}, err
	}
	return settled[Version](last, KindVersion, name)
}

// main is the version of v's major that all apps meet, or met last; nil when
// there is none.
func (v *Version) main(d *ledger.Draft) (*Version, error) {
	var last *Version
	for _, e := range d.List(KindVersion, v.API) {
		i, err := item[Version](&e)
		if err != nil {
			return nil, err
		}
		o := &i.Body
		if o.Status == Draft || o.Canary != nil || o.major() != v.major() {
			continue
		}
		if last == nil || o.number().compare(last.number()) > 0 {
			last = o
		}
	}
	return last, nil
}

// Withdraw ends a canary version: its apps go back to the version that all
// others meet. A reason is needed.
func (r *Registry) Withdraw(ctx context.Context, by ledger.By, api, version string, m ledger.Match) (Item[Version], error) {
	name := api + "/" + version
	if by.Reason == "" {
		return Item[Version]{}, refuse(NoReason, "say why", "%s would be withdrawn", name)
	}
	return r.changeVersion(ctx, by, name, func(d *ledger.Draft) error {
		v, err := versionOf(d, name)
		if err != nil {
			return err
		}
		if !v.trial() {
			return refuse(State, "deprecate it, and retire it", "%s is no canary", name)
		}
		v.Status, v.Retired = Retired, &d.Now
		return putVersion(d, v, m)
	})
}

// DeleteDraft ends a draft.
func (r *Registry) DeleteDraft(ctx context.Context, by ledger.By, api, version string, m ledger.Match) (int64, error) {
	return r.quietly(ctx, by, func(d *ledger.Draft) error {
		name := api + "/" + version
		v, err := versionOf(d, name)
		if err != nil {
			return err
		}
		if v.Status != Draft {
			return refuse(Immutable, "retire it", "%s is %s", name, v.Status)
		}
		return d.Delete(KindVersion, name, m)
	})
}

// versionOf reads a version of a draft change.
func versionOf(d *ledger.Draft, name string) (*Version, error) {
	e, err := d.Get(KindVersion, name)
	if err != nil {
		return nil, err
	}
	i, err := item[Version](&e)
	return &i.Body, err
}

// take takes the files over.
func (v *Version) take(d *ledger.Draft, files map[string][]byte) {
	v.Files = map[string]string{}
	for name, content := range files {
		v.Files[name] = d.Blob(content)
	}
	v.Hash = hashOf(v.Files)
}

// hashOf stands for a set of files.
func hashOf(files map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s\x00%s\x00", name, files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Bounds of a version's folder.
const (
	mostFiles     = 500
	largestFile   = 16 << 20
	largestFolder = 64 << 20
	longestName   = 500 // of a file in its folder, in bytes
)

func checkFiles(api, version string, files map[string][]byte) error {
	if !namePattern.MatchString(api) {
		return refuse(Invalid, nameRule, "%q is not a name for an API", api)
	}
	if _, ok := parseNumber(version); !ok {
		return refuse(Invalid, "a semantic version, for example 1.2.0", "%q is not a version", version)
	}
	total := 0
	for name, content := range files {
		total += len(content)
		switch {
		case !fs.ValidPath(name) || name == "." || strings.Contains("/"+name, "/."):
			return refuse(Invalid, "a name inside the folder; hidden ones are not read", "%q is not a name of a file", name)
		case len(name) > longestName:
			return refuse(Invalid, fmt.Sprintf("%d bytes at most", longestName), "the name of a file has %d bytes: %.60q…", len(name), name)
		case name == specs.LifecycleFile:
			return refuse(Invalid, "leave it out: the registry writes it", "%s says where a version stands", name)
		case len(content) > largestFile:
			return refuse(Invalid, "", "%s is larger than %s", name, source.Size(largestFile))
		}
	}
	if len(files) == 0 || len(files) > mostFiles || total > largestFolder {
		return refuse(Invalid, "", "a version has between 1 and %d files, and %s at most", mostFiles, source.Size(largestFolder))
	}
	return nil
}

// Publish makes a version live. It replaces the version before it in the same
// major. A breaking change against that one is refused unless it is excepted.
func (r *Registry) Publish(ctx context.Context, by ledger.By, release Release) (Publication, error) {
	var p Publication
	i, err := r.changeVersion(ctx, by, release.API+"/"+release.Version, func(d *ledger.Draft) (err error) {
		p, err = r.publish(d, by, release)
		return err
	})
	if err == nil {
		p.Item = i
	}
	return p, err
}

// share keeps the files that come with a version. One that published versions
// are made of must be as it is.
func share(d *ledger.Draft, common map[string][]byte, origin Origin) error {
	for _, name := range slices.Sorted(maps.Keys(common)) {
		if !strings.HasPrefix(name, CommonDir+"/") {
			return refuse(Invalid, "a path below "+CommonDir+"/", "%q is no file that versions share", name)
		}
		if e, err := d.Get(KindFile, name); err == nil {
			have, err := item[File](&e)
			if err != nil {
				return err
			}
			if have.Body.Hash == ledger.HashOf(common[name]) {
				continue
			}
		}
		if err := putFile(d, name, common[name], origin, ledger.Any); err != nil {
			return err
		}
	}
	return nil
}

// TryPublish tells what Publish would do, and does nothing.
func (r *Registry) TryPublish(ctx context.Context, by ledger.By, release Release) (Publication, error) {
	var p Publication
	err := r.try(ctx, func(d *ledger.Draft) (err error) {
		if p, err = r.publish(d, by, release); err == nil {
			err = r.check(d)
		}
		return err
	})
	return p, err
}

func (r *Registry) publish(d *ledger.Draft, by ledger.By, release Release) (Publication, error) {
	v := &Version{API: release.API, Version: release.Version, Status: Published, Published: &d.Now, From: From{release.Origin}}
	old, err := versionOf(d, v.name())
	known := err == nil
	if !known && !errors.Is(err, ledger.ErrNotFound) {
		return Publication{}, err
	}
	if err := share(d, release.Common, release.Origin); err != nil {
		return Publication{}, err
	}
	switch {
	case release.Files != nil:
		if err := checkFiles(release.API, release.Version, release.Files); err != nil {
			return Publication{}, err
		}
		v.take(d, release.Files)
	case known:
		v.Files, v.Hash = old.Files, old.Hash
	default:
		return Publication{}, refuse(NotFound, "hand its files in", "there is no draft %s", v.name())
	}
	if err := release.Canary.check(); err != nil {
		return Publication{}, err
	}
	if known && old.Status != Draft {
		switch {
		case old.Hash != v.Hash:
			return Publication{}, refuse(Immutable, "publish it as another version", "%s is %s, and its content is another one", v.name(), old.Status)
		case old.withdrawn():
			return Publication{}, refuse(State, "publish it as a later version", "%s has been withdrawn", v.name())
		case old.Canary == nil && release.Canary != nil:
			return Publication{}, refuse(State, "publish a later version to some", "all apps meet %s already", v.name())
		case !old.Canary.same(release.Canary):
			old.Canary = release.Canary
			if err := putVersion(d, old, release.Match); err != nil {
				return Publication{}, err
			}
		}
		return published(d, v.name(), judgement{})
	}
	if known && old.Shadow { // it is shown as a draft no more
		old.Shadow = false
		if err := putVersion(d, old, release.Match); err != nil {
			return Publication{}, err
		}
		release.Match = ledger.Any
	}
	before, err := v.predecessor(d)
	if err != nil {
		return Publication{}, err
	}
	if release.Canary != nil && before == nil {
		return Publication{}, refuse(State, "publish it without canary", "there is no version of %s that the other apps could meet", v.major())
	}
	v.Canary = release.Canary
	j, err := r.examine(d, by, v, before, release.Exceptions)
	if err == nil && release.Origin != ByApply { // a plan runs the tests once, at its end
		err = r.tested(d)
	}
	if err != nil {
		return Publication{Changes: j.changes, Findings: j.findings}, err
	}
	if before != nil && before.Status == Deprecated { // what replaces it ends with it
		v.Status, v.Deprecation = Deprecated, before.Deprecation
	}
	if err := putVersion(d, v, release.Match); err != nil {
		return Publication{}, err
	}
	return published(d, v.name(), j)
}

func published(d *ledger.Draft, name string, j judgement) (Publication, error) {
	e, err := d.Get(KindVersion, name)
	if err != nil {
		return Publication{}, err
	}
	i, err := item[Version](&e)
	return Publication{i, j.changes, j.findings}, err
}

// predecessor is the version that v takes the place of; nil for the first of
// its major.
func (v *Version) predecessor(d *ledger.Draft) (*Version, error) {
	var last *Version
	for _, e := range d.List(KindVersion, v.API) {
		i, err := item[Version](&e)
		if err != nil {
			return nil, err
		}
		o := &i.Body
		if o.Status == Draft || o.major() != v.major() || o.withdrawn() {
			continue
		}
		if o.trial() {
			return nil, refuse(State, "promote it by publishing it without canary, or withdraw it", "%s is a canary", o.name())
		}
		if last == nil || o.number().compare(last.number()) > 0 {
			last = o
		}
	}
	switch {
	case last == nil:
		return nil, nil
	case last.number().compare(v.number()) >= 0:
		return nil, refuse(State, "choose a later version", "%s does not come after %s", v.name(), last.Version)
	case last.Status == Retired:
		return nil, refuse(State, "publish a new major version", "%s has been retired", v.major())
	}
	return last, nil
}

// judgement is what is said of a version that is about to be published.
type judgement struct {
	changes  []Change
	findings []Finding
}

// examine loads, lints and compares a version that is about to be published.
func (r *Registry) examine(d *ledger.Draft, by ledger.By, v, before *Version, exceptions map[string]string) (j judgement, err error) {
	also := []*Version{v}
	if before != nil {
		also = append(also, before)
	}
	err = r.over(d, also, func(files fs.FS) error {
		var ps source.Problems
		document, uses := workspace.Inspect(files, v.dir(), &ps)
		v.Uses = uses
		if document != nil && document.Governance.Status != Published && ps.Len() == 0 {
			ps.Add(document.Governance.Node.At("status"), "the state of a version is not part of its content", "leave status out, and let the registry say it")
		}
		if err := ps.Err(); err != nil {
			return err
		}
		place := Place{files, v.dir()}
		if err := r.lint(place, &j); err != nil {
			return err
		}
		if before == nil || r.options.Diff == nil {
			return nil
		}
		if j.changes, err = r.options.Diff(Place{files, before.dir()}, place); err != nil {
			return err
		}
		return v.except(d, by, before, j.changes, exceptions)
	})
	return j, err
}

// lint notes what is found; findings that are fatal are the error.
func (r *Registry) lint(at Place, j *judgement) error {
	if r.options.Lint == nil {
		return nil
	}
	found, err := r.options.Lint(at)
	if err != nil {
		return err
	}
	j.findings = found
	var ps source.Problems
	for _, f := range found {
		if f.Severity == Fatal {
			ps.Append(f.Problem)
		}
	}
	return ps.Err()
}

// except notes the breaking changes that are let through, and refuses others.
func (v *Version) except(d *ledger.Draft, by ledger.By, before *Version, changes []Change, exceptions map[string]string) error {
	var breaking []Change
	for _, c := range changes {
		if c.Level != Breaking {
			continue
		}
		reason := exceptions[c.ID]
		if reason == "" {
			breaking = append(breaking, c)
			continue
		}
		v.Exceptions = append(v.Exceptions, Exception{c.ID, c.Text, reason, by.Actor, d.Now})
		d.Note("except", KindVersion+"/"+v.name()+" "+c.ID)
	}
	if len(breaking) == 0 {
		return nil
	}
	refusal := refuse(Breaks, "publish a new major version, or except each change with a reason", "%s breaks what %s promised", v.name(), before.Version)
	refusal.Changes = breaking
	return refusal
}

// over gives the files as the draft leaves them, with some versions more.
func (r *Registry) over(d *ledger.Draft, also []*Version, use func(fs.FS) error) error {
	t, err := r.render(d.Control(), d.Content, also...)
	if err != nil {
		return err
	}
	return r.show(t, use)
}

// show gives the files of a tree, those of the directory included.
func (r *Registry) show(t *tree, use func(fs.FS) error) error {
	if r.options.Over == nil {
		return use(t)
	}
	return r.options.Over(t, use)
}

// Deprecate says when a version ends. Saying it again changes what is said, until
// it is retired; the rest stays as it was promised.
func (r *Registry) Deprecate(ctx context.Context, by ledger.By, api, version string, end Deprecation, m ledger.Match) (Item[Version], error) {
	return r.move(ctx, by, api, version, m, func(d *ledger.Draft, v *Version) error { return v.deprecate(d, end.over(v.Deprecation)) })
}

// over is the deprecation with what it does not say taken from an earlier one, if
// there is one.
func (d Deprecation) over(was *Deprecation) Deprecation {
	if was == nil {
		return d
	}
	if d.Since.IsZero() {
		d.Since = was.Since
	}
	d.Sunset = cmp.Or(d.Sunset, was.Sunset)
	d.Successor = cmp.Or(d.Successor, was.Successor)
	d.Link = cmp.Or(d.Link, was.Link)
	return d
}

func (v *Version) deprecate(d *ledger.Draft, end Deprecation) error {
	if v.Status == Retired {
		return refuse(State, "", "%s has been retired", v.name())
	}
	if end.Since.IsZero() {
		end.Since = d.Now
	}
	if end.Sunset != nil && end.Sunset.Before(end.Since) {
		return refuse(Invalid, "a date after it", "the end lies before the deprecation")
	}
	v.Status, v.Deprecation = Deprecated, &end
	return nil
}

// Restore takes a deprecation back.
func (r *Registry) Restore(ctx context.Context, by ledger.By, api, version string, m ledger.Match) (Item[Version], error) {
	return r.move(ctx, by, api, version, m, func(_ *ledger.Draft, v *Version) error {
		if v.Status == Retired {
			return refuse(State, "", "%s has been retired", v.name())
		}
		v.Status, v.Deprecation = Published, nil
		return nil
	})
}

// Retire ends a deprecated version: it answers 410. One that is not deprecated,
// whose sunset is to come, or which is in use, is retired with override only,
// and that with a reason.
func (r *Registry) Retire(ctx context.Context, by ledger.By, api, version string, override bool, m ledger.Match) (Item[Version], error) {
	if override && by.Reason == "" {
		return Item[Version]{}, refuse(NoReason, "say why", "%s/%s would be retired against the rules", api, version)
	}
	return r.move(ctx, by, api, version, m, func(d *ledger.Draft, v *Version) error {
		if v.Status == Retired {
			return nil
		}
		if override {
			d.Note("override", KindVersion+"/"+v.name()+" retire")
		} else if err := r.mayRetire(ctx, d, v); err != nil {
			return err
		}
		v.Status, v.Retired = Retired, &d.Now
		return nil
	})
}

func (r *Registry) mayRetire(ctx context.Context, d *ledger.Draft, v *Version) error {
	switch {
	case v.Status != Deprecated:
		return refuse(State, "deprecate it first, or override with a reason", "%s is not deprecated", v.name())
	case d.Now.Before(v.Deprecation.Since):
		return refuse(State, "wait, or override with a reason", "%s is not deprecated before %s", v.name(), v.Deprecation.Since.UTC().Format(time.RFC3339))
	case v.Deprecation.Sunset != nil && d.Now.Before(*v.Deprecation.Sunset):
		return refuse(State, "wait, or override with a reason", "%s is promised until %s", v.name(), v.Deprecation.Sunset.UTC().Format(time.RFC3339))
	case r.options.InUse == nil:
		return nil
	}
	uses, err := r.options.InUse(ctx, v.API, v.Version)
	if err != nil || len(uses) == 0 {
		return err
	}
	refusal := refuse(InUse, "ask them, or override with a reason", "%s is in use", v.name())
	refusal.Uses = uses
	return refusal
}

// move changes the state of the version that is served of its major.
func (r *Registry) move(ctx context.Context, by ledger.By, api, version string, m ledger.Match, fn func(*ledger.Draft, *Version) error) (Item[Version], error) {
	return r.changeVersion(ctx, by, api+"/"+version, func(d *ledger.Draft) error {
		v, err := served(d, api+"/"+version)
		if err != nil {
			return err
		}
		if err := fn(d, v); err != nil {
			return err
		}
		return putVersion(d, v, m)
	})
}

// served reads a version that is the newest of its major.
func served(d *ledger.Draft, name string) (*Version, error) {
	v, err := versionOf(d, name)
	if err != nil {
		return nil, err
	}
	if v.Status == Draft {
		return nil, refuse(State, "publish it first", "%s is a draft", name)
	}
	if v.withdrawn() {
		return nil, refuse(State, "", "%s has been withdrawn", name)
	}
	for _, e := range d.List(KindVersion, v.API) {
		i, err := item[Version](&e)
		if err != nil {
			return nil, err
		}
		if i.Body.trial() && i.Body.major() == v.major() {
			return nil, refuse(State, "promote it by publishing it without canary, or withdraw it", "%s is a canary", i.Body.name())
		}
		if o := &i.Body; o.Status != Draft && !o.withdrawn() && o.major() == v.major() && o.number().compare(v.number()) > 0 {
			return nil, refuse(State, "name "+o.Version, "%s has been replaced by %s", name, o.Version)
		}
	}
	return v, nil
}

// Export reads the files of a version, by their names in its folder.
func (r *Registry) Export(ctx context.Context, api, version string) (map[string][]byte, error) {
	v, err := Get[Version](ctx, r, KindVersion, api+"/"+version)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, hash := range v.Body.Files {
		if files[name], err = r.ledger.Content(ctx, hash); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Changes lists what differs from one version to another one. The one before it
// is taken when from is empty; its name is returned.
func (r *Registry) Changes(ctx context.Context, api, from, to string) (string, []Change, error) {
	leave, err := r.comparing.enter(ctx)
	if err != nil {
		return "", nil, err
	}
	defer leave()
	now, err := Get[Version](ctx, r, KindVersion, api+"/"+to)
	if err != nil {
		return "", nil, err
	}
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return "", nil, err
	}
	if from == "" {
		if from, err = before(c, &now.Body); err != nil {
			return "", nil, err
		}
	}
	was, err := Get[Version](ctx, r, KindVersion, api+"/"+from)
	if err != nil {
		return "", nil, err
	}
	t, err := r.render(c, nil, &was.Body, &now.Body)
	if err != nil || r.options.Diff == nil {
		return from, nil, err
	}
	var changes []Change
	err = r.show(t, func(files fs.FS) (err error) {
		changes, err = r.options.Diff(Place{files, was.Body.dir()}, Place{files, now.Body.dir()})
		return err
	})
	return from, changes, err
}

// before names the version that came before another one, of any major.
func before(c *ledger.Control, v *Version) (string, error) {
	list, err := items[Version](c, KindVersion)
	if err != nil {
		return "", err
	}
	var last *Version
	for i := range list {
		o := &list[i].Body
		if o.API == v.API && o.Status != Draft && o.number().compare(v.number()) < 0 && (last == nil || o.number().compare(last.number()) > 0) {
			last = o
		}
	}
	if last == nil {
		return "", refuse(NotFound, "say which one to compare with", "there is no version before %s", v.name())
	}
	return last.Version, nil
}
