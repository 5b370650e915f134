package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/lint"
)

const soldDocument = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, policies: {apikey: {}, subscription: {}}}
security: [{key: []}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}}
paths:
  /orders:
    get: {operationId: listOrders, responses: {"200": {description: ok}}}
`

const moreDocument = soldDocument + `  /returns:
    get: {operationId: listReturns, responses: {"200": {description: ok}}}
`

// site is one gateway of several on a ledger.
type site struct {
	server         *server
	gateway, admin string
	log            *gatewaytest.Log
}

// noLint turns all rules off: what is published is as short as can be.
func noLint() string {
	text := "lint: {rules: {"
	for _, r := range lint.Rules() {
		text += r.Name + ": off, "
	}
	return text + "}}\n"
}

// startSite runs a server on a directory until the test ends.
func startSite(t *testing.T, name, dir, ledger string) *site {
	t.Helper()
	text := fmt.Sprintf("listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\nstores: {ledger: %q, replica: %s}\n%s", ledger, name, noLint())
	if err := os.WriteFile(filepath.Join(dir, "headrace.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &site{log: &gatewaytest.Log{}}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	if s.server, err = newServer(ctx, dir, s.log); err != nil {
		cancel()
		t.Fatal(err)
	}
	s.gateway, s.admin = "http://"+s.server.gatewayListener.Addr().String(), "http://"+s.server.adminListener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- s.server.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("the server did not stop")
		}
	})
	return s
}

// call asks for a path with a key, and gives the status.
func (s *site) call(t *testing.T, path, key string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.gateway+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header
}

// spread waits until something holds at all sites, and gives the time that it took.
func spread(t *testing.T, sites []*site, what string, holds func(*site) bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for _, s := range sites {
		for !holds(s) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("never at all replicas: %s\n%s", what, s.log)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(begun)
}

// What is published, revoked and changed at one replica holds at all.
func TestPropagation(t *testing.T) {
	postgres, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Stop()
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }))
	defer erp.Close()
	url := postgres.Database(t)
	var sites []*site
	for i := range 3 {
		sites = append(sites, startSite(t, fmt.Sprint("gateway-", i), t.TempDir(), url))
	}
	ctx := t.Context()
	by := ledger.By{Actor: "ada", Role: "admin", Reason: "test"}
	r := sites[0].server.registry
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(kind, name, text string) {
		t.Helper()
		_, err := r.Put(ctx, by, kind, name, []byte(text), ledger.Any)
		ok(err)
	}
	_, err = r.PutFile(ctx, by, "systems/erp.yaml", []byte("dialect: rest\nurl: "+erp.URL+"\n"), ledger.Any)
	ok(err)
	_, err = r.Publish(ctx, by, registry.Release{API: "orders", Version: "1.0.0", Files: map[string][]byte{"openapi.yaml": []byte(soldDocument)}})
	ok(err)
	took := spread(t, sites, "the version is served", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", ""); return status == 401 })
	t.Logf("published at all replicas after %s", took)

	put(registry.KindOrganisation, "acme", "{}")
	put(registry.KindApp, "shop", `{"organisation":"acme"}`)
	put(registry.KindProduct, "desk", `{"apis":["orders/v1"]}`)
	put(registry.KindPlan, "gold", `{"policies":{"throttle":{"rate":"1000/s"}}}`)
	key, text, err := r.NewKey(ctx, by, "shop", "", nil)
	ok(err)
	s, err := r.Subscribe(ctx, by, "shop", "desk", "gold")
	ok(err)
	_, err = r.Decide(ctx, by, s.Name, registry.Approved, ledger.Any)
	ok(err)
	took = spread(t, sites, "the app is known", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", text); return status == 200 })
	t.Logf("a new app at all replicas after %s", took)

	// By another replica than the first.
	_, err = sites[1].server.registry.Publish(ctx, by, registry.Release{API: "orders", Version: "1.1.0", Files: map[string][]byte{"openapi.yaml": []byte(moreDocument)}})
	ok(err)
	took = spread(t, sites, "the minor is served", func(s *site) bool { status, _ := s.call(t, "/orders/v1/returns", text); return status == 200 })
	t.Logf("a new minor at all replicas after %s", took)

	put(registry.KindPlan, "gold", `{"policies":{"quota":{"limit":7,"per":"day"}}}`)
	took = spread(t, sites, "the plan has changed", func(s *site) bool {
		_, header := s.call(t, "/orders/v1/orders", text)
		return strings.Contains(header.Get("RateLimit-Policy"), "q=7")
	})
	t.Logf("a changed plan at all replicas after %s", took)

	_, err = sites[2].server.registry.Revoke(ctx, by, key.Name, ledger.Any)
	ok(err)
	took = spread(t, sites, "the key is revoked", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", text); return status == 401 })
	t.Logf("revocation-seconds %.3f", took.Seconds())

	now, err := r.Control(ctx)
	ok(err)
	eventually(t, "all replicas say what they serve", func() bool {
		list, err := sites[0].server.parts.ledger.Replicas(ctx)
		ok(err)
		for _, replica := range list {
			if replica.Served != now.Revision || replica.Revision != now.Revision || len(replica.Problems) > 0 {
				return false
			}
		}
		return len(list) == 3
	})
}

// shop publishes an API and makes an app with a key.
func (s *site) shop(t *testing.T) (registry.Item[registry.Credential], string) {
	t.Helper()
	ctx, by, r := t.Context(), ledger.By{Actor: "ada"}, s.server.registry
	document := strings.Replace(soldDocument, ", subscription: {}", "", 1)
	if _, err := r.Publish(ctx, by, registry.Release{API: "orders", Version: "1.0.0", Files: map[string][]byte{"openapi.yaml": []byte(document)}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{{registry.KindOrganisation, "acme", "{}"}, {registry.KindApp, "shop", `{"organisation":"acme"}`}} {
		if _, err := r.Put(ctx, by, c[0], c[1], []byte(c[2]), ledger.Any); err != nil {
			t.Fatal(err)
		}
	}
	key, text, err := r.NewKey(ctx, by, "shop", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, text
}

// A replica whose own files do not go with a change keeps the old table, says
// so, and comes back when it can.
func TestReplicaThatCannotBuild(t *testing.T) {
	postgres, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Stop()
	url := postgres.Database(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	if err := os.Mkdir(filepath.Join(dirs[1], "systems"), 0o700); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dirs[1], "systems", "crm.yaml")
	if err := os.WriteFile(own, []byte("url: http://127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var sites []*site
	for i, dir := range dirs {
		sites = append(sites, startSite(t, fmt.Sprint("gateway-", i), dir, url))
	}
	ctx := t.Context()
	by := ledger.By{Actor: "ada", Reason: "test"}
	if _, err := sites[0].server.registry.PutFile(ctx, by, "systems/erp.yaml", []byte("url: http://127.0.0.1:1\n"), ledger.Any); err != nil {
		t.Fatal(err)
	}
	key, text := sites[0].shop(t)
	if _, err := sites[0].server.registry.Put(ctx, by, registry.KindApp, "till", []byte(`{"organisation":"acme"}`), ledger.Any); err != nil {
		t.Fatal(err)
	}
	_, till, err := sites[0].server.registry.NewKey(ctx, by, "till", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{text, till} {
		spread(t, sites, "both know the key", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", key); return status >= 500 })
	}
	first := sites[0].server.live.Last().Served
	// Only the second one has it in its files, too.
	if _, err := sites[0].server.registry.PutFile(ctx, by, "systems/crm.yaml", []byte("url: http://127.0.0.1:1\n"), ledger.Any); err != nil {
		t.Fatal(err)
	}
	var r ledger.Replica
	eventually(t, "the second replica says that it cannot build", func() bool {
		list, err := sites[0].server.parts.ledger.Replicas(ctx)
		if err != nil || len(list) != 2 {
			return false
		}
		r = list[1]
		return r.Revision == first+1 && r.Served == first && list[0].Served == first+1
	})
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "systems/crm.yaml: stands in the files of the workspace and in the registry") {
		t.Errorf("its problems are %q", r.Problems)
	}
	status, body := fetch(t, sites[1].admin+"/readyz")
	if status != 200 || !strings.Contains(body, fmt.Sprintf("the registry's revision %d cannot be built here; revision %d is served", first+1, first)) {
		t.Errorf("%d %s", status, body)
	}
	if _, body := fetch(t, sites[1].admin+"/metrics"); !strings.Contains(body, fmt.Sprintf("headrace_registry_revision %d\n", first+1)) || !strings.Contains(body, fmt.Sprintf("headrace_registry_served %d\n", first)) {
		t.Errorf("the metrics do not tell: %s", grep(body, "registry"))
	}
	// What is taken from an app is refused by the old table, too.
	if _, err := sites[0].server.registry.Revoke(ctx, by, key.Name, ledger.Any); err != nil {
		t.Fatal(err)
	}
	spread(t, sites, "the key is revoked", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", text); return status == 401 })
	if _, err := sites[0].server.registry.Delete(ctx, by, registry.KindApp, "till", ledger.Any); err != nil {
		t.Fatal(err)
	}
	spread(t, sites, "the key of the app that is gone is refused", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", till); return status == 401 })
	if sites[1].server.live.Last().Served == sites[0].server.live.Last().Served {
		t.Error("the second replica serves the new revision, which it cannot build")
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	spread(t, sites, "both serve the newest revision", func(s *site) bool { return s.server.live.Last().Served == first+3 })
	var state struct {
		Reload struct{ Registry, Served int64 }
	}
	if _, body := fetch(t, sites[1].admin+"/admin/v1/status"); json.Unmarshal([]byte(body), &state) != nil || state.Reload.Registry != first+3 || state.Reload.Served != first+3 {
		t.Error(body)
	}
}

// stuck are the files of a registry that cannot be read for a while.
type stuck struct{ begun, ended chan struct{} }

func (s stuck) Hash(string) string { return "" }
func (s stuck) Open(string) (fs.File, error) {
	select {
	case s.begun <- struct{}{}:
	default: // it is known
	}
	<-s.ended
	return nil, fs.ErrNotExist
}

// What is taken from a consumer is refused at once, also while a table is built and
// takes long.
func TestRevocationWhileATableIsBuilt(t *testing.T) {
	s := startSite(t, "gateway", t.TempDir(), "sqlite:headrace.db")
	ctx, by := t.Context(), ledger.By{Actor: "ada", Reason: "test"}
	if _, err := s.server.registry.PutFile(ctx, by, "systems/erp.yaml", []byte("url: http://127.0.0.1:1\n"), ledger.Any); err != nil {
		t.Fatal(err)
	}
	key, text := s.shop(t)
	spread(t, []*site{s}, "the key is known", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", text); return status >= 500 })
	files := stuck{make(chan struct{}, 1), make(chan struct{})}
	checked := make(chan error)
	go func() { checked <- s.server.live.Check(files) }()
	<-files.begun
	if _, err := s.server.registry.Revoke(ctx, by, key.Name, ledger.Any); err != nil {
		t.Fatal(err)
	}
	spread(t, []*site{s}, "the key is revoked", func(s *site) bool { status, _ := s.call(t, "/orders/v1/orders", text); return status == 401 })
	close(files.ended)
	<-checked
}

// grep gives the lines of a text that hold a word.
func grep(text, word string) string {
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out.WriteString(line)
		}
	}
	return out.String()
}
