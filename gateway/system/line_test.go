package system

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs"
)

// The line of a system is as long as its file says, from the first call of the table
// on, and an app that fills it makes way for another one.
func TestTheLineOfASystem(t *testing.T) {
	release := make(chan struct{})
	p := plan{system: "limits: [{name: concurrency, capacity: 1}]\nline: {calls: 4, app: 75}", paths: at("GET", "/x", "x", "wait: 10s")}
	w := open(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		io.WriteString(w, "{}")
	}))
	var all sync.WaitGroup
	var mu sync.Mutex
	ends := map[string]int{}
	send := func(app string, calls int) {
		for range calls {
			all.Go(func() {
				r := w.set.Send(t.Context(), &Request{Operation: "orders/v1/x", Method: "GET", App: app, Class: specs.Normal, Wait: 1e10})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.Err == nil:
					ends[app+" answered"]++
				case strings.Contains(r.Err.Detail, "calls of this app already take its part of the line") && r.Outcome == Overload:
					ends[app+" crowded"]++
				default:
					t.Errorf("%s: %+v", app, r.Err)
				}
			})
		}
	}
	state := func(what string, holds func(b budget.Snapshot, ends map[string]int) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			b := w.set.Status(t.Context())[0].Budget
			mu.Lock()
			defer mu.Unlock()
			return holds(b, ends)
		})
	}
	waiting := func(b budget.Snapshot) int { return b.Waiting[specs.Normal] }
	send("flood", 1)
	state("nothing is under way", func(b budget.Snapshot, _ map[string]int) bool { return b.Pools[0].InFlight == 1 })
	send("flood", 5)
	state("the flood takes other than its share", func(b budget.Snapshot, ends map[string]int) bool {
		return waiting(b) == 3 && ends["flood crowded"] == 2
	})
	send("shop", 2)
	state("the flood does not give way", func(b budget.Snapshot, ends map[string]int) bool {
		return waiting(b) == 4 && ends["flood crowded"] == 3
	})
	// Another table, with a longer line.
	p.system = "limits: [{name: concurrency, capacity: 1}]\nline: {calls: 6}"
	w.reload(p)
	send("flood", 2)
	state("the line has its old bounds", func(b budget.Snapshot, ends map[string]int) bool {
		return waiting(b) == 6 && ends["flood crowded"] == 3
	})
	close(release)
	all.Wait()
	if ends["flood answered"] != 5 || ends["shop answered"] != 2 {
		t.Errorf("the calls came to %v", ends)
	}
}
