package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/usage"
)

const itemsDocument = `openapi: 3.0.3
info: {title: Items, version: 1.0.0}
x-headrace: {system: erp, policies: {apikey: {}}}
security: [{key: []}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}}
paths:
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getItem, x-headrace: {call: {path: "/old/{id}"}}, responses: {"200": {description: ok}}}
    put:
      operationId: putItem
      x-headrace: {call: {path: "/old/{id}"}}
      requestBody: {content: {application/json: {schema: {type: object, properties: {name: {type: string}}}}}}
      responses: {"200": {description: ok}}
`

// The next minor has schemes in another order, another call to the system, and
// an operation more.
const nextItems = `openapi: 3.0.3
info: {title: Items, version: 1.0.0}
x-headrace: {system: erp, policies: {apikey: {}}}
security: [{key: []}]
components: {securitySchemes: {also: {type: apiKey, in: query, name: k}, key: {type: apiKey, in: header, name: X-Api-Key}}}
paths:
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getItem, x-headrace: {call: {path: "/new/{id}"}}, responses: {"200": {description: ok}}}
    put:
      operationId: putItem
      x-headrace: {call: {path: "/new/{id}"}}
      requestBody: {content: {application/json: {schema: {type: object, properties: {name: {type: string}, note: {type: string}}}}}}
      responses: {"200": {description: ok}}
  /stock:
    get: {operationId: getStock, responses: {"200": {description: ok}}}
`

// market is a gateway with an API in the registry, and two apps that use it.
type market struct {
	*testing.T
	*site
	r    *registry.Registry
	keys map[string]string
	seen atomic.Pointer[string] // the last path that the system was asked for
	away atomic.Bool            // the system
}

func openMarket(t *testing.T) *market {
	m := &market{T: t, keys: map[string]string{}}
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.away.Load() {
			w.WriteHeader(503)
			return
		}
		path := r.Method + " " + r.URL.Path
		m.seen.Store(&path)
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(erp.Close)
	m.site = startSite(t, "one", t.TempDir(), "sqlite:ledger.db")
	m.r = m.server.registry
	ctx := t.Context()
	_, err := m.r.PutFile(ctx, ada, "systems/erp.yaml", []byte("dialect: rest\nurl: "+erp.URL+"\n"), ledger.Any)
	m.ok(err)
	_, err = m.r.Put(ctx, ada, registry.KindOrganisation, "acme", []byte("{}"), ledger.Any)
	m.ok(err)
	for _, app := range []string{"shop", "edi"} {
		_, err = m.r.Put(ctx, ada, registry.KindApp, app, []byte(`{"organisation":"acme"}`), ledger.Any)
		m.ok(err)
		_, text, err := m.r.NewKey(ctx, ada, app, "", nil)
		m.ok(err)
		m.keys[app] = text
	}
	m.publish("1.0.0", itemsDocument, nil)
	return m
}

var ada = ledger.By{Actor: "ada", Role: "admin", Reason: "test"}

func (m *market) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *market) publish(version, document string, c *registry.Canary) {
	m.Helper()
	_, err := m.r.Publish(m.Context(), ada, registry.Release{
		API: "items", Version: version, Files: map[string][]byte{"openapi.yaml": []byte(document)}, Canary: c, Match: ledger.Any,
	})
	m.ok(err)
	m.live()
}

// live waits until the gateway serves what the registry holds.
func (m *market) live() {
	m.Helper()
	c, err := m.r.Control(m.Context())
	m.ok(err)
	eventually(m.T, "what was changed is live", func() bool { return m.server.live.Last().Served == c.Revision })
}

// ask calls as an app, and gives the status, the answering version, and what the system was asked for.
func (m *market) ask(app, method, path string) string {
	m.Helper()
	var nothing string
	m.seen.Store(&nothing)
	r, err := http.NewRequestWithContext(m.Context(), method, m.gateway+"/items/v1"+path, nil)
	m.ok(err)
	if method == "PUT" {
		r, err = http.NewRequestWithContext(m.Context(), method, m.gateway+"/items/v1"+path, strings.NewReader(`{"name": "x"}`))
		m.ok(err)
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Api-Key", m.keys[app])
	resp, err := http.DefaultClient.Do(r)
	m.ok(err)
	resp.Body.Close()
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get(gateway.VersionHeader), " ", *m.seen.Load()))
}

func (m *market) is(what, got, want string) {
	m.Helper()
	if got != want {
		m.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Some apps meet a canary, with its own contract and calls, until it is
// promoted or withdrawn.
func TestCanary(t *testing.T) {
	m := openMarket(t)
	m.is("before", m.ask("shop", "GET", "/items/7"), "200  GET /old/7")
	m.publish("1.1.0", nextItems, &registry.Canary{Apps: []string{"shop"}})
	for range 2 {
		m.is("its app reads", m.ask("shop", "GET", "/items/7"), "200 1.1.0 GET /new/7")
		m.is("its app writes", m.ask("shop", "PUT", "/items/7"), "200 1.1.0 PUT /new/7")
		m.is("its app finds what is new", m.ask("shop", "GET", "/stock"), "200 1.1.0 GET /stock")
		m.is("another app reads", m.ask("edi", "GET", "/items/7"), "200 1.0.0 GET /old/7")
		m.is("another app writes", m.ask("edi", "PUT", "/items/7"), "200 1.0.0 PUT /old/7")
		m.is("another app finds nothing new", m.ask("edi", "GET", "/stock"), "404")
		m.is("nobody is let in", m.ask("", "GET", "/items/7"), "401")
	}
	m.is("nobody finds what is new", m.ask("", "GET", "/stock"), "401")
	eventually(t, "each version counts its own", func() bool {
		m.ok(m.server.parts.usage.Flush(t.Context()))
		text := ""
		for _, version := range []string{"1.0.0", "1.1.0"} {
			v, err := usage.Book{Ledger: m.server.parts.ledger}.Version(t.Context(), "items", version, "shop", usage.Period{})
			m.ok(err)
			for _, o := range v.Operations {
				text += fmt.Sprint(version, " ", o.Operation, " ", o.Calls, ", ")
			}
		}
		return text == "1.0.0 getItem 1, 1.1.0 getItem 2, 1.1.0 getStock 2, 1.1.0 putItem 2, "
	})
	m.publish("1.1.0", nextItems, nil)
	m.is("promoted", m.ask("edi", "GET", "/items/7"), "200  GET /new/7")
	m.is("promoted, and what is new", m.ask("edi", "GET", "/stock"), "200  GET /stock")
}

// A write that a canary has accepted is sent as the canary says, also from the
// ledger; and by the version of all once the canary is gone.
func TestCanaryKeepsWrites(t *testing.T) {
	m := openMarket(t)
	m.publish("1.1.0", nextItems, &registry.Canary{Apps: []string{"shop"}})
	m.away.Store(true)
	put := func(app string) {
		t.Helper()
		r, err := http.NewRequest("PUT", m.gateway+"/items/v1/items/8", strings.NewReader(`{}`))
		m.ok(err)
		r.Header = http.Header{"X-Api-Key": {m.keys[app]}, "Content-Type": {"application/json"}, "Prefer": {"respond-async"}}
		resp, err := http.DefaultClient.Do(r)
		m.ok(err)
		resp.Body.Close()
		if resp.StatusCode != 202 {
			t.Fatal(resp.StatusCode)
		}
	}
	sent := func(want string) {
		t.Helper()
		end := time.Now().Add(time.Minute)
		for m.seen.Load() == nil || *m.seen.Load() != want {
			if time.Now().After(end) {
				t.Fatalf("not sent as %s, but %v", want, *m.seen.Load())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	var nothing string
	m.seen.Store(&nothing)
	put("shop")
	m.away.Store(false)
	sent("PUT /new/8")
	m.away.Store(true)
	m.seen.Store(&nothing)
	put("shop")
	_, err := m.r.Withdraw(t.Context(), ada, "items", "1.1.0", ledger.Any)
	m.ok(err)
	m.live()
	m.away.Store(false)
	sent("PUT /old/8")
}

// What is in use is not retired, the refusal says by whom, and keys tell when
// they were last used.
func TestRetireInUse(t *testing.T) {
	m := openMarket(t)
	m.is("called", m.ask("shop", "GET", "/items/7"), "200  GET /old/7")
	m.is("called", m.ask("", "GET", "/items/7"), "401")
	ctx := t.Context()
	now := time.Now()
	_, err := m.r.Deprecate(ctx, ada, "items", "1.0.0", registry.Deprecation{Since: now.Add(-time.Hour), Sunset: &now}, ledger.Any)
	m.ok(err)
	eventually(t, "it is known to be in use", func() bool {
		m.ok(m.server.parts.usage.Flush(ctx))
		_, err = m.r.Retire(ctx, ada, "items", "1.0.0", false, ledger.Any)
		return err != nil && strings.Contains(err.Error(), `the app "shop" uses getItem: 1 calls, the last on `+time.Now().UTC().Format(time.DateOnly))
	})
	prefix := strings.Split(m.keys["shop"], "_")[1]
	last, err := m.server.parts.ledger.LastUsed(ctx, registry.KindCredential, []string{prefix, strings.Split(m.keys["edi"], "_")[1]})
	m.ok(err)
	if len(last) != 1 || time.Since(last[prefix]) > time.Minute {
		t.Errorf("last use of keys: %v", last)
	}
	_, err = m.r.Retire(ctx, ada, "items", "1.0.0", true, ledger.Any)
	m.ok(err)
	m.live()
	m.is("retired", m.ask("shop", "GET", "/items/7"), "410")
}

// Dates take effect when they come, without a new table.
func TestSunsetComes(t *testing.T) {
	m := openMarket(t)
	sunset := time.Now().Add(3 * time.Second)
	end := registry.Deprecation{Sunset: &sunset, Successor: "/items/v2"}
	_, err := m.r.Deprecate(t.Context(), ada, "items", "1.0.0", end, ledger.Any)
	m.ok(err)
	m.live()
	table := m.server.gateway.Table()
	if m.ask("shop", "GET", "/items/7") == "200  GET /old/7" { // a slow machine may be there already
		_, header := m.call(t, "/items/v1/items/7", m.keys["shop"])
		for name, want := range map[string]string{"Deprecation": "@", "Sunset": sunset.UTC().Format(http.TimeFormat), "Link": `</items/v2>; rel="successor-version"`} {
			if !strings.HasPrefix(header.Get(name), want) {
				t.Errorf("%s: %q", name, header.Get(name))
			}
		}
	}
	eventually(t, "it is over", func() bool { return m.ask("shop", "GET", "/items/7") == "410" })
	if m.server.gateway.Table() != table {
		t.Error("there is another table")
	}
}
