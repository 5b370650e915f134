package buffer_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// once lets the first call lose its answer and the others pass.
func once() func(http.ResponseWriter, *http.Request, string) bool {
	var n atomic.Int32
	return func(http.ResponseWriter, *http.Request, string) bool {
		if n.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		return true
	}
}

func TestDoubtBySystemsKey(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, once())
	r := w.post("/keyed", `{"id":"1"}`, "Idempotency-Key: mine")
	w.want(r, 201, `{"number":1}`)
	if e := w.erp.effects(); len(e) != 1 || w.erp.seen != 2 {
		t.Errorf("%d calls, effects %v", w.erp.seen, e)
	}
	if v := w.read("/writes/" + r.Header.Get("Headrace-Write")); v.Attempts != 2 {
		t.Errorf("%d attempts", v.Attempts)
	}
}

// A system that forgets its keys is not trusted with them, and nothing else
// tells: a person has to.
func TestDoubtAfterSystemsKeyExpired(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, once())
	r := w.post("/forgetful", `{"id":"1"}`, "Prefer: respond-async")
	var v write
	w.eventually("it is dead", func() bool { v = w.read(r.Header.Get("Location")); return v.NeedsAttention })
	if v.State != "doubtful" || len(w.erp.effects()) != 1 || w.erp.seen != 1 {
		t.Errorf("%d calls, %+v", w.erp.seen, v)
	}
}

// Where the system can tell, it is asked once it has forgotten the key.
func TestDoubtAfterSystemsKeyExpiredIsAsked(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, once())
	at := w.post("/forgetful-asked", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	v := w.becomes(at, "delivered")
	if !v.Outcome.Confirmed || len(w.erp.effects()) != 1 || w.erp.seen != 2 {
		t.Errorf("%d calls, %+v", w.erp.seen, v)
	}
}

// A profile that knows the system's header does for an operation that says nothing.
func TestDoubtByProfilesKey(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.files["systems/erp.yaml"].Data = append([]byte("profile: xero\n"), w.files["systems/erp.yaml"].Data...)
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(document, "timeout: 5s", "timeout: 400ms", 1))
	})
	var keys []string
	lose := once()
	w.erp.behave(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		r.Header.Set("X-Once", r.Header.Get("Idempotency-Key")) // which this system calls it
		return true
	}, lose)
	at := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	v := w.becomes(at, "delivered")
	if v.Attempts != 2 || len(w.erp.effects()) != 1 || len(keys) != 2 || keys[0] != v.ID || keys[1] != v.ID {
		t.Errorf("keys %v, effects %v, %+v", keys, w.erp.effects(), v)
	}
}

func TestDoubtByNature(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { return once1(w) }, nil)
	r := w.post("/natural", `{"id":"1"}`, "Idempotency-Key: k")
	w.want(r, 201)
	if len(w.erp.effects()) != 1 || w.erp.seen != 2 {
		t.Errorf("%d calls, effects %v", w.erp.seen, w.erp.effects())
	}
}

// once1 drops the first request before it takes effect.
func once1(w *world) bool {
	w.erp.mu.Lock()
	first := w.erp.seen == 1
	w.erp.mu.Unlock()
	if first {
		panic(http.ErrAbortHandler)
	}
	return true
}

// The answer was lost after the effect: asking finds it, and nothing is sent again.
func TestConfirmFindsIt(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, func(rw http.ResponseWriter, r *http.Request, _ string) bool { panic(http.ErrAbortHandler) })
	r := w.post("/confirmed", `{"id":"77"}`)
	w.want(r, 200, `"count":1`)
	v := w.read("/writes/" + r.Header.Get("Headrace-Write"))
	if v.State != "delivered" || !v.Outcome.Confirmed || len(w.erp.effects()) != 1 {
		t.Errorf("%+v", v)
	}
}

// The request was lost before the effect: asking does not find it, and it is sent again.
func TestConfirmMissesIt(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		return r.Method == http.MethodGet || once1(w)
	}, nil)
	r := w.post("/confirmed", `{"id":"78"}`)
	w.want(r, 201)
	if v := w.read("/writes/" + r.Header.Get("Headrace-Write")); v.Attempts != 2 || len(w.erp.effects()) != 1 {
		t.Errorf("%+v", v)
	}
}

// While the lost request may still be running, nobody asks: its effect could
// come after the answer.
func TestConfirmWaitsForTheLostRequest(t *testing.T) {
	w := newWorld(t, nil)
	var asked, ended atomic.Int64
	w.erp.behave(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Method == http.MethodGet {
			asked.CompareAndSwap(0, time.Now().UnixNano())
			return true
		}
		time.Sleep(420 * time.Millisecond) // beyond the timeout of 400 ms, within the grace
		ended.Store(time.Now().UnixNano())
		return true
	}, nil)
	r := w.post("/confirmed", `{"id":"79"}`)
	w.want(r, 200, `"count":1`)
	if asked.Load() < ended.Load() || len(w.erp.effects()) != 1 {
		t.Errorf("asked %d ms before the end, effects %v", (ended.Load()-asked.Load())/1e6, w.erp.effects())
	}
}

// A write whose answer is lost each time is given to a person in the end.
func TestAttemptsAreBounded(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.Settings.Attempts = 3 })
	w.erp.behave(nil, vanish)
	r := w.post("/keyed", `{"id":"1"}`, "Prefer: respond-async")
	var v write
	w.eventually("it is dead", func() bool { v = w.read(r.Header.Get("Location")); return v.NeedsAttention })
	if v.State != "doubtful" || w.erp.seen != 3 || v.Attempts != 3 {
		t.Errorf("%d calls, %+v", w.erp.seen, v)
	}
}

// An answer of 500 says nothing about the effect, but the request is over:
// nothing is waited for.
func TestServerError(t *testing.T) {
	w := newWorld(t, nil)
	var n atomic.Int32
	w.erp.behave(nil, func(rw http.ResponseWriter, _ *http.Request, _ string) bool {
		if n.Add(1) == 1 {
			rw.WriteHeader(500)
			return false
		}
		return true
	})
	w.want(w.post("/keyed", `{"id":"1"}`), 201)
	if len(w.erp.effects()) != 1 {
		t.Errorf("effects %v", w.erp.effects())
	}
}

// What was under way when the process ended is in doubt at the next start.
func TestCrashWhileSending(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.Lease = time.Second })
	release := make(chan struct{})
	reached := make(chan struct{}, 9)
	w.erp.behave(nil, func(http.ResponseWriter, *http.Request, string) bool { reached <- struct{}{}; <-release; return true })
	r := w.post("/confirmed", `{"id":"5"}`, "Prefer: respond-async")
	w.want(r, 202)
	<-reached
	w.crash()
	close(release)
	w.erp.behave(nil, nil)
	w.start()
	v := w.becomes(r.Header.Get("Location"), "delivered")
	if !v.Outcome.Confirmed || len(w.erp.effects()) != 1 {
		t.Errorf("effects %v, %+v", w.erp.effects(), v)
	}
}

// A claim that could not be renewed is not sent any more: another replica may
// have declared it doubtful.
func TestLostLeaseIsNotSent(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.files["systems/erp.yaml"].Data = append(w.files["systems/erp.yaml"].Data, "limits: [{name: one, capacity: 1}]\n"...)
		w.o.Lease, w.o.LineWait = 300*time.Millisecond, time.Minute
	})
	release := w.stuck()
	first := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(first, "sending")
	second := w.post("/orders", `{"id":"2"}`, "Prefer: respond-async").Header.Get("Location")
	w.becomes(second, "sending") // it stands in line
	w.ledger.Close()
	time.Sleep(500 * time.Millisecond)
	close(release)
	w.eventually("the first is done", func() bool { return len(w.erp.effects()) == 1 })
	time.Sleep(200 * time.Millisecond)
	w.crash()
	w.erp.mu.Lock()
	defer w.erp.mu.Unlock()
	if w.erp.seen != 1 {
		t.Errorf("%d calls", w.erp.seen)
	}
}

// What was held in a copy of the ledger may have been sent from the original
// ever since: the system may have forgotten the key.
func TestRestoreAfterSystemsKeyExpired(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.LineWait, w.o.MaxBackoff = 50*time.Millisecond, 50*time.Millisecond })
	by := ledger.By{Actor: "test"}
	if err := w.ledger.Pause(t.Context(), "erp", "", by); err != nil {
		t.Fatal(err)
	}
	at := w.post("/forgetful-asked", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Location")
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := w.ledger.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		t.Helper()
		if err := w.ledger.Resume(t.Context(), "erp", "", by); err != nil {
			t.Fatal(err)
		}
	}
	resume()
	w.becomes(at, "delivered")
	w.stop()
	w.erp.forget()
	time.Sleep(time.Second) // as it told that it would
	w.path = copied
	w.start()
	resume()
	if v := w.becomes(at, "delivered"); !v.Outcome.Confirmed || len(w.erp.effects()) != 1 {
		t.Errorf("effects %v, %+v", w.erp.effects(), v)
	}
}
