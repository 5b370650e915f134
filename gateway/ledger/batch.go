package ledger

import "context"

// batchesTable keeps which writes were sent in one call.
var batchesTable = table{"batches", []column{{"batch", text}, {"seq", integer}}}

// pack notes the batches of settlements that were carried out.
func (w *work) pack(ops []*op) error {
	var rows [][]any
	for _, o := range ops {
		if b := o.settle.settlement.Batch; b != "" && o.err == nil {
			rows = append(rows, []any{b, o.settle.claim.Seq})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return w.insert(&batchesTable, rows, "ON CONFLICT DO NOTHING")
}

// Together is a call in which a write was sent with others.
type Together struct {
	Batch string
	// With are the IDs of the others, by their place in the ledger; at most 1000.
	With []string
}

// Batches tells in which calls a write was sent together with others. A write
// that the ledger does not know was in none.
func (db *DB) Batches(ctx context.Context, id string) ([]Together, error) {
	self, _, ok := db.ids.parse(id)
	if !ok {
		return nil, nil
	}
	var list []Together
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var batch string
			var seq, token int64
			if err := r.Scan(&batch, &seq, &token); err != nil {
				return err
			}
			if n := len(list); n == 0 || list[n-1].Batch != batch {
				list = append(list, Together{Batch: batch})
			}
			last := &list[len(list)-1]
			if seq != self {
				last.With = append(last.With, db.ids.name(seq, token))
			}
			return nil
		}, `SELECT o.batch, o.seq, r.token FROM batches b JOIN batches o ON o.batch = b.batch JOIN requests r ON r.seq = o.seq
WHERE b.seq = ?1 ORDER BY o.batch, o.seq LIMIT 1000`, self)
	})
	return list, err
}
