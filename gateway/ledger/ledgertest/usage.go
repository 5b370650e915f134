package ledgertest

import (
	"fmt"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

func used(app, field string, day time.Time, calls int64) ledger.Usage {
	return ledger.Usage{
		UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: "1.0.0", Operation: "createOrder", App: app, Field: field},
		Day:      day, Calls: calls, Refused: 1, Failed: 2, Took: 3 * time.Millisecond, Last: day.Add(time.Duration(calls) * time.Minute),
	}
}

func (w *world) addUsage(rows ...ledger.Usage) {
	w.Helper()
	n, err := w.db.AddUsage(w.ctx, rows)
	w.ok(err)
	w.same("added", n, len(rows))
}

func (w *world) usages(f ledger.UsageFilter) []string {
	w.Helper()
	list, err := w.db.Usages(w.ctx, f)
	w.ok(err)
	var got []string
	for _, u := range list {
		day := ""
		if !u.Day.IsZero() {
			day = u.Day.Format(time.DateOnly) + " "
		}
		got = append(got, fmt.Sprintf("%s %s%s %d %d %d %s %s", u.App, u.Field, day, u.Calls, u.Refused, u.Failed, u.Took, u.Last.UTC().Format("02T15:04")))
	}
	return got
}

// Usage is added up by key and day, and read by what is asked.
func usageAdds(w *world) {
	one := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	two := one.AddDate(0, 0, 1)
	w.addUsage(used("shop", "", one, 5), used("shop", "/shipTo", one, 4), used("edi", "", one, 1))
	w.addUsage(used("shop", "", one, 2), used("shop", "", two, 7))
	shadow := used("shop", "", one, 9)
	shadow.Sort = ledger.Shadow
	w.addUsage(shadow)
	w.reopen()
	w.same("daily", w.usages(ledger.UsageFilter{Daily: true}), []string{
		"edi 2027-03-01  1 1 2 3ms 01T00:01", "shop 2027-03-01  7 2 4 6ms 01T00:05", "shop 2027-03-02  7 1 2 3ms 02T00:07",
	})
	w.same("together", w.usages(ledger.UsageFilter{API: "orders", Version: "1.0.0", Operation: "createOrder", App: "shop"}), []string{"shop  14 3 6 9ms 02T00:07"})
	w.same("fields", w.usages(ledger.UsageFilter{Fields: true}), []string{"shop /shipTo 4 1 2 3ms 01T00:04"})
	w.same("from", w.usages(ledger.UsageFilter{From: two}), []string{"shop  7 1 2 3ms 02T00:07"})
	w.same("to", w.usages(ledger.UsageFilter{To: one, App: "shop"}), []string{"shop  7 2 4 6ms 01T00:05"})
	w.same("shadow", w.usages(ledger.UsageFilter{Sort: ledger.Shadow}), []string{"shop  9 1 2 3ms 01T00:09"})
	w.same("nothing", len(w.usages(ledger.UsageFilter{API: "stock"})), 0)
	for _, daily := range []bool{true, false} {
		var pages []string
		f := ledger.UsageFilter{Daily: daily, Limit: 1}
		for {
			list, err := w.db.Usages(w.ctx, f)
			w.ok(err)
			if len(list) == 0 {
				break
			}
			pages = append(pages, list[0].App)
			f.After = &list[0]
		}
		w.same("pages", len(pages), map[bool]int{true: 3, false: 2}[daily])
	}
	_, err := w.db.Usages(w.ctx, ledger.UsageFilter{Limit: 10_001})
	w.fails(err, ledger.ErrInvalid)
	w.ok(w.db.ForgetUsage(w.ctx, two))
	w.same("kept", w.usages(ledger.UsageFilter{Daily: true}), []string{"shop 2027-03-02  7 1 2 3ms 02T00:07"})
}

// What replicas add at the same time is all there, however many rows it is.
func usageRace(w *world) {
	dbs := []*ledger.DB{w.db, w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	day := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	for i, db := range dbs {
		wg.Go(func() {
			var rows []ledger.Usage
			for n := range 300 {
				if i%2 == 1 {
					n = 299 - n // in another order
				}
				rows = append(rows, used(fmt.Sprint("app", n), "", day, 1))
			}
			for range 2 {
				if _, err := db.AddUsage(w.ctx, rows); err != nil {
					w.Error(err)
				}
			}
		})
	}
	wg.Wait()
	list, err := w.db.Usages(w.ctx, ledger.UsageFilter{})
	w.ok(err)
	w.same("rows", len(list), 300)
	for _, u := range list {
		w.same(u.App, u.Calls, int64(2*len(dbs)))
	}
}
