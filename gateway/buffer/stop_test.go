package buffer_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// atTheERP has the next write wait at the system until its answer is given,
// which says whether it takes effect.
func (w *world) atTheERP() (reached chan struct{}, answer chan int) {
	reached, answer = make(chan struct{}, 99), make(chan int, 99)
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, _ string) bool {
		reached <- struct{}{}
		switch status, ok := <-answer; {
		case !ok:
			panic(http.ErrAbortHandler)
		case status != 201:
			rw.WriteHeader(status)
			return false
		}
		return true
	}, nil)
	w.t.Cleanup(func() { close(answer) })
	return reached, answer
}

// stopping begins to stop the world.
func (w *world) stopping(drain time.Duration) (stopped chan struct{}) {
	stopped = make(chan struct{})
	w.buffer.Drain()
	go func() {
		defer close(stopped)
		w.stopWithin(drain)
	}()
	return stopped
}

// What is with the system when the gateway is asked to end is settled by the
// system's answer, whatever it says; nothing of it is in doubt.
func TestStopWhileSending(t *testing.T) {
	for _, status := range []int{201, 422, 503, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t, nil)
			reached, answer := w.atTheERP()
			at := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
			<-reached
			stopped := w.stopping(time.Minute)
			answer <- status
			<-stopped
			w.erp.behave(nil, nil)
			w.start()
			state, calls := "delivered", 1
			switch status {
			case 422:
				state = "refused"
			case 503, 429:
				calls = 2
			}
			v := w.becomes(at, state)
			if v.Attempts != 1 || w.erp.seen != calls || slices.ContainsFunc(v.Timeline, func(s struct{ State, Reason string }) bool { return s.State == "doubtful" }) {
				t.Errorf("%d calls, %+v", w.erp.seen, v)
			}
		})
	}
}

// A caller who waits for a write that is with the system hears of its outcome
// while the gateway ends; one whose write does not go any more gets its place.
func TestStopWhileCallersWait(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.files["systems/erp.yaml"].Data = append(w.files["systems/erp.yaml"].Data, "limits: [{name: one, capacity: 1}]\n"...)
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(document, "wait: 2s", "wait: 1m", 1))
		w.o.LineWait = time.Minute
	})
	reached, answer := w.atTheERP()
	first, second, third := make(chan reply, 1), make(chan reply, 1), make(chan reply, 1)
	go func() { first <- w.post("/orders", `{"id":"1"}`) }()
	<-reached
	go func() { second <- w.post("/orders", `{"id":"2"}`) }()
	go func() { third <- w.post("/orders", `{"id":"1"}`) }()
	w.eventually("the second stands in line, the third behind the first", func() bool {
		depth, _ := w.ledger.Depth("erp")
		return depth == 3 && w.sending() == 2
	})
	w.buffer.Drain()
	w.want(<-second, 202)
	w.want(<-third, 202)
	answer <- 201
	w.want(<-first, 201)
	w.stop()
	w.erp.behave(nil, nil)
	w.start()
	w.eventually("all are done", func() bool { return len(w.erp.effects()) == 3 })
}

// sending counts the writes that are claimed.
func (w *world) sending() int {
	w.t.Helper()
	p, err := w.ledger.List(w.t.Context(), ledger.Filter{States: []ledger.State{ledger.Sending}})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(p.Writes)
}

// What stands in the budget's line goes back as if it had not been claimed.
func TestStopWhileInLine(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.files["systems/erp.yaml"].Data = append(w.files["systems/erp.yaml"].Data, "limits: [{name: one, capacity: 1}]\n"...)
		w.o.LineWait = time.Minute
	})
	reached, answer := w.atTheERP()
	first := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	<-reached
	second := w.post("/orders", `{"id":"2"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(second, "sending")
	stopped := w.stopping(time.Minute)
	w.eventually("the second has left the line", func() bool { return w.sending() == 1 })
	answer <- 201
	<-stopped
	w.erp.behave(nil, nil)
	w.start()
	if v := w.becomes(first, "delivered"); v.Attempts != 1 {
		t.Errorf("%+v", v)
	}
	v := w.becomes(second, "delivered")
	if v.Attempts != 1 || w.erp.seen != 2 || v.Timeline[0].Reason != "the gateway was ending" && v.Timeline[1].Reason != "the gateway was ending" {
		t.Errorf("%d calls, %+v", w.erp.seen, v)
	}
}

// Only what the system has not answered when the time is over is in doubt, and
// the reason says so.
func TestStopWithoutAnAnswer(t *testing.T) {
	w := newWorld(t, nil)
	reached, answer := w.atTheERP()
	at := w.post("/confirmed", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	<-reached
	w.stopWithin(time.Millisecond)
	answer <- 201
	w.erp.behave(nil, nil)
	w.start()
	v := w.becomes(at, "delivered")
	told := slices.ContainsFunc(v.Timeline, func(s struct{ State, Reason string }) bool {
		return s.State == "doubtful" && s.Reason == "the gateway ended before the system had answered"
	})
	if !told || !v.Outcome.Confirmed || len(w.erp.effects()) != 1 {
		t.Errorf("effects %v, %+v", w.erp.effects(), v)
	}
}

// However close a stop comes to a claim, nothing is left claimed behind.
func TestStopWhileClaiming(t *testing.T) {
	w := newWorld(t, nil)
	for round := range 25 {
		for n := range 8 {
			w.want(w.post("/orders", fmt.Sprintf(`{"id":"%d-%d"}`, round, n%3), "Prefer: respond-async"), 202)
		}
		w.stop()
		db, err := ledger.Open(t.Context(), "sqlite:"+w.path, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := db.Recover(t.Context(), 0, 0)
		if err != nil || n > 0 {
			t.Fatalf("round %d: %d writes were left claimed: %v", round, n, err)
		}
		db.Close()
		w.start()
	}
	w.eventually("all are done", func() bool { return len(w.erp.effects()) == 25*8 })
}
