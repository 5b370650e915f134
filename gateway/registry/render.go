package registry

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
)

// The shapes of the files below consumers/.
type (
	keyFile struct {
		Prefix  string `json:"prefix"`
		Hash    string `json:"hash"`
		Expires string `json:"expires,omitempty"`
	}
	oauthFile struct {
		ID      string   `json:"id"`
		Hash    string   `json:"hash"`
		Scopes  []string `json:"scopes,omitempty"`
		Expires string   `json:"expires,omitempty"`
	}
	clientFile struct {
		Issuer string `json:"issuer"`
		ID     string `json:"id"`
	}
	certificateFile struct {
		Thumbprint string `json:"thumbprint,omitempty"`
		Subject    string `json:"subject,omitempty"`
	}
	appFile struct {
		Organisation string            `json:"organisation"`
		Title        string            `json:"title,omitempty"`
		Addresses    []string          `json:"addresses,omitempty"`
		Disabled     bool              `json:"disabled,omitempty"`
		Keys         []keyFile         `json:"keys,omitempty"`
		Clients      []clientFile      `json:"clients,omitempty"`
		Certificates []certificateFile `json:"certificates,omitempty"`
		OAuth        []oauthFile       `json:"oauth,omitempty"`
	}
	subscriptionFile struct {
		App     string `json:"app"`
		Product string `json:"product"`
		Plan    string `json:"plan"`
		Status  string `json:"status"`
	}
	lifecycleFile struct {
		Status    string       `json:"status"`
		Deprecate *Deprecation `json:"deprecate,omitempty"`
		Shadow    bool         `json:"shadow,omitempty"`
		Canary    *Canary      `json:"canary,omitempty"`
	}
)

// render makes the files of a control plane. content reads contents that are
// not kept yet; the ledger's when nil. also are versions that are shown though
// they are not served.
func (r *Registry) render(c *ledger.Control, content func(string) ([]byte, error), also ...*Version) (*tree, error) {
	if content == nil {
		content = r.contents.get
	}
	t := newTree(content)
	defer t.finish()
	for _, step := range []func(*tree, *ledger.Control) error{r.renderVersions, r.renderFiles, r.renderConsumers} {
		if err := step(t, c); err != nil {
			return nil, err
		}
	}
	for _, v := range also {
		if t.Hash(path.Join(v.dir(), specs.LifecycleFile)) == "" { // it is not served
			v.render(t)
		}
	}
	return t, nil
}

// renderVersions shows the newest version of each major that all apps meet,
// canaries beside it, and drafts that are tried on its traffic.
func (r *Registry) renderVersions(t *tree, c *ledger.Control) error {
	list, err := known[Version](&r.meanings, c, KindVersion)
	if err != nil {
		return err
	}
	newest := map[string]*Version{}
	for i := range list {
		v := &list[i].Body
		if v.Status == Draft || v.Canary != nil {
			continue
		}
		if last := newest[v.major()]; last == nil || v.number().compare(last.number()) > 0 {
			newest[v.major()] = v
		}
	}
	shown := slices.Collect(maps.Values(newest))
	for i := range list {
		v := &list[i].Body
		main := newest[v.major()]
		if main != nil && main.Status != Retired && (v.trial() || v.Status == Draft && v.Shadow) {
			shown = append(shown, v)
		}
	}
	for _, v := range shown {
		v.render(t)
		text, err := encode(lifecycleFile{v.Status, v.Deprecation, v.Shadow && v.Status == Draft, v.Canary})
		if err != nil {
			return err
		}
		t.write(path.Join(v.dir(), specs.LifecycleFile), text)
	}
	return nil
}

func (v *Version) render(t *tree) {
	for name, hash := range v.Files {
		t.add(path.Join(v.dir(), name), file{hash: hash})
	}
}

func (r *Registry) renderFiles(t *tree, c *ledger.Control) error {
	list, err := known[File](&r.meanings, c, KindFile)
	for _, i := range list {
		t.add(i.Name, file{hash: i.Body.Hash})
	}
	return err
}

// renderConsumers writes a file for each thing.
func (r *Registry) renderConsumers(t *tree, c *ledger.Control) error {
	for _, section := range []struct {
		kind, folder string
		file         func(*ledger.Entry) (*file, error)
	}{
		{KindOrganisation, "organisations", r.meanings.file(func(e *ledger.Entry) (any, error) {
			i, err := item[Organisation](e)
			i.Body.Origin, i.Body.Suspended = "", false // that stands at its apps
			return named("organisations", e, i.Body), err
		})},
		{KindProduct, "products", r.meanings.file(func(e *ledger.Entry) (any, error) {
			i, err := item[Product](e)
			i.Body.Origin = ""
			return named("products", e, i.Body), err
		})},
		{KindPlan, "plans", r.meanings.file(func(e *ledger.Entry) (any, error) {
			i, err := item[Plan](e)
			i.Body.Origin = ""
			return named("plans", e, i.Body), err
		})},
		{KindSubscription, "subscriptions", r.meanings.file(func(e *ledger.Entry) (any, error) {
			i, err := item[Subscription](e)
			if err != nil || i.Body.Status == Ended {
				return nil, err
			}
			s := &i.Body
			return map[string]any{"subscriptions": []any{subscriptionFile{s.App, s.Product, s.Plan, s.Status}}}, nil
		})},
		{KindApp, "apps", r.appFiles(c)},
	} {
		for _, e := range c.Of(section.kind) {
			f, err := section.file(e)
			if err != nil {
				return err
			}
			if f != nil {
				t.add(path.Join(workspace.ConsumersDir, section.folder, e.Name+".yaml"), *f)
			}
		}
	}
	return nil
}

// named puts a thing under its name in a section of consumers.yaml.
func named(section string, e *ledger.Entry, v any) any {
	return map[string]any{section: map[string]any{e.Name: v}}
}

func fileOf(v any) (*file, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &file{ledger.HashOf(text), text}, nil
}

// appRendering is what a table is built of an app and its credentials. It is the same
// as long as all of them are, unless time changes which ones are shown.
type appRendering struct {
	organisation string
	suspended    bool
	credentials  []*ledger.Entry
	ends         bool
	file         *file
}

// appFiles makes the files of apps, with their credentials.
func (r *Registry) appFiles(c *ledger.Control) func(*ledger.Entry) (*file, error) {
	now := time.Now()
	suspended, found := suspensions(c)
	byApp := map[string][]*ledger.Entry{}
	for _, e := range c.Of(KindCredential) {
		byApp[e.Parent] = append(byApp[e.Parent], e)
	}
	return func(e *ledger.Entry) (*file, error) {
		if found != nil {
			return nil, found
		}
		have := byApp[e.Name]
		if a, ok := r.meanings.get(e).(*appRendering); ok && !a.ends && a.suspended == suspended[a.organisation] && slices.Equal(a.credentials, have) {
			return a.file, nil
		}
		i, err := item[App](e)
		if err != nil {
			return nil, err
		}
		organisation := i.Body.Organisation
		f := appFile{Organisation: organisation, Title: i.Body.Title, Addresses: i.Body.Addresses, Disabled: i.Body.Disabled || suspended[organisation]}
		a := &appRendering{organisation: organisation, suspended: suspended[organisation], credentials: have}
		secrets := map[string][]byte{}
		var list []Item[Credential]
		for _, e := range have {
			i, err := item[Credential](e)
			if err != nil {
				return nil, err
			}
			a.ends = a.ends || i.Body.Expires != nil
			list, secrets[e.Name] = append(list, i), e.Secret
		}
		f.addCredentials(list, secrets, now)
		if a.file, err = fileOf(named("apps", e, f)); err != nil {
			return nil, err
		}
		r.meanings.put(e, a)
		return a.file, nil
	}
}

// suspensions are the organisations whose apps may do nothing.
func suspensions(c *ledger.Control) (map[string]bool, error) {
	list, err := items[Organisation](c, KindOrganisation)
	suspended := map[string]bool{}
	for _, o := range list {
		suspended[o.Name] = o.Body.Suspended
	}
	return suspended, err
}
