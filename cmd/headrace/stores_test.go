package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/counter/redistest"
)

const countedDocument = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, call: {path: "/orders/{id}"}, policies: {quota: {limit: 10, per: month}}}
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getOrder
      responses: {"200": {description: ok}}
`

// TestReplicasShareCounts has two servers count one quota in one Redis, and go on
// by their halves when it is killed.
func TestReplicasShareCounts(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "s3cret")
	redis := redistest.Run(t, "--requirepass", "s3cret")
	stores := "stores: {counters: \"redis://:${env:REDIS_PASSWORD}@" + redis.Address + "/2\"}\n"
	a, b := serveWorkspace(t, echoPath, stores), serveWorkspace(t, echoPath, stores)
	call := func(s *bench) (status int, left string) {
		t.Helper()
		resp, err := http.Get(s.gateway + "/orders/v1/orders/1")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		_, left, _ = strings.Cut(resp.Header.Get("RateLimit"), ";r=")
		left, _, _ = strings.Cut(left, ";")
		return resp.StatusCode, left
	}
	ready := func(s *bench, what string) bool {
		status, text := fetch(t, s.admin+"/readyz")
		return status == 200 && strings.Contains(text, what)
	}
	for _, s := range []*bench{a, b} {
		eventually(t, "the replicas know of each other", func() bool {
			return ready(s, `{"store":"counters","mode":"shared","replicas":2,"share":0.5,`) && ready(s, `{"store":"budget","system":"erp",`)
		})
		s.write(t, "apis/orders/1.0.0/openapi.yaml", countedDocument)
	}
	for i, s := range []*bench{a, b} { // the first call that is counted
		eventually(t, "the quota is live", func() bool {
			_, left := call(s)
			return left == []string{"9", "8"}[i]
		})
	}
	if status, left := call(a); status != 200 || left != "7" {
		t.Errorf("%d, %s calls are left", status, left)
	}
	redis.Kill()
	admitted := 0
	for range 10 {
		if status, _ := call(a); status == 200 {
			admitted++
		} else if status != 429 {
			t.Errorf("status %d while Redis is gone", status)
		}
	}
	if admitted != 3 {
		t.Errorf("alone, %d calls were admitted, want half of 7", admitted)
	}
	if !ready(a, `"mode":"alone"`) || !ready(a, "the store of the counters is out of reach") {
		t.Error("readiness does not say that Redis is gone")
	}
	if _, page := fetch(t, a.admin+"/"); !strings.Contains(page, ">alone</span>") {
		t.Error("the page does not say that Redis is gone")
	}
	if _, metrics := fetch(t, a.admin+"/metrics"); !strings.Contains(metrics, `mode="alone",`) {
		t.Error("the metrics do not say that Redis is gone")
	}
	redis.Start()
	eventually(t, "the counts are shared again", func() bool { return ready(a, `"mode":"shared"`) })
	for _, s := range []*bench{a, b} {
		if log := s.log.String(); strings.Contains(log, "s3cret") {
			t.Errorf("the log shows the password: %s", log)
		}
	}
	eventually(t, "the log says so", func() bool {
		return strings.Contains(a.log.String(), "out of reach") && strings.Contains(a.log.String(), "within reach again")
	})
}

// TestServesWithoutRedis starts a server whose Redis is not there. What no limit
// holds back goes on; a limited system waits, because nobody knows what others do,
// and the replica is not ready while it can call no other.
func TestServesWithoutRedis(t *testing.T) {
	redis := redistest.Run(t)
	redis.Kill()
	b := serveWorkspace(t, echoPath, "stores: {counters: \"redis://"+redis.Address+"\", replicas: 1}\n")
	for _, url := range []string{b.gateway + "/orders/v1/orders/1", b.admin + "/readyz"} {
		if status, text := fetch(t, url); status != 200 {
			t.Errorf("%d %s", status, text)
		}
	}
	system, err := os.ReadFile(filepath.Join(b.dir, "systems", "erp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "systems/erp.yaml", string(system)+"limits: [{name: concurrency, capacity: 5}]\n")
	eventually(t, "the limit holds", func() bool {
		status, text := fetch(t, b.gateway+"/orders/v1/orders/1")
		return status == 503 && strings.Contains(text, "what is left of the limits of erp is not known")
	})
	if status, text := fetch(t, b.admin+"/readyz"); status != 503 || !strings.Contains(text, `"reasons":["the store of the budget of erp has not been reached since the start`) {
		t.Errorf("a replica that can call no limited system says %d %s", status, text)
	}
	redis.Start()
	eventually(t, "the counts are shared", func() bool {
		status, text := fetch(t, b.admin+"/readyz")
		return status == 200 && strings.Contains(text, `"mode":"shared"`)
	})
	eventually(t, "calls go on", func() bool { status, _ := fetch(t, b.gateway+"/orders/v1/orders/1"); return status == 200 })
	b.write(t, "headrace.yaml", "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n")
	eventually(t, "the change waits for the next start", func() bool { return strings.Contains(b.log.String(), `"keys":"stores.counters, stores.replicas"`) })
}
