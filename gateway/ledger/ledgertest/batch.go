package ledgertest

import (
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// batched settles a claim as sent in a batch.
func batched(state ledger.State, batch string) ledger.Settlement {
	return ledger.Settlement{State: state, Attempt: true, Status: 201, Response: []byte("done"), Reason: "in batch " + batch, Batch: batch}
}

func together(w *world) {
	a, b, c := w.add("l"), w.add("m"), w.add("n")
	list := w.claims(a, b, c)
	w.settle(list[0], batched(ledger.Held, "one"))
	w.settle(list[1], batched(ledger.Delivered, "one"))
	w.deliver(list[2])
	again := w.claims(a)[0]
	d := w.add("o")
	w.settle(again, batched(ledger.Delivered, "two"))
	w.settle(again, batched(ledger.Delivered, "two")) // repeated
	w.settle(w.claims(d)[0], batched(ledger.Delivered, "two"))
	for id, want := range map[string][]ledger.Together{
		a: {{Batch: "one", With: []string{b}}, {Batch: "two", With: []string{d}}},
		b: {{Batch: "one", With: []string{a}}},
		c: nil, "nothing": nil,
	} {
		got, err := w.db.Batches(w.ctx, id)
		w.ok(err)
		w.same("together", got, want)
	}
	stale := *again
	stale.Epoch--
	w.fails(w.db.Settle(w.ctx, &stale, batched(ledger.Delivered, "three")), ledger.ErrFenced)
	w.advance(time.Hour)
	_, err := w.db.Retain(w.ctx, ledger.Retention{Settled: time.Minute})
	w.ok(err)
	got, err := w.db.Batches(w.ctx, a)
	w.ok(err)
	w.same("after they were deleted", got, []ledger.Together(nil))
}
