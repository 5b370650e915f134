package system

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// quietSystem answers every request with 1 KB of JSON.
func quietSystem(b *testing.B) string {
	body := `{"id":1,"text":"` + strings.Repeat("x", 1000) + `"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = jsonType
		io.WriteString(w, body)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// callers sends requests to a front server, as callers do. Time and memory are
// those of caller, front and system together: only ratios mean anything.
func callers(b *testing.B, front http.Handler, path string) {
	s := httptest.NewServer(front)
	b.Cleanup(s.Close)
	t := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(t.CloseIdleConnections)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("GET", s.URL+path, nil)
			r.Header.Set("Accept", "application/json")
			r.Header.Set("User-Agent", "bench")
			resp, err := t.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				b.Error(resp.Status)
				return
			}
		}
	})
}

type silence struct{}

func (silence) Prepare(*gateway.Operation) {}
func (silence) Begin(*gateway.Exchange)    {}
func (silence) End(*gateway.Exchange)      {}

// BenchmarkPassThrough compares a read that is passed through, limits and
// breaker included, with httputil.ReverseProxy.
func BenchmarkPassThrough(b *testing.B) {
	b.Run("reverse-proxy", func(b *testing.B) {
		u, _ := url.Parse(quietSystem(b))
		p := &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		}
		callers(b, p, "/orders/17")
	})
	for name, system := range map[string]string{"headrace": "", "headrace-limits": "limits: [{name: concurrency, capacity: 64}, {name: window, capacity: 1000000000, hold: 10s}]"} {
		b.Run(name, func(b *testing.B) {
			f := Open(Options{})
			set, table, ps := build(f, plan{system: system, paths: at("GET", "/orders/{id}", "getOrder", "")}, quietSystem(b))
			if err := ps.Err(); err != nil {
				b.Fatal(err)
			}
			g := gateway.New(gateway.Options{Recorder: silence{}})
			g.Swap(table)
			b.Cleanup(func() { g.Stop(); set.Close(); f.Close() })
			callers(b, g, "/orders/v1/orders/17")
		})
	}
}

// BenchmarkBuild makes the system's request, which is all that the layer does
// before the request leaves.
func BenchmarkBuild(b *testing.B) {
	f := Open(Options{})
	set, table, ps := build(f, plan{paths: at("GET", "/orders/{id}", "getOrder", "")}, "http://127.0.0.1:1")
	if err := ps.Err(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(set.Close)
	o := set.operations["orders/v1/getOrder"]
	hr := httptest.NewRequest("GET", "/orders/v1/orders/17", nil)
	for name, value := range map[string]string{"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "bench", "Authorization": "Bearer x", "X-Api-Key": "y"} {
		hr.Header.Set(name, value)
	}
	x := &gateway.Exchange{Request: hr, ID: "0123456789abcdef", Correlation: "0123456789abcdef", Operation: table.Operations[0], Params: specs.Params{{Name: "id", Value: "17"}}}
	x.Record.Started = time.Now()
	g := &grant{}
	b.ReportAllocs()
	for b.Loop() {
		r, err := o.newRequest(x)
		if err != nil {
			b.Fatal(err)
		}
		t := &task{system: o.system, request: r, name: o.id, safe: true, timeout: time.Second}
		if _, refusal := o.call.(*restCall).build(b.Context(), t, g); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
