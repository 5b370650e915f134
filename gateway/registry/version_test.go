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

// A version is drafted, published, replaced, deprecated and retired, and the
// gateway serves what it should at each step.
func TestLifecycle(t *testing.T) {
	w := newWorld(t)
	w.erp()
	_, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "1.0.0", Files: document("list"), Match: ledger.Absent})
	w.ok(err)
	if got := w.routes(); got != "" {
		t.Fatalf("a draft is served: %s", got)
	}
	p, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: "1.0.0", Match: ledger.Any})
	w.ok(err)
	if p.Body.Status != Published || p.Body.Hash == "" || p.Body.Published == nil {
		t.Errorf("published %+v", p)
	}
	if got := w.routes(); got != "1.0.0 GET /orders/v1/list" {
		t.Fatal(got)
	}
	w.publish("1.1.0", "list", "more")
	if got := w.routes(); got != "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more" {
		t.Fatal(got)
	}
	p, err = w.r.Publish(w.ctx, by, Release{API: "orders", Version: "2.0.0", Files: document("other")})
	w.ok(err)
	if p.Changes != nil {
		t.Errorf("the first of a major was compared: %v", p.Changes)
	}
	if got := w.routes(); got != "1.1.0 GET /orders/v1/list, 1.1.0 GET /orders/v1/more, 2.0.0 GET /orders/v2/other" {
		t.Fatal(got)
	}
	_, err = w.r.Deprecate(w.ctx, by, "orders", "1.0.0", Deprecation{}, ledger.Any)
	w.refused(err, State, "replaced by 1.1.0")
	sunset := time.Now().Add(time.Hour)
	v, err := w.r.Deprecate(w.ctx, by, "orders", "1.1.0", Deprecation{Sunset: &sunset, Successor: "/orders/v2"}, ledger.Any)
	w.ok(err)
	w.routes()
	for _, api := range w.gateway.Table().APIs {
		if settings := api.Document.Governance.Policies["deprecate"]; (api.Major == "v1") != (settings.Get("successor").Text() == "/orders/v2") {
			t.Errorf("%s: %s %v", api.Version, api.Document.Governance.Status, settings)
		}
	}
	p = w.publish("1.2.0", "list", "more", "last")
	if p.Body.Status != Deprecated || p.Body.Deprecation == nil {
		t.Errorf("what replaces a deprecated version is %+v", p.Body)
	}
	if _, err = w.r.Retire(w.ctx, by, "orders", "1.1.0", false, ledger.Match(v.Revision)); err == nil {
		t.Error("a replaced version is retired")
	}
	v, err = w.r.Deprecate(w.ctx, by, "orders", "1.2.0", Deprecation{Since: time.Now().Add(30 * time.Minute)}, ledger.Any)
	if w.ok(err); v.Body.Deprecation.Sunset == nil || v.Body.Deprecation.Successor != "/orders/v2" {
		t.Errorf("what was promised is gone: %+v", v.Body.Deprecation)
	}
	_, err = w.r.Retire(w.ctx, by, "orders", "1.2.0", false, ledger.Any)
	w.refused(err, State, "is not deprecated before")
	_, err = w.r.Deprecate(w.ctx, by, "orders", "1.2.0", Deprecation{Since: time.Now()}, ledger.Any)
	w.ok(err)
	_, err = w.r.Retire(w.ctx, by, "orders", "1.2.0", false, ledger.Any)
	w.refused(err, State, "promised until")
	_, err = w.r.Retire(w.ctx, ledger.By{Actor: "ada"}, "orders", "1.2.0", true, ledger.Any)
	w.refused(err, NoReason, "against the rules")
	now := time.Now()
	_, err = w.r.Deprecate(w.ctx, by, "orders", "1.2.0", Deprecation{Since: now, Sunset: &now}, ledger.Any)
	w.ok(err)
	w.options.InUse = func(_ context.Context, api, version string) ([]Use, error) {
		return []Use{{App: "shop", Operation: api + version, Calls: 3}}, nil
	}
	w.r = New(w.options)
	_, err = w.r.Retire(w.ctx, by, "orders", "1.2.0", false, ledger.Any)
	if r := w.refused(err, InUse, "in use"); len(r.Uses) != 1 || r.Uses[0].Operation != "orders1.2.0" {
		t.Errorf("uses %+v", r.Uses)
	}
	_, err = w.r.Retire(w.ctx, by, "orders", "1.2.0", true, ledger.Any)
	w.ok(err)
	w.routes()
	for _, api := range w.gateway.Table().APIs {
		if api.Major == "v1" && api.Document.Governance.Status != Retired {
			t.Errorf("v1 is %s", api.Document.Governance.Status)
		}
	}
	_, err = w.r.Restore(w.ctx, by, "orders", "1.2.0", ledger.Any)
	w.refused(err, State, "has been retired")
	_, err = w.r.Publish(w.ctx, by, Release{API: "orders", Version: "1.3.0", Files: document("list", "more", "last")})
	w.refused(err, State, "has been retired")
	audits, err := w.ledger.Audits(w.ctx, ledger.AuditFilter{Action: "override"})
	w.ok(err)
	if len(audits) != 1 || audits[0].By != by {
		t.Errorf("the override is not audited: %+v", audits)
	}
	_, err = w.ledger.VerifyAudit(w.ctx, ledger.AuditHead{})
	w.ok(err)
}

func TestPublishRefuses(t *testing.T) {
	w := newWorld(t)
	w.erp()
	w.publish("1.1.0", "list", "more")
	try := func(version string, files map[string][]byte) error {
		_, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: version, Files: files})
		return err
	}
	w.refused(try("1.1.0", document("list")), Immutable, "another version")
	w.ok(try("1.1.0", document("list", "more"))) // the same again
	w.refused(try("1.0.0", document("list", "more")), State, "does not come after 1.1.0")
	w.refused(try("1.1", document("list", "more", "x")), State, "does not come after 1.1.0")
	r := w.refused(try("1.2.0", document("list")), Breaks, "breaks what 1.1.0 promised")
	if len(r.Changes) != 1 || r.Changes[0].ID != "gone-more" || r.Changes[0].File != "apis/orders/1.1.0/openapi.yaml" || r.Changes[0].Line == 0 {
		t.Errorf("changes %+v", r.Changes)
	}
	for version, files := range map[string]map[string][]byte{
		"one": document("x"), "1": document("x"), "2.0.0": {}, "2.0.1": {"../x": nil}, "2.0.2": {".hidden": nil}, "2.0.3": {"lifecycle.yaml": nil},
		"2.0.4": {"a/.b/c": nil}, "2.0.5": {"big": make([]byte, largestFile+1)},
	} {
		w.refused(try(version, files), Invalid, "")
	}
	_, err := w.r.Publish(w.ctx, by, Release{API: "Orders", Version: "2.0.0", Files: document("x")})
	w.refused(err, Invalid, "name for an API")
	w.refused(try("3.0.0", nil), NotFound, "no draft")
	faulty := document("list")
	faulty["openapi.yaml"] = []byte(strings.Replace(string(faulty["openapi.yaml"]), "system: erp", "system: epr", 1))
	w.faulty(try("2.0.0", faulty), `apis/orders/2.0.0/openapi.yaml:3:22: x-headrace.system: there is no system "epr"`)
	w.faulty(try("2.0.0", map[string][]byte{"openapi.yaml": []byte("openapi: 3.0.3\n")}), "apis/orders/2.0.0/openapi.yaml:1:1")
	aged := document("list")
	aged["openapi.yaml"] = []byte(strings.Replace(string(aged["openapi.yaml"]), "system: erp", "system: erp, status: retired", 1))
	w.faulty(try("2.0.0", aged), "the state of a version is not part of its content")

	c, err := w.r.Control(w.ctx)
	w.ok(err)
	if len(c.Of(KindVersion)) != 1 {
		t.Errorf("something was kept: %v", c.Of(KindVersion))
	}
	dry, err := w.r.TryPublish(w.ctx, by, Release{API: "orders", Version: "1.2.0", Files: document("list"), Exceptions: map[string]string{"gone-more": "nobody calls it"}})
	w.ok(err)
	if len(dry.Changes) != 1 {
		t.Errorf("changes %v", dry.Changes)
	}
	if now, err := w.r.Control(w.ctx); err != nil || now.Revision != c.Revision {
		t.Error("a trial has left something")
	}
	p, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: "1.2.0", Files: document("list"), Exceptions: map[string]string{"gone-more": "nobody calls it"}})
	w.ok(err)
	if e := p.Body.Exceptions; len(e) != 1 || e[0].Change != "gone-more" || e[0].Reason != "nobody calls it" || e[0].By != "ada" {
		t.Errorf("exceptions %+v", e)
	}
	files, err := w.r.Export(w.ctx, "orders", "1.2.0")
	w.ok(err)
	if string(files["openapi.yaml"]) != string(document("list")["openapi.yaml"]) {
		t.Error("what is exported is not what was published")
	}
}

// What published documents share does not change under them.
func TestSharedFiles(t *testing.T) {
	w := newWorld(t)
	w.erp()
	put := func(content string) error {
		_, err := w.r.PutFile(w.ctx, by, "common/address.yaml", []byte(content), ledger.Any)
		return err
	}
	w.ok(put("Address: {type: object}\n"))
	files := document("list")
	files["openapi.yaml"] = []byte(strings.Replace(string(files["openapi.yaml"]), "description: ok",
		"description: ok, content: {application/json: {schema: {$ref: \"../../../common/address.yaml#/Address\"}}}", 1))
	p, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: "1.0.0", Files: files})
	w.ok(err)
	if len(p.Body.Uses) != 1 || p.Body.Uses["common/address.yaml"] == "" {
		t.Errorf("uses %v", p.Body.Uses)
	}
	w.refused(put("Address: {type: string}\n"), Immutable, "part of orders/1.0.0")
	_, err = w.r.DeleteFile(w.ctx, by, "common/address.yaml", ledger.Any)
	w.refused(err, Immutable, "part of orders/1.0.0")
	w.ok(put("Address: {type: object}\n"))
	_, err = w.r.Retire(w.ctx, by, "orders", "1.0.0", true, ledger.Any)
	w.ok(err)
	w.ok(put("Address: {type: string}\n"))
	for _, name := range []string{"headrace.yaml", "apis/x", "systems", "systems/../x", "systems/.x", "consumers/x.yaml"} {
		_, err := w.r.PutFile(w.ctx, by, name, nil, ledger.Any)
		w.refused(err, Invalid, "")
	}
	_, err = w.r.PutFile(w.ctx, by, "systems/Bad.yaml", []byte("url: x"), ledger.Any)
	w.faulty(err, "is not a name for a system")
	_, err = w.r.DeleteFile(w.ctx, by, "systems/none.yaml", ledger.Any)
	w.refused(err, NotFound, "")
}

// Files that a document shares with others come with it, and do not change
// under those others.
func TestSharedFilesComeWithAVersion(t *testing.T) {
	w := newWorld(t)
	w.erp()
	release := func(version, address string) Release {
		files := document("list")
		files["openapi.yaml"] = []byte(strings.Replace(string(files["openapi.yaml"]), "description: ok",
			"description: ok, content: {application/json: {schema: {$ref: \"../../../common/address.yaml#/Address\"}}}", 1))
		return Release{API: "orders", Version: version, Files: files, Common: map[string][]byte{"common/address.yaml": []byte(address)}}
	}
	revision := func() int64 {
		c, err := w.r.Control(w.ctx)
		w.ok(err)
		return c.Revision
	}
	_, err := w.r.TryPublish(w.ctx, by, release("1.0.0", "Address: {type: object}\n"))
	w.ok(err)
	if _, err := w.r.ReadFile(w.ctx, "common/address.yaml"); err == nil {
		t.Error("what was only tried is kept")
	}
	p, err := w.r.Publish(w.ctx, by, release("1.0.0", "Address: {type: object}\n"))
	w.ok(err)
	if p.Body.Uses["common/address.yaml"] == "" {
		t.Errorf("uses %v", p.Body.Uses)
	}
	before := revision()
	_, err = w.r.Publish(w.ctx, by, release("1.0.0", "Address: {type: object}\n"))
	w.ok(err)
	if revision() != before {
		t.Error("the same once more is a change")
	}
	_, err = w.r.Publish(w.ctx, by, release("1.0.0", "Address: {type: string}\n"))
	w.refused(err, Immutable, "common/address.yaml is part of orders/1.0.0")
	_, err = w.r.Publish(w.ctx, by, release("1.1.0", "Address: {type: string}\n"))
	w.refused(err, Immutable, "common/address.yaml is part of orders/1.0.0")
	stray := release("1.1.0", "")
	stray.Common = map[string][]byte{"systems/erp.yaml": []byte("url: http://127.0.0.1:9\n")}
	_, err = w.r.Publish(w.ctx, by, stray)
	w.refused(err, Invalid, "is no file that versions share")
	_, err = w.r.Publish(w.ctx, by, release("1.1.0", "Address: {type: object}\n"))
	w.ok(err)
	draft := release("1.2.0", "")
	draft.Common = map[string][]byte{"common/new.yaml": []byte("New: {type: object}\n")}
	_, err = w.r.SaveDraft(w.ctx, by, draft)
	w.ok(err)
	if text, err := w.r.ReadFile(w.ctx, "common/new.yaml"); err != nil || string(text) != "New: {type: object}\n" {
		t.Errorf("%q %v", text, err)
	}
}

// What stands in the directory and in the registry is named, and refused.
func TestClashes(t *testing.T) {
	w := newWorld(t)
	w.write("systems/erp.yaml", "url: http://127.0.0.1:9\n")
	w.write("apis/stock/1.0.0/openapi.yaml", string(document("stock")["openapi.yaml"]))
	w.write("consumers.yaml", "organisations: {acme: {}}\n")
	_, err := w.r.PutFile(w.ctx, by, "systems/erp.yaml", []byte("url: http://127.0.0.1:9\n"), ledger.Any)
	w.faulty(err, "systems/erp.yaml: stands in the files of the workspace and in the registry")
	_, err = w.r.Publish(w.ctx, by, Release{API: "stock", Version: "1.0.0", Files: document("stock")})
	w.faulty(err, "apis/stock/1.0.0: stands in the files of the workspace and in the registry")
	_, err = w.r.Publish(w.ctx, by, Release{API: "stock", Version: "1.1.0", Files: document("stock")})
	w.faulty(err, "1.0.0 and 1.1.0 are both published")
	_, err = w.r.Put(w.ctx, by, KindOrganisation, "acme", []byte("{}"), ledger.Any)
	w.faulty(err, `consumers/organisations/acme.yaml:1:26: organisations.acme: "acme" stands at consumers.yaml:1:23 already`)
	w.publish("1.0.0", "list")
	if got := w.routes(); got != "1.0.0 GET /orders/v1/list, 1.0.0 GET /stock/v1/stock" {
		t.Error(got)
	}
}

// The files of the registry are a file system like others.
func TestTree(t *testing.T) {
	w := newWorld(t)
	w.erp()
	w.publish("1.0.0", "list")
	w.put(KindOrganisation, "acme", "{}")
	layer, err := w.r.Layer(w.ctx)
	w.ok(err)
	if layer.Revision != 3 {
		t.Errorf("revision %d", layer.Revision)
	}
	names := []string{"systems/erp.yaml", "apis/orders/1.0.0/openapi.yaml", "apis/orders/1.0.0/lifecycle.yaml", "consumers/organisations/acme.yaml"}
	if err := fstest.TestFS(layer.Files, names...); err != nil {
		t.Error(err)
	}
	if layer.Files.Hash(names[0]) != ledger.HashOf([]byte("url: http://127.0.0.1:9\n")) || layer.Files.Hash("none") != "" {
		t.Error("hashes are wrong")
	}
	if _, err := layer.Files.Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What cannot be read again is not kept: it would keep every replica from
// building a table, and from starting.
func TestWhatCannotBeReadIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	long := map[string][]byte{}
	for i := range 400 {
		long[fmt.Sprintf("%s/%d.yaml", strings.Repeat("<", 200), i)] = []byte("x")
	}
	_, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "2.0.0", Files: long, Match: ledger.Any})
	w.refused(err, Invalid, "is larger than 256KiB; fewer or shorter names")
	_, err = w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "2.0.0", Files: map[string][]byte{strings.Repeat("x", 501): nil}, Match: ledger.Any})
	w.refused(err, Invalid, "the name of a file has 501 bytes")
	strange := map[string][]byte{}
	for _, name := range []string{"<<", "~", "null", "a: b", "ä\u2028", "\u007f\u0085\ufeff\ufffe", "x\ty", "&a"} {
		strange[name] = nil
	}
	if _, err := w.r.SaveDraft(w.ctx, by, Release{API: "orders", Version: "2.0.0", Files: strange, Match: ledger.Any}); err != nil {
		t.Errorf("%v", err)
	}
	s, err := w.r.Subscribe(w.ctx, by, "shop", "desk", "gold")
	w.ok(err)
	wordy := by
	wordy.Reason = strings.Repeat("<", 1000)
	for range mostSteps {
		_, err = w.r.Decide(w.ctx, wordy, s.Name, Approved, ledger.Any)
		w.ok(err)
		_, err = w.r.Decide(w.ctx, wordy, s.Name, Suspended, ledger.Any)
		w.ok(err)
	}
	if s, err := Get[Subscription](w.ctx, w.r, KindSubscription, s.Name); err != nil || len(s.Body.Steps) < 5 {
		t.Errorf("%d steps, %v", len(s.Body.Steps), err)
	}
	w.routes()
}
