package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// calmERP is an ERP that behaves.
func calmERP(t *testing.T, s erpSettings) (*erp, func(method, path, key, body string) int) {
	t.Helper()
	e := newERP(s)
	e.calm = true
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return e, func(method, path, key, body string) int {
		t.Helper()
		req, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
}

var roomy = erpSettings{Seed: 1, Concurrency: 100, Calls: 1000, Window: time.Minute, Timeout: time.Second}

// Each operation repeats as its idempotency class says.
func TestERPRepeats(t *testing.T) {
	for _, c := range []struct {
		operation, method, path, key string
		effects, repeats, replays    int
	}{
		{byHeader, "POST", "/header", "k", 1, 0, 1},
		{byHeader, "POST", "/header", "", 2, 0, 0},
		{byNature, "PUT", "/natural-key/w1", "k", 2, 1, 0},
		{byConfirm, "POST", "/confirm", "k", 2, 0, 0},
		{byNothing, "POST", "/none", "k", 2, 0, 0},
	} {
		e, call := calmERP(t, roomy)
		for range 2 {
			if status := call(c.method, c.path, c.key, `{"id": "w1", "order": "o", "customer": "c", "location": "l", "number": 1}`); status != http.StatusCreated {
				t.Fatalf("%s: %d", c.operation, status)
			}
		}
		repeats := 0
		for _, f := range e.effects {
			if f.Repeat {
				repeats++
			}
			if f.ID != "w1" || f.Operation != c.operation || fmt.Sprint(f.Lanes) != "[order=o customer=c location=l]" {
				t.Errorf("%s: %+v", c.operation, f)
			}
		}
		if len(e.effects) != c.effects || repeats != c.repeats || e.counts.Replays != c.replays {
			t.Errorf("%s with key %q: %d effects, %d repeats, %d replays", c.operation, c.key, len(e.effects), repeats, e.counts.Replays)
		}
	}
}

// The writes of a batch are done each by itself, in their order.
func TestERPTakesBatches(t *testing.T) {
	e, call := calmERP(t, roomy)
	if status := call("POST", "/batches", "", `{"parts": [{"id": "w1", "order": "o"}, {"id": "w2", "order": "p", "poison": true}, {"id": "w3", "order": "q"}]}`); status != http.StatusOK {
		t.Fatal(status)
	}
	if len(e.effects) != 2 || e.effects[0].ID != "w1" || e.effects[1].ID != "w3" || e.counts.Batches != 1 || e.counts.Batched != 3 {
		t.Errorf("%v %+v", e.effects, e.counts)
	}
	if status := call("POST", "/batches", "", `{"parts": []}`); status != http.StatusBadRequest {
		t.Errorf("an empty batch: %d", status)
	}
}

// A poisoned order is refused and not done; a read tells what was done.
func TestERPRefusesAndTells(t *testing.T) {
	e, call := calmERP(t, roomy)
	if status := call("POST", "/confirm", "", `{"id": "w1", "order": "o", "poison": true}`); status != http.StatusUnprocessableEntity || len(e.effects) != 0 {
		t.Errorf("%d, %v", status, e.effects)
	}
	call("POST", "/confirm", "", `{"id": "w2", "order": "o"}`)
	if !e.done["w2"] || e.done["w1"] {
		t.Errorf("done: %v", e.done)
	}
	if status := call("POST", "/confirm", "", `{}`); status != http.StatusBadRequest {
		t.Errorf("an order without a name: %d", status)
	}
}

// The limits count every arrival of a window that slides, and all that is under way.
func TestERPLimits(t *testing.T) {
	e := newERP(erpSettings{Concurrency: 2, Calls: 3, Window: time.Second})
	now := time.Now()
	for i, c := range []struct {
		at    time.Duration
		leave bool
		over  bool
	}{
		{0, false, false},
		{100 * time.Millisecond, false, false},
		{200 * time.Millisecond, true, true}, // the third under way
		{300 * time.Millisecond, true, true}, // and the fourth of the window
		{1100 * time.Millisecond, true, true},
	} {
		if over := e.arrive(now.Add(c.at)); over != c.over {
			t.Errorf("call %d: over %v", i, over)
		}
		if c.leave {
			e.leave()
		}
	}
	if e.counts.ConcurrencyViolations != 3 || e.counts.WindowViolations != 1 || e.counts.MostUnder != 3 || e.counts.MostInWindow != 4 {
		t.Errorf("%+v", e.counts)
	}
}
