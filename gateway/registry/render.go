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
	for _, step := range []func(*tree, *ledger.Control) error{renderVersions, renderFiles, renderConsumers} {
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
func renderVersions(t *tree, c *ledger.Control) error {
	list, err := items[Version](c, KindVersion)
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

func renderFiles(t *tree, c *ledger.Control) error {
	list, err := items[File](c, KindFile)
	for _, i := range list {
		t.add(i.Name, file{hash: i.Body.Hash})
	}
	return err
}

// renderConsumers writes a file for each thing.
func renderConsumers(t *tree, c *ledger.Control) error {
	for _, section := range []struct {
		kind, name string
		text       func(*ledger.Entry) (any, error)
	}{
		{KindOrganisation, "organisations", func(e *ledger.Entry) (any, error) {
			i, err := item[Organisation](e)
			i.Body.Origin, i.Body.Suspended = "", false // that stands at its apps
			return i.Body, err
		}},
		{KindProduct, "products", func(e *ledger.Entry) (any, error) {
			i, err := item[Product](e)
			i.Body.Origin = ""
			return i.Body, err
		}},
		{KindPlan, "plans", func(e *ledger.Entry) (any, error) {
			i, err := item[Plan](e)
			i.Body.Origin = ""
			return i.Body, err
		}},
		{KindApp, "apps", appText(c)},
	} {
		for _, e := range c.Of(section.kind) {
			v, err := section.text(e)
			if err != nil {
				return err
			}
			if err := consumerFile(t, section.name, e.Name, map[string]any{section.name: map[string]any{e.Name: v}}); err != nil {
				return err
			}
		}
	}
	list, err := items[Subscription](c, KindSubscription)
	for _, i := range list {
		if s := i.Body; s.Status != Ended {
			v := map[string]any{"subscriptions": []any{subscriptionFile{s.App, s.Product, s.Plan, s.Status}}}
			if err := consumerFile(t, "subscriptions", i.Name, v); err != nil {
				return err
			}
		}
	}
	return err
}

func consumerFile(t *tree, folder, name string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		t.write(path.Join(workspace.ConsumersDir, folder, name+".yaml"), text)
	}
	return err
}

// appText gives what a table is built of an app and its credentials.
func appText(c *ledger.Control) func(*ledger.Entry) (any, error) {
	now := time.Now()
	suspended, found := suspensions(c)
	byApp := map[string][]Item[Credential]{}
	secrets := map[string][]byte{}
	for _, e := range c.Of(KindCredential) {
		i, err := item[Credential](e)
		if err != nil {
			found = err
		}
		byApp[e.Parent] = append(byApp[e.Parent], i)
		secrets[e.Name] = e.Secret
	}
	return func(e *ledger.Entry) (any, error) {
		i, err := item[App](e)
		if err == nil {
			err = found
		}
		f := appFile{Organisation: i.Body.Organisation, Title: i.Body.Title, Addresses: i.Body.Addresses, Disabled: i.Body.Disabled || suspended[i.Body.Organisation]}
		f.addCredentials(slices.Clone(byApp[e.Name]), secrets, now)
		return f, err
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
