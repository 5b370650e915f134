package buffer_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkWrite measures writes that are answered in time, with callers that
// wait for each other's commits; BenchmarkRead the same system without a ledger.
func BenchmarkWrite(b *testing.B) { benchmark(b, "POST", "/orders/v1/orders") }

func BenchmarkRead(b *testing.B) { benchmark(b, "GET", "/orders/v1/orders?id=x") }

// BenchmarkQueued measures how fast 400 writes go that have waited for a system
// that takes one call of 10 ms at a time: each by itself, and in batches of 50.
func BenchmarkQueued(b *testing.B) {
	patient := strings.ReplaceAll(packed, "timeout: 20s", "timeout: 1m")
	for name, document := range map[string]string{
		"alone": regexp.MustCompile(`(?m)^ *batch:.*\n`).ReplaceAllString(patient, ""), "packed": strings.Replace(patient, "size: 5,", "size: 50,", 1),
	} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for range b.N {
				w := newBulk(b, oneAtATime, func(w *world) {
					w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(document)
				})
				w.takes = 10 * time.Millisecond
				w.fill(400)
				began := time.Now()
				w.free()
				w.eventually("all are done", func() bool { return w.depth() == 0 })
				took += time.Since(began)
				w.stop()
			}
			b.ReportMetric(float64(401*b.N)/took.Seconds(), "writes/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func benchmark(b *testing.B, method, path string) {
	w := newWorld(b, nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := fmt.Sprintf(`{"id":"%d"}`, n.Add(1))
			if method == "GET" {
				body = ""
			}
			r, err := http.NewRequest(method, w.front.URL+path, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Test-App", "shop")
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode >= 300 || resp.StatusCode == 202 {
				b.Errorf("answered %d", resp.StatusCode)
				return
			}
		}
	})
}
