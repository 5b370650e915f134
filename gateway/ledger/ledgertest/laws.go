package ledgertest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

func kept(w *world) {
	number := int64(7)
	for _, request := range [][]byte{nil, {0, 255, '\''}, bytes.Repeat([]byte("x"), 3<<20)} {
		number++
		wr := &ledger.Write{
			System: "erp", App: "shop", Operation: "orders/v1/create", Class: specs.High, Lanes: []string{"order:1", "ключ/2", "order:1"},
			Sequence: &number, Key: fmt.Sprint("k", number), Fingerprint: []byte{1, 2}, KeepKey: time.Hour, Continue: true, Expires: w.in(time.Hour),
			Correlation: "c-1", Request: request,
		}
		r := w.append(wr)
		g := w.get(r.ID)
		if !bytes.Equal(g.Request, request) || !bytes.Equal(g.Fingerprint, wr.Fingerprint) || *g.Sequence != number {
			w.Fatalf("the request is not as it was: %d of %d bytes", len(g.Request), len(request))
		}
		w.same("lanes", g.Lanes, []string{"order:1", "ключ/2"})
		w.same("fields", []any{g.ID, g.Seq, g.System, g.App, g.Operation, g.Class, g.Rank, g.Key, g.Continue, g.Correlation, g.State, g.Attempts, g.Dead},
			[]any{r.ID, r.Seq, "erp", "shop", "orders/v1/create", specs.High, specs.High, wr.Key, true, "c-1", ledger.Held, 0, false})
		w.same("expiry", g.Expires.UnixMicro(), wr.Expires.UnixMicro())
		if g.Accepted.Sub(w.now()).Abs() > time.Minute || g.Bytes < int64(len(request)) {
			w.Fatalf("accepted %s, %d bytes", g.Accepted, g.Bytes)
		}
	}
}

func refused(w *world) {
	n := int64(1)
	for _, wr := range []*ledger.Write{
		{}, {System: "a/b"}, {System: "erp", Class: 4}, {System: "erp", Sequence: &n}, {System: "erp", Coalesce: true},
		{System: "erp", Lanes: []string{"a\x00b"}}, {System: "erp", Correlation: "\xff"},
	} {
		_, err := w.db.Append(w.ctx, wr)
		w.fails(err, ledger.ErrInvalid)
	}
	w.add("a")
	c := w.claim(1)[0]
	for _, s := range []ledger.Settlement{{}, {State: ledger.Sending}, {State: "gone"}, {State: ledger.Delivered, Dead: true}, {State: ledger.Refused, Open: true}} {
		w.fails(w.db.Settle(w.ctx, c, s), ledger.ErrInvalid)
	}
	_, err := w.db.List(w.ctx, ledger.Filter{After: "x"})
	w.fails(err, ledger.ErrInvalid)
	_, err = w.db.List(w.ctx, ledger.Filter{Limit: 1001})
	w.fails(err, ledger.ErrInvalid)
	_, err = w.db.List(w.ctx, ledger.Filter{States: []ledger.State{"x' OR 1=1"}})
	w.fails(err, ledger.ErrInvalid)
	_, err = w.db.List(w.ctx, ledger.Filter{Lane: "a"})
	w.fails(err, ledger.ErrInvalid)
}

func unknown(w *world) {
	id := w.add("a")
	for _, none := range []string{"", "1", strings.Repeat("0", 26), id[:25], id + "0", "A" + id[1:], strings.ToUpper(id)} {
		if none == id {
			continue
		}
		_, err := w.db.Get(w.ctx, none)
		w.fails(err, ledger.ErrNotFound)
		w.fails(w.db.Cancel(w.ctx, none, me), ledger.ErrNotFound)
		_, err = w.db.Explain(w.ctx, none)
		w.fails(err, ledger.ErrNotFound)
	}
}

func laneOrder(w *world) {
	a, b, c := w.append(write("l")), w.append(write("l")), w.append(write("l"))
	w.same("ready", []bool{a.Ready, b.Ready, c.Ready}, []bool{true, false, false})
	for _, id := range []string{a.ID, b.ID, c.ID} {
		list := w.claims(id)
		w.claims()
		w.deliver(list...)
	}
	w.claims()
}

func severalLanes(w *world) {
	a, b := w.add("order", "sku"), w.add("sku")
	c, d, e := w.add("order", "customer"), w.add("customer"), w.add()
	w.same("blockers", []int{w.get(a).Blockers, w.get(b).Blockers, w.get(c).Blockers, w.get(d).Blockers, w.get(e).Blockers}, []int{0, 1, 1, 1, 0})
	first := w.claims(a, e)
	w.deliver(first...)
	second := w.claims(b, c)
	w.deliver(second[0])
	w.claims()
	w.deliver(second[1])
	w.claims(d)
}

func lanesOfSystems(w *world) {
	w.add("a")
	other := write("a")
	other.System = "wms"
	if r := w.append(other); !r.Ready {
		w.Fatal("a lane of one system blocks another system")
	}
	systems, err := w.db.Systems(w.ctx)
	w.ok(err)
	w.same("systems", systems, []string{"erp", "wms"})
	if list := w.claim(10); len(list) != 1 || list[0].System != "erp" {
		w.Fatalf("claimed %v", list)
	}
}

func (w *world) classed(c specs.Class, lanes ...string) string {
	w.Helper()
	wr := write(lanes...)
	wr.Class = c
	return w.append(wr).ID
}

func strict(w *world) {
	low, normal1, critical := w.classed(specs.Low), w.classed(specs.Normal), w.classed(specs.Critical)
	high, normal2 := w.classed(specs.High), w.classed(specs.Normal)
	w.same("the first two", claimedIDs(w.claim(2)), []string{critical, high})
	w.claims(normal1, normal2, low)
}

func room(w *world) {
	var ids [4][]string
	for c := specs.Low; c <= specs.Critical; c++ {
		for range 5 {
			ids[c] = append(ids[c], w.classed(c))
		}
	}
	claim := func(r ledger.Room) []string {
		list, err := w.db.Claim(w.ctx, "erp", r)
		w.ok(err)
		return claimedIDs(list)
	}
	w.same("none", claim(ledger.Room{}), []string{})
	w.same("floors", claim(ledger.Room{Max: 3, Floor: []int{1, 1, 0, 0}}), []string{ids[3][0], ids[1][0], ids[0][0]})
	w.same("most", claim(ledger.Room{Max: 4, Most: []int{9, 0, 1, 2}}), []string{ids[3][1], ids[3][2], ids[2][0], ids[0][1]})
	w.same("a short list of most", claim(ledger.Room{Max: 9, Most: []int{1}}), []string{ids[0][2]})
	w.same("floors above the room", claim(ledger.Room{Max: 2, Floor: []int{9, 9, 9, 9}}), []string{ids[3][3], ids[3][4]})
	w.same("the rest", claim(ledger.Room{Max: 100}), append(append(append([]string{}, ids[2][1:]...), ids[1][1:]...), ids[0][3:]...))
}

func named(w *world) {
	first, second, urgent := w.classed(specs.Normal, "a"), w.classed(specs.Normal, "b"), w.classed(specs.Critical)
	behind, last := w.classed(specs.Normal, "a"), w.classed(specs.Normal)
	ready := func(from int64, n int) []ledger.Ready {
		list, err := w.db.Ready(w.ctx, "erp", specs.Normal, from, n)
		w.ok(err)
		return list
	}
	all := ready(0, 10)
	if len(all) != 3 || all[0].Operation != "orders/v1/create" || all[0].App != "shop" {
		w.Fatalf("ready are %+v", all)
	}
	w.same("the first two", ready(0, 2), all[:2])
	w.same("from a place on", ready(all[1].Place, 10), all[1:])
	w.same("beyond all", len(ready(all[2].Place+1, 10)), 0)

	claim := func(r ledger.Room) []string {
		list, err := w.db.Claim(w.ctx, "erp", r)
		w.ok(err)
		return claimedIDs(list)
	}
	w.same("none is named", claim(ledger.Room{Max: 9, Only: []int64{}}), []string{})
	w.same("the named, in order", claim(ledger.Room{Max: 9, Only: []int64{all[2].Seq, all[1].Seq}}), []string{second, last})
	w.same("named again", claim(ledger.Room{Max: 9, Only: []int64{all[2].Seq, all[1].Seq}}), []string{})
	w.same("those left", ready(0, 10), all[:1])
	w.same("no more than the room", claim(ledger.Room{Max: 1, Only: []int64{all[0].Seq, all[1].Seq}}), []string{first})
	w.same("one that is behind is not ready", len(ready(0, 10)), 0)
	w.ok(w.db.Cancel(w.ctx, behind, ledger.By{}))
	w.claims(urgent)
}

func inherits(w *world) {
	low, other := w.classed(specs.Low, "a"), w.classed(specs.Normal, "b")
	middle, urgent := w.classed(specs.Normal, "a"), w.classed(specs.Critical, "a")
	w.same("ranks", []specs.Class{w.get(low).Rank, w.get(middle).Rank, w.get(urgent).Rank, w.get(low).Class}, []specs.Class{specs.Critical, specs.Normal, specs.Critical, specs.Low})
	list := w.claims(low, other)
	w.deliver(list[0])
	w.same("the rank of the next head", w.get(middle).Rank, specs.Critical)
	w.deliver(w.claims(middle)...)
	w.claims(urgent)

	// A low head takes on normal, too, when it comes to the head only later.
	first := w.classed(specs.Low, "c")
	second := w.classed(specs.Low, "c")
	w.classed(specs.Normal, "c")
	w.same("the low head", w.get(first).Rank, specs.Normal)
	w.deliver(w.claims(first)...)
	w.same("the low head that follows", w.get(second).Rank, specs.Normal)
}

func inheritsOn(w *world) {
	root := w.classed(specs.Low, "a")
	link := w.classed(specs.Low, "a", "b")
	w.same("before", w.get(root).Rank, specs.Low)
	w.classed(specs.Critical, "b")
	w.same("link and root", []specs.Class{w.get(link).Rank, w.get(root).Rank}, []specs.Class{specs.Critical, specs.Critical})
}

func handOver(w *world) {
	hand := func(lanes ...string) ledger.Receipt {
		wr := write(lanes...)
		wr.Hand = true
		return w.append(wr)
	}
	a, b := hand("a"), hand("a")
	if a.Claimed == nil || b.Claimed != nil {
		w.Fatalf("handed %v and %v", a.Claimed, b.Claimed)
	}
	r := w.is(a.ID, ledger.Sending)
	w.same("owner", r.Owner, "one")
	c := a.Claimed
	w.same("claim", []any{c.ID, c.Seq, c.Epoch, c.System, c.App, c.Operation, c.Class, c.Lanes, c.Sendings, string(c.Request)},
		[]any{a.ID, a.Seq, 1, "erp", "shop", "orders/v1/create", specs.Normal, []string{"a"}, 1, "{}"})
	w.claims()
	w.deliver(c)
	w.claims(b.ID)
	wr := write("z")
	wr.Hand, wr.NotBefore = true, w.in(time.Hour)
	if w.append(wr).Claimed != nil {
		w.Fatal("a write was handed over before its time")
	}
	w.ok(w.db.Pause(w.ctx, "erp", "", me))
	if c := hand("y"); c.Claimed != nil {
		w.Fatal("a write of a paused system was handed over")
	}
}

func (w *world) keyed(key, print string) (ledger.Receipt, error) {
	wr := write("a")
	wr.Key, wr.Fingerprint, wr.KeepKey = key, []byte(print), time.Hour
	return w.db.Append(w.ctx, wr)
}

func keyed(w *world) {
	first, err := w.keyed("k", "x")
	w.ok(err)
	again, err := w.keyed("k", "x")
	w.ok(err)
	if again.ID != first.ID || again.Existing == nil || again.Existing.State != ledger.Held {
		w.Fatalf("the second append gave %+v", again)
	}
	_, err = w.keyed("k", "y")
	w.fails(err, ledger.ErrKeyReused)
	other := write("a")
	other.Key, other.App = "k", "another"
	if w.append(other).Existing != nil {
		w.Fatal("keys of two apps are one")
	}
	w.deliver(w.claim(1)...)
	again, err = w.keyed("k", "x")
	w.ok(err)
	w.same("the outcome", []any{again.Existing.State, again.Existing.Status, string(again.Existing.Response)}, []any{ledger.Delivered, 201, "done"})
	if writes, _ := w.db.Depth("erp"); writes != 1 {
		w.Fatalf("%d writes are held, want that of the other app", writes)
	}
}

func keyEnds(w *world) {
	first, err := w.keyed("k", "x")
	w.ok(err)
	w.reopen()
	again, err := w.keyed("k", "x")
	w.ok(err)
	w.same("after a restart", again.ID, first.ID)
	w.advance(2 * time.Hour)
	again, err = w.keyed("k", "x")
	w.ok(err)
	w.same("its time is over, but the write is not", again.ID, first.ID)
	w.deliver(w.claim(1)...)
	again, err = w.keyed("k", "other")
	w.ok(err)
	if again.ID == first.ID || again.Existing != nil {
		w.Fatal("a key that has run out is still taken")
	}
	_, err = w.keyed("k", "x")
	w.fails(err, ledger.ErrKeyReused)
}

func keyRace(w *world) {
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	var wg sync.WaitGroup
	var fresh atomic.Int64
	ids := make([]string, 40)
	for i := range ids {
		wg.Go(func() {
			wr := write("a")
			wr.Key, wr.KeepKey = "k", time.Hour
			r, err := dbs[i%len(dbs)].Append(w.ctx, wr)
			if err != nil {
				w.Error(err)
			}
			if r.Existing == nil {
				fresh.Add(1)
			}
			ids[i] = r.ID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	w.same("writes", []any{len(slices.Compact(ids)), fresh.Load()}, []any{1, 1})
}

func bounds(w *world) {
	bounded := func(b ledger.Bound, app, key string) error {
		wr := write()
		wr.App, wr.Bound, wr.Key = app, b, key
		_, err := w.db.Append(w.ctx, wr)
		return err
	}
	w.ok(bounded(ledger.Bound{Writes: 2}, "a", "k"))
	w.ok(bounded(ledger.Bound{Writes: 2}, "a", ""))
	err := bounded(ledger.Bound{Writes: 2}, "a", "")
	w.fails(err, ledger.ErrFull)
	var full *ledger.FullError
	if !errors.As(err, &full) || full.Scope != "system" || full.Writes != 2 || full.Bytes < 800 {
		w.Fatalf("refused with %+v", full)
	}
	w.ok(bounded(ledger.Bound{Writes: 2}, "a", "k"))
	w.ok(bounded(ledger.Bound{AppWrites: 2}, "b", ""))
	err = bounded(ledger.Bound{AppWrites: 2}, "a", "")
	if !errors.As(err, &full) || full.Scope != "app" {
		w.Fatalf("refused with %v", err)
	}
	w.fails(bounded(ledger.Bound{Bytes: 100}, "c", ""), ledger.ErrFull)
	w.fails(bounded(ledger.Bound{AppBytes: 100}, "c", ""), ledger.ErrFull)
	w.reopen()
	w.fails(bounded(ledger.Bound{Writes: 3}, "a", ""), ledger.ErrFull)
	w.deliver(w.claim(1)...)
	w.ok(bounded(ledger.Bound{Writes: 3}, "a", ""))
}

func boundsRace(w *world) {
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for range 50 {
		wg.Go(func() {
			wr := write()
			wr.Bound = ledger.Bound{Writes: 20}
			_, err := w.db.Append(w.ctx, wr)
			switch {
			case err == nil:
				accepted.Add(1)
			case !errors.Is(err, ledger.ErrFull):
				w.Error(err)
			}
		})
	}
	wg.Wait()
	writes, _ := w.db.Depth("erp")
	w.same("accepted and held", []int64{accepted.Load(), writes}, []int64{20, 20})
}

func heldAgain(w *world) {
	a, b := w.add("l"), w.add("l")
	w.settle(w.claims(a)[0], ledger.Settlement{State: ledger.Held, NotBefore: w.in(time.Minute), Attempt: true, Reason: "busy", Status: 503})
	w.claims()
	w.advance(2 * time.Minute)
	c := w.claims(a)[0]
	w.same("attempts and sendings", []int{c.Attempts, c.Sendings}, []int{1, 2})
	w.settle(c, ledger.Settlement{State: ledger.Held})
	c = w.claims(a)[0]
	w.same("attempts that do not count", []int{c.Attempts, c.Sendings}, []int{1, 3})
	w.deliver(c)
	w.claims(b)
	r := w.get(a)
	w.same("record", []any{r.Attempts, r.Status, string(r.Response)}, []any{2, 201, "done"})
}

func notBefore(w *world) {
	wr := write("l")
	wr.NotBefore = w.in(time.Minute)
	r := w.append(wr)
	if r.Ready {
		w.Fatal("it is ready before its time")
	}
	w.add("l")
	w.claims()
	w.ok(w.db.RetryNow(w.ctx, r.ID, me))
	w.claims(r.ID)
}

func (w *world) doubtful(n int) []*ledger.Claimed {
	w.Helper()
	list, err := w.db.ClaimDoubtful(w.ctx, "erp", n, time.Minute)
	w.ok(err)
	return list
}

func doubt(w *world) {
	a, b := w.add("l"), w.add("l")
	w.settle(w.claims(a)[0], ledger.Settlement{State: ledger.Doubtful, NotBefore: w.in(time.Minute), Attempt: true})
	w.is(a, ledger.Doubtful)
	w.claims()
	if len(w.doubtful(5)) != 0 {
		w.Fatal("its fate was asked for while the request may still run")
	}
	w.advance(2 * time.Minute)
	c := w.doubtful(5)[0]
	w.same("claim", []any{c.ID, c.Doubtful, c.Attempts, c.Sendings}, []any{a, true, 1, 1})
	if len(w.doubtful(5)) != 0 {
		w.Fatal("two may ask at the same time")
	}
	w.advance(2 * time.Minute)
	second := w.doubtful(5)[0]
	w.fails(w.db.Settle(w.ctx, c, ledger.Settlement{State: ledger.Delivered}), ledger.ErrFenced)
	w.settle(second, ledger.Settlement{State: ledger.Held})
	c = w.claims(a)[0]
	w.settle(c, ledger.Settlement{State: ledger.Doubtful})
	w.deliver(w.doubtful(5)...)
	w.claims(b)
}

func open(w *world) {
	wr := write("l")
	wr.Coalesce, wr.Expires = true, w.in(time.Hour)
	a := w.append(wr).ID
	w.settle(w.claims(a)[0], ledger.Settlement{State: ledger.Doubtful})
	w.settle(w.doubtful(1)[0], ledger.Settlement{State: ledger.Held, Open: true, NotBefore: w.in(time.Minute)})
	if r := w.is(a, ledger.Held); !r.Open {
		w.Fatal("it is not open")
	}
	w.fails(w.db.Cancel(w.ctx, a, me), ledger.ErrState)
	_, err := w.db.Replace(w.ctx, a, write("l"), me)
	w.fails(err, ledger.ErrState)
	wr = write("l")
	wr.Coalesce = true
	if w.append(wr).Superseded != 0 {
		w.Fatal("an open write was superseded")
	}
	w.advance(2 * time.Hour)
	_, err = w.db.Sweep(w.ctx)
	w.ok(err)
	c := w.claims(a)[0]
	if !c.Open {
		w.Fatal("the claim does not tell that it is open")
	}
	w.settle(c, ledger.Settlement{State: ledger.Held})
	if !w.get(a).Open {
		w.Fatal("a second sending that did nothing tells nothing of the first")
	}
	w.settle(w.claims(a)[0], ledger.Settlement{State: ledger.Doubtful})
	w.settle(w.doubtful(1)[0], ledger.Settlement{State: ledger.Held})
	if w.get(a).Open {
		w.Fatal("it was asked for, and is still open")
	}
	w.ok(w.db.Cancel(w.ctx, a, me))
}

func fenced(w *world) {
	a := w.add("l")
	c := w.claims(a)[0]
	w.settle(c, ledger.Settlement{State: ledger.Held})
	second := w.claims(a)[0]
	w.fails(w.db.Settle(w.ctx, c, ledger.Settlement{State: ledger.Delivered}), ledger.ErrFenced)
	w.is(a, ledger.Sending)
	w.deliver(second)
	w.fails(w.db.Settle(w.ctx, second, ledger.Settlement{State: ledger.Refused}), ledger.ErrFenced)
	none := *c
	none.Seq += 1000
	w.fails(w.db.Settle(w.ctx, &none, ledger.Settlement{State: ledger.Refused}), ledger.ErrFenced)
}

func repeated(w *world) {
	a, b := w.add("l"), w.add("l")
	c := w.claims(a)[0]
	w.deliver(c, c)
	w.deliver(w.claims(b)...)
	w.same("steps", len(w.get(a).Timeline), 2)
}

func lost(w *world) {
	a, b := w.add("l"), w.add("m")
	list := w.claims(a, b)
	n, err := w.db.Recover(w.ctx, 10*time.Second, 0)
	w.ok(err)
	w.same("lost while the lease runs", n, 0)
	w.advance(2 * time.Minute)
	n, err = w.db.Recover(w.ctx, 10*time.Second, 0)
	w.ok(err)
	w.same("lost", n, 2)
	w.is(a, ledger.Doubtful)
	w.deliver(list[0]) // the truth, late
	w.is(a, ledger.Delivered)
	if len(w.doubtful(1)) != 0 {
		w.Fatal("its fate was asked for while the request may still run")
	}
	w.advance(time.Minute)
	c := w.doubtful(1)[0]
	w.same("attempts", c.Attempts, 1)
	w.fails(w.db.Settle(w.ctx, list[1], ledger.Settlement{State: ledger.Delivered}), ledger.ErrFenced)
}

func restarted(w *world) {
	a := w.add("l")
	w.claims(a)
	w.reopen()
	n, err := w.db.Recover(w.ctx, time.Second, 0)
	w.ok(err)
	w.same("lost", n, 1)
	if !w.engine.Shared {
		return
	}
	b := w.add("m")
	w.claims(b)
	other := w.open("two")
	n, err = other.Recover(w.ctx, time.Second, 0)
	w.ok(err)
	w.same("lost, of another replica that lives", n, 0)
}

func lostFor(w *world) {
	handed, plain, longer := write("h"), write("p"), write("l")
	handed.Timeout, handed.Hand, plain.Timeout, longer.Timeout = 2*time.Second, true, 3*time.Second, time.Second
	plain.Operation, longer.Operation = "orders/v1/plain", "orders/v1/longer"
	first, second, third, last := w.append(handed).ID, w.append(plain).ID, w.append(longer).ID, w.add("x")
	list, err := w.db.Claim(w.ctx, "erp", ledger.Room{Max: 9, Timeout: func(operation string) time.Duration {
		if operation == "orders/v1/longer" {
			return 5 * time.Second // it was another when the write was appended
		}
		return 0
	}})
	w.ok(err)
	w.same("timeouts", []any{list[0].Timeout, list[1].Timeout, list[2].Timeout}, []any{3 * time.Second, 5 * time.Second, time.Duration(0)})
	w.reopen()
	n, err := w.db.Recover(w.ctx, time.Second, 7*time.Second)
	w.ok(err)
	w.same("lost", n, 4)
	over := map[string]time.Duration{first: 3 * time.Second, second: 4 * time.Second, third: 6 * time.Second, last: 8 * time.Second}
	for at := time.Duration(0); at < 10*time.Second; at += 500 * time.Millisecond {
		for _, c := range w.doubtful(9) {
			w.same(c.ID+" may be asked for", at, over[c.ID])
			delete(over, c.ID)
			w.settle(c, ledger.Settlement{State: ledger.Refused})
		}
		w.advance(500 * time.Millisecond)
	}
	w.same("never asked for", len(over), 0)

	// Nothing is sent after the end of a lease: who comes an hour later need not wait.
	id := w.add("y")
	w.claims(id)
	w.advance(time.Hour)
	w.reopen()
	_, err = w.db.Recover(w.ctx, time.Second, 7*time.Second)
	w.ok(err)
	w.same("asked for", len(w.doubtful(9)), 1)
}

func noted(w *world) {
	notes, err := w.db.Notes(w.ctx)
	w.ok(err)
	w.same("notes at first", len(notes), 0)
	for _, text := range []string{"a", "b"} {
		w.ok(w.db.Note(w.ctx, "erp", []byte(text)))
	}
	w.ok(w.db.Note(w.ctx, "wms", []byte("c")))
	w.reopen()
	notes, err = w.db.Notes(w.ctx)
	w.ok(err)
	w.same("notes", notes, map[string][]byte{"erp": []byte("b"), "wms": []byte("c")})
	if !w.engine.Shared {
		return
	}
	notes, err = w.open("two").Notes(w.ctx)
	w.ok(err)
	w.same("notes of another replica", len(notes), 0)
}

func renewed(w *world) {
	a, b := w.add("l"), w.add("m")
	list := w.claims(a, b)
	w.deliver(list[1])
	w.advance(50 * time.Second)
	gone, err := w.db.Renew(w.ctx, time.Minute, list...)
	w.ok(err)
	w.same("lost", claimedIDs(gone), []string{b})
	w.advance(50 * time.Second)
	n, err := w.db.Recover(w.ctx, time.Second, 0)
	w.ok(err)
	w.same("recovered", n, 0)
}

var dead = ledger.Settlement{State: ledger.Refused, Dead: true, Group: "422 no such customer", Attempt: true, Status: 422, Response: []byte("no"), Reason: "refused"}

func deadStops(w *world) {
	a, b := w.add("l", "m"), w.add("l")
	w.settle(w.claims(a)[0], dead)
	r := w.is(a, ledger.Refused)
	w.same("dead", []any{r.Dead, r.Group, r.Status, string(r.Response)}, []any{true, dead.Group, 422, "no"})
	w.claims()
	c := w.append(write("m"))
	if c.Ready {
		w.Fatal("the lane goes on behind a dead write")
	}
	w.fails(w.db.Discard(w.ctx, b, me), ledger.ErrState)
	w.ok(w.db.Discard(w.ctx, a, me))
	if r := w.is(a, ledger.Refused); r.Dead || r.Status != 422 {
		w.Fatalf("after it was discarded: %+v", r)
	}
	w.claims(b, c.ID)
	w.fails(w.db.Discard(w.ctx, a, me), ledger.ErrState)
}

func deadGoesOn(w *world) {
	wr := write("l")
	wr.Continue = true
	a, b := w.append(wr).ID, w.add("l")
	w.settle(w.claims(a)[0], dead)
	list := w.claims(b)
	w.ok(w.db.RetryNow(w.ctx, a, me))
	w.claims()
	c := w.add("l")
	w.deliver(list...)
	w.deliver(w.claims(a)...)
	w.claims(c)
}

func retried(w *world) {
	a, b := w.add("l"), w.add("l")
	w.settle(w.claims(a)[0], dead)
	w.fails(w.db.Cancel(w.ctx, a, me), ledger.ErrState)
	w.ok(w.db.RetryNow(w.ctx, a, me))
	r := w.is(a, ledger.Held)
	w.same("as new", []any{r.Dead, r.Group, r.Attempts, r.Ready}, []any{false, "", 0, true})
	w.deliver(w.claims(a)...)
	w.deliver(w.claims(b)...)
	w.fails(w.db.RetryNow(w.ctx, a, me), ledger.ErrState)
	if writes, bytes := w.db.Depth("erp"); writes != 0 || bytes != 0 {
		w.Fatalf("%d writes of %d bytes are counted, none is held", writes, bytes)
	}
}

func deadDoubt(w *world) {
	a, b := w.add("l"), w.add("l")
	s := ledger.Settlement{State: ledger.Doubtful, Dead: true, Group: "no answer"}
	w.settle(w.claims(a)[0], s)
	if len(w.doubtful(5)) != 0 {
		w.Fatal("a dead doubt is asked for")
	}
	w.claims()
	w.fails(w.db.Resolve(w.ctx, b, ledger.Settlement{State: ledger.Delivered}, me), ledger.ErrState)
	w.fails(w.db.Resolve(w.ctx, a, s, me), ledger.ErrInvalid)
	w.ok(w.db.Resolve(w.ctx, a, ledger.Settlement{State: ledger.Delivered}, me))
	if r := w.is(a, ledger.Delivered); r.Dead {
		w.Fatal("it is still dead")
	}
	w.settle(w.claims(b)[0], s)
	w.ok(w.db.RetryNow(w.ctx, b, me))
	if c := w.claims(b)[0]; !c.Open {
		w.Fatal("a doubt that was sent again is not open")
	} else {
		w.settle(c, s)
	}
	w.ok(w.db.Discard(w.ctx, b, me))
	w.is(b, ledger.Refused)
}

func groups(w *world) {
	var ids []string
	for i := range 5 {
		wr := write(fmt.Sprint("l", i))
		wr.Class = specs.High
		ids = append(ids, w.append(wr).ID)
		w.advance(time.Second)
	}
	for i, c := range w.claim(10) {
		s := dead
		if i == 4 {
			s.Group = "another"
		}
		w.settle(c, s)
	}
	list, err := w.db.Groups(w.ctx, "erp")
	w.ok(err)
	if len(list) != 2 || list[0].Writes != 4 || list[0].Group != dead.Group || list[0].Example != ids[3] || list[1].Writes != 1 ||
		list[0].Newest.Sub(list[0].Oldest) != 3*time.Second {
		w.Fatalf("groups %+v", list)
	}
	all, err := w.db.Groups(w.ctx, "")
	w.ok(err)
	none, err := w.db.Groups(w.ctx, "wms")
	w.ok(err)
	w.same("of all systems and of another", []int{len(all), len(none)}, []int{2, 0})
	n, err := w.db.RetryGroup(w.ctx, list[0], specs.Low, 2, me)
	w.ok(err)
	w.same("retried", n, 2)
	normal := w.add()
	w.claims(normal, ids[0], ids[1])
	n, err = w.db.DiscardGroup(w.ctx, list[0], 10, me)
	w.ok(err)
	w.same("discarded", n, 2)
	list, err = w.db.Groups(w.ctx, "erp")
	w.ok(err)
	w.same("left", len(list), 1)
}

func pausedLane(w *world) {
	a, b := w.add("l", "m"), w.add("l")
	w.ok(w.db.Pause(w.ctx, "erp", "l", me))
	w.ok(w.db.Pause(w.ctx, "erp", "l", me))
	c := w.add("m")
	w.claims()
	if r := w.append(write("l")); r.Ready {
		w.Fatal("it is ready in a paused lane")
	}
	list, err := w.db.Pauses(w.ctx)
	w.ok(err)
	if len(list) != 1 || list[0].Lane != "l" || list[0].By != me {
		w.Fatalf("pauses %+v", list)
	}
	w.ok(w.db.Resume(w.ctx, "erp", "l", me))
	w.ok(w.db.Resume(w.ctx, "erp", "l", me))
	w.deliver(w.claims(a)...)
	w.claims(b, c)
	// A lane that is paused while it is empty.
	w.ok(w.db.Pause(w.ctx, "erp", "empty", me))
	d := w.add("empty")
	w.reopen()
	w.claims()
	w.ok(w.db.Resume(w.ctx, "erp", "empty", me))
	w.claims(d)
}

func pausedSending(w *world) {
	a, b := w.add("l"), w.add("l")
	c := w.claims(a)[0]
	w.ok(w.db.Pause(w.ctx, "erp", "l", me))
	w.settle(c, ledger.Settlement{State: ledger.Held})
	w.claims()
	w.ok(w.db.Resume(w.ctx, "erp", "l", me))
	c = w.claims(a)[0]
	w.ok(w.db.Pause(w.ctx, "erp", "l", me))
	w.deliver(c)
	w.claims()
	w.ok(w.db.Resume(w.ctx, "erp", "l", me))
	w.claims(b)
}

func pausedSystem(w *world) {
	a, b := w.add("l"), w.add("m")
	w.settle(w.claims(a, b)[0], ledger.Settlement{State: ledger.Doubtful})
	w.ok(w.db.Pause(w.ctx, "erp", "", me))
	c := w.add("n")
	w.claims()
	if len(w.doubtful(5)) != 0 {
		w.Fatal("a paused system is asked")
	}
	w.ok(w.db.Resume(w.ctx, "erp", "", me))
	w.claims(c)
	audits, err := w.db.Audits(w.ctx, ledger.AuditFilter{Limit: 10})
	w.ok(err)
	w.same("audits", []any{len(audits), audits[0].Action, audits[1].Action, audits[1].Target, audits[1].By}, []any{2, "resume", "pause", "erp", me})
}

func cancelled(w *world) {
	a, b, c := w.add("l"), w.add("l"), w.add("l")
	w.ok(w.db.Cancel(w.ctx, b, me))
	list := w.claims(a)
	w.fails(w.db.Cancel(w.ctx, a, me), ledger.ErrState)
	var state *ledger.StateError
	if !errors.As(w.db.Cancel(w.ctx, a, me), &state) || state.State != ledger.Sending {
		w.Fatal("the error does not tell the state")
	}
	w.claims()
	w.deliver(list...)
	w.ok(w.db.Cancel(w.ctx, c, me))
	w.claims()
	w.is(c, ledger.Cancelled)
	d := w.add("l")
	w.claims(d)
}

func expires(w *world) {
	wr := write("l")
	wr.Expires = w.in(time.Minute)
	a, b, c := w.append(wr).ID, w.append(wr).ID, w.add("l")
	list := w.claims(a)
	w.advance(2 * time.Minute)
	n, err := w.db.Sweep(w.ctx)
	w.ok(err)
	w.same("swept", n, 1)
	w.is(a, ledger.Sending)
	w.is(b, ledger.Expired)
	w.deliver(list...)
	w.claims(c)
	// An expired write is not claimed, even before it is swept.
	wr.Expires = w.in(time.Second)
	wr.Lanes = nil
	w.append(wr)
	w.advance(time.Minute)
	w.claims()
}

func coalesced(w *world) {
	stock := func(lanes ...string) ledger.Receipt {
		wr := write(lanes...)
		wr.Coalesce = true
		return w.append(wr)
	}
	first := stock("sku", "shop")
	list := w.claims(first.ID)
	a, other, plain := stock("sku", "shop"), stock("sku"), w.add("sku")
	b := stock("shop", "sku")
	w.same("superseded", []int{a.Superseded, other.Superseded, b.Superseded}, []int{0, 0, 1})
	old, fresh := w.is(a.ID, ledger.Superseded), w.get(b.ID)
	w.same("links", []string{old.ReplacedBy, fresh.Replaces}, []string{b.ID, a.ID})
	w.deliver(list...)
	w.deliver(w.claims(other.ID)...)
	w.deliver(w.claims(plain)...)
	w.claims(b.ID)
	// The head of a lane is superseded, too.
	c, d := stock("x"), stock("x")
	if d.Superseded != 1 || !d.Ready {
		w.Fatalf("in the place of the head: %+v", d)
	}
	w.is(c.ID, ledger.Superseded)
	w.claims(d.ID)
}

func (w *world) numbered(n int64) ledger.Receipt {
	w.Helper()
	wr := write("order", "customer")
	wr.Sequence, wr.GapWait = &n, time.Minute
	return w.append(wr)
}

func duplicate(w *world) {
	a := w.numbered(4)
	again := w.numbered(4)
	if again.ID != a.ID || again.Existing == nil {
		w.Fatalf("the second: %+v", again)
	}
	w.deliver(w.claims(a.ID)...)
	if again = w.numbered(4); again.Existing == nil || again.Existing.State != ledger.Delivered {
		w.Fatalf("after its delivery: %+v", again)
	}
	n := int64(4)
	wr := write("order")
	wr.Sequence, wr.Key, wr.KeepKey = &n, "k", time.Hour
	w.same("with a key", w.append(wr).ID, a.ID)
	w.same("by its key", w.append(wr).ID, a.ID)
}

func gapCloses(w *world) {
	a, d, c := w.numbered(1), w.numbered(4), w.numbered(3)
	w.same("gaps", []bool{a.Gap, c.Gap, d.Gap, c.Ready}, []bool{false, true, true, false})
	w.deliver(w.claims(a.ID)...)
	w.claims()
	b := w.numbered(2)
	for _, id := range []string{b.ID, c.ID, d.ID} {
		w.deliver(w.claims(id)...)
	}
	w.same("the next", w.numbered(5).Ready, true)
}

func gapEnds(w *world) {
	w.deliver(w.claims(w.numbered(1).ID)...)
	d, c := w.numbered(5), w.numbered(3)
	n, err := w.db.Sweep(w.ctx)
	w.ok(err)
	w.same("swept", n, 0)
	w.advance(2 * time.Minute)
	if n, err = w.db.Sweep(w.ctx); err != nil || n != 2 {
		w.Fatalf("swept %d, %v", n, err)
	}
	w.deliver(w.claims(c.ID)...)
	w.deliver(w.claims(d.ID)...)
	r := w.get(d.ID)
	if !slices.ContainsFunc(r.Timeline, func(s ledger.Step) bool { return strings.Contains(s.Reason, "did not come") }) {
		w.Fatalf("the gap is not reported: %+v", r.Timeline)
	}
}

func late(w *world) {
	w.deliver(w.claims(w.numbered(5).ID)...)
	r := w.numbered(3)
	if !r.Late || r.Ready {
		w.Fatalf("a late one: %+v", r)
	}
	w.claims()
	g := w.is(r.ID, ledger.Refused)
	w.same("dead", []any{g.Dead, g.Group}, []any{true, "late"})
	next := w.numbered(6)
	w.deliver(w.claims(next.ID)...)
	w.ok(w.db.RetryNow(w.ctx, r.ID, me)) // a person may know better
	w.claims(r.ID)
}

func replaced(w *world) {
	a, b := w.add("l", "m"), w.add("l")
	w.settle(w.claims(a)[0], dead)
	edited := write("m", "l")
	edited.Request = []byte("edited")
	r, err := w.db.Replace(w.ctx, a, edited, me)
	w.ok(err)
	old, fresh := w.is(a, ledger.Refused), w.is(r.ID, ledger.Held)
	w.same("links", []any{old.Dead, old.ReplacedBy, fresh.Replaces, string(old.Request), string(fresh.Request)}, []any{false, r.ID, a, "{}", "edited"})
	second, err := w.db.Replace(w.ctx, r.ID, write("l", "m"), me)
	w.ok(err)
	w.is(r.ID, ledger.Superseded)
	_, err = w.db.Replace(w.ctx, r.ID, write("l", "m"), me)
	w.fails(err, ledger.ErrState)
	w.deliver(w.claims(second.ID)...)
	w.deliver(w.claims(b)...)
	if writes, _ := w.db.Depth("erp"); writes != 0 {
		w.Fatalf("%d writes are counted", writes)
	}
}

func replacedElsewhere(w *world) {
	a, b := w.add("l"), w.add("l")
	c := w.add("m")
	r, err := w.db.Replace(w.ctx, a, write("m"), me)
	w.ok(err)
	w.same("ready", r.Ready, false)
	w.deliver(w.claims(b, c)...)
	w.claims(r.ID)
}

func filtered(w *world) {
	var ids []string
	since := w.now()
	for i, wr := range []*ledger.Write{
		{System: "erp", App: "a", Operation: "create", Lanes: []string{"l"}, Correlation: "c1"},
		{System: "erp", App: "b", Operation: "update", Lanes: []string{"l", "m"}, Correlation: "c2"},
		{System: "wms", App: "a", Operation: "create", Lanes: []string{"l"}, Correlation: "c1"},
	} {
		ids = append(ids, w.append(wr).ID)
		if i == 0 {
			w.advance(time.Minute)
		}
	}
	w.settle(w.claims(ids[0])[0], ledger.Settlement{State: ledger.Delivered})
	w.settle(w.claims(ids[1])[0], dead)
	for _, c := range []struct {
		name   string
		filter ledger.Filter
		want   []int
	}{
		{"all", ledger.Filter{}, []int{2, 1, 0}},
		{"oldest", ledger.Filter{Oldest: true}, []int{0, 1, 2}},
		{"system", ledger.Filter{System: "erp"}, []int{1, 0}},
		{"app", ledger.Filter{App: "a"}, []int{2, 0}},
		{"operation", ledger.Filter{Operation: "create"}, []int{2, 0}},
		{"correlation", ledger.Filter{Correlation: "c1"}, []int{2, 0}},
		{"correlation and system", ledger.Filter{Correlation: "c1", System: "wms"}, []int{2}},
		{"lane, also past", ledger.Filter{Lane: "l", System: "erp"}, []int{1, 0}},
		{"another lane", ledger.Filter{Lane: "m", System: "erp"}, []int{1}},
		{"states", ledger.Filter{States: []ledger.State{ledger.Held, ledger.Delivered}}, []int{2, 0}},
		{"live of a system", ledger.Filter{System: "wms", States: []ledger.State{ledger.Held}}, []int{2}},
		{"dead", ledger.Filter{Dead: true}, []int{1}},
		{"dead of a system and app", ledger.Filter{Dead: true, System: "erp", App: "b"}, []int{1}},
		{"dead of another app", ledger.Filter{Dead: true, App: "a"}, nil},
		{"group", ledger.Filter{Group: dead.Group}, []int{1}},
		{"another group", ledger.Filter{Group: "x"}, nil},
		{"since", ledger.Filter{Since: since.Add(30 * time.Second)}, []int{2, 1}},
		{"until", ledger.Filter{Until: since.Add(30 * time.Second), App: "a"}, []int{0}},
	} {
		page, err := w.db.List(w.ctx, c.filter)
		w.ok(err)
		var got, want []string
		for _, r := range page.Writes {
			got = append(got, r.ID)
		}
		for _, i := range c.want {
			want = append(want, ids[i])
		}
		if !slices.Equal(got, want) || page.Next != "" {
			w.Errorf("%s: got %v and %q, want %v", c.name, got, page.Next, want)
		}
	}
}

func paged(w *world) {
	var ids []string
	for i := range 25 {
		wr := write()
		wr.App = fmt.Sprint("app", i%2)
		ids = append(ids, w.append(wr).ID)
	}
	for _, oldest := range []bool{false, true} {
		var got []string
		f := ledger.Filter{Limit: 10, Oldest: oldest}
		for pages := 1; ; pages++ {
			page, err := w.db.List(w.ctx, f)
			w.ok(err)
			for _, r := range page.Writes {
				got = append(got, r.ID)
			}
			if page.Next == "" {
				w.same("pages", pages, 3)
				break
			}
			f.After = page.Next
		}
		want := slices.Clone(ids)
		if !oldest {
			slices.Reverse(want)
		}
		if !slices.Equal(got, want) {
			w.Fatalf("oldest first %v: got %v, want %v", oldest, got, want)
		}
		_, err := w.db.List(w.ctx, ledger.Filter{After: f.After, Oldest: !oldest})
		w.fails(err, ledger.ErrInvalid)
	}
	page, err := w.db.List(w.ctx, ledger.Filter{Limit: 13, App: "app0"})
	w.ok(err)
	w.same("a full last page", []any{len(page.Writes), page.Next}, []any{13, ""})
}

func explained(w *world) {
	a, _, c := w.add("l"), w.add("l"), w.add("l", "m")
	w.ok(w.db.Pause(w.ctx, "erp", "m", me))
	w.settle(w.claims(a)[0], dead)
	x, err := w.db.Explain(w.ctx, c)
	w.ok(err)
	if len(x.Before) != 2 || x.Before[0] != (ledger.Ahead{Lane: "l", Head: a, HeadState: ledger.Refused, HeadDead: true, Writes: 2}) ||
		x.Before[1] != (ledger.Ahead{Lane: "m", Head: c, HeadState: ledger.Held, Paused: true}) || x.SystemPaused || x.Record.Blockers != 2 {
		w.Fatalf("explained as %+v", x)
	}
	w.classed(specs.Critical, "x")
	w.classed(specs.Low, "y")
	d := w.add("z")
	w.ok(w.db.Pause(w.ctx, "erp", "", me))
	x, err = w.db.Explain(w.ctx, d)
	w.ok(err)
	w.same("ahead", []any{x.Ahead, x.SystemPaused}, []any{1, true})
}

func counted(w *world) {
	first := w.classed(specs.High, "l")
	accepted := w.now()
	w.advance(time.Second)
	w.classed(specs.High, "l")
	w.classed(specs.Low, "m")
	other := w.classed(specs.Critical, "n")
	w.settle(w.claims(other, first, w.last())[1], ledger.Settlement{State: ledger.Doubtful})
	s, err := w.db.Stats(w.ctx, "erp")
	w.ok(err)
	high := s.Class[specs.High]
	w.same("high", []any{high.Writes, high.Doubtful, high.Dead, high.Bytes > 0, high.In > 0, high.Out}, []any{2, 1, 0, true, true, 0})
	if high.Oldest.Sub(accepted).Abs() > 500*time.Millisecond {
		w.Fatalf("the oldest is of %s, want %s", high.Oldest, accepted)
	}
	c := w.doubtful(1)[0]
	w.settle(c, dead)
	s, err = w.db.Stats(w.ctx, "erp")
	w.ok(err)
	w.same("then", []any{s.Class[specs.High].Writes, s.Class[specs.High].Dead, s.Class[specs.High].Out > 0, s.Class[specs.Normal]},
		[]any{1, 1, true, ledger.ClassStats{}})
	before := s
	w.reopen()
	s, err = w.db.Stats(w.ctx, "erp")
	w.ok(err)
	for c := range s.Class {
		s.Class[c].In, before.Class[c].In, before.Class[c].Out = 0, 0, 0
	}
	w.same("after a restart", s, before)
}

// last is the only write of class low.
func (w *world) last() string {
	page, err := w.db.List(w.ctx, ledger.Filter{})
	w.ok(err)
	for _, r := range page.Writes {
		if r.Class == specs.Low {
			return r.ID
		}
	}
	return ""
}

func watched(w *world) {
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	for _, db := range dbs {
		told := make(chan string, 100)
		stop := db.Watch(func(system string) { told <- system })
		deadline := time.After(20 * time.Second)
		for waiting := true; waiting; {
			w.add() // a listener may not have connected yet
			select {
			case system := <-told:
				w.same("told", system, "erp")
				waiting = false
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				w.Fatal("nobody was told")
			}
		}
		stop()
	}
}

func retained(w *world) {
	a, b := w.add("l"), w.add("m")
	kept := write("n")
	kept.Key, kept.KeepKey = "k", 100*time.Hour
	c := w.append(kept).ID
	list := w.claims(a, b, c)
	w.deliver(list[0], list[2])
	w.settle(list[1], dead)
	d := w.add("m")
	w.advance(time.Hour)
	var archived []*ledger.Record
	r := ledger.Retention{Settled: 30 * time.Minute, Dead: 30 * time.Minute, Audit: time.Minute, Archive: func(l []*ledger.Record) error {
		archived = append(archived, l...)
		return nil
	}}
	failing := r
	failing.Archive = func([]*ledger.Record) error { return errors.New("no room") }
	if _, err := w.db.Retain(w.ctx, failing); err == nil || err.Error() != "no room" {
		w.Fatal(err)
	}
	w.is(a, ledger.Delivered)
	n, err := w.db.Retain(w.ctx, r)
	w.ok(err)
	w.same("deleted", n, 1)
	if len(archived) != 1 || archived[0].ID != a || string(archived[0].Response) != "done" || len(archived[0].Timeline) != 2 {
		w.Fatalf("archived %+v", archived)
	}
	_, err = w.db.Get(w.ctx, a)
	w.fails(err, ledger.ErrNotFound)
	w.is(b, ledger.Refused) // it stops its lane
	w.is(c, ledger.Delivered)
	w.is(d, ledger.Held)
	w.ok(w.db.Discard(w.ctx, b, me))
	w.advance(200 * time.Hour)
	n, err = w.db.Retain(w.ctx, r)
	w.ok(err)
	w.same("deleted later", n, 2)
	audits, err := w.db.Audits(w.ctx, ledger.AuditFilter{Limit: 10})
	w.ok(err)
	w.same("audit rows", len(audits), 0)
	again, err := w.db.Append(w.ctx, kept)
	w.ok(err)
	if again.Existing != nil {
		w.Fatal("the key of a deleted write is still taken")
	}
	// What was measured by a number that was deleted is still measured.
	w.deliver(w.claims(d, again.ID)...)
	w.deliver(w.claims(w.numbered(7).ID)...)
	w.advance(200 * time.Hour)
	_, err = w.db.Retain(w.ctx, r)
	w.ok(err)
	w.same("late", w.numbered(6).Late, true)
}

func next(w *world) {
	at := func() time.Time {
		w.Helper()
		t, err := w.db.Next(w.ctx, "erp")
		w.ok(err)
		return t
	}
	w.add("l")
	w.same("nothing waits for time", at().IsZero(), true)
	wr := write("m")
	wr.NotBefore, wr.Expires = w.in(time.Hour), w.in(3*time.Hour)
	w.append(wr)
	w.same("not before", at().UnixMicro(), wr.NotBefore.UnixMicro())
	until := w.in(time.Minute)
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Doubtful, NotBefore: until})
	w.same("doubt", at().UnixMicro(), until.UnixMicro())
	w.advance(2 * time.Hour)
	w.deliver(w.doubtful(1)...)
	w.claim(1)
	w.same("sending", at().IsZero(), true)
}

func timeline(w *world) {
	a := w.add("l")
	w.advance(time.Second)
	c := w.claims(a)[0]
	w.advance(time.Second)
	w.settle(c, ledger.Settlement{State: ledger.Held, Attempt: true, Status: 503, Reason: "busy"})
	w.ok(w.db.Cancel(w.ctx, a, me))
	r := w.get(a)
	var got []string
	for _, s := range r.Timeline {
		got = append(got, fmt.Sprintf("%s %d %d %s/%s/%s %v", s.State, s.Attempt, s.Status, s.Replica, s.Actor, s.Reason, !s.Started.IsZero()))
	}
	w.same("steps", got, []string{"held 0 0 // false", "held 1 503 one//busy true", "cancelled 1 0 one/operator/because false"})
	s := r.Timeline[1]
	w.same("took", []any{s.At.Sub(s.Started).Round(time.Second), s.At.Sub(r.Accepted).Round(time.Second)}, []any{time.Second, 2 * time.Second})
	if r.Settled.IsZero() || r.Reason != me.Reason {
		w.Fatalf("settled %s, because %q", r.Settled, r.Reason)
	}
}

func closed(w *world) {
	a := w.add("l")
	c := w.claims(a)[0]
	w.ok(w.db.Err())
	w.ok(w.db.Close())
	_, err := w.db.Append(w.ctx, write())
	w.fails(err, ledger.ErrClosed)
	w.fails(w.db.Settle(w.ctx, c, ledger.Settlement{State: ledger.Delivered}), ledger.ErrClosed)
	w.fails(w.db.Err(), ledger.ErrClosed)
	_, err = w.db.Get(w.ctx, a)
	w.fails(err, ledger.ErrClosed)
	w.ok(w.db.Close())
	w.db = w.open("one")
	w.is(a, ledger.Sending)
	if !w.engine.Shared {
		_, err = ledger.Open(w.ctx, w.url, ledger.Options{})
		w.fails(err, ledger.ErrInUse)
	}
	_, err = ledger.Open(w.ctx, "redis://x", ledger.Options{})
	w.fails(err, ledger.ErrInvalid)
}

// backup copies a ledger while it is appended to, claimed from and settled,
// and looks what the copy holds.
func backup(w *world) {
	l := &load{world: w, appended: map[string]bool{}, delivered: map[string]bool{}, stop: make(chan struct{})}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { l.append(fmt.Sprint("l", i)) })
	}
	for range 2 {
		wg.Go(l.deliver)
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		if appended, delivered := l.done(); len(appended) > 40 && len(delivered) > 10 {
			break
		}
	}
	appended, delivered := l.done()
	url := w.copy()
	close(l.stop)
	wg.Wait()
	w.claim(2) // what is sending in the original is not so in the copy
	w.ok(w.db.Close())
	w.url = url
	w.advance(time.Hour) // in which the original went on
	w.db = w.open("one")
	for {
		n, err := w.db.Recover(w.ctx, time.Second, 0)
		w.ok(err)
		if n == 0 {
			break
		}
	}
	for id := range delivered {
		w.is(id, ledger.Delivered)
	}
	for id := range appended {
		if r := w.get(id); r.State != ledger.Delivered && r.State != ledger.Doubtful {
			w.Fatalf("%s is %s in the copy, and may have been delivered since", id, r.State)
		}
	}
	w.claims() // nothing is sent before it is asked for
	doubts, err := w.db.ClaimDoubtful(w.ctx, "erp", 50, time.Minute)
	w.ok(err)
	w.same("asked for while a request of the original may be running", len(doubts), 0)
	w.advance(time.Minute) // longer than any
	w.goesOn(l)
}

// goesOn asks for all doubts of a copy, and delivers what was not done in order.
func (w *world) goesOn(l *load) {
	for {
		doubts, err := w.db.ClaimDoubtful(w.ctx, "erp", 50, time.Minute)
		w.ok(err)
		if len(doubts) == 0 {
			break
		}
		for _, c := range doubts {
			w.settle(c, ledger.Settlement{State: ledger.Held, Reason: "it was not done"})
		}
	}
	last := map[string]int64{}
	for list := w.claim(10); len(list) > 0; list = w.claim(10) {
		if len(list) > 4 {
			w.Fatalf("%d writes of four lanes are sent at once", len(list))
		}
		for _, c := range list {
			if c.Seq <= last[c.Lanes[0]] {
				w.Fatal("the copy has lost the order of a lane")
			}
			last[c.Lanes[0]] = c.Seq
		}
		w.deliver(list...)
	}
	if id := w.add("new"); l.appended[id] {
		w.Fatal("a name was given twice")
	}
	w.reopen()
	w.same("held after the second opening", len(w.claim(10)), 1)
}

// load appends and delivers until it is told to stop, and keeps what was acknowledged.
type load struct {
	*world
	mu                  sync.Mutex
	appended, delivered map[string]bool
	stop                chan struct{}
}

func (l *load) over() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) note(in map[string]bool, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[id] = true
}

// done is what has been acknowledged until now.
func (l *load) done() (appended, delivered map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.appended), maps.Clone(l.delivered)
}

func (l *load) append(lane string) {
	for n := 0; n < 100 && !l.over(); n++ {
		r, err := l.db.Append(l.ctx, write(lane))
		if err != nil {
			l.Error(err)
			return
		}
		l.note(l.appended, r.ID)
	}
}

func (l *load) deliver() {
	for !l.over() {
		list, err := l.db.Claim(l.ctx, "erp", ledger.Room{Max: 2})
		if err != nil {
			l.Error(err)
			return
		}
		for _, c := range list {
			if err := l.db.Settle(l.ctx, c, ledger.Settlement{State: ledger.Delivered}); err != nil {
				l.Error(err)
				return
			}
			l.note(l.delivered, c.ID)
		}
	}
}

// copy copies the ledger, and gives the url of the copy.
func (w *world) copy() string {
	w.Helper()
	path := w.TempDir() + "/copy.db"
	if w.engine.Copy != nil {
		w.fails(w.db.Backup(w.ctx, path), ledger.ErrUnsupported)
		w.fails(ledger.Backup(w.ctx, w.url, path), ledger.ErrUnsupported)
		return w.engine.Copy(w, w.url)
	}
	w.ok(w.db.Backup(w.ctx, path))
	w.fails(w.db.Backup(w.ctx, path), ledger.ErrInvalid)
	w.ok(ledger.Backup(w.ctx, w.url, path+"2"))
	return "sqlite:" + path
}

// concurrent lets several replicas append, claim and settle at the same time.
func concurrent(w *world) {
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	const writers, each, lanes = 12, 40, 7
	j := &journal{under: map[string]string{}, last: map[string]int64{}, done: map[string]int{}}
	var wg, workers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 6 {
		workers.Go(func() { j.work(w, dbs[i%len(dbs)], stop) })
	}
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				wr := write(fmt.Sprint("l", (i+n)%lanes))
				if n%3 == 0 {
					wr.Lanes = append(wr.Lanes, fmt.Sprint("l", (i+2*n+1)%lanes))
				}
				wr.Class = specs.Class(n % 4)
				wr.Hand = n%4 == 1
				db := dbs[i%len(dbs)]
				r, err := db.Append(w.ctx, wr)
				if err != nil {
					w.Error(err)
					return
				}
				if r.Claimed != nil {
					j.send(w, db, r.Claimed, n)
				}
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(40 * time.Second); j.count() < writers*each && time.Now().Before(end) && !w.Failed(); {
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	workers.Wait()
	if n := j.count(); n != writers*each {
		w.Fatalf("%d of %d writes were delivered", n, writers*each)
	}
	for id, n := range j.done {
		if n != 1 {
			w.Errorf("write %s was delivered %d times", id, n)
		}
	}
}

// journal watches what is with the system, lane by lane.
type journal struct {
	mu    sync.Mutex
	under map[string]string // by lane: the write that is with the system
	last  map[string]int64
	done  map[string]int
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.done)
}

func (j *journal) work(w *world, db *ledger.DB, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		list, err := db.Claim(w.ctx, "erp", ledger.Room{Max: 4})
		if err != nil {
			w.Error(err)
			return
		}
		for _, c := range list {
			j.send(w, db, c, n)
		}
		if len(list) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// send does what a claim stands for, sometimes in a second go only.
func (j *journal) send(w *world, db *ledger.DB, c *ledger.Claimed, n int) {
	j.mu.Lock()
	for _, lane := range c.Lanes {
		if other := j.under[lane]; other != "" {
			w.Errorf("%s and %s of lane %s are with the system at the same time", other, c.ID, lane)
		}
		if j.last[lane] > c.Seq {
			w.Errorf("lane %s: %d is sent after %d", lane, c.Seq, j.last[lane])
		}
		j.under[lane], j.last[lane] = c.ID, c.Seq
	}
	again := n%5 == 0 && c.Sendings == 1
	if !again {
		j.done[c.ID]++
	}
	for _, lane := range c.Lanes {
		delete(j.under, lane)
	}
	j.mu.Unlock()
	s := ledger.Settlement{State: ledger.Delivered, Attempt: true}
	if again {
		s.State = ledger.Held
	}
	if err := db.Settle(w.ctx, c, s); err != nil {
		w.Errorf("settling %s: %v", c.ID, err)
	}
}
