package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// Engine is what a suite is run on.
type Engine struct {
	// New gives the url of an empty ledger.
	New func(testing.TB) string
	// Copy copies a ledger that is in use, and gives the url of the copy. nil
	// means that the ledger does it by itself.
	Copy func(t testing.TB, url string) string
	// Shared tells that several processes may open it at the same time.
	Shared bool
}

// clock stands still until it is told to go on.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixMicro())
	return c
}

func (c *clock) now() time.Time               { return time.UnixMicro(c.at.Load()) }
func (c *clock) advance(d time.Duration)      { c.at.Add(d.Microseconds()) }
func (c *clock) in(d time.Duration) time.Time { return c.now().Add(d) }

// world is a ledger under test.
type world struct {
	*testing.T
	*clock
	ctx    context.Context
	engine Engine
	url    string
	db     *ledger.DB
}

func newWorld(t *testing.T, e Engine) *world {
	w := &world{T: t, clock: newClock(), ctx: t.Context(), engine: e, url: e.New(t)}
	w.db = w.open("one")
	return w
}

// open opens the ledger for a replica. It is closed with the test.
func (w *world) open(replica string) *ledger.DB {
	w.Helper()
	db, err := ledger.Open(w.ctx, w.url, ledger.Options{Replica: replica, Now: w.now, Lease: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { db.Close() })
	return db
}

// reopen opens the ledger again, as after an end of the process.
func (w *world) reopen() {
	w.Helper()
	if err := w.db.Close(); err != nil {
		w.Fatal(err)
	}
	w.db = w.open("one")
}

// write is a write of class normal in lanes.
func write(lanes ...string) *ledger.Write {
	return &ledger.Write{System: "erp", App: "shop", Operation: "orders/v1/create", Class: specs.Normal, Lanes: lanes, Request: []byte("{}")}
}

func (w *world) append(wr *ledger.Write) ledger.Receipt {
	w.Helper()
	r, err := w.db.Append(w.ctx, wr)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// add appends a write in lanes and returns its id.
func (w *world) add(lanes ...string) string {
	w.Helper()
	return w.append(write(lanes...)).ID
}

func (w *world) claim(n int) []*ledger.Claimed {
	w.Helper()
	list, err := w.db.Claim(w.ctx, "erp", ledger.Room{Max: n})
	if err != nil {
		w.Fatal(err)
	}
	return list
}

// claims claims all and expects the writes of the ids, in order.
func (w *world) claims(ids ...string) []*ledger.Claimed {
	w.Helper()
	list := w.claim(100)
	if got := claimedIDs(list); !slices.Equal(got, ids) {
		w.Fatalf("claimed %v, want %v", got, ids)
	}
	return list
}

func claimedIDs(list []*ledger.Claimed) []string {
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func (w *world) settle(c *ledger.Claimed, s ledger.Settlement) {
	w.Helper()
	if err := w.db.Settle(w.ctx, c, s); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deliver(list ...*ledger.Claimed) {
	w.Helper()
	for _, c := range list {
		w.settle(c, ledger.Settlement{State: ledger.Delivered, Attempt: true, Status: 201, Response: []byte("done")})
	}
}

func (w *world) get(id string) *ledger.Record {
	w.Helper()
	r, err := w.db.Get(w.ctx, id)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// is expects a write in a state.
func (w *world) is(id string, state ledger.State) *ledger.Record {
	w.Helper()
	r := w.get(id)
	if r.State != state {
		w.Fatalf("write %s is %s (%s), want %s", id, r.State, r.Reason, state)
	}
	return r
}

// fails expects an error.
func (w *world) fails(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// same expects two values to print the same.
func (w *world) same(what string, got, want any) {
	w.Helper()
	if g, x := fmt.Sprint(got), fmt.Sprint(want); g != x {
		w.Fatalf("%s: got %s, want %s", what, g, x)
	}
}

var me = ledger.By{Actor: "operator", Reason: "because"}
