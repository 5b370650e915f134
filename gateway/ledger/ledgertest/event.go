package ledgertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

var developer = ledger.By{Actor: "member:dev@shop.example", Role: "member", Reason: "webhooks"}

// hook makes a hook of an app that is told of states.
func (w *world) hook(app string, types ...ledger.State) string {
	w.Helper()
	h := &ledger.Hook{App: app, URL: "https://shop.example/hook", About: "the shop", State: ledger.HookOn, Secret: []byte{1, 0, 2}, Types: types}
	w.ok(w.db.AddHook(w.ctx, h, developer))
	return h.ID
}

// outbox is what a hook was and is to be told, oldest first.
func (w *world) outbox(hook string) (list []string) {
	w.Helper()
	got, err := w.db.Deliveries(w.ctx, hook, 0, 0)
	w.ok(err)
	for _, d := range slices.Backward(got) {
		list = append(list, fmt.Sprintf("%s %d %s", d.Type, d.Status, d.State))
	}
	return list
}

// takes claims what is due for a hook.
func (w *world) takes(db *ledger.DB, hook string, n int) []*ledger.Delivery {
	w.Helper()
	list, err := db.ClaimDeliveries(w.ctx, hook, n, time.Minute)
	w.ok(err)
	return list
}

// What becomes of a write stands in the outbox of its app's hooks with the
// commit that changes it, and nowhere else.
func told(w *world) {
	all := w.hook("shop", ledger.Held, ledger.Delivered, ledger.Refused, ledger.Doubtful, ledger.Cancelled, ledger.Expired, ledger.Superseded)
	some := w.hook("shop", ledger.Refused, ledger.Delivered)
	other := w.hook("desk", ledger.Held, ledger.Delivered, ledger.Refused)
	first := w.add("a")
	c := w.claims(first)
	w.settle(c[0], ledger.Settlement{State: ledger.Held, Attempt: true, Status: 503, Reason: "busy"})
	w.deliver(w.claims(first)...)
	refused, gone := w.add("b"), w.add("c")
	w.ok(w.db.Cancel(w.ctx, gone, developer))
	w.settle(w.claims(refused)[0], ledger.Settlement{State: ledger.Refused, Dead: true, Group: "422", Attempt: true, Status: 422, Reason: "no such sku"})
	handed := write("d")
	handed.Hand = true
	r := w.append(handed)
	if r.Claimed == nil {
		w.Fatal("the write was not handed over")
	}
	w.settle(r.Claimed, ledger.Settlement{State: ledger.Doubtful, NotBefore: w.in(time.Hour)})
	brief := write("e")
	brief.Expires = w.in(time.Minute)
	w.append(brief)
	w.advance(2 * time.Minute)
	_, err := w.db.Sweep(w.ctx)
	w.ok(err)
	w.reopen()
	w.same("all", w.outbox(all), []string{"held 0 waiting", "held 503 waiting", "delivered 201 waiting", "held 0 waiting", "held 0 waiting", "cancelled 0 waiting",
		"refused 422 waiting", "doubtful 0 waiting", "held 0 waiting", "expired 0 waiting"})
	w.same("some", w.outbox(some), []string{"delivered 201 waiting", "refused 422 waiting"})
	w.same("other", w.outbox(other), []string(nil))
	list, err := w.db.Deliveries(w.ctx, some, 0, 1)
	w.ok(err)
	d := list[0]
	w.same("what it says", []any{d.Write, d.App, d.Operation, d.Dead, d.Reason, d.Attempts, d.Version == w.get(refused).Version},
		[]any{refused, "shop", "orders/v1/create", true, "no such sku", 1, true})
	list, err = w.db.Deliveries(w.ctx, some, d.Number, 0)
	w.ok(err)
	w.same("the page before", len(list), 1)
}

// A delivery is one replica's for the time of its lease, and ends once.
func deliveries(w *world) {
	id := w.hook("shop", ledger.Held)
	for range 5 {
		w.add()
	}
	due, next, err := w.db.DueHooks(w.ctx)
	w.ok(err)
	w.same("due", []any{len(due), next.IsZero()}, []any{1, true})
	mine := w.takes(w.db, id, 2)
	w.same("claimed", []int{len(mine), mine[0].Tries}, []int{2, 1})
	rest := w.takes(w.db, id, 100)
	w.same("the others", len(rest), 3)
	w.same("nothing", len(w.takes(w.db, id, 100)), 0)
	took := ledger.Try{At: w.now(), Status: 204, Took: time.Millisecond}
	w.ok(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: mine[0], Try: took}))
	w.fails(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: mine[0], Try: took}), ledger.ErrFenced)
	// A lease that is over: another one takes it, and the first is not heard.
	w.advance(2 * time.Minute)
	again := w.takes(w.db, id, 1)
	w.same("again", []any{again[0].Number, again[0].Tries}, []any{mine[1].Number, 2})
	w.fails(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: mine[1], Try: took}), ledger.ErrFenced)
	// A failure: later, and the hook is left alone.
	failed := ledger.Try{At: w.now(), Status: 500, Error: "answered 500"}
	w.ok(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: again[0], Try: failed, Again: w.in(time.Hour), Quiet: w.in(10 * time.Minute)}))
	w.same("quiet", len(w.takes(w.db, id, 100)), 0)
	due, next, err = w.db.DueHooks(w.ctx)
	w.ok(err)
	w.same("nothing is due", []any{len(due), next.UnixMicro()}, []any{0, w.in(10 * time.Minute).UnixMicro()})
	w.advance(11 * time.Minute)
	rest = w.takes(w.db, id, 100)
	w.same("the rest", len(rest), 3)
	w.ok(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: rest[0], Try: failed})) // for good
	w.ok(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: rest[1], Try: failed, Again: w.in(time.Hour), Fail: true}))
	w.same("outbox", w.outbox(id), []string{"held 0 taken", "held 0 waiting", "held 0 given up", "held 0 waiting", "held 0 waiting"})
	h, err := w.db.Hook(w.ctx, id)
	w.ok(err)
	w.same("failed", []any{h.State, h.Failures, h.Waiting, h.Failing.IsZero()}, []any{ledger.HookFailed, 3, 3, false})
	w.same("not called", len(w.takes(w.db, id, 100)), 0)
	w.ok(w.db.ChangeHook(w.ctx, id, developer, func(h *ledger.Hook) error { h.State = ledger.HookOn; return nil }))
	w.ok(w.db.Redeliver(w.ctx, id, rest[0].Number, developer))
	one := w.takes(w.db, id, 100)
	w.same("asked for again", []any{len(one), one[0].Number, one[0].Tries, len(one[0].Log), one[0].Log[0]}, []any{1, rest[0].Number, 1, 1, ledger.Try{At: failed.At.UTC(), Status: 500, Error: "answered 500"}})
	w.ok(w.db.EndDelivery(w.ctx, ledger.Told{Delivery: one[0], Try: took}))
	h, err = w.db.Hook(w.ctx, id)
	w.ok(err)
	w.same("well", []any{h.State, h.Failures, h.Failing.IsZero(), w.near(h.Answered)}, []any{ledger.HookOn, 0, true, true})
	w.fails(w.db.Redeliver(w.ctx, w.hook("desk", ledger.Held), rest[0].Number, developer), ledger.ErrNotFound)
}

// Hooks are kept, changed, bounded and deleted with what they were told.
func hooks(w *world) {
	id := w.hook("shop", ledger.Refused, ledger.Delivered)
	number, err := w.db.TestHook(w.ctx, id, developer)
	w.ok(err)
	until := w.in(time.Hour)
	w.ok(w.db.ChangeHook(w.ctx, id, developer, func(h *ledger.Hook) error {
		h.Before, h.BeforeUntil, h.Secret, h.URL = h.Secret, until, []byte{9}, "https://shop.example/new"
		return nil
	}))
	w.reopen()
	w.advance(time.Second) // the server's clock was read anew
	h, err := w.db.Hook(w.ctx, id)
	w.ok(err)
	w.same("hook", []any{h.App, h.URL, h.About, h.Types, h.Secret, h.Before, h.BeforeUntil.UnixMicro(), h.Waiting},
		[]any{"shop", "https://shop.example/new", "the shop", []ledger.State{ledger.Delivered, ledger.Refused}, []byte{9}, []byte{1, 0, 2}, until.UnixMicro(), 1})
	d := w.takes(w.db, id, 1)
	w.same("test", []any{d[0].Number, d[0].Type, d[0].Write}, []any{number, ledger.Test, ""})
	for _, h := range []*ledger.Hook{
		{URL: "https://x", State: ledger.HookOn, Secret: []byte{1}, Types: []ledger.State{ledger.Held}},
		{App: "shop", State: ledger.HookOn, Secret: []byte{1}, Types: []ledger.State{ledger.Held}},
		{App: "shop", URL: "https://x", State: ledger.HookOn, Types: []ledger.State{ledger.Held}},
		{App: "shop", URL: "https://x", Secret: []byte{1}, Types: []ledger.State{ledger.Held}},
		{App: "shop", URL: "https://x", State: ledger.HookOn, Secret: []byte{1}},
		{App: "shop", URL: "https://x", State: ledger.HookOn, Secret: []byte{1}, Types: []ledger.State{ledger.Sending}},
	} {
		w.fails(w.db.AddHook(w.ctx, h, developer), ledger.ErrInvalid)
	}
	for range ledger.MostHooks - 1 {
		w.hook("shop", ledger.Held)
	}
	w.fails(w.db.AddHook(w.ctx, &ledger.Hook{App: "shop", URL: "https://x", State: ledger.HookOn, Secret: []byte{1}, Types: []ledger.State{ledger.Held}}, developer), ledger.ErrInvalid)
	w.hook("desk", ledger.Held)
	all, err := w.db.Hooks(w.ctx, nil)
	w.ok(err)
	of, err := w.db.Hooks(w.ctx, []string{"desk", "nobody"})
	w.ok(err)
	w.same("lists", []int{len(all), len(of)}, []int{ledger.MostHooks + 1, 1})
	w.ok(w.db.DeleteHook(w.ctx, id, developer))
	_, err = w.db.Hook(w.ctx, id)
	w.fails(err, ledger.ErrNotFound)
	w.fails(w.db.DeleteHook(w.ctx, id, developer), ledger.ErrNotFound)
	w.fails(w.db.ChangeHook(w.ctx, id, developer, func(*ledger.Hook) error { return nil }), ledger.ErrNotFound)
	_, err = w.db.TestHook(w.ctx, id, developer)
	w.fails(err, ledger.ErrNotFound)
	w.same("outbox", w.outbox(id), []string(nil))
	last := w.hook("desk", ledger.Held)
	w.add("x")
	w.append(&ledger.Write{System: "erp", App: "desk", Operation: "o", Request: []byte("{}")})
	n, err := w.db.ForgetDeliveries(w.ctx, w.in(-time.Hour))
	w.ok(err)
	w.same("young", n, 0)
	n, err = w.db.ForgetDeliveries(w.ctx, w.in(time.Hour))
	w.ok(err)
	w.same("old", []any{n, len(w.outbox(last))}, []any{ledger.MostHooks - 1 + 2, 0})
	audits, err := w.db.Audits(w.ctx, ledger.AuditFilter{Target: "webhook/" + id})
	w.ok(err)
	w.same("audited", len(audits), 4)
}

// Replicas share what is to be delivered: nothing twice while leases hold.
func deliveryRace(w *world) {
	id := w.hook("shop", ledger.Held)
	const writes = 40
	for range writes {
		w.add()
	}
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	var mu sync.Mutex
	got := map[int64]int{}
	var group sync.WaitGroup
	for _, db := range dbs {
		for range 2 {
			group.Go(func() {
				for {
					list, err := db.ClaimDeliveries(w.ctx, id, 3, time.Minute)
					if err != nil {
						w.Error(err)
						return
					}
					if len(list) == 0 {
						return
					}
					for _, d := range list {
						mu.Lock()
						got[d.Number]++
						mu.Unlock()
						if err := db.EndDelivery(w.ctx, ledger.Told{Delivery: d, Try: ledger.Try{At: w.now(), Status: 200}}); err != nil {
							w.Error(err)
						}
					}
				}
			})
		}
	}
	group.Wait()
	w.same("delivered", len(got), writes)
	for number, n := range got {
		if n != 1 {
			w.Errorf("delivery %d was claimed %d times", number, n)
		}
	}
}

// Announcements are kept until they are over.
func announcements(w *world) {
	news := &ledger.Announcement{Title: "A new version", Body: "Orders 2 is there.", APIs: []string{"orders/v2", "stock/v1"}}
	window := &ledger.Announcement{Title: "Maintenance", Starts: w.in(time.Hour), Ends: w.in(2 * time.Hour)}
	w.ok(w.db.Announce(w.ctx, news, developer))
	w.ok(w.db.Announce(w.ctx, window, developer))
	for _, a := range []*ledger.Announcement{{}, {Title: "x", Starts: w.in(time.Hour)}, {Title: "x", Starts: w.in(time.Hour), Ends: w.in(time.Minute)}} {
		w.fails(w.db.Announce(w.ctx, a, developer), ledger.ErrInvalid)
	}
	titles := func(at time.Time) (list []string) {
		got, err := w.db.Announcements(w.ctx, at)
		w.ok(err)
		for _, a := range got {
			list = append(list, fmt.Sprint(a.Title, a.APIs, a.Author, a.Starts.IsZero()))
		}
		slices.Sort(list)
		return list
	}
	all := []string{"A new version[orders/v2 stock/v1]" + developer.Actor + "true", "Maintenance[]" + developer.Actor + "false"}
	w.same("now", titles(w.now()), all)
	w.same("after the window", titles(w.in(3*time.Hour)), all[:1])
	w.same("a year later", len(titles(w.in(365*24*time.Hour))), 0)
	w.ok(w.db.Withdraw(w.ctx, news.ID, developer))
	w.fails(w.db.Withdraw(w.ctx, news.ID, developer), ledger.ErrNotFound)
	w.same("withdrawn", titles(w.now()), all[1:])
}
