package main

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The operations of the simulated ERP, by what makes a second sending safe.
const (
	byHeader  = "header"      // it remembers the Idempotency-Key
	byNature  = "natural-key" // it puts under the caller's own id
	byConfirm = "confirm"     // it does all it is sent, and can be asked
	byNothing = "none"        // it does all it is sent
	byBatch   = "batch"       // like confirm, and it takes several in a call
)

// order is what a write asks for.
type order struct {
	// ID is the client's name of the write, Lanes the business keys it stands in.
	ID       string `json:"id"`
	Order    string `json:"order"`
	Customer string `json:"customer,omitempty"`
	Location string `json:"location,omitempty"`
	// Number counts the writes of Order from 1.
	Number int `json:"number"`
	// Poison makes the ERP refuse it, every time.
	Poison bool   `json:"poison,omitempty"`
	Filler string `json:"filler"`
}

func (o *order) lanes() []string {
	lanes := []string{"order=" + o.Order}
	if o.Customer != "" {
		lanes = append(lanes, "customer="+o.Customer, "location="+o.Location)
	}
	return lanes
}

// effect is something that the ERP has done. The list of effects has their order.
type effect struct {
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Lanes     []string  `json:"lanes"`
	At        time.Time `json:"at"`
	// Repeat marks a put of what was there already: no second effect, but it
	// must not come after a later write of the lane.
	Repeat bool `json:"repeat,omitempty"`
}

// Bugs that can be put into the ERP, to prove that the checker sees them. None
// of them is what an ERP may do: each makes it break its word.
const (
	bugLose   = "lose"   // some writes are answered and not done
	bugDouble = "double" // some writes are done twice
	bugLate   = "late"   // some writes are answered first and done much later
	bugRefuse = "refuse" // some writes are refused and done
	bugTight  = "tight"  // its limits are half of what the gateways are told
	bugGone   = "gone"   // it goes away for good
)

// erpSettings are how an ERP is and misbehaves.
type erpSettings struct {
	Seed uint64 `json:"seed"`
	// Concurrency and Calls per Window are its limits.
	Concurrency, Calls int
	Window             time.Duration
	// Timeout is how long the gateway waits for an answer. Some requests take
	// longer, and are done all the same.
	Timeout time.Duration
	Bugs    []string
}

// erp is a small ERP system which keeps an exact account of what it did.
type erp struct {
	settings erpSettings

	mu       sync.Mutex
	random   *rand.Rand
	calm     bool            // it does not misbehave any more
	resting  bool            // it answers 503
	keys     map[string]bool // Idempotency-Keys
	done     map[string]bool // ids
	effects  []effect
	counts   erpCounts
	under    int
	arrivals []time.Time // of the last window
	pending  sync.WaitGroup
}

// erpCounts is what an ERP saw, and how it misbehaved.
type erpCounts struct {
	Calls, Reads, Replays                                            int
	Dropped, Unanswered, Broken, Overloads, Slow, Resting            int
	MostUnder, MostInWindow, ConcurrencyViolations, WindowViolations int
	Away                                                             int
	// Batches are calls that took several writes, Batched the writes in them.
	Batches, Batched int
}

func newERP(s erpSettings) *erp {
	if slices.Contains(s.Bugs, bugTight) {
		s.Concurrency, s.Calls = s.Concurrency/2, s.Calls/2
	}
	return &erp{settings: s, random: rand.New(rand.NewPCG(s.Seed, 1)), keys: map[string]bool{}, done: map[string]bool{}}
}

func (e *erp) has(bug string) bool { return slices.Contains(e.settings.Bugs, bug) }

// arrive counts a call against the limits; over tells that it is one too many.
func (e *erp) arrive(now time.Time) (over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.under++
	e.counts.Calls++
	e.counts.MostUnder = max(e.counts.MostUnder, e.under)
	keep := 0
	for keep < len(e.arrivals) && now.Sub(e.arrivals[keep]) >= e.settings.Window {
		keep++
	}
	e.arrivals = append(e.arrivals[keep:], now)
	e.counts.MostInWindow = max(e.counts.MostInWindow, len(e.arrivals))
	if e.under > e.settings.Concurrency {
		e.counts.ConcurrencyViolations++
		over = true
	}
	if len(e.arrivals) > e.settings.Calls {
		e.counts.WindowViolations++
		over = true
	}
	return over
}

func (e *erp) leave() {
	e.mu.Lock()
	e.under--
	e.mu.Unlock()
}

// mishap is what happens to a call.
type mishap uint8

const (
	fine mishap = iota
	dropped
	unanswered
	brokenBefore
	brokenAfter
	overloaded
	slow
)

// mishap draws what happens to the next call, and how long it takes.
func (e *erp) mishap() (m mishap, takes time.Duration, sort int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	takes = 2*time.Millisecond + time.Duration(e.random.ExpFloat64()*float64(8*time.Millisecond))
	takes = min(takes, 100*time.Millisecond)
	p := e.random.Float64()
	sort = e.random.IntN(3)
	switch {
	case e.calm:
		return fine, takes, sort
	case e.resting:
		e.counts.Resting++
		return overloaded, takes, 1
	}
	for _, c := range []struct {
		share float64
		m     mishap
		count *int
	}{
		{0.02, dropped, &e.counts.Dropped}, {0.04, unanswered, &e.counts.Unanswered}, {0.01, brokenBefore, &e.counts.Broken},
		{0.01, brokenAfter, &e.counts.Broken}, {0.003, overloaded, &e.counts.Overloads}, {0.006, slow, &e.counts.Slow},
	} {
		if p -= c.share; p < 0 {
			*c.count++
			if c.m == slow {
				takes = e.overdue()
			}
			return c.m, takes, sort
		}
	}
	return fine, takes, sort
}

// linger makes some more of those calls slow that nobody can ask about: their
// lanes must not go on while they may still be done.
func (e *erp) linger(takes time.Duration) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calm || e.random.Float64() >= 0.1 {
		return takes
	}
	e.counts.Slow++
	return e.overdue()
}

// overdue is a time after which the gateway has given up, by up to 3 s.
func (e *erp) overdue() time.Duration {
	return e.settings.Timeout + time.Duration(e.random.Float64()*float64(3*time.Second))
}

// ServeHTTP is the ERP's face. A request that has come is carried out also when
// its caller has gone.
func (e *erp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // it never came whole
	}
	e.pending.Add(1)
	defer e.pending.Done()
	over := e.arrive(time.Now())
	defer e.leave()
	if over {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, map[string]any{"error": "over the limit"})
		return
	}
	m, takes, sort := e.mishap()
	if r.Method == http.MethodGet {
		e.read(w, r, m, takes, sort)
		return
	}
	if r.URL.Path == "/batches" {
		e.batch(w, body, m, takes, sort)
		return
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil || o.ID == "" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "not an order"})
		return
	}
	e.write(w, r, &o, m, takes, sort)
}

// read tells whether a write was done.
func (e *erp) read(w http.ResponseWriter, r *http.Request, m mishap, takes time.Duration, sort int) {
	time.Sleep(min(takes, 200*time.Millisecond))
	e.mu.Lock()
	e.counts.Reads++
	found := e.done[r.URL.Query().Get("ref")]
	e.mu.Unlock()
	switch m {
	case dropped, unanswered:
		hangUp()
	case brokenBefore, brokenAfter:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "broken"})
	case overloaded:
		saturated(w, sort)
	default:
		answer(w, http.StatusOK, map[string]any{"found": found})
	}
}

func (e *erp) write(w http.ResponseWriter, r *http.Request, o *order, m mishap, takes time.Duration, sort int) {
	operation := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[0]
	switch m {
	case dropped:
		hangUp()
	case overloaded:
		saturated(w, sort)
		return
	case brokenBefore:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "broken"})
		return
	}
	if m == fine && operation == byNothing {
		takes = e.linger(takes)
	}
	time.Sleep(takes)
	if o.Poison || e.refusesWrongly() {
		if !o.Poison {
			e.perform(operation, r.Header.Get("Idempotency-Key"), o)
		}
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "the order is wrong"})
		return
	}
	e.perform(operation, r.Header.Get("Idempotency-Key"), o)
	switch m {
	case unanswered:
		hangUp()
	case brokenAfter:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "broken"})
	default:
		answer(w, http.StatusCreated, map[string]any{"id": o.ID, "state": "booked"})
	}
}

// refusesWrongly tells that the next write is refused although it is done.
func (e *erp) refusesWrongly() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.has(bugRefuse) && e.random.Float64() < 0.05
}

// perform does what a write asks for, unless it is known by its key.
func (e *erp) perform(operation, key string, o *order) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if operation == byHeader && key != "" {
		if e.keys[key] {
			e.counts.Replays++
			return
		}
		e.keys[key] = true
	}
	f := effect{ID: o.ID, Operation: operation, Lanes: o.lanes(), At: time.Now()}
	f.Repeat = operation == byNature && e.done[o.ID]
	switch p := e.random.Float64(); {
	case e.has(bugLose) && p < 0.05:
		return
	case e.has(bugDouble) && p < 0.1:
		e.do(f)
		f.Repeat = false
	case e.has(bugLate) && p < 0.15:
		e.pending.Add(1)
		time.AfterFunc(3*time.Second, func() {
			defer e.pending.Done()
			e.mu.Lock()
			defer e.mu.Unlock()
			e.do(f)
		})
		return
	}
	e.do(f)
}

// do notes an effect; the caller holds the lock.
func (e *erp) do(f effect) {
	e.effects = append(e.effects, f)
	e.done[f.ID] = true
}

// hangUp cuts the connection without an answer.
func hangUp() { panic(http.ErrAbortHandler) }

// saturated is one of the ways in which the ERP says that it has no room.
func saturated(w http.ResponseWriter, sort int) {
	switch sort {
	case 0:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, map[string]any{"error": "too many requests"})
	case 1:
		w.Header().Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
		answer(w, http.StatusServiceUnavailable, map[string]any{"error": "maintenance"})
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"code": "SSS_REQUEST_LIMIT_EXCEEDED"}})
	}
}

func answer(w http.ResponseWriter, status int, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // what the ERP says always has a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	w.Write(data)
}
