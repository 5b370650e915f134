package flow_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashes are the places at which a gateway is lost: before and after each effect
// of a booking, and while it is undone.
var crashes = []struct {
	name, path string
	refused    bool // the wave is refused, so that the booking is undone
}{
	{"reserve", "/reservations", false},
	{"order", "/orders", false},
	{"wave", "/waves", false},
	{"cancel", "/orders/o1", true},
	{"release", "/releases", true},
}

// Whenever a gateway is lost, the next one brings its runs to their ends, and
// every effect is there once.
func TestCrash(t *testing.T) {
	for _, c := range crashes {
		for _, after := range []bool{false, true} {
			name := c.name + " before"
			if after {
				name = c.name + " after"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				here, gone := make(chan struct{}), make(chan struct{})
				var once sync.Once
				crash := func(r *http.Request) bool {
					hit := false
					if r.URL.Path == c.path {
						once.Do(func() { hit = true; close(here) })
					}
					if hit {
						<-gone
					}
					return hit
				}
				for _, b := range []*backend{w.erp, w.wms} {
					b.behave(func(rw http.ResponseWriter, r *http.Request, body string) bool {
						if !after && crash(r) {
							panic(http.ErrAbortHandler)
						}
						if c.refused && r.URL.Path == "/waves" {
							return refuse(422, func(*http.Request) bool { return true })(rw, r, body)
						}
						return true
					})
					if after {
						b.after = func(r *http.Request) {
							if crash(r) {
								panic(http.ErrAbortHandler)
							}
						}
					}
				}
				r := w.book("o1", "Prefer: respond-async")
				w.want(r, 202, `"state":"running"`, `"location":"/runs/`)
				select {
				case <-here:
				case <-time.After(30 * time.Second):
					t.Fatal("it did not come that far")
				}
				w.crash()
				close(gone)
				w.start()
				want := "completed"
				wms, erp := []string{reserveA1, waveO1}, []string{orderO1}
				if c.refused {
					want = "compensated"
					wms, erp = []string{reserveA1, releaseO1}, []string{orderO1, "DELETE /orders/o1"}
				}
				v := w.becomes(r.Header.Get("Location"), want)
				w.did(w.wms, wms...)
				w.did(w.erp, erp...)
				for _, s := range v.Steps {
					if s.State == "waiting" {
						t.Errorf("%s is waiting after the end", s.Visit)
					}
				}
			})
		}
	}
}

// A run that a process has lost is gone on with by another one, and the process
// that comes back writes nothing of it any more.
func TestParked(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.erp.behave(func(rw http.ResponseWriter, r *http.Request, _ string) bool {
		select {
		case <-hold:
			return true
		default:
		}
		if r.Method == http.MethodGet {
			return true
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	r := w.book("o1", "Prefer: wait=0")
	w.want(r, 202)
	at := r.Header.Get("Location")
	// It waits for its order, which the ERP has no room for, and is let go.
	w.eventually("it is let go", func() bool {
		rec, err := w.ledger.GetRun(t.Context(), strings.TrimPrefix(at, "/runs/"))
		return err == nil && rec.Owner == "" && len(rec.Steps) == 4
	})
	close(hold)
	w.becomes(at, "completed")
	w.did(w.wms, reserveA1, waveO1)
	w.did(w.erp, orderO1)
}
