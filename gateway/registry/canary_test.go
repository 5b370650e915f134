package registry

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway/ledger"
)

// candidates are the drafts that are tried on live traffic.
func (w *world) candidates() string {
	w.Helper()
	w.ok(w.live.Reload())
	var list []string
	for _, a := range w.gateway.Table().APIs {
		for _, c := range a.Candidates {
			list = append(list, c.Version+" on "+a.Version)
		}
	}
	return strings.Join(list, ", ")
}

func (w *world) is(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s: %s, want %s", what, got, want)
	}
}

// A draft is tried on the traffic of the version that is served, until it is
// published, or no more.
func TestShadow(t *testing.T) {
	w := newWorld(t)
	w.erp()
	_, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "1.1.0", Files: document("list", "more"), Match: ledger.Absent})
	w.ok(err)
	_, err = w.r.Shadow(w.ctx, by, "orders", "1.1.0", true, ledger.Any)
	w.refused(err, State, "no version of orders/v1 is served")
	w.publish("1.0.0", "list")
	_, err = w.r.Shadow(w.ctx, by, "orders", "1.0.0", true, ledger.Any)
	w.refused(err, State, "is published")
	v, err := w.r.Shadow(w.ctx, by, "orders", "1.1.0", true, ledger.Any)
	w.ok(err)
	w.is("candidates", w.candidates(), "1.1.0 on 1.0.0")
	w.is("routes", w.routes(), "1.0.0 GET /orders/v1/list")
	broken := map[string][]byte{"openapi.yaml": []byte("openapi: 4.0.0")}
	if _, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "1.1.0", Files: broken, Match: ledger.Any}); err == nil {
		t.Error("a draft that cannot be read is tried")
	}
	draft, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "1.1.0", Files: document("list", "more", "last"), Match: ledger.Match(v.Revision)})
	w.ok(err)
	w.is("candidates", w.candidates(), "1.1.0 on 1.0.0")
	_, err = w.r.Publish(w.ctx, by, Release{API: "orders", Version: "1.1.0", Match: ledger.Match(draft.Revision)})
	w.ok(err)
	w.is("candidates", w.candidates(), "")
	w.is("routes", w.routes(), "1.1.0 GET /orders/v1/last, 1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more")
	// When the version that is served ends, so does the trial.
	_, err = w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "1.2.0", Files: document("list"), Match: ledger.Absent})
	w.ok(err)
	_, err = w.r.Shadow(w.ctx, by, "orders", "1.2.0", true, ledger.Any)
	w.ok(err)
	_, err = w.r.Retire(w.ctx, by, "orders", "1.1.0", true, ledger.Any)
	w.ok(err)
	w.is("candidates", w.candidates(), "")
}

// A canary is met by some, then promoted to all, or withdrawn.
func TestCanary(t *testing.T) {
	w := newWorld(t)
	w.erp()
	w.put(KindOrganisation, "acme", "{}")
	w.put(KindApp, "shop", `{"organisation":"acme"}`)
	publish := func(version string, c *Canary, paths ...string) error {
		_, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: version, Files: document(paths...), Canary: c, Match: ledger.Any})
		return err
	}
	some := &Canary{Share: 10, Apps: []string{"shop"}}
	w.refused(publish("1.0.0", some, "list"), State, "no version of orders/v1 that the other apps could meet")
	w.ok(publish("1.0.0", nil, "list"))
	w.refused(publish("1.0.0", some, "list"), State, "all apps meet orders/1.0.0 already")
	w.refused(publish("1.1.0", &Canary{}, "list", "more"), Invalid, "met by nobody")
	w.faulty(publish("1.1.0", &Canary{Apps: []string{"nobody"}}, "list", "more"), `there is no app "nobody"`)
	w.ok(publish("1.1.0", some, "list", "more"))
	w.is("beside", w.routes(), "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more, 1.0.0 GET /orders/v1/list")
	w.refused(publish("1.2.0", nil, "list", "more"), State, "orders/1.1.0 is a canary")
	_, err := w.r.Deprecate(w.ctx, by, "orders", "1.0.0", Deprecation{}, ledger.Any)
	w.refused(err, State, "orders/1.1.0 is a canary")
	w.ok(publish("1.1.0", &Canary{Share: 50}, "list", "more"))
	for _, a := range w.gateway.Table().APIs {
		if a.Canary != nil && a.Canary.Share != 10 {
			t.Error("the table has changed by itself")
		}
	}
	w.routes()
	for _, a := range w.gateway.Table().APIs {
		if (a.Canary != nil) != (a.Version == "1.1.0") || a.Canary != nil && a.Canary.Share != 50 {
			t.Errorf("%s: %+v", a.Version, a.Canary)
		}
	}
	w.ok(publish("1.1.0", nil, "list", "more"))
	w.is("promoted", w.routes(), "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more")

	w.ok(publish("1.2.0", some, "list", "more", "last"))
	_, err = w.r.Withdraw(w.ctx, ledger.By{Actor: "ada"}, "orders", "1.2.0", ledger.Any)
	w.refused(err, NoReason, "would be withdrawn")
	_, err = w.r.Withdraw(w.ctx, by, "orders", "1.1.0", ledger.Any)
	w.refused(err, State, "is no canary")
	_, err = w.r.Withdraw(w.ctx, by, "orders", "1.2.0", ledger.Any)
	w.ok(err)
	w.is("withdrawn", w.routes(), "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more")
	w.refused(publish("1.2.0", nil, "list", "more", "last"), State, "has been withdrawn")
	_, err = w.r.Restore(w.ctx, by, "orders", "1.2.0", ledger.Any)
	w.refused(err, State, "has been withdrawn")
	w.ok(publish("1.2.1", nil, "list", "more"))
	w.is("a later one", w.routes(), "1.2.1 GET /orders/v1/list, 1.2.1 GET /orders/v1/more")
}

// Files say as much.
func TestApplyCanary(t *testing.T) {
	w := newWorld(t)
	r := newRepo()
	apply := func() {
		t.Helper()
		p, err := w.r.Plan(w.ctx, by, Files{FS: fstest.MapFS(r)})
		w.ok(err)
		_, err = w.r.Apply(w.ctx, by, Files{FS: fstest.MapFS(r)}, p.Revision)
		w.ok(err)
	}
	apply()
	r.write("apis/orders/1.1.0/openapi.yaml", string(document("list", "more")["openapi.yaml"]))
	r.write("apis/orders/1.1.0/lifecycle.yaml", "{status: published, canary: {apps: [shop]}}")
	apply()
	w.is("beside", w.routes(), "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more, 1.0.0 GET /orders/v1/list")
	apply()
	r.write("apis/orders/1.1.0/lifecycle.yaml", "{status: published}")
	r.write("apis/orders/1.2.0/openapi.yaml", string(document("list", "more", "last")["openapi.yaml"]))
	r.write("apis/orders/1.2.0/lifecycle.yaml", "{status: draft, shadow: true}")
	apply()
	w.is("promoted", w.routes(), "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more")
	w.is("candidates", w.candidates(), "1.2.0 on 1.1.0")
}
