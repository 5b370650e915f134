package system

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
)

// endless answers its first call with a stream that goes on until the caller leaves,
// or far too long, and others at once. It counts how many are under way.
type endless struct {
	calls, now, most atomic.Int64
}

func (e *endless) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	n := e.now.Add(1)
	defer e.now.Add(-1)
	for most := e.most.Load(); n > most && !e.most.CompareAndSwap(most, n); most = e.most.Load() {
	}
	rw.Header().Set("Content-Type", "text/plain")
	first := e.calls.Add(1) == 1
	for i := 0; first && i < 1000 && r.Context().Err() == nil; i++ {
		io.WriteString(rw, strings.Repeat("x", 1000))
		rw.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

// A place for a call is not given to another while the answer still streams,
// however steadily it comes: the answer is broken off before.
func TestStreamEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	system := &endless{}
	w := &world{t: t, plan: plan{
		system: "timeout: 300ms\nbreaker: {off: true}\nlimits: [{name: places, capacity: 1}]",
		paths:  at("GET", "/x", "x", "wait: 60s"),
	}}
	w.system = newServer(t, system.ServeHTTP)
	store := &books{Memory: budget.NewMemory()}
	w.start(Options{Store: store})
	read := make(chan error, 2)
	for range 2 {
		go func() {
			request, _ := http.NewRequest("GET", w.url+"/x", nil)
			r, err := client.RoundTrip(request)
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			read <- err
		}()
	}
	broken := 0
	for range 2 {
		if err := <-read; err != nil {
			broken++
		}
	}
	if broken != 1 {
		t.Errorf("%d answers were broken off, want that without an end", broken)
	}
	if most := system.most.Load(); most != 1 {
		t.Errorf("%d calls were under way at once, over a limit of 1", most)
	}
	store.balance(t, 2)
}

// What was admitted is not sent when its place may be somebody else's by now.
func TestAdmittedTooLongAgoIsNotSent(t *testing.T) {
	t.Parallel()
	w := &world{t: t, plan: plan{
		system: "timeout: 1ms\nlimits: [{name: places, capacity: 1}]", paths: at("GET", "/x", "x", "wait: 0s"),
	}}
	var calls atomic.Int64
	w.system = newServer(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	store := &books{Memory: budget.NewMemory()}
	w.start(Options{Store: store})
	r := w.set.Send(t.Context(), &Request{Operation: "orders/v1/x", Method: "GET", Admitted: func() bool {
		time.Sleep(5100 * time.Millisecond) // half of the grace, and more than the timeout
		return true
	}})
	if r.Outcome != Overload || r.Err.Problem != gateway.Saturated || r.Err.RetryAfter <= 0 || calls.Load() != 0 {
		t.Errorf("%s, %v; %d calls", r.Outcome, r.Err, calls.Load())
	}
	if s := store.balance(t, 1); s.Outcome != budget.Unsent || s.Overload {
		t.Errorf("settled as %+v", s)
	}
}
