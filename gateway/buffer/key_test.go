package buffer_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, nil)
	first := w.post("/orders", `{"id":"1"}`, `Idempotency-Key: "k-1"`)
	w.want(first, 201, `{"number":1}`)
	again := w.post("/orders", `{"id":"1"}`, `Idempotency-Key: k-1`)
	w.want(again, 201, `{"number":1}`)
	if again.Header.Get("X-Erp") != "one" || again.Header.Get("Headrace-Write") != first.Header.Get("Headrace-Write") {
		t.Errorf("the second answer is another: %v", again.Header)
	}
	w.want(w.post("/orders", `{"id":"2"}`, "Idempotency-Key: k-1"), 422, "idempotency-key-reused")
	w.want(w.send("POST", "/orders/v1/orders", `{"id":"1"}`, "other", "Idempotency-Key: k-1"), 201, `{"number":2}`) // another app's key
	w.want(w.post("/keyed", `{"id":"1"}`, "Idempotency-Key: k-1"), 201)                                             // another operation's
	w.want(w.post("/natural", `{"id":"1"}`), 400, "Idempotency-Key is missing")
	for _, bad := range []string{`"open`, `"a" b`, `"a\x"`, "ключ", strings.Repeat("x", 256)} {
		w.want(w.post("/orders", `{"id":"3"}`, "Idempotency-Key: "+bad), 400, "bad-request")
	}
	w.want(w.post("/orders", `{"id":"3"}`, "Idempotency-Key: a", "Idempotency-Key: b"), 400, "more than once")
	w.want(w.post("/confirmed", `{"id":"9"}`, "Idempotency-Key: \"open"), 201) // off: the header means nothing here
	if n := len(w.erp.effects()); n != 4 {
		t.Errorf("%d effects: %v", n, w.erp.effects())
	}
}

// A repetition while the first is under way gets the same outcome, or the same 202.
func TestIdempotencyKeyInProgress(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { <-release; return true }, nil)
	first := w.post("/keyed", `{"id":"1"}`, "Idempotency-Key: k", "Prefer: respond-async")
	w.want(first, 202)
	second := w.post("/keyed", `{"id":"1"}`, "Idempotency-Key: k", "Prefer: respond-async")
	w.want(second, 202)
	if first.Header.Get("Location") != second.Header.Get("Location") {
		t.Error("two writes")
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	w.want(w.post("/keyed", `{"id":"1"}`, "Idempotency-Key: k"), 201, `{"number":1}`)
}

// A refusal is an outcome like any other, and keys survive a restart.
func TestIdempotencyKeySurvives(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, _ string) bool {
		rw.Header().Set("Content-Type", "text/plain")
		rw.WriteHeader(409)
		rw.Write([]byte("credit limit"))
		return false
	}, nil)
	w.want(w.post("/orders", `{"id":"1"}`, "Idempotency-Key: k"), 409, "credit limit")
	w.stop()
	w.erp.behave(nil, nil)
	w.start()
	w.want(w.post("/orders", `{"id":"1"}`, "Idempotency-Key: k"), 409, "credit limit")
	w.want(w.post("/orders", `{"id":"1"}`, "Idempotency-Key: l"), 201)
	if n := len(w.erp.effects()); n != 1 {
		t.Errorf("%d effects", n)
	}
}
