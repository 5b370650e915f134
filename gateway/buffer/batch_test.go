package buffer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// packed is an API whose writes can go in batches.
const packed = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, timeout: 20s, wait: 30s}
paths:
  /orders:
    get:
      operationId: findOrders
      parameters: [{name: id, in: query, schema: {type: string}}]
      responses: {default: {description: any}}
  /updates/{id}:
    post:
      operationId: update
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-headrace:
        lane: [$request.path.id]
        timeout: 20s
        on_failure: continue
        idempotency: {class: confirm}
        confirm: {operation: findOrders, with: {id: $request.path.id}, when: .count > 0}
        call: {path: "/things/{id}", request: "{id: $request.path.id, value}", response: "{answer: .}"}
        batch: {operation: bulk, size: 5, request: "{parts: map({id, url: .path, body})}", results: .results}
      requestBody: &body {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: any}}
  /bulk:
    post:
      operationId: bulk
      x-headrace: {timeout: 20s, policies: {}}
      requestBody: *body
      responses: {default: {description: any}}
`

// bulk is a system that takes several writes in a call, and misbehaves on command.
type bulk struct {
	*world
	mu     sync.Mutex
	calls  [][]string        // the ids of each call
	done   map[string]int    // effects by id
	fate   map[string]int    // status of single writes in a batch, by id; 0 leaves them out
	takes  time.Duration     // of each call
	whole  func(n int) int   // status of the n-th batch as a whole; 0 does it
	block  chan struct{}     // calls wait for it to be closed
	waits  int               // calls that wait
	lose   bool              // batches are done, and their answers lost
	result func([]any) []any // changes the results
	batch  int               // counts batches
	places int               // calls that the budget lets through together
}

func newBulk(t testing.TB, limits string, change func(*world)) *bulk {
	b := &bulk{done: map[string]int{}, fate: map[string]int{}, block: make(chan struct{}), places: 1}
	b.world = newWorld(t, func(w *world) {
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(packed)
		w.files["systems/erp.yaml"].Data = append(w.files["systems/erp.yaml"].Data, []byte(limits)...)
		w.erp.behave(b.answer, nil)
		w.o.LineWait = time.Minute
		if change != nil {
			change(w)
		}
	})
	return b
}

// briefly lets lost calls run for a short time only, so that their writes are
// asked for soon.
func briefly(w *world) {
	w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.ReplaceAll(packed, "timeout: 20s", "timeout: 3s"))
}

const oneAtATime = "limits: [{name: concurrency, capacity: 1}]\noverload: [{status: 429}]\n"

// free lets all calls go on from now on.
func (b *bulk) free() { close(b.block) }

func (b *bulk) answer(rw http.ResponseWriter, r *http.Request, body string) bool {
	b.mu.Lock()
	b.waits++
	b.mu.Unlock()
	<-b.block
	time.Sleep(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits--
	rw.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodGet:
		fmt.Fprintf(rw, `{"count":%d}`, b.done[r.URL.Query().Get("id")])
	case r.URL.Path == "/bulk":
		b.take(rw, body)
	default:
		id := strings.TrimPrefix(r.URL.Path, "/things/")
		b.calls = append(b.calls, []string{id})
		status := b.do(id)
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"id":%q,"alone":true}`, id)
	}
	return false
}

// do carries a write out, and gives its status.
func (b *bulk) do(id string) int {
	if status, ok := b.fate[id]; ok && status >= 400 {
		return status
	}
	b.done[id]++
	return 201
}

func (b *bulk) take(rw http.ResponseWriter, body string) {
	var in struct {
		Parts []struct {
			ID, URL string
			Body    struct{ ID string }
		}
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		b.t.Errorf("a batch of %s", body)
	}
	var ids []string
	for _, part := range in.Parts {
		if part.URL != "/things/"+part.Body.ID {
			b.t.Errorf("a part goes to %s with %s", part.URL, part.Body.ID)
		}
		ids = append(ids, part.Body.ID)
	}
	b.calls = append(b.calls, ids)
	b.batch++
	if b.whole != nil {
		if status := b.whole(b.batch); status != 0 {
			rw.WriteHeader(status)
			return
		}
	}
	var results []any
	for _, part := range slices.Backward(in.Parts) { // in another order
		if status, ok := b.fate[part.Body.ID]; ok && status == 0 {
			b.done[part.Body.ID]++
			continue
		}
		results = append(results, map[string]any{"id": part.ID, "status": b.do(part.Body.ID), "headers": map[string]any{"X-Part": part.ID}, "body": map[string]any{"id": part.Body.ID}})
	}
	if b.result != nil {
		results = b.result(results)
	}
	if b.lose {
		panic(http.ErrAbortHandler)
	}
	json.NewEncoder(rw).Encode(map[string]any{"results": results})
}

// fill has a write under way in each place, a0 …, and so many behind them, w1 …
// wn. It gives where each is found.
func (b *bulk) fill(n int, headers ...string) map[string]string {
	b.t.Helper()
	at := map[string]string{}
	headers = append([]string{"Prefer: respond-async"}, headers...)
	put := func(id string) {
		r := b.post("/updates/"+id, `{"value":1}`, headers...)
		b.want(r, 202)
		at[id] = r.Header.Get("Location")
	}
	for i := range b.places {
		put(fmt.Sprintf("a%d", i))
		b.eventually("a write is under way", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.waits == i+1 })
	}
	for i := range n {
		put(fmt.Sprintf("w%d", i+1))
	}
	b.inLine(at)
	return at
}

// inLine waits until writes stand in the line of the budget.
func (b *bulk) inLine(at map[string]string) {
	b.t.Helper()
	for id, location := range at {
		b.eventually(id+" stands in line", func() bool { return b.read(location).State == "sending" })
	}
	time.Sleep(200 * time.Millisecond) // it is claimed now; joining a parcel comes after that
}

func (b *bulk) sizes() (sizes []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		sizes = append(sizes, len(c))
	}
	return sizes
}

// once demands that each of the writes was done so often.
func (b *bulk) once(ids ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if b.done[id] != 1 {
			b.t.Errorf("%s was done %d times", id, b.done[id])
		}
	}
}

// What waits for the budget goes in full batches, and each write gets its own
// outcome: for its caller, for a repetition, and for operators.
func TestQueuedWritesArePacked(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	at := b.fill(11)
	waiting := make(chan reply)
	go func() { waiting <- b.post("/updates/w12", `{"value":2}`, "Idempotency-Key: \"twelve\"") }()
	b.eventually("all stand in line", func() bool { return b.depth() == 13 })
	b.free()
	for id, location := range at {
		v := b.becomes(location, "delivered")
		if v.Attempts != 1 || v.Outcome.Status != 201 {
			t.Errorf("%s: %+v", id, v)
		}
		if id != "a0" && !strings.Contains(string(v.Outcome.Body), `{"answer":{"id":"`+id+`"`) {
			t.Errorf("%s was answered %s", id, v.Outcome.Body)
		}
	}
	first := <-waiting
	b.want(first, 201, `{"answer":{"id":"w12"`)
	again := b.post("/updates/w12", `{"value":2}`, "Idempotency-Key: \"twelve\"")
	b.want(again, 201, first.body)
	if sizes := b.sizes(); len(sizes) > 5 || sizes[0] != 1 || slices.Max(sizes) != 5 {
		t.Errorf("calls of %v writes", sizes)
	}
	b.once("a0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12")

	var x struct {
		Why     []string
		Steps   []struct{ Reason string }
		Batches []struct {
			Batch string
			With  []string
		}
	}
	r := b.operate("GET", "/"+strings.TrimPrefix(at["w1"], "/writes/")+"/explain", "")
	if err := json.Unmarshal([]byte(r.body), &x); err != nil || len(x.Batches) != 1 || len(x.Batches[0].With) == 0 {
		t.Fatalf("%v %s", err, r.body)
	}
	if last := x.Steps[len(x.Steps)-1]; !strings.HasPrefix(last.Reason, "in batch "+x.Batches[0].Batch+" of ") {
		t.Errorf("%+v", x.Steps)
	}
	if !strings.Contains(x.Why[len(x.Why)-1], x.Batches[0].With[0]) {
		t.Errorf("%v", x.Why)
	}
}

// depth is how many writes are not over.
func (w *world) depth() int64 {
	n, _ := w.ledger.Depth("erp")
	return n
}

// While there is room, each write goes by itself, at once.
func TestNothingWaitsForABatch(t *testing.T) {
	b := newBulk(t, "", nil)
	b.free()
	for i := range 6 {
		b.want(b.post(fmt.Sprintf("/updates/w%d", i), `{"value":1}`), 201, `"alone":true`)
	}
	if sizes := b.sizes(); len(sizes) != 6 {
		t.Errorf("calls of %v writes", sizes)
	}
}

// The parts of a batch come to ends of their own.
func TestPartsFailByThemselves(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	b.fate["w1"], b.fate["w2"], b.fate["w3"], b.fate["w4"] = 422, 500, 429, 0
	at := b.fill(5)
	b.free()
	if v := b.becomes(at["w1"], "refused"); v.Outcome.Status != 422 || !v.NeedsAttention {
		t.Errorf("%+v", v)
	}
	b.becomes(at["w5"], "delivered")
	// Its answer was missing, and the system knows that it was done.
	if v := b.becomes(at["w4"], "delivered"); !v.Outcome.Confirmed {
		t.Errorf("%+v", v)
	}
	b.mu.Lock()
	delete(b.fate, "w2")
	delete(b.fate, "w3")
	b.mu.Unlock()
	for _, id := range []string{"w2", "w3"} {
		b.becomes(at[id], "delivered")
	}
	if v := b.read(at["w3"]); v.Attempts != 1 {
		t.Errorf("an overload counts as an attempt: %+v", v)
	}
	b.once("w2", "w3", "w4", "w5")
}

// Answers to a batch that say nothing certain leave all its writes in doubt.
func TestUnusableResults(t *testing.T) {
	for name, change := range map[string]func([]any) []any{
		"too few without ids": func(list []any) []any {
			for _, r := range list {
				delete(r.(map[string]any), "id")
			}
			return list[1:]
		},
		"a stranger": func(list []any) []any { list[0].(map[string]any)["id"] = "77"; return list },
		"twins":      func(list []any) []any { list[0].(map[string]any)["id"] = list[1].(map[string]any)["id"]; return list },
		"no status":  func(list []any) []any { delete(list[0].(map[string]any), "status"); return list },
		"no list":    func([]any) []any { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulk(t, oneAtATime, nil)
			b.result = change
			at := b.fill(4)
			b.free()
			for _, id := range []string{"w1", "w2", "w3", "w4"} {
				if v := b.becomes(at[id], "delivered"); !v.Outcome.Confirmed {
					t.Errorf("%s: %+v", id, v)
				}
			}
			b.once("w1", "w2", "w3", "w4")
		})
	}
}

// A batch that is refused as a whole is sent write by write: one that the
// system cannot take does not condemn the others.
func TestPoisonAmongOthers(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	b.whole = func(int) int { return 400 }
	b.fate["w2"] = 422
	at := b.fill(4)
	b.free()
	b.becomes(at["w2"], "refused")
	for _, id := range []string{"w1", "w3", "w4"} {
		if v := b.becomes(at[id], "delivered"); v.Attempts != 1 {
			t.Errorf("%+v", v)
		}
	}
	b.once("w1", "w3", "w4")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls[2:] {
		if len(c) != 1 {
			t.Errorf("packed again: %v", b.calls)
		}
	}
}

// A system that has no room for a batch has done nothing of it.
func TestBatchWithoutRoom(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	b.whole = func(n int) int {
		if n <= 2 {
			return 429
		}
		return 0
	}
	at := b.fill(5)
	b.free()
	for id, location := range at {
		if v := b.becomes(location, "delivered"); v.Attempts != 1 {
			t.Errorf("%s: %+v", id, v)
		}
	}
	b.once("a0", "w1", "w2", "w3", "w4", "w5")
}

// A lost answer leaves each write in a doubt of its own.
func TestLostBatch(t *testing.T) {
	b := newBulk(t, "limits: [{name: concurrency, capacity: 3}]\n", briefly)
	b.places = 3 // what is lost keeps its place for a while
	b.lose = true
	b.fate["w3"] = 500 // was not done
	at := b.fill(4)
	b.free()
	for _, id := range []string{"w1", "w2", "w4"} {
		if v := b.becomes(at[id], "delivered"); !v.Outcome.Confirmed {
			t.Errorf("%s: %+v", id, v)
		}
	}
	b.mu.Lock()
	delete(b.fate, "w3")
	b.lose = false
	b.mu.Unlock()
	if v := b.becomes(at["w3"], "delivered"); v.Outcome.Confirmed {
		t.Errorf("%+v", v)
	}
	b.once("w1", "w2", "w3", "w4")
}

// A crash while a batch is under way leaves each of its writes doubtful.
func TestCrashDuringABatch(t *testing.T) {
	b := newBulk(t, oneAtATime, briefly)
	at := b.fill(4)
	reached, gone := make(chan struct{}), make(chan struct{})
	b.whole = func(int) int {
		b.whole = nil
		b.mu.Unlock()
		close(reached)
		<-gone // and does it all the same
		b.mu.Lock()
		return 0
	}
	b.free()
	<-reached
	b.crash()
	close(gone)
	b.start()
	for _, id := range []string{"w1", "w2", "w3", "w4"} {
		b.becomes(at[id], "delivered")
	}
	b.once("w1", "w2", "w3", "w4")
}

// A gateway that ends lets go of what stands in line together, and the next one sends it.
func TestEndWithABatchInLine(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	at := b.fill(4)
	b.buffer.Drain()
	b.free()
	b.stop()
	b.once("a0")
	if sizes := b.sizes(); len(sizes) != 1 {
		t.Errorf("calls of %v writes", sizes)
	}
	b.start()
	for id, location := range at {
		b.becomes(location, "delivered")
		b.once(id)
	}
}

// A budget that counts the elements of a batch is asked for all of them, and
// gets smaller batches where it has no room for large ones.
func TestBatchCostsItsElements(t *testing.T) {
	b := newBulk(t, `limits:
  - {name: concurrency, capacity: 1}
  - {name: elements, capacity: 2, calls: [POST /bulk], cost: {by: elements, request: .parts | length}}
`, nil)
	at := b.fill(7)
	b.free()
	for _, location := range at {
		b.becomes(location, "delivered")
	}
	if sizes := b.sizes(); slices.Max(sizes) > 2 {
		t.Errorf("calls of %v writes", sizes)
	}
	b.once("a0", "w1", "w2", "w3", "w4", "w5", "w6", "w7")
}

// Where the system counts each app by itself, a batch is one app's.
func TestBatchOfOneApp(t *testing.T) {
	b := newBulk(t, `limits:
  - {name: concurrency, capacity: 1}
  - {name: each, capacity: 100, scope: "{app}"}
`, nil)
	b.fill(2)
	for _, id := range []string{"o1", "o2"} {
		b.want(b.send("POST", "/orders/v1/updates/"+id, `{"value":1}`, "other", "Prefer: respond-async"), 202)
	}
	b.free()
	b.eventually("all are done", func() bool { return b.depth() == 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if own := strings.HasPrefix(c[0], "o"); slices.ContainsFunc(c, func(id string) bool { return strings.HasPrefix(id, "o") != own }) {
			t.Errorf("a call of several apps: %v", c)
		}
	}
}

// Classes do not mix, and the more urgent one goes first.
func TestBatchOfOneClass(t *testing.T) {
	b := newBulk(t, oneAtATime, func(w *world) {
		urgent := strings.Replace(packed, "/updates/{id}:", "/urgent/{id}:", 1)
		urgent = urgent[strings.Index(urgent, "  /urgent"):strings.Index(urgent, "  /bulk")]
		urgent = strings.Replace(strings.Replace(urgent, "operationId: update", "operationId: urgent", 1), "on_failure: continue", "class: critical", 1)
		urgent = strings.Replace(urgent, "&body ", "", 1)
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(packed + urgent)
	})
	b.fill(4)
	at := map[string]string{}
	for i := range 3 {
		r := b.post(fmt.Sprintf("/urgent/c%d", i), `{"value":1}`, "Prefer: respond-async")
		b.want(r, 202)
		at[fmt.Sprintf("c%d", i)] = r.Header.Get("Location")
	}
	b.inLine(at)
	b.free()
	b.eventually("all are done", func() bool { return b.depth() == 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.calls) != 3 || !strings.HasPrefix(b.calls[1][0], "c") || len(b.calls[1]) != 3 || len(b.calls[2]) != 4 {
		t.Errorf("calls: %v", b.calls)
	}
}

// A write that was claimed for a short request is claimed anew before it goes
// with a longer one: after a crash the ledger has to know how long it may run.
func TestLongerRequestsAreClaimedAnew(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	at := b.fill(1)
	b.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.ReplaceAll(packed, "timeout: 20s", "timeout: 25s"))
	b.load()
	at["w2"] = b.post("/updates/w2", `{"value":1}`, "Prefer: respond-async").Header.Get("Location") // joins it
	anew := func() bool {
		return strings.Contains(b.operate("GET", "/"+strings.TrimPrefix(at["w1"], "/writes/"), "").body, "may take longer now")
	}
	for began := time.Now(); !anew() && time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
	}
	if !anew() {
		t.Error("it is not claimed anew")
	}
	b.free()
	for id, location := range at {
		b.becomes(location, "delivered")
		b.once(id)
	}
}
