package portal

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
)

// sea is a catalogue of many APIs, each with eight operations and an order of forty fields.
func sea(n int) map[string]string {
	files := map[string]string{"systems/erp.yaml": "dialect: rest\nurl: http://127.0.0.1:1\n", "consumers.yaml": "products: {desk: {title: Desk, apis: [api-0/v1]}}\nplans: {gold: {policies: {throttle: {rate: 1/s}}}}\n"}
	domains := []string{"orders", "inventory", "shipments", "invoices", "products", "suppliers", "customers", "returns"}
	var fields strings.Builder
	for i := range 40 {
		fmt.Fprintf(&fields, "        field%d: {type: string, maxLength: %d, description: What stands in field %d.}\n", i, i+1, i)
	}
	for i := range n {
		d := domains[i%len(domains)]
		var paths strings.Builder
		for o := range 4 {
			fmt.Fprintf(&paths, "  /%s%d/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n    get: {operationId: read%d, summary: Read one of %s %d., responses: {\"200\": {description: ok, content: {application/json: {schema: {$ref: \"#/components/schemas/Thing\"}}}}}}\n    put: {operationId: write%d, summary: Write one of %s %d., requestBody: {content: {application/json: {schema: {$ref: \"#/components/schemas/Thing\"}}}}, responses: {\"200\": {description: ok}}}\n", d, o, o, d, i, o, d, i)
		}
		files[fmt.Sprintf("apis/api-%d/1.0.0/openapi.yaml", i)] = fmt.Sprintf("openapi: 3.1.0\ninfo: {title: %s %d, version: 1.0.0, description: \"All about %s of region %d.\"}\nx-headrace: {system: erp, domain: %s, call: {path: /x}, policies: {apikey: {}, subscription: {}}}\npaths:\n%scomponents:\n  schemas:\n    Thing:\n      type: object\n      properties:\n%s",
			d, i, d, i, d, paths.String(), fields.String())
	}
	return files
}

// BenchmarkPortal measures what a page costs the server with 500 APIs: its 99th
// percentile beside the mean, and its length as it is sent.
func BenchmarkPortal(b *testing.B) {
	table := tableOf(b, sea(500))
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			newCatalogue(table).search(nil)
		}
	})
	b.Run("next-index", func(b *testing.B) {
		c := newCatalogue(table)
		known := c.search(nil)
		for b.Loop() {
			newCatalogue(table).search(known)
		}
	})
	p, err := newPortal(Options{URL: "http://127.0.0.1", Gateway: "https://api.example.com", Sandbox: "https://sandbox.example.com", Tables: fixed{table}})
	if err != nil {
		b.Fatal(err)
	}
	h := p.handler()
	for name, path := range map[string]string{
		"home": "/", "catalogue": "/apis", "api": "/apis/api-7/v1", "reference": "/apis/api-7/v1/reference", "operation": "/apis/api-7/v1/reference/write0", "openapi": "/apis/api-7/v1/openapi.json",
		"try": "/try/api-7/v1/write0", "products": "/products", "search-one": "/search?q=orders", "search-field": "/search?q=field7", "search-two": "/search?q=write+region", "search-prefix": "/search?q=f",
	} {
		b.Run(name, func(b *testing.B) {
			var times []time.Duration
			var w *httptest.ResponseRecorder
			for b.Loop() {
				began := time.Now()
				w = httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				times = append(times, time.Since(began))
			}
			if w.Code != 200 {
				b.Fatalf("%s: %d", path, w.Code)
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(w.Body.Len())/1024, "KB")
		})
	}
}

// A large catalogue comes in pages, and none of them is heavy.
func TestLargeCatalogue(t *testing.T) {
	table := tableOf(t, sea(60))
	s := newShelf(t, table, nil)
	s.shows("/apis", "60 APIs, page 1 of 2", `href="/apis?page=2"`)
	s.shows("/apis?page=2", "page 2 of 2", `href="/apis"`)
	for _, page := range []string{"0", "-1", "99", "x"} {
		s.shows("/apis?page="+page, " of 2")
	}
	s.shows("/apis?domain=orders", "8 APIs")
	s.shows("/search?q=field7", "the best 60 are shown")
	for range mostDocuments + 5 { // more documents than are kept
		for _, a := range s.catalogues.of(table).apis[:mostDocuments/2] {
			if _, err := s.document(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.documents.kept); n > mostDocuments {
		t.Errorf("%d documents are kept", n)
	}
}

// Assets are sent compressed to browsers that can read it.
func TestAssetsAreCompressed(t *testing.T) {
	s := newShelf(t, &gateway.Table{}, nil)
	resp, small := s.open(s.assets.paths[styleSheet], "Accept-Encoding", "gzip")
	_, plain := s.open(s.assets.paths[styleSheet], "Accept-Encoding", "identity")
	r, err := gzip.NewReader(bytes.NewReader([]byte(small)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil || string(data) != plain || len(small)*2 > len(plain) || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v: %d and %d bytes", err, len(small), len(plain))
	}
}
