package buffer_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkWrite measures writes that are answered in time, with callers that
// wait for each other's commits; BenchmarkRead the same system without a ledger.
func BenchmarkWrite(b *testing.B) { benchmark(b, "POST", "/orders/v1/orders") }

func BenchmarkRead(b *testing.B) { benchmark(b, "GET", "/orders/v1/orders?id=x") }

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
