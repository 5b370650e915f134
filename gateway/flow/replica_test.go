package flow_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// replicas are worlds that share a ledger on Postgres and the systems.
func replicas(t *testing.T, n int) []*world {
	server, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	url := server.Database(t)
	var all []*world
	for i := range n {
		all = append(all, newWorld(t, func(w *world) {
			w.url, w.replica, w.lease = url, fmt.Sprintf("r%d", i), 2*time.Second
			if i > 0 {
				w.erp.Close()
				w.wms.Close()
				w.erp, w.wms = all[0].erp, all[0].wms
				for _, name := range []string{"systems/erp.yaml", "systems/wms.yaml"} {
					w.files[name] = all[0].files[name]
				}
			}
		}))
	}
	return all
}

// Runs of a replica that is lost are carried on by the others, each effect once.
// Answers are lost, some waves are refused, and callers come again with their keys.
func TestReplicas(t *testing.T) {
	all := replicas(t, 3)
	var calls atomic.Int32
	lost := func(*http.Request) {
		if calls.Add(1)%7 == 0 {
			panic(http.ErrAbortHandler) // the answer is lost
		}
	}
	all[0].erp.after, all[0].wms.after = lost, lost
	all[0].wms.behave(func(w http.ResponseWriter, r *http.Request, body string) bool {
		if r.URL.Path == "/waves" && (strings.Contains(body, `"o0"`) || strings.Contains(body, `"o7"`)) {
			return refuse(422, func(*http.Request) bool { return true })(w, r, body)
		}
		return true
	})
	const runs = 12
	ids := make([]string, runs)
	var wait sync.WaitGroup
	for n := range runs {
		wait.Go(func() {
			for _, w := range []*world{all[n%3], all[(n+1)%2]} { // the same key at two replicas
				r := w.book(fmt.Sprintf("o%d", n), "Prefer: respond-async", fmt.Sprintf(`Idempotency-Key: "k%d"`, n))
				id := r.Header.Get("Headrace-Run")
				if id == "" || ids[n] != "" && ids[n] != id {
					t.Errorf("answered %d %s; runs %q and %q", r.StatusCode, r.body, ids[n], id)
				}
				ids[n] = id
			}
		})
	}
	wait.Wait()
	all[2].crash()
	completed, compensated := 0, 0
	for _, id := range ids {
		switch v := all[0].ends(id); v.State {
		case "completed":
			completed++
		case "compensated":
			compensated++
		default:
			t.Errorf("%+v", v)
		}
	}
	if completed != runs-2 || compensated != 2 {
		t.Errorf("%d completed, %d compensated", completed, compensated)
	}
	for _, b := range []*backend{all[0].erp, all[0].wms} {
		done := b.effects()
		slices.Sort(done)
		if once := slices.Compact(slices.Clone(done)); len(once) != len(done) {
			t.Errorf("%d effects, of which %d are different", len(done), len(once))
		}
	}
	count := func(b *backend, prefix string) (n int) {
		for _, e := range b.effects() {
			if len(e) >= len(prefix) && e[:len(prefix)] == prefix {
				n++
			}
		}
		return n
	}
	erp, wms := all[0].erp, all[0].wms
	got := []int{count(wms, "POST /reservations"), count(erp, "POST /orders"), count(wms, "POST /waves"), count(erp, "DELETE /orders"), count(wms, "POST /releases")}
	if want := []int{runs, runs, completed, compensated, compensated}; !slices.Equal(got, want) {
		t.Errorf("reservations, orders, waves, cancellations, releases: %v, want %v", got, want)
	}
}

// ends waits until a run is over. Where the answer to a wave was lost with its
// replica, and it is refused when it is sent again, nobody knows whether it was
// done: a person looks, and says that it was not.
func (w *world) ends(id string) (v runView) {
	w.t.Helper()
	w.eventually("the run is over", func() bool {
		if v = w.run("/runs/" + id); v.State != "stuck" {
			return v.State != "running"
		}
		write := strings.TrimPrefix(v.Steps[len(v.Steps)-1].Write, "/writes/")
		if err := w.ledger.Resolve(w.t.Context(), write, ledger.Settlement{State: ledger.Refused}, operator); err != nil {
			w.t.Log(err)
		}
		return false
	}, func() string { return fmt.Sprintf("%+v", v) })
	return v
}
