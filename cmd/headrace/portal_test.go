package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/portal"
)

// The portal shows what is served, wherever it stands: the files' versions beside
// those of the registry, with what has changed between them.
func TestPortal(t *testing.T) {
	b := serveWorkspace(t, echoPath, noLint()+"portal: {listen: \"127.0.0.1:0\", title: Supply}\n")
	b.write(t, "apis/orders/0.9.0/openapi.yaml", strings.Replace(strings.Replace(openDocument, "1.0.0", "0.9.0", 1), "x-headrace: {", "x-headrace: {status: draft, ", 1))
	at := "http://" + b.server.portalListener.Addr().String()
	shows := func(path string, parts ...string) string {
		t.Helper()
		status, body := fetch(t, at+path)
		for _, part := range parts {
			if status != 200 || !strings.Contains(body, part) {
				t.Errorf("%s: %d lacks %q:\n%s", path, status, part, body)
			}
		}
		return body
	}
	shows("/", "Supply")
	shows("/apis/orders/v1", "http://"+b.server.gatewayListener.Addr().String()+"/orders/v1")
	shows("/apis/orders/v1/changes", "1.0.0 is the first version.")

	s := b.server
	by := ledger.By{Actor: "ada", Role: "architect", Reason: "because"}
	document := func(version, extra string) map[string][]byte {
		text := strings.Replace(strings.Replace(openDocument, "%s", "x", 1), "1.0.0", version, 1)
		return map[string][]byte{
			"openapi.yaml": []byte(strings.Replace(text, "    get:\n", "    get:\n"+extra, 1)), "guide.md": []byte("# Of " + version + "\n"),
		}
	}
	for _, r := range []registry.Release{
		{API: "stock", Version: "1.0.0", Files: document("1.0.0", "")},
		{API: "stock", Version: "1.1.0", Files: document("1.1.0", "      parameters: [{name: page, in: query, schema: {type: integer}}]\n")},
		{API: "orders", Version: "2.0.0", Files: document("2.0.0", "      parameters: [{name: site, in: query, required: true, schema: {type: string}}]\n")},
	} {
		if _, err := s.registry.Publish(t.Context(), by, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.registry.SaveDraft(t.Context(), by, registry.Release{API: "stock", Version: "1.2.0", Files: document("1.2.0", ""), Match: ledger.Any}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the versions are served", func() bool {
		_, body := fetch(t, at+"/apis")
		return strings.Contains(body, "/apis/orders/v2") && strings.Contains(body, "/apis/stock/v1")
	})
	shows("/apis/stock/v1/guide", "Of 1.1.0")
	if body := shows("/apis/stock/v1/changes", "1.1.0", "after 1.0.0", "nothing breaks", "<code>page</code>"); strings.Contains(body, "1.2.0") {
		t.Error("a draft is shown")
	}
	// One stands in the files, and the other in the registry.
	if body := shows("/apis/orders/v2/changes", "2.0.0", "after 1.0.0", "breaking", "<code>site</code>"); strings.Contains(body, "0.9.0") {
		t.Error("a draft of the files is shown")
	}
	h := history{s.registry, s.live}
	if list, err := h.Releases(t.Context(), "nothing"); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if _, err := h.Changes(t.Context(), "orders", "1.0.0", "7.0.0"); err == nil {
		t.Error("a version that is not there is compared")
	}
}

var _ portal.History = history{}

// Without portal in headrace.yaml nothing listens, and an address in use is refused.
func TestPortalListens(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	if b.server.portalListener != nil || !strings.HasPrefix(b.server.portalURL(), "none") {
		t.Error("a portal listens")
	}
	busy := &bench{dir: b.dir, log: b.log}
	busy.write(t, "headrace.yaml", "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\nportal: {listen: \""+strings.TrimPrefix(b.admin, "http://")+"\"}\nstores: {ledger: \"sqlite:other.db\"}\n")
	if _, err := newServer(t.Context(), busy.dir, busy.log); err == nil || !strings.Contains(err.Error(), "portal.listen") {
		t.Errorf("%v", err)
	}
	if resp, err := http.Get(b.gateway + "/orders/v1/orders/1"); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v", err)
	} else {
		resp.Body.Close()
	}
}
