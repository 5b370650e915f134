package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Proposal is what Apply would do.
type Proposal struct {
	// Revision is the one that the plan was made of.
	Revision int64 `json:"revision"`
	// Steps are in the order in which they are done; none when the files say
	// what is there already.
	Steps []Proposed `json:"steps"`
	// Problems are why it cannot be applied, besides what the steps say.
	Problems []source.Problem `json:"problems,omitempty"`
}

// Proposed is one thing that changes.
type Proposed struct {
	// Action is create, update, delete, draft, publish, deprecate, restore or retire.
	Action string `json:"action"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	// Text says more for people: what is taken over, why it is refused.
	Text string `json:"text,omitempty"`
	// Refused tells that it cannot be done. Needs is the role that is missing, if
	// that is why.
	Refused bool   `json:"refused,omitempty"`
	Needs   string `json:"needs,omitempty"`
	// Changes are those of a version against the one before it.
	Changes []Change `json:"changes,omitempty"`
}

// Breaking tells whether the step breaks what callers were promised.
func (s Proposed) Breaking() bool {
	return slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Level == Breaking })
}

// Refused tells whether anything stands against the plan.
func (p *Proposal) Refused() bool {
	return len(p.Problems) > 0 || slices.ContainsFunc(p.Steps, func(s Proposed) bool { return s.Refused })
}

func (p *Proposal) Error() string {
	var lines []string
	for _, s := range p.Steps {
		if s.Refused {
			lines = append(lines, s.Action+" "+s.Kind+" "+s.Name+": "+s.Text)
		}
	}
	for _, problem := range p.Problems {
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}

// Files is a workspace that is to be applied.
type Files struct {
	FS fs.FS
	// Exceptions are reasons for breaking changes that are let through, by ID.
	Exceptions map[string]string
	// Needs names the role that is needed to change a thing of a kind, and that the
	// one who applies does not have; nil stands for none.
	Needs func(kind string) string
}

// Plan tells what has to change so that the registry holds what the files of a
// workspace say. headrace.yaml concerns processes, and is left aside.
func (r *Registry) Plan(ctx context.Context, by ledger.By, files Files) (*Proposal, error) {
	var p *Proposal
	err := r.try(ctx, func(d *ledger.Draft) (err error) {
		p, err = r.plan(ctx, d, by, files)
		return err
	})
	return p, err
}

// Apply does what Plan says, all or nothing. revision is the plan's: when the
// registry has moved on since, the plan is no longer true, and nothing is done;
// what only took something away, such as a key that was revoked, does not count.
// A plan with refusals is the error, of type *Proposal.
func (r *Registry) Apply(ctx context.Context, by ledger.By, files Files, revision int64) (*Proposal, error) {
	var p *Proposal
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) (err error) {
		if moved, err := d.Moved(revision); err != nil {
			return err
		} else if moved {
			return refuse(Different, "plan again", "the plan is of revision %d, and the registry of %d", revision, d.Revision())
		}
		if p, err = r.plan(ctx, d, by, files); err == nil && p.Refused() {
			err = p
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// plan makes all changes in the draft, and collects what is against them.
func (r *Registry) plan(ctx context.Context, d *ledger.Draft, by ledger.By, files Files) (*Proposal, error) {
	a := &applying{ctx: ctx, r: r, d: d, by: by, files: files, plan: &Proposal{Revision: d.Revision(), Steps: []Proposed{}}, wanted: map[[2]string]bool{}}
	var ps source.Problems
	consumers := workspace.LoadConsumers(files.FS, &ps)
	for name, m := range consumers.Members { // no table looks at them
		if m == nil {
			ps.Add(consumers.Node.At("members", name), fmt.Sprintf("nothing stands under %q", name), "")
		} else if m.Organisation != "" && m.Email != "" {
			gateway.CheckMember(name, m.Organisation, m.Email, m.Node, &ps)
		}
	}
	for _, step := range []func(*source.Problems) error{a.entries, a.versions, a.vanishedVersions} {
		if err := step(&ps); err != nil {
			return nil, err
		}
	}
	if ps.Len() == 0 { // without all of them, others would seem to be gone
		if err := a.consumers(consumers); err != nil {
			return nil, err
		}
	}
	if ps.Len() == 0 {
		if err := a.vanished(); err != nil {
			return nil, err
		}
	}
	a.plan.Problems = append(a.plan.Problems, ps.List()...)
	if a.plan.Refused() || len(a.plan.Steps) == 0 {
		return a.plan, nil
	}
	for _, check := range []func(*ledger.Draft) error{r.tested, r.check} {
		var faults *source.Error
		if err := check(d); errors.As(err, &faults) {
			a.plan.Problems = append(a.plan.Problems, faults.Problems...)
		} else if err != nil {
			return nil, err
		}
	}
	return a.plan, nil
}

// applying is one run of a plan.
type applying struct {
	ctx    context.Context
	r      *Registry
	d      *ledger.Draft
	by     ledger.By
	files  Files
	plan   *Proposal
	wanted map[[2]string]bool // kind and name of all that the files say
}

// step notes what was done, or why it was not; other errors end the plan.
func (a *applying) step(s Proposed, err error) error {
	var refusal *Refusal
	var faults *source.Error
	if a.files.Needs != nil && err == nil {
		s.Needs = a.files.Needs(s.Kind)
	}
	switch {
	case s.Needs != "":
		s.Refused, s.Text = true, strings.TrimPrefix(s.Text+"; needs the role "+s.Needs, "; ")
	case errors.As(err, &refusal):
		s.Refused, s.Text = true, strings.TrimPrefix(s.Text+"; "+refusal.Wrong, "; ")
		if refusal.Right != "" {
			s.Text += "; " + refusal.Right
		}
		if s.Changes == nil {
			s.Changes = refusal.Changes
		}
	case errors.As(err, &faults):
		s.Refused, s.Text = true, "it has problems"
		a.plan.Problems = append(a.plan.Problems, faults.Problems...)
	case err != nil:
		return err
	}
	a.plan.Steps = append(a.plan.Steps, s)
	return nil
}

// put wants an entry, and changes it if it is another one.
func (a *applying) put(kind, name, parent string, v any, secret []byte) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	a.wanted[[2]string{kind, name}] = true
	s := Proposed{Action: "create", Kind: kind, Name: name}
	if have, err := a.d.Get(kind, name); err == nil {
		if same(have.Body, text) && string(have.Secret) == string(secret) {
			return nil
		}
		s.Action = "update"
		if !fromFiles(have.Body) {
			s.Text = "is taken over: it came in by the admin API"
		}
	}
	return a.step(s, keep(a.d, ledger.Entry{Kind: kind, Name: name, Parent: parent, Body: text, Secret: secret}, ledger.Any))
}

func same(a, b []byte) bool { return string(a) == string(b) }

func fromFiles(text []byte) bool {
	var f From
	return json.Unmarshal(text, &f) == nil && f.Origin == ByApply
}

// entries applies the files that are kept one by one.
func (a *applying) entries(ps *source.Problems) error {
	for _, top := range folders() {
		err := fs.WalkDir(a.files.FS, top, func(name string, e fs.DirEntry, err error) error {
			switch {
			case a.ctx.Err() != nil: // nobody waits for the plan any more
				return a.ctx.Err()
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				ps.AddFile(name, "cannot be read: "+source.Reason(err), "")
				return nil
			case strings.HasPrefix(e.Name(), ".") && e.IsDir():
				return fs.SkipDir
			case strings.HasPrefix(e.Name(), "."), e.IsDir():
				return nil
			}
			content, err := source.ReadBytes(a.files.FS, name, largestFile)
			if err != nil {
				ps.AddFile(name, "cannot be read: "+source.Reason(err), "")
				return nil
			}
			f := &File{Hash: a.d.Blob(content), Size: len(content), From: From{ByApply}}
			if err := promised(a.d, name, f.Hash); err != nil {
				a.wanted[[2]string{KindFile, name}] = true
				return a.step(Proposed{Action: "update", Kind: KindFile, Name: name}, err)
			}
			return a.put(KindFile, name, "", f, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// versions applies the folders of apis/, of each API the oldest version first.
func (a *applying) versions(ps *source.Problems) error {
	dirs, _ := fs.Glob(a.files.FS, workspace.APIsDir+"/*/*")
	slices.SortStableFunc(dirs, func(x, y string) int {
		nx, _ := parseNumber(path.Base(x))
		ny, _ := parseNumber(path.Base(y))
		if c := strings.Compare(path.Dir(x), path.Dir(y)); c != 0 {
			return c
		}
		return nx.compare(ny)
	})
	for _, dir := range dirs {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if info, err := fs.Stat(a.files.FS, dir); err != nil || !info.IsDir() || strings.HasPrefix(path.Base(dir), ".") {
			continue
		}
		files, err := folderFiles(a.files.FS, dir)
		if err != nil {
			ps.AddFile(dir, "cannot be read: "+source.Reason(err), "")
			continue
		}
		life, ok := a.lifecycle(files, dir, ps)
		if !ok {
			continue
		}
		if err := a.version(path.Base(path.Dir(dir)), path.Base(dir), files, life); err != nil {
			return err
		}
	}
	return nil
}

func folderFiles(fsys fs.FS, dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(e.Name(), ".") && e.IsDir():
			return fs.SkipDir
		case e.IsDir(), strings.HasPrefix(e.Name(), "."):
			return nil
		}
		content, err := source.ReadBytes(fsys, name, largestFile)
		files[strings.TrimPrefix(name, dir+"/")] = content
		return err
	})
	return files, err
}

// dates are the settings of the policy deprecate, as lifecycle.yaml has them.
type dates struct {
	Since     gateway.Date  `yaml:"since" check:"required" doc:"Since when it is deprecated."`
	Sunset    *gateway.Date `yaml:"sunset" doc:"From when on it answers 410."`
	Successor string        `yaml:"successor" doc:"What to use instead."`
	Link      string        `yaml:"link" doc:"URL of the page that explains the move."`
}

// life is what lifecycle.yaml says of a version.
type life struct {
	status string
	end    *Deprecation
	shadow bool
	canary *Canary
}

// lifecycle takes lifecycle.yaml out of a version's files.
func (a *applying) lifecycle(files map[string][]byte, dir string, ps *source.Problems) (life, bool) {
	text, ok := files[specs.LifecycleFile]
	if !ok {
		return life{status: Published}, true
	}
	delete(files, specs.LifecycleFile)
	before := ps.Len()
	var l specs.Lifecycle
	var d dates
	if n := source.Parse(path.Join(dir, specs.LifecycleFile), text, bodyLimits, ps); n.Exists() {
		source.Decode(n, &l, ps)
		if l.Deprecate.Exists() {
			source.Decode(l.Deprecate, &d, ps)
		} else if l.Status == Deprecated {
			ps.Add(n, "a deprecated version needs the date since when", "deprecate: {since: …, sunset: …}")
		}
	}
	if ps.Len() > before {
		return life{}, false
	}
	found := life{status: l.Status, shadow: l.Shadow}
	if l.Canary != nil {
		found.canary = &Canary{l.Canary.Share, l.Canary.Apps}
	}
	if l.Deprecate.Exists() {
		found.end = &Deprecation{Since: d.Since.Time(), Successor: d.Successor, Link: d.Link}
		if d.Sunset != nil {
			sunset := d.Sunset.Time()
			found.end.Sunset = &sunset
		}
	}
	return found, true
}

// version drafts or publishes a version, and moves it to where it should stand.
func (a *applying) version(api, name string, files map[string][]byte, l life) error {
	v := &Version{API: api, Version: name}
	a.wanted[[2]string{KindVersion, v.name()}] = true
	have, err := versionOf(a.d, v.name())
	known := err == nil
	if l.status == Draft {
		v.Shadow = l.shadow
		return a.draft(v, have, files)
	}
	if !known || have.Status == Draft || have.Hash != hashOf(hashes(files)) || !have.Canary.same(l.canary) && !have.withdrawn() {
		s := Proposed{Action: "publish", Kind: KindVersion, Name: v.name()}
		p, err := a.r.publish(a.d, a.by, Release{API: api, Version: name, Files: files, Exceptions: a.files.Exceptions, Canary: l.canary, Origin: ByApply, Match: ledger.Any})
		s.Changes = p.Changes
		if failed := a.step(s, err); failed != nil || err != nil {
			return failed
		}
	}
	return a.move(v.name(), l)
}

func hashes(files map[string][]byte) map[string]string {
	list := map[string]string{}
	for name, content := range files {
		list[name] = ledger.HashOf(content)
	}
	return list
}

func (a *applying) draft(v, have *Version, files map[string][]byte) error {
	s := Proposed{Action: "draft", Kind: KindVersion, Name: v.name()}
	if have != nil && have.Status != Draft {
		return a.step(s, refuse(Immutable, "choose another version", "%s is %s", v.name(), have.Status))
	}
	if err := checkFiles(v.API, v.Version, files); err != nil {
		return a.step(s, err)
	}
	v.Status, v.From = Draft, From{ByApply}
	v.take(a.d, files)
	if have != nil && have.Hash == v.Hash && have.Shadow == v.Shadow {
		return nil
	}
	return a.step(s, putVersion(a.d, v, ledger.Any))
}

// move deprecates, restores or retires a version.
func (a *applying) move(name string, l life) error {
	have, err := versionOf(a.d, name)
	if err != nil {
		return err
	}
	if have.trial() && l.canary != nil || have.withdrawn() {
		return nil
	}
	if have.Status == l.status && (have.Deprecation.same(l.end) || l.status == Retired) {
		return nil
	}
	s := Proposed{Kind: KindVersion, Name: name}
	v, err := served(a.d, name)
	switch {
	case err != nil && l.status == Published: // it has been replaced, and stays as it is
		return nil
	case err != nil:
		s.Action = l.status
		return a.step(s, err)
	case l.status == Deprecated:
		s.Action = "deprecate"
		err = v.deprecate(a.d, *l.end)
	case l.status == Retired:
		s.Action = "retire"
		if err = a.r.mayRetire(a.ctx, a.d, v); err == nil {
			v.Status, v.Retired = Retired, &a.d.Now
		}
	case v.Status == Retired:
		s.Action = "restore"
		err = refuse(State, "", "%s has been retired", name)
	default:
		s.Action = "restore"
		v.Status, v.Deprecation = Published, nil
	}
	if err == nil {
		err = putVersion(a.d, v, ledger.Any)
	}
	return a.step(s, err)
}

func (d *Deprecation) same(o *Deprecation) bool {
	if d == nil || o == nil {
		return d == o
	}
	sunset := func(d *Deprecation) time.Time {
		if d.Sunset == nil {
			return time.Time{}
		}
		return *d.Sunset
	}
	return d.Since.Equal(o.Since) && sunset(d).Equal(sunset(o)) && d.Successor == o.Successor && d.Link == o.Link
}

// vanishedVersions looks at applied versions that are no longer in the files.
// One that was replaced stays as history; one that is served must be retired
// before its files go.
func (a *applying) vanishedVersions(*source.Problems) error {
	for _, e := range a.d.List(KindVersion, "") {
		if a.wanted[[2]string{KindVersion, e.Name}] || !fromFiles(e.Body) {
			continue
		}
		i, err := item[Version](&e)
		if err != nil {
			return err
		}
		s := Proposed{Action: "delete", Kind: KindVersion, Name: e.Name}
		if i.Body.Status == Draft {
			if err := a.step(s, a.d.Delete(KindVersion, e.Name, ledger.Any)); err != nil {
				return err
			}
			continue
		}
		if _, err := served(a.d, e.Name); err == nil && i.Body.Status != Retired {
			err = refuse(State, "retire it first: status: retired in its lifecycle.yaml", "%s is %s, and nothing replaces it", e.Name, i.Body.Status)
			if err := a.step(s, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// consumers applies what consumers.yaml and the folder beside it say.
func (a *applying) consumers(c gateway.ConsumerFile) error {
	from := From{ByApply}
	for _, name := range slices.Sorted(maps.Keys(c.Organisations)) {
		o := Organisation{Title: c.Organisations[name].Title, From: from}
		if e, err := a.d.Get(KindOrganisation, name); err == nil {
			old, err := item[Organisation](&e)
			if err != nil {
				return err
			}
			o.Suspended = old.Body.Suspended // files do not know of it
		}
		if err := a.put(KindOrganisation, name, "", o, nil); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Members)) {
		m := c.Members[name]
		if _, err := a.d.Get(KindOrganisation, m.Organisation); err != nil {
			a.wanted[[2]string{KindMember, name}] = true
			err = refuse(Invalid, "", "there is no organisation %q", m.Organisation)
			if err := a.step(Proposed{Action: "create", Kind: KindMember, Name: name}, err); err != nil {
				return err
			}
			continue
		}
		if err := a.put(KindMember, name, m.Organisation, Member{m.Organisation, m.Title, m.Email, m.Role, m.Status, from}, nil); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Products)) {
		p := c.Products[name]
		if err := a.put(KindProduct, name, "", Product{p.Title, p.APIs, from}, nil); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Plans)) {
		p := c.Plans[name]
		plan := Plan{Title: p.Title, Products: p.Products, WriteShare: p.WriteShare, Approval: p.Approval, Policies: Raw{p.Node.Get("policies")}, From: from}
		if p.Class != nil {
			plan.Class = p.Class.String()
		}
		if err := a.put(KindPlan, name, "", plan, nil); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		if err := a.app(name, c.Apps[name]); err != nil {
			return err
		}
	}
	for _, s := range c.Subscriptions {
		if s == nil {
			continue
		}
		v := Subscription{App: s.AppName, Product: s.ProductName, Plan: s.PlanName, Status: s.Status, From: from}
		name := SubscriptionName(v.App, v.Product)
		if e, err := a.d.Get(KindSubscription, name); err == nil {
			old, err := item[Subscription](&e)
			if err != nil {
				return err
			}
			v.Steps = old.Body.Steps // what happened stays
			if old.Body.Status != v.Status || old.Body.Plan != v.Plan {
				v.step(Step{v.Status, v.Plan, a.d.Now, a.by.Actor, a.by.Reason})
			}
		}
		if err := a.put(KindSubscription, name, v.App, v, nil); err != nil {
			return err
		}
	}
	return nil
}

// app applies an app and its credentials.
func (a *applying) app(name string, app *gateway.App) error {
	from := From{ByApply}
	if err := a.put(KindApp, name, app.Organisation, App{app.Organisation, app.Title, app.Addresses, app.Disabled, from}, nil); err != nil {
		return err
	}
	credential := func(c Credential, secret []byte) error {
		if e, err := a.d.Get(KindCredential, c.name()); err == nil && e.Parent != name {
			return a.step(Proposed{Action: "update", Kind: KindCredential, Name: c.name()}, refuse(Exists, "", "it is the app %q's", e.Parent))
		} else if err == nil {
			old, err := item[Credential](&e)
			if err != nil {
				return err
			}
			if old.Body.Revoked != nil {
				a.wanted[[2]string{KindCredential, c.name()}] = true
				return a.step(Proposed{Action: "update", Kind: KindCredential, Name: c.name()}, refuse(State, "take it out of the files", "it has been revoked"))
			}
		}
		return a.put(KindCredential, c.name(), name, c, secret)
	}
	secret := func(c Credential, hash string, expires *gateway.Date) error {
		if expires != nil {
			at := expires.Time().UTC()
			c.Expires = &at
		}
		digest, err := digestOf(hash)
		if err != nil {
			return a.step(Proposed{Action: "create", Kind: KindCredential, Name: c.name()}, err)
		}
		return credential(c, digest)
	}
	for _, k := range app.Keys {
		if err := secret(Credential{App: name, Type: "key", Prefix: k.Prefix, From: from}, k.Hash, k.Expires); err != nil {
			return err
		}
	}
	for _, o := range app.OAuth {
		if err := secret(Credential{App: name, Type: "oauth", ID: o.ID, Scopes: o.Scopes, From: from}, o.Hash, o.Expires); err != nil {
			return err
		}
	}
	for _, id := range app.Clients {
		if err := credential(Credential{App: name, Type: "client", Issuer: id.Issuer, ID: id.ID, From: from}, nil); err != nil {
			return err
		}
	}
	for _, cert := range app.Certificates {
		if err := credential(Credential{App: name, Type: "certificate", Thumbprint: cert.Thumbprint, Subject: cert.Subject, From: from}, nil); err != nil {
			return err
		}
	}
	return nil
}

// vanished deletes what was applied once and is no longer in the files, what
// belongs to others first.
func (a *applying) vanished() error {
	for _, kind := range []string{KindSubscription, KindCredential, KindApp, KindMember, KindPlan, KindProduct, KindOrganisation, KindFile} {
		for _, e := range a.d.List(kind, "") {
			if a.wanted[[2]string{kind, e.Name}] || !fromFiles(e.Body) {
				continue
			}
			if _, err := a.d.Get(kind, e.Name); err != nil {
				continue // it went with its app
			}
			remove := func() error { return remove(a.d, kind, e.Name, ledger.Any) }
			if kind == KindFile {
				remove = func() error { return deleteFile(a.d, e.Name, ledger.Any) }
			}
			if err := a.step(Proposed{Action: "delete", Kind: kind, Name: e.Name}, remove()); err != nil {
				return err
			}
		}
	}
	return nil
}

// String gives a step as a line.
func (s Proposed) String() string {
	text := fmt.Sprintf("%-9s %s %s", s.Action, s.Kind, s.Name)
	if s.Text != "" {
		text += ": " + s.Text
	}
	return text
}
