package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
)

// consumers makes an organisation with an app, a product and two plans.
func (w *world) consumers() {
	w.Helper()
	w.erp()
	w.publish("1.0.0", "list")
	w.put(KindOrganisation, "acme", `{"title":"Acme"}`)
	w.put(KindApp, "shop", `{"organisation":"acme"}`)
	w.put(KindProduct, "desk", `{"apis":["orders/v1"]}`)
	w.put(KindPlan, "gold", `{"class":"high","policies":{"throttle":{"rate":"5/s"}}}`)
	w.put(KindPlan, "free", `{"class":"low"}`)
}

func TestPutRefuses(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	for _, c := range []struct{ kind, name, text, wrong string }{
		{KindOrganisation, "acme", `{"titel":"x"}`, `organisation/acme:1:2: titel: unknown key "titel"; did you mean "title"?`},
		{KindOrganisation, "Acme", `{}`, `"Acme" is not a name`},
		{KindOrganisation, "acme", `[`, "is not valid"},
		{KindApp, "shop", `{}`, `the key "organisation" is missing`},
		{KindMember, "acme.ada", `{"organisation":"acme","email":"ada"}`, `"ada" is not an address`},
		{KindMember, "other.ada", `{"organisation":"acme","email":"ada@example.com"}`, "is not a name of a member"},
		{KindMember, "acme.ada", `{"organisation":"acme","email":"ada@example.com","role":"king"}`, `"king" is not known here`},
		{KindProduct, "desk", `{"apis":["orders/v7"]}`, `there is no API "orders/v7"`},
		{KindPlan, "gold", `{"policies":{"throtle":{}}}`, `consumers/plans/gold.yaml:1:41: plans.gold.policies.throtle: there is no policy "throtle"`},
		{KindPlan, "gold", `{"policies":{"throttle":{}}}`, `the key "rate" is missing`},
		{KindPlan, "gold", `{"write_share":101}`, `consumers/plans/gold.yaml:1:33: plans.gold.write_share: a share of 101 percent; between 1 and 100`},
		{KindPlan, "gold", `{"class":"urgent"}`, `"urgent" is not known here`},
	} {
		_, err := w.r.Put(w.ctx, by, c.kind, c.name, []byte(c.text), ledger.Any)
		w.faulty(err, c.wrong)
	}
	_, err := w.r.Put(w.ctx, by, KindApp, "desk", []byte(`{"organisation":"none"}`), ledger.Any)
	w.refused(err, Invalid, `no organisation "none"`)
	_, err = w.r.Put(w.ctx, by, KindSubscription, "shop.desk", []byte(`{}`), ledger.Any)
	w.refused(err, Invalid, "not put as a whole")
	before, err := Get[Plan](w.ctx, w.r, KindPlan, "gold")
	w.ok(err)
	w.put(KindPlan, "gold", `{"title":"Gold"}`)
	_, err = w.r.Put(w.ctx, by, KindPlan, "gold", []byte(`{"title":"Lost"}`), ledger.Match(before.Revision))
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("an update is lost: %v", err)
	}
	_, err = w.r.Delete(w.ctx, by, KindOrganisation, "acme", ledger.Any)
	w.refused(err, InUse, `for example "shop"`)
	_, err = w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	_, err = w.r.Delete(w.ctx, by, KindPlan, "gold", ledger.Any)
	w.faulty(err, `there is no plan "gold"`)
	_, _, err = w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	_, err = w.r.Delete(w.ctx, by, KindApp, "shop", ledger.Any)
	w.ok(err)
	c, err := w.r.Control(w.ctx)
	w.ok(err)
	if len(c.Of(KindCredential))+len(c.Of(KindSubscription)) != 0 {
		t.Error("an app leaves something behind")
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.erp()
	for _, name := range []string{"b", "a", "c", "d"} {
		w.put(KindOrganisation, name, `{"title":"`+strings.ToUpper(name)+`"}`)
	}
	first, more, err := List[Organisation](w.ctx, w.r, KindOrganisation, "", "", 2)
	w.ok(err)
	rest, end, err := List[Organisation](w.ctx, w.r, KindOrganisation, "", "b", 2)
	w.ok(err)
	if len(first) != 2 || first[1].Name != "b" || first[1].Body.Title != "B" || !more || len(rest) != 2 || rest[0].Name != "c" || end {
		t.Errorf("%v %v, %v %v", first, more, rest, end)
	}
}

// knows tells whether the table knows an app by a key.
func (w *world) knows(key string) (app string, expired bool) {
	w.Helper()
	w.ok(w.live.Reload())
	a, expired := w.gateway.Table().Consumers.ByKey(key, time.Now())
	if a == nil {
		return "", expired
	}
	return a.Name, expired
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	first, text, err := w.r.NewKey(w.ctx, by, "shop", "till", nil)
	w.ok(err)
	if app, _ := w.knows(text); app != "shop" {
		t.Fatalf("the key is of %q", app)
	}
	e, err := w.ledger.Entry(w.ctx, KindCredential, first.Name)
	w.ok(err)
	if strings.Contains(string(e.Body), "secret") || len(e.Secret) != 32 {
		t.Errorf("what is kept of a key: %s %x", e.Body, e.Secret)
	}
	second, other, err := w.r.RotateKey(w.ctx, by, first.Name, time.Hour, nil, ledger.Any)
	w.ok(err)
	for _, key := range []string{text, other} {
		if app, _ := w.knows(key); app != "shop" {
			t.Errorf("during the overlap %s is of %q", key, app)
		}
	}
	old, err := Get[Credential](w.ctx, w.r, KindCredential, first.Name)
	w.ok(err)
	if old.Body.Expires == nil || time.Until(*old.Body.Expires) > time.Hour {
		t.Errorf("the old key ends %v", old.Body.Expires)
	}
	_, _, err = w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.refused(err, TooMany, "2 live keys")
	_, err = w.r.Revoke(w.ctx, ledger.By{Actor: "ada"}, second.Name, ledger.Any)
	w.refused(err, NoReason, "")
	_, err = w.r.Revoke(w.ctx, by, second.Name, ledger.Match(second.Revision))
	w.ok(err)
	if app, _ := w.knows(other); app != "" {
		t.Error("a revoked key works")
	}
	if app, _ := w.knows(text); app != "shop" {
		t.Error("the other one does not")
	}
	_, _, err = w.r.RotateKey(w.ctx, by, second.Name, time.Hour, nil, ledger.Any)
	w.refused(err, State, "no longer valid")
	_, third, err := w.r.RotateKey(w.ctx, by, first.Name, 0, nil, ledger.Any)
	w.ok(err)
	if app, expired := w.knows(text); app != "" || !expired {
		t.Errorf("without an overlap the old key is of %q, expired %v", app, expired)
	}
	if app, _ := w.knows(third); app != "shop" {
		t.Error("the third key does not work")
	}
	past := time.Now().Add(-time.Hour)
	_, _, err = w.r.NewKey(w.ctx, by, "shop", "", &past)
	w.refused(err, Invalid, "would have expired")
	_, _, err = w.r.NewKey(w.ctx, by, "none", "", nil)
	w.refused(err, NotFound, "none")
	audits, err := w.ledger.Audits(w.ctx, ledger.AuditFilter{Limit: 1000})
	w.ok(err)
	for _, a := range audits {
		for _, body := range [][]byte{a.Before, a.After} {
			if strings.Contains(string(body), "hash\":\"sha256") || strings.Contains(string(body), "_secret") {
				t.Errorf("a secret is audited: %s", body)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	w.put(KindApp, "other", `{"organisation":"acme"}`)
	name, _, err := w.r.AddCredential(w.ctx, by, []byte(`{"app":"shop","type":"client","issuer":"https://id.example.com","id":"shop-1"}`))
	w.ok(err)
	w.ok(w.live.Reload())
	if app := w.gateway.Table().Consumers.ByClient("https://id.example.com", "shop-1", time.Now()); app == nil || app.Name != "shop" {
		t.Errorf("the client is of %v", app)
	}
	_, _, err = w.r.AddCredential(w.ctx, by, []byte(`{"app":"other","type":"client","issuer":"https://id.example.com","id":"shop-1"}`))
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a client belongs to two apps: %v", err)
	}
	_, err = w.r.Revoke(w.ctx, by, name, ledger.Any)
	w.ok(err)
	_, _, err = w.r.AddCredential(w.ctx, by, []byte(`{"app":"other","type":"client","issuer":"https://id.example.com","id":"shop-1"}`))
	w.ok(err)
	w.ok(w.live.Reload())
	if app := w.gateway.Table().Consumers.ByClient("https://id.example.com", "shop-1", time.Now()); app == nil || app.Name != "other" {
		t.Errorf("the client is of %v", app)
	}
	for text, wrong := range map[string]string{
		`{"app":"shop","type":"client","issuer":"x"}`:                                 "id and the type client",
		`{"app":"shop","type":"client","issuer":"x","id":"y","subject":"CN=x"}`:       "subject and the type client",
		`{"app":"shop","type":"certificate"}`:                                         "either a thumbprint or a subject",
		`{"app":"shop","type":"certificate","thumbprint":"sha256:00"}`:                "is not a thumbprint",
		`{"app":"shop","type":"password"}`:                                            "is not known here",
		`{"app":"shop","type":"certificate","thumbprint":"sha256:00","prefix":"abc"}`: "prefix and the type certificate",
	} {
		_, _, err := w.r.AddCredential(w.ctx, by, []byte(text))
		w.faulty(err, wrong)
	}
	_, _, err = w.r.AddCredential(w.ctx, by, []byte(`{"app":"shop","type":"key","prefix":"abcdefgh"}`))
	w.refused(err, Invalid, "not handed in")
}

// Every way from state to state is tried, and only those that are allowed go.
func TestSubscriptionStates(t *testing.T) {
	all := []string{Requested, Approved, Rejected, Suspended, Ended}
	reach := map[string][]string{Requested: {}, Approved: {Approved}, Rejected: {Rejected}, Suspended: {Approved, Suspended}, Ended: {Ended}}
	for _, from := range all {
		w := newWorld(t)
		w.consumers()
		s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
		w.ok(err)
		for _, status := range reach[from] {
			s, err = w.r.Decide(w.ctx, by, s.Name, status, ledger.Match(s.Revision))
			w.ok(err)
		}
		for _, to := range all {
			_, err := w.r.Decide(w.ctx, by, s.Name, to, ledger.Match(s.Revision))
			allowed := to != Requested && slices.Contains(ways(from), to)
			if !allowed {
				w.refused(err, State, "cannot become")
				continue
			}
			w.ok(err)
			// Back to where it was, in a world of its own.
			w = newWorld(t)
			w.consumers()
			s, err = w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
			w.ok(err)
			for _, status := range reach[from] {
				s, err = w.r.Decide(w.ctx, by, s.Name, status, ledger.Match(s.Revision))
				w.ok(err)
			}
		}
	}
}

func TestSubscriptions(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	status := func() string {
		w.ok(w.live.Reload())
		table := w.gateway.Table()
		s := table.Consumers.Subscription(table.Consumers.Apps["shop"], table.APIs[0])
		if s == nil {
			return ""
		}
		return s.Status + " " + s.PlanName
	}
	s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	if got := status(); got != "requested gold" {
		t.Error(got)
	}
	_, err = w.r.Subscribe(w.ctx, by, "shop", "desk", "free")
	w.refused(err, State, "is subscribed")
	_, err = w.r.Decide(w.ctx, ledger.By{Actor: "ada"}, s.Name, Approved, ledger.Any)
	w.ok(err)
	_, err = w.r.Decide(w.ctx, ledger.By{Actor: "ada"}, s.Name, Suspended, ledger.Any)
	w.refused(err, NoReason, "")
	s, err = w.r.ChangePlan(w.ctx, by, s.Name, "free", ledger.Any)
	w.ok(err)
	if got := status(); got != "approved free" {
		t.Error(got)
	}
	_, err = w.r.ChangePlan(w.ctx, by, s.Name, "none", ledger.Any)
	w.faulty(err, `there is no plan "none"`)
	s, err = w.r.Decide(w.ctx, by, s.Name, Ended, ledger.Any)
	w.ok(err)
	if got := status(); got != "" {
		t.Error(got)
	}
	var steps []string
	for _, step := range s.Body.Steps {
		steps = append(steps, step.Status+" "+step.Plan+" "+step.By)
	}
	if got := strings.Join(steps, ", "); got != "requested gold ada, approved gold ada, approved free ada, ended free ada" {
		t.Error(got)
	}
	_, err = w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, "none.desk", Ended, ledger.Any)
	w.refused(err, NotFound, "")
}

// Access is taken away even where nothing can be built.
func TestTakingAwayNeedsNoBuild(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	key, _, err := w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, s.Name, Approved, ledger.Any)
	w.ok(err)
	w.write("systems/erp.yaml", "url: http://127.0.0.1:9\n") // clashes with the registry's
	_, err = w.r.Put(w.ctx, by, KindOrganisation, "new", []byte("{}"), ledger.Any)
	w.faulty(err, "systems/erp.yaml: stands in the files of the workspace and in the registry")
	_, err = w.r.Revoke(w.ctx, by, key.Name, ledger.Any)
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, s.Name, Suspended, ledger.Any)
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, s.Name, Approved, ledger.Any)
	w.faulty(err, "systems/erp.yaml")
}

// While a change is checked, and that takes long, a credential is revoked, and a
// subscription suspended, at once; the change is made all the same.
func TestTakingAwayDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	key, _, err := w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, s.Name, Approved, ledger.Any)
	w.ok(err)
	checks := 0
	options := w.options
	options.Check = func(files workspace.Hashed) error {
		if checks++; checks > 1 {
			return w.live.Check(files)
		}
		done := make(chan error)
		go func() {
			_, err := w.r.Revoke(w.ctx, by, key.Name, ledger.Any)
			_, also := w.r.Decide(w.ctx, by, s.Name, Suspended, ledger.Any)
			done <- errors.Join(err, also)
		}()
		select {
		case err := <-done:
			w.ok(err)
		case <-time.After(time.Minute):
			t.Fatal("revoking waits for the check")
		}
		return w.live.Check(files)
	}
	r := New(options)
	p, err := r.Publish(w.ctx, by, Release{API: "orders", Version: "1.1.0", Files: document("list", "show")})
	w.ok(err)
	if checks != 1 {
		t.Errorf("the version was checked %d times", checks)
	}
	i, err := Get[Version](w.ctx, r, KindVersion, "orders/1.1.0")
	if err != nil || i.Revision != p.Revision {
		t.Errorf("the answer tells of revision %d, and it is %d: %v", p.Revision, i.Revision, err)
	}
	w.routes()
}

// What was taken from consumers since the table that is served was built, by the
// names that the table has for it.
func TestWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	w.put(KindApp, "till", `{"organisation":"acme"}`)
	w.put(KindApp, "kiosk", `{"organisation":"acme"}`)
	old, _, err := w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	kept, _, err := w.r.NewKey(w.ctx, by, "shop", "", nil)
	w.ok(err)
	s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	thumbprint := "sha256:" + strings.Repeat("AB", 32)
	var names []string
	for _, text := range []string{
		`{"app":"shop","type":"certificate","thumbprint":"` + thumbprint + `"}`,
		`{"app":"shop","type":"certificate","subject":"CN=shop, O=Acme"}`,
		`{"app":"shop","type":"client","issuer":"https://login.example.com","id":"shop"}`,
	} {
		name, _, err := w.r.AddCredential(w.ctx, by, []byte(text))
		w.ok(err)
		names = append(names, name)
	}
	w.routes()
	w.r.Serves(w.live.Last().Served)
	if found, err := w.r.Withdrawn(w.ctx); err != nil || found != nil {
		t.Fatalf("%+v %v", found, err)
	}
	w.put(KindOrganisation, "new", "{}")
	_, err = w.r.Decide(w.ctx, by, s.Name, Approved, ledger.Any)
	w.ok(err)
	if found, err := w.r.Withdrawn(w.ctx); err != nil || found != nil {
		t.Fatalf("%+v %v", found, err)
	}
	for _, name := range names {
		_, err := w.r.Revoke(w.ctx, by, name, ledger.Any)
		w.ok(err)
	}
	_, err = w.r.Revoke(w.ctx, by, kept.Name, ledger.Any)
	w.ok(err)
	_, _, err = w.r.RotateKey(w.ctx, by, old.Name, time.Hour, nil, ledger.Any)
	w.ok(err)
	_, err = w.r.Decide(w.ctx, by, s.Name, Ended, ledger.Any)
	w.ok(err)
	_, err = w.r.Delete(w.ctx, by, KindApp, "till", ledger.Any)
	w.ok(err)
	w.put(KindApp, "kiosk", `{"organisation":"acme","disabled":true}`)
	found, err := w.r.Withdrawn(w.ctx)
	w.ok(err)
	if len(found.Apps) != 2 || !found.Apps["till"] || !found.Apps["kiosk"] {
		t.Errorf("apps: %v", found.Apps)
	}
	if !found.Subscriptions[[2]string{"shop", "desk"}] {
		t.Errorf("subscriptions: %v", found.Subscriptions)
	}
	if !found.Certificates[gateway.CertificateName{Thumbprint: strings.ToLower(thumbprint)}] || !found.Certificates[gateway.CertificateName{Subject: "CN=shop,O=Acme"}] {
		t.Errorf("certificates: %v", found.Certificates)
	}
	if !found.Clients[gateway.ClientIdentity{Issuer: "https://login.example.com", ID: "shop"}] {
		t.Errorf("clients: %v", found.Clients)
	}
	var at []time.Duration
	for _, from := range found.Keys {
		at = append(at, max(0, time.Until(from).Round(10*time.Minute)))
	}
	slices.Sort(at)
	if !slices.Equal(at, []time.Duration{0, time.Hour}) {
		t.Errorf("keys end after %v", at)
	}
	w.routes()
	w.r.Serves(w.live.Last().Served)
	if found, err := w.r.Withdrawn(w.ctx); err != nil || found != nil {
		t.Errorf("%+v %v", found, err)
	}
}
