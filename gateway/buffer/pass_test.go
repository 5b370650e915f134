package buffer_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// narrow has the orders of a system wait for a single place, which its writes to
// other paths do not need, and the ERP keep the order that has it until free is called.
func narrow(w *world, connections int, also string) (free func()) {
	w.o.LineWait = time.Minute
	w.files["systems/erp.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, `url: %s
breaker: {off: true}
connections: {max: %d}
limits:
  - {name: all, capacity: %d}
  - {name: narrow, capacity: 1, operations: [createOrder]}
%s`, w.erp.URL, connections, connections, also)}
	w.files["apis/orders/1.0.0/openapi.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(document, "timeout: 5s", "timeout: 1h", 1) + `  /low:
    post:
      operationId: low
      x-headrace: {class: low}
      requestBody: *body
      responses: {default: {description: any}}
`)}
	released := make(chan struct{})
	free = sync.OnceFunc(func() { close(released) })
	w.t.Cleanup(free)
	w.erp.behave(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path == "/orders" {
			<-released
		}
		return true
	}, nil)
	return free
}

// later posts writes that nobody waits for, some at a time.
func (w *world) later(path string, n int, body string) (locations []string) {
	w.t.Helper()
	locations = make([]string, n)
	for first := 0; first < n; first += 16 {
		var wait sync.WaitGroup
		for i := first; i < min(n, first+16); i++ {
			wait.Go(func() {
				r := w.post(path, fmt.Sprintf(body, i), "Prefer: respond-async")
				if r.StatusCode != http.StatusAccepted {
					w.t.Errorf("answered %d %s", r.StatusCode, r.body)
				}
				locations[i] = r.Header.Get("Location")
			})
		}
		wait.Wait()
	}
	return locations
}

// to lists the bodies of what was done to a path, in order.
func (e *erp) to(path string) (bodies []string) {
	for _, effect := range e.effects() {
		if body, ok := strings.CutPrefix(effect, "POST "+path+" "); ok {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// Writes that wait for one place do not keep others of their class out that have room,
// however many there are; nor those of a class below.
func TestPassesThoseThatWaitElsewhere(t *testing.T) {
	for _, connections := range []int{4, 64} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			var free func()
			w := newWorld(t, func(w *world) { free = narrow(w, connections, "") })
			const narrowed, wide = 40, 12
			crowd := w.later("/orders", narrowed, `{"id":"n%d"}`)
			others := w.later("/going-on", wide, `{"id":"w%d"}`)
			below := w.later("/low", 3, `{"id":"low%d"}`)
			for _, location := range append(others, below...) {
				w.becomes(location, "delivered")
			}
			if n := len(w.erp.to("/orders")); n != 0 {
				t.Fatalf("%d orders were done while the place was taken", n)
			}
			free()
			for _, location := range crowd {
				w.becomes(location, "delivered")
			}
			if n := len(w.erp.to("/orders")); n != narrowed {
				t.Errorf("%d orders were done of %d", n, narrowed)
			}
		})
	}
}

// Writes that pass others keep to their lanes, also where a lane comes to a write that
// stands far before those that were looked at last.
func TestPassesInLanes(t *testing.T) {
	var free func()
	w := newWorld(t, func(w *world) { free = narrow(w, 64, "") })
	w.later("/orders", 20, `{"id":"n%d"}`)
	var locations []string
	for n := range 6 {
		for lane := range 3 {
			locations = append(locations, w.later("/going-on", 1, fmt.Sprintf(`{"id":"lane%d","n":%d,"of":%%d}`, lane, n))...)
		}
		w.later("/orders", 60, fmt.Sprintf(`{"id":"m%d-%%d"}`, n))
	}
	for _, location := range locations {
		w.becomes(location, "delivered")
	}
	for lane := range 3 {
		n := 0
		for _, body := range w.erp.to("/going-on") {
			if strings.Contains(body, fmt.Sprintf(`"lane%d"`, lane)) {
				if !strings.Contains(body, fmt.Sprintf(`"n":%d,`, n)) {
					t.Errorf("lane %d: %s was done as number %d", lane, body, n)
				}
				n++
			}
		}
		if n != 6 {
			t.Errorf("%d writes of lane %d were done", n, lane)
		}
	}
	free()
}

// An app whose writes wait for its own limit does not keep those of another out.
func TestPassesThoseOfAnotherApp(t *testing.T) {
	var others func()
	w := newWorld(t, func(w *world) {
		others = narrow(w, 64, "  - {name: each, capacity: 1, scope: '{app}', operations: [goingOn]}\n")
	})
	w.later("/orders", 2, `{"id":"n%d"}`)
	hold := make(chan struct{})
	free := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(free)
	w.erp.behave(func(_ http.ResponseWriter, _ *http.Request, body string) bool {
		if strings.Contains(body, `"mine`) {
			<-hold
		}
		return true
	}, nil)
	mine := w.later("/going-on", 40, `{"id":"mine%d"}`)
	r := w.send("POST", "/orders/v1/going-on", `{"id":"other"}`, "other", "Prefer: respond-async")
	w.want(r, 202)
	w.eventually("the other app's write is done", func() bool { return slices.Contains(w.erp.to("/going-on"), `{"id":"other"}`) })
	others()
	free()
	for _, location := range mine {
		w.becomes(location, "delivered")
	}
}
