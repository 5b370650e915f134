package buffer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// replicas are worlds that share a ledger on Postgres and an ERP.
func replicas(t *testing.T, n int) []*world {
	server, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	url := server.Database(t)
	var all []*world
	for i := range n {
		w := newWorld(t, func(w *world) {
			w.url, w.replica = url, fmt.Sprintf("r%d", i)
			w.o.Lease = 2 * time.Second
			if i > 0 {
				w.erp.Close()
				w.erp = all[0].erp
				w.files["systems/erp.yaml"] = all[0].files["systems/erp.yaml"]
			}
		})
		all = append(all, w)
	}
	return all
}

// Three replicas take the writes of the same keys; the ERP sees each once and in order.
func TestReplicasKeepOrder(t *testing.T) {
	all := replicas(t, 3)
	e := all[0].erp
	var calls atomic.Int32
	e.behave(nil, func(http.ResponseWriter, *http.Request, string) bool {
		if calls.Add(1)%11 == 0 {
			panic(http.ErrAbortHandler) // the answer is lost
		}
		return true
	})
	const keys, each = 5, 12
	var wait sync.WaitGroup
	for k := range keys {
		wait.Go(func() {
			for n := range each {
				w := all[(k+n)%len(all)]
				r := w.send("POST", "/orders/v1/keyed", fmt.Sprintf(`{"id":"k%d","n":%d}`, k, n), "shop", fmt.Sprintf("Prefer: wait=%d", n%3))
				if r.StatusCode != 201 && r.StatusCode != 202 {
					t.Errorf("answered %d %s", r.StatusCode, r.body)
				}
			}
		})
	}
	wait.Wait()
	all[0].eventually("all are over", func() bool {
		for _, s := range []ledger.State{ledger.Held, ledger.Sending, ledger.Doubtful} {
			p, err := all[0].ledger.List(t.Context(), ledger.Filter{States: []ledger.State{s}})
			if err != nil || len(p.Writes) > 0 {
				return false
			}
		}
		return true
	})
	next := map[string]int{}
	for _, effect := range e.effects() {
		var body struct {
			ID string
			N  int
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(effect, "POST /keyed ")), &body); err != nil {
			t.Fatal(err)
		}
		if body.N != next[body.ID] {
			t.Fatalf("%s: %d came instead of %d", body.ID, body.N, next[body.ID])
		}
		next[body.ID]++
	}
	if len(e.effects()) != keys*each {
		t.Errorf("%d effects, want %d", len(e.effects()), keys*each)
	}
}

// A replica that is lost while it sends leaves a doubt that another one settles.
func TestReplicaIsLost(t *testing.T) {
	all := replicas(t, 2)
	all[1].stop() // or it might be the one that sends
	e := all[0].erp
	release, reached := make(chan struct{}), make(chan struct{}, 9)
	var first atomic.Bool
	e.behave(nil, func(http.ResponseWriter, *http.Request, string) bool {
		if first.CompareAndSwap(false, true) {
			reached <- struct{}{}
			<-release
		}
		return true
	})
	at := all[0].post("/confirmed", `{"id":"5"}`, "Prefer: respond-async").Header.Get("Location")
	<-reached
	all[0].crash()
	close(release)
	all[1].start()
	v := all[1].becomes(at, "delivered")
	if !v.Outcome.Confirmed || len(e.effects()) != 1 {
		t.Errorf("effects %v, %+v", e.effects(), v)
	}
}

// A caller hears of an outcome that another replica has brought about.
func TestOutcomeOfAnotherReplica(t *testing.T) {
	all := replicas(t, 2)
	all[0].want(all[0].operate("POST", "/pauses/pause", `{"actor":"ann","system":"erp"}`), 200)
	key := "Idempotency-Key: shared"
	all[0].want(all[0].post("/keyed", `{"id":"1"}`, key, "Prefer: respond-async"), 202)
	done := make(chan reply, 1)
	go func() { done <- all[1].post("/keyed", `{"id":"1"}`, key) }()
	all[1].want(all[1].operate("POST", "/pauses/resume", `{"actor":"ann","system":"erp"}`), 200)
	all[1].want(<-done, 201, `{"number":1}`)
}
