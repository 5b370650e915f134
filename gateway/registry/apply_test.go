package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

const consumersText = `organisations: {acme: {title: Acme}}
apps:
  shop: {organisation: acme, keys: [{prefix: abcdefgh, hash: "sha256:` + "1111111111111111111111111111111111111111111111111111111111111111" + `", expires: 2099-12-31}]}
products: {desk: {apis: [orders/v1]}}
plans: {gold: {class: high, write_share: 40, policies: {throttle: {rate: 5/s}}}}
subscriptions: [{app: shop, product: desk, plan: gold}]
`

// repo is a workspace in files.
type repo fstest.MapFS

func newRepo() repo {
	r := repo{}
	r.write("headrace.yaml", "{}")
	r.write("systems/erp.yaml", "url: http://127.0.0.1:9\n")
	r.write("apis/orders/1.0.0/openapi.yaml", string(document("list")["openapi.yaml"]))
	r.write("consumers.yaml", consumersText)
	return r
}

func (r repo) write(name, text string) { r[name] = &fstest.MapFile{Data: []byte(text)} }

// steps says what a plan would do.
func steps(p *Proposal) string {
	var list []string
	for _, s := range p.Steps {
		text := s.Action + " " + s.Kind + " " + s.Name
		if s.Refused {
			text += " refused"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// plan expects what a plan would do.
func (w *world) plan(r repo, want string) *Proposal {
	w.Helper()
	p, err := w.r.Plan(w.ctx, by, Files{FS: fstest.MapFS(r)})
	w.ok(err)
	if got := steps(p); got != want {
		w.Fatalf("the plan is %s\n%v\nwant %s", got, p, want)
	}
	return p
}

// apply plans and applies, and expects what was done.
func (w *world) apply(r repo, want string) {
	w.Helper()
	p := w.plan(r, want)
	_, err := w.r.Apply(w.ctx, by, Files{FS: fstest.MapFS(r)}, p.Revision)
	w.ok(err)
	w.plan(r, "")
}

func TestApply(t *testing.T) {
	w := newWorld(t)
	r := newRepo()
	w.apply(r, "create file systems/erp.yaml, publish version orders/1.0.0, create organisation acme, create product desk, create plan gold, "+
		"create app shop, create credential abcdefgh, create subscription shop.desk")
	if got := w.routes(); got != "1.0.0 GET /orders/v1/list" {
		t.Error(got)
	}
	table := w.gateway.Table()
	if s := table.Consumers.Subscription(table.Consumers.Apps["shop"], table.APIs[0]); s == nil || s.Status != "approved" || s.PlanName != "gold" {
		t.Errorf("subscription %+v", s)
	}
	c, err := w.r.Control(w.ctx)
	w.ok(err)
	if c.Revision != 1 {
		t.Errorf("an apply made %d revisions", c.Revision)
	}

	// What came in by the admin API stays.
	w.put(KindOrganisation, "other", "{}")
	w.put(KindApp, "own", `{"organisation":"other"}`)
	r.write("consumers.yaml", strings.Replace(strings.Replace(consumersText, "5/s", "9/s", 1), "subscriptions: [{app: shop, product: desk, plan: gold}]\n", "", 1))
	delete(r, "apis/orders/1.0.0/openapi.yaml")
	r.write("apis/orders/1.1.0/openapi.yaml", string(document("list", "more")["openapi.yaml"]))
	w.apply(r, "publish version orders/1.1.0, update plan gold, delete subscription shop.desk")
	if got := w.routes(); got != "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more" {
		t.Error(got)
	}

	// The life of a version is in a file beside it.
	r.write("apis/orders/1.1.0/lifecycle.yaml", "status: deprecated\ndeprecate: {since: 2026-01-01, sunset: 2026-06-30}\n")
	w.apply(r, "deprecate version orders/1.1.0")
	r.write("apis/orders/1.1.0/lifecycle.yaml", "status: retired\n")
	w.apply(r, "retire version orders/1.1.0")
	r.write("apis/orders/1.1.0/lifecycle.yaml", "status: published\n")
	w.plan(r, "restore version orders/1.1.0 refused")

	// Without files everything that was applied goes, but for retired versions.
	empty := repo{}
	empty.write("headrace.yaml", "{}")
	w.plan(empty, "delete credential abcdefgh, delete app shop, delete plan gold, delete product desk, delete organisation acme, delete file systems/erp.yaml")
}

func TestApplyRefuses(t *testing.T) {
	w := newWorld(t)
	r := newRepo()
	r.write("apis/orders/1.0.0/openapi.yaml", string(document("list", "more")["openapi.yaml"]))
	w.apply(r, "create file systems/erp.yaml, publish version orders/1.0.0, create organisation acme, create product desk, create plan gold, "+
		"create app shop, create credential abcdefgh, create subscription shop.desk")
	c, err := w.r.Control(w.ctx)
	w.ok(err)

	changed := newRepo() // the same version with other content
	w.plan(changed, "publish version orders/1.0.0 refused")
	breaking := newRepo()
	delete(breaking, "apis/orders/1.0.0/openapi.yaml")
	breaking.write("apis/orders/1.1.0/openapi.yaml", string(document("list")["openapi.yaml"]))
	p := w.plan(breaking, "publish version orders/1.1.0 refused, delete version orders/1.0.0 refused")
	if !p.Steps[0].Breaking() || p.Steps[0].Changes[0].ID != "gone-more" {
		t.Errorf("changes %+v", p.Steps[0])
	}
	excepted := Files{FS: fstest.MapFS(breaking), Exceptions: map[string]string{"gone-more": "nobody calls it"}}
	if p, err = w.r.Plan(w.ctx, by, excepted); err != nil || p.Refused() || steps(p) != "publish version orders/1.1.0" {
		t.Errorf("%v %v", p, err)
	}
	gone := newRepo()
	delete(gone, "apis/orders/1.0.0/openapi.yaml")
	w.plan(gone, "delete version orders/1.0.0 refused")

	for name, c := range map[string]struct{ file, text, wrong string }{
		"unreadable consumers": {"consumers.yaml", "organisations: [", "consumers.yaml:1:1: is not valid YAML"},
		"unknown policy":       {"consumers.yaml", strings.Replace(consumersText, "throttle", "throtle", 1), `consumers/plans/gold.yaml`},
		"dangling":             {"consumers.yaml", strings.Replace(consumersText, "plan: gold", "plan: gild", 1), `there is no plan "gild"`},
		"lifecycle":            {"apis/orders/1.0.0/lifecycle.yaml", "status: deprecated\n", "needs the date since when"},
		"document":             {"apis/stock/1.0.0/openapi.yaml", "openapi: 3.0.3\n", "apis/stock/1.0.0/openapi.yaml:1:1"},
		"system":               {"systems/erp.yaml", "url: [", "systems/erp.yaml"},
	} {
		faulty := newRepo()
		faulty.write("apis/orders/1.0.0/openapi.yaml", string(document("list", "more")["openapi.yaml"]))
		faulty.write(c.file, c.text)
		p, err := w.r.Plan(w.ctx, by, Files{FS: fstest.MapFS(faulty)})
		w.ok(err)
		if !p.Refused() || !strings.Contains(p.Error(), c.wrong) {
			t.Errorf("%s: %v, want %s", name, p, c.wrong)
		}
		_, err = w.r.Apply(w.ctx, by, Files{FS: fstest.MapFS(faulty)}, p.Revision)
		var refused *Proposal
		if !errors.As(err, &refused) {
			t.Errorf("%s: applied: %v", name, err)
		}
	}
	_, err = w.r.Apply(w.ctx, by, excepted, c.Revision-1)
	w.refused(err, Different, "plan again")
	if now, err := w.r.Control(w.ctx); err != nil || now.Revision != c.Revision {
		t.Error("what was refused has left something")
	}

	_, err = w.r.Revoke(w.ctx, by, "abcdefgh", ledger.Any)
	w.ok(err)
	same := newRepo()
	same.write("apis/orders/1.0.0/openapi.yaml", string(document("list", "more")["openapi.yaml"]))
	w.plan(same, "update credential abcdefgh refused")
}

// Drafts come from files, too, and what is there already is taken over.
func TestApplyDrafts(t *testing.T) {
	w := newWorld(t)
	w.put(KindOrganisation, "acme", `{"title":"Acme"}`)
	r := newRepo()
	delete(r, "consumers.yaml")
	r.write("consumers/acme.yaml", "organisations: {acme: {title: Acme}}\n")
	r.write("apis/orders/1.0.0/lifecycle.yaml", "status: draft\n")
	p := w.plan(r, "create file systems/erp.yaml, draft version orders/1.0.0, update organisation acme")
	if !strings.Contains(fmt.Sprint(p.Steps[2]), "is taken over") {
		t.Errorf("%v", p.Steps[2])
	}
	w.apply(r, "create file systems/erp.yaml, draft version orders/1.0.0, update organisation acme")
	if got := w.routes(); got != "" {
		t.Errorf("a draft is served: %s", got)
	}
	r.write("apis/orders/1.0.0/openapi.yaml", "openapi: 3.0.3\n") // nobody compiles it
	w.apply(r, "draft version orders/1.0.0")
	delete(r, "apis/orders/1.0.0/openapi.yaml")
	delete(r, "apis/orders/1.0.0/lifecycle.yaml")
	w.apply(r, "delete version orders/1.0.0")
}

// Clients of the token endpoint come in from files like keys.
func TestApplyClients(t *testing.T) {
	w := newWorld(t)
	r := newRepo()
	text := strings.Replace(consumersText, "organisation: acme, keys", `organisation: acme, oauth: [{id: hrc_1, hash: "sha256:`+strings.Repeat("2", 64)+`", scopes: [read], expires: 2099-12-31}], keys`, 1)
	r.write("consumers.yaml", text)
	w.apply(r, "create file systems/erp.yaml, publish version orders/1.0.0, create organisation acme, create product desk, create plan gold, "+
		"create app shop, create credential abcdefgh, create credential hrc_1, create subscription shop.desk")
	w.ok(w.live.Reload())
	c := w.gateway.Table().Consumers.ByOAuthClient("hrc_1", time.Now())
	if c == nil || c.App.Name != "shop" || len(c.Scopes) != 1 || c.Expires == nil {
		t.Fatalf("%+v", c)
	}
	w.plan(r, "")
	r.write("consumers.yaml", consumersText)
	w.plan(r, "delete credential hrc_1")
}

// leaving are files whose owner leaves when the first is opened.
type leaving struct {
	files fs.FS
	leave func()
}

func (l leaving) Open(name string) (fs.File, error) {
	l.leave()
	return l.files.Open(name)
}

// A plan for which nobody waits ends, and a workspace has its bounds.
func TestPlanEnds(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(w.ctx)
	if _, err := w.r.Plan(ctx, by, Files{FS: leaving{fstest.MapFS(newRepo()), cancel}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	many := map[string][]byte{}
	for n := range mostInWorkspace + 1 {
		many[fmt.Sprint("systems/", n, ".yaml")] = nil
	}
	_, err := Memory(many)
	w.refused(err, Invalid, "the workspace has 10001 files")
}

// What takes something away meanwhile does not make a plan stale; what else
// changes does.
func TestPlanGoesStale(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	key, _, err := w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	_, _, err = w.r.NewOperator(w.ctx, by, "ada", Operator{Role: Admin})
	w.ok(err)
	_, _, err = w.r.NewOperator(w.ctx, by, "grace", Operator{Role: Admin})
	w.ok(err)
	files := Files{FS: fstest.MapFS{"systems/crm.yaml": {Data: []byte("url: http://127.0.0.1:9\n")}}}
	stale := func(change func() error) bool {
		t.Helper()
		p, err := w.r.Plan(w.ctx, by, files)
		w.ok(err)
		w.ok(change())
		_, err = w.r.Apply(w.ctx, by, files, p.Revision)
		var r *Refusal
		if err != nil && (!errors.As(err, &r) || r.Why != Different) {
			t.Fatal(err)
		}
		return err != nil
	}
	if !stale(func() error { return put(w, KindOrganisation, "new") }) {
		t.Error("a new organisation does not count")
	}
	if !stale(func() error { _, err := w.r.Delete(w.ctx, by, KindOrganisation, "new", ledger.Any); return err }) {
		t.Error("an organisation that is gone does not count")
	}
	if stale(func() error {
		_, err := w.r.Revoke(w.ctx, by, key.Name, ledger.Any)
		_, also := w.r.EndOperator(w.ctx, by, "grace", ledger.Any)
		return errors.Join(err, also)
	}) {
		t.Error("a plan is stale because of a key and an operator")
	}
}

func put(w *world, kind, name string) error {
	_, err := w.r.Put(w.ctx, by, kind, name, []byte("{}"), ledger.Any)
	return err
}

// Members come as files, too.
func TestApplyMembers(t *testing.T) {
	w := newWorld(t)
	r := repo{}
	r.write("headrace.yaml", "{}")
	text := "organisations: {acme: {}}\nmembers: {acme.ada: {organisation: acme, email: ada@example.com, role: owner, status: active}}\n"
	r.write("consumers.yaml", text)
	w.apply(r, "create organisation acme, create member acme.ada")
	m, err := Get[Member](w.ctx, w.r, KindMember, "acme.ada")
	if w.ok(err); m.Parent != "acme" || m.Body.Role != "owner" || m.Body.Status != "active" {
		t.Errorf("%+v", m)
	}
	r.write("consumers/people.yaml", "members: {acme.grace: {organisation: acme, email: grace@example.com}}\n")
	w.apply(r, "create member acme.grace")
	w.plan(r, "")
	for wrong, part := range map[string]string{
		`consumers/people.yaml:1:31: members["acme.grace"].email: "grace" is not an address`: "members: {acme.grace: {email: grace, organisation: acme}}\n",
		`consumers/people.yaml:1:18: members.grace: "grace" is not a name of a member`:       "members: {grace: {organisation: acme, email: grace@example.com}}\n",
		`"acme.ada" stands at consumers.yaml:2:21 already`:                                   "members: {acme.ada: {organisation: acme, email: grace@example.com}}\n",
		`create member other.ada: there is no organisation "other"`:                          "members: {other.ada: {organisation: other, email: grace@example.com}}\n",
	} {
		r.write("consumers/people.yaml", part)
		p, err := w.r.Plan(w.ctx, by, Files{FS: fstest.MapFS(r)})
		if w.ok(err); !strings.Contains(p.Error(), wrong) {
			t.Errorf("got %s, want %s", p.Error(), wrong)
		}
	}
	delete(r, "consumers/people.yaml")
	w.apply(r, "delete member acme.grace")
	r.write("consumers.yaml", "organisations: {}")
	w.plan(r, "delete member acme.ada, delete organisation acme")
}
