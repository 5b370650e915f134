package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// The size of the workspace that the benchmarks change one thing of.
const (
	benchAPIs       = 200
	benchOperations = 50
)

// manyAPIs is a server with a large registry.
func manyAPIs(b *testing.B) *server { return large(b, benchAPIs, benchOperations, 100) }

// large is a server whose registry holds so many APIs and apps, each app with a
// key and a subscription.
func large(b *testing.B, many, operations, consumers int) *server {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "headrace.yaml"), []byte("listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n"+noLint()), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := newServer(b.Context(), dir, &gatewaytest.Log{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.gatewayListener.Close()
		s.adminListener.Close()
		s.gateway.Stop()
		s.parts.close()
	})
	files := fstest.MapFS{"systems/erp.yaml": {Data: []byte("dialect: rest\nurl: http://127.0.0.1:9\n")}}
	var apis []string
	for i := range many {
		files[fmt.Sprintf("apis/api%d/1.0.0/openapi.yaml", i)] = &fstest.MapFile{Data: largeDocument(operations)}
		apis = append(apis, fmt.Sprintf("api%d/v1", i))
	}
	var apps, subscriptions []string
	for i := range consumers {
		apps = append(apps, fmt.Sprintf("app%d: {organisation: acme, keys: [{prefix: key%05d, hash: \"sha256:%064d\"}]}", i, i, i))
		subscriptions = append(subscriptions, fmt.Sprintf("{app: app%d, product: all, plan: %s}", i, []string{"gold", "free"}[i%2]))
	}
	files["consumers.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "organisations: {acme: {}}\napps: {%s}\nproducts: {all: {apis: [%s]}}\n"+
		"plans: {gold: {class: high, policies: {throttle: {rate: 100/s}, quota: {limit: 100000, per: day}}}, free: {policies: {throttle: {rate: 1/s}}}}\nsubscriptions: [%s]\n",
		strings.Join(apps, ", "), strings.Join(apis, ", "), strings.Join(subscriptions, ", "))}
	if _, err := s.registry.Apply(b.Context(), ledger.By{Actor: "bench"}, registry.Files{FS: files}, 0); err != nil {
		b.Fatal(err)
	}
	if err := s.live.Reload(); err != nil {
		b.Fatal(err)
	}
	if n := len(s.gateway.Table().Operations); n < many*operations {
		b.Fatalf("%d operations", n)
	}
	return s
}

// largeDocument has so many operations, half of them writes of an order.
func largeDocument(operations int) []byte {
	var text strings.Builder
	text.WriteString(`openapi: 3.0.3
info: {title: Orders, version: 1.0.0, description: An API of a benchmark.}
x-headrace: {system: erp, policies: {apikey: {}, subscription: {}, throttle: {rate: 1000/s}}}
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}
  schemas:
    Address: {type: object, required: [street, city], properties: {street: {type: string, maxLength: 100}, city: {type: string, maxLength: 60}, zip: {type: string, pattern: "^[0-9A-Z -]{3,10}$"}, country: {type: string, minLength: 2, maxLength: 2}}}
    Line: {type: object, required: [sku, quantity], properties: {sku: {type: string}, quantity: {type: integer, minimum: 1}, price: {type: number}, note: {type: string}}}
    Order: {type: object, required: [id, lines], properties: {id: {type: string}, customer: {type: string}, shipTo: {$ref: "#/components/schemas/Address"}, billTo: {$ref: "#/components/schemas/Address"}, lines: {type: array, items: {$ref: "#/components/schemas/Line"}}}}
paths:
`)
	for i := range operations / 2 {
		fmt.Fprintf(&text, `  /things%d/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: get%d
      parameters: [{name: limit, in: query, schema: {type: integer, maximum: 100}}]
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}
    put:
      operationId: put%d
      x-headrace: {idempotency: {class: header, header: Idempotency-Key}, lane: $request.path.id}
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
      responses: {"200": {description: ok}}
`, i, i, i)
	}
	return []byte(text.String())
}

// BenchmarkRebuild measures how long a replica takes to serve a change that
// another one has made, with 10,000 operations.
func BenchmarkRebuild(b *testing.B) {
	s := manyAPIs(b)
	by := ledger.By{Actor: "bench"}
	b.Run("app", func(b *testing.B) {
		for i := range b.N {
			b.StopTimer()
			text := fmt.Appendf(nil, `{"organisation":"acme","title":"%d %d"}`, b.N, i)
			if _, err := s.parts.ledger.Change(b.Context(), by, func(d *ledger.Draft) error {
				return d.Put(ledger.Entry{Kind: registry.KindApp, Name: "app1", Parent: "acme", Body: text}, ledger.Any)
			}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := s.live.Reload(); err != nil {
				b.Fatal(err)
			}
		}
	})
	minor := 0
	b.Run("document", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			minor++
			content := fmt.Appendf(largeDocument(benchOperations), "# %d\n", minor)
			release := registry.Release{API: "api7", Version: fmt.Sprintf("1.%d.0", minor), Files: map[string][]byte{"openapi.yaml": content}}
			if _, err := s.registry.Publish(b.Context(), by, release); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := s.live.Reload(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("publish", func(b *testing.B) {
		for range b.N {
			minor++
			content := fmt.Appendf(largeDocument(benchOperations), "# %d\n", minor)
			release := registry.Release{API: "api7", Version: fmt.Sprintf("1.%d.0", minor), Files: map[string][]byte{"openapi.yaml": content}}
			if _, err := s.registry.Publish(b.Context(), by, release); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkManyApps measures how long a replica takes to see and to serve the
// change of one of 2,000 apps, each with a key and a subscription.
func BenchmarkManyApps(b *testing.B) {
	s := large(b, 2, 10, 2000)
	change := func(n, i int) {
		b.StopTimer()
		defer b.StartTimer()
		text := fmt.Appendf(nil, `{"organisation":"acme","title":"%d %d"}`, n, i)
		if _, err := s.parts.ledger.Change(b.Context(), ledger.By{Actor: "bench"}, func(d *ledger.Draft) error {
			return d.Put(ledger.Entry{Kind: registry.KindApp, Name: "app1", Parent: "acme", Body: text}, ledger.Any)
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("render", func(b *testing.B) {
		for i := range b.N {
			change(b.N, i)
			if _, err := s.registry.Layer(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("table", func(b *testing.B) {
		for i := range b.N {
			change(b.N, -i)
			if err := s.live.Reload(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
