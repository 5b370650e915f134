package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// crowd has many callers at once, and counts at Tryton's door.
func (x *test) crowd() {
	x.title("A crowd: the system's limits hold")
	r, err := startRelay("http://" + x.tryton.address())
	if !x.that("a relay counts before Tryton", err) {
		return
	}
	defer r.close()
	direct := "http://" + x.tryton.address()
	if !x.that("the running gateway takes over a changed address", x.headrace.reload(x.ctx, "systems/tryton.yaml", direct, r.url)) {
		return
	}
	x.readers(r)
	x.confirmers(r)
	x.outside(r)
	x.that("the address is changed back", x.headrace.reload(x.ctx, "systems/tryton.yaml", r.url, direct))
	r.reset()
	x.that("and calls go past the relay again", all(x.shop.get(x.ctx, "/stock/v1/warehouses").is(200), same("calls at the relay", r.saw().calls[""], 0)))
}

// readers are 16 callers who read at once: each gets its answer, and Tryton
// never sees more calls under way than its limit says.
func (x *test) readers(r *relay) {
	const callers, each = 16, 5
	r.reset()
	started := time.Now()
	errs := x.together(callers*each, callers, func(i int) error {
		var p page[product]
		return all(x.shop.get(x.ctx, fmt.Sprintf("/products/v1/products?offset=%d", i)).into(200, &p), same("products", len(p.Items), 20))
	})
	took := time.Since(started)
	x.that(fmt.Sprintf("%d callers at once get all of %d answers", callers, callers*each), all(errs...))
	seen := r.saw()
	x.that("Tryton never had more than its limit under way, and no less", same("calls under way at most", seen.peak[""], concurrency))
	x.that("every read was one call", same("searches", seen.calls["model.product.product.search_read"], callers*each))
	x.figure("tryton-peak-concurrency", seen.peak[""], "calls")
	x.figure("tryton-reads-per-second", fmt.Sprintf("%.1f", callers*each/took.Seconds()), "calls/s")
}

// concurrency is the capacity of the pool of that name in systems/tryton.yaml.
const concurrency = 2

// confirmers confirm sales of a customer whose every confirmation locks whole
// tables in Tryton: without a pool of one most of them would fail.
func (x *test) confirmers(r *relay) {
	const sales = 6
	var found page[party]
	err := x.shop.get(x.ctx, "/parties/v1/parties?code=CCHECK").into(200, &found)
	if !x.that("a customer whose confirmations take table locks", all(err, same("found", len(found.Items), 1))) {
		return
	}
	c := found.Items[0]
	ids := make([]int, sales)
	errs := x.together(sales, 1, func(i int) error {
		o := x.order(fmt.Sprintf("CROWD-%d", i), 1)
		o.PartyID, o.InvoiceAddressID, o.ShipmentAddressID = c.ID, c.Addresses[0].ID, c.Addresses[0].ID
		s, err := x.quotation(o)
		ids[i] = s.ID
		return err
	})
	x.that(fmt.Sprintf("%d quotations for them", sales), all(errs...))
	r.reset()
	errs = x.together(sales, sales, func(i int) error {
		a := x.shop.post(x.ctx, fmt.Sprintf("/sales/v1/sales/%d/confirm", ids[i]), nil)
		if a.status == 202 {
			return x.done(a)
		}
		return a.is(200)
	})
	x.that("confirmed all at once: all succeed, at once or later", all(errs...))
	x.that("because Tryton gets one after the other", same("confirmations under way at most", r.saw().peak["model.sale.sale.confirm"], 1))
}

// outside makes calls that headrace refuses by itself.
func (x *test) outside(r *relay) {
	r.reset()
	x.that("no key, a bad body, a bad parameter, an unknown path", all(
		x.shop.as("").get(x.ctx, "/stock/v1/warehouses").is(401),
		x.shop.post(x.ctx, "/sales/v1/sales", `{}`).is(422),
		x.shop.get(x.ctx, "/stock/v1/warehouses?limit=0").is(400),
		x.shop.get(x.ctx, "/stock/v2/warehouses").is(404)))
	x.that("never reach Tryton", same("calls at the relay", r.saw().calls[""], 0))
}

// together runs n jobs in a number of goroutines.
func (x *test) together(n, workers int, job func(i int) error) []error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				errs[i] = job(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return errs
}

// changes edits the workspace of the running gateway.
func (x *test) changes() {
	x.title("Changes: the workspace is followed")
	faults, err := x.headrace.metric("headrace_response_violations_total")
	x.that("no answer has broken its document so far", all(err, same("violations", faults, 0)))
	x.that("a document is changed so that answers break it", x.headrace.reload(x.ctx, "apis/stock/1.0.0/openapi.yaml", "required: [warehouseId, code, name]", "required: [warehouseId, code, name, manager]"))
	x.that("callers still get them", x.shop.get(x.ctx, "/stock/v1/warehouses").is(200))
	faults, err = x.headrace.metric("headrace_response_violations_total")
	x.that("and the metrics tell", all(err, truth(faults > 0, "there are no violations")))
	x.that("it is changed back", x.headrace.reload(x.ctx, "apis/stock/1.0.0/openapi.yaml", ", manager]", "]"))

	x.that("a fault gets into the system's file", x.headrace.replace("systems/tryton.yaml", "keep_alive: false", "keep_alife: false"))
	x.that("the log says where it is and what would be right", until(x.ctx, 10*time.Second, func() error {
		log := x.headrace.log.String()
		return all(truth(strings.Contains(log, "systems/tryton.yaml:") && strings.Contains(log, "keep_alive"), "the log does not name it"),
			truth(strings.Contains(log, "the old configuration goes on"), "the log does not say that the old one goes on"))
	}))
	x.that("and the old configuration goes on", x.shop.get(x.ctx, "/stock/v1/warehouses").is(200))
	x.that("the fault is mended", x.headrace.reload(x.ctx, "systems/tryton.yaml", "keep_alife: false", "keep_alive: false"))
}

// lostSession takes all sessions away from Tryton, as a restart of a cluster
// or an administrator may.
func (x *test) lostSession() {
	x.title("Trouble: the session is gone")
	_, err := x.tryton.sql(x.ctx, "delete from ir_session")
	x.that("all sessions are deleted", err)
	errs := x.together(8, 8, func(int) error { return x.shop.get(x.ctx, "/stock/v1/warehouses").is(200) })
	x.that("eight callers at once do not notice", all(errs...))
	n, err := x.tryton.sql(x.ctx, "select count(*) from ir_session")
	x.that("there was one log-in for all of them", all(err, same("sessions", n, "1")))
	again, err := x.tryton.newAuditor(x.ctx)
	if x.that("the auditor logs in again", err) {
		x.auditor = again
	}
}

// noDatabase ends PostgreSQL: Tryton answers, with status 200, that it cannot.
func (x *test) noDatabase() {
	x.title("Trouble: the database is gone")
	if !x.that("PostgreSQL is ended", x.tryton.stopDatabase()) {
		return
	}
	a := x.shop.get(x.ctx, "/stock/v1/warehouses")
	_, err := a.refused(503, "system-unavailable")
	x.that("Tryton's 200 with an error is a 503 that says when to come back", all(err, a.patience()))
	x.that("and keeps Tryton's inner life to itself", x.discreet(a))
	held := x.place(x.order("DB-DOWN", 1), "Prefer", "wait=2")
	x.that("an order is kept, not lost", x.kept(held))
	x.that("PostgreSQL is started again", x.tryton.restart(x.ctx))
	x.recovers("database")
	x.that("and the order that was kept is done", x.done(held))
}

// discreet checks that a refusal holds nothing of the machine behind it.
func (x *test) discreet(a *answer) error {
	var errs []error
	for _, secret := range []string{x.tryton.facts["TRYTON_DIR"], "PGSQL", "psycopg", "socket", x.tryton.facts["TRYTON_PASSWORD"]} {
		errs = append(errs, truth(!holds(a.body, secret), "it says %q", secret))
	}
	return all(errs...)
}

// recovers waits until reads work again, and sees to it that an order does.
func (x *test) recovers(from string) {
	started := time.Now()
	x.that("reads work again without a restart of headrace", until(x.ctx, 60*time.Second, func() error {
		return x.shop.get(x.ctx, "/stock/v1/warehouses").is(200)
	}))
	x.figure("tryton-recovery-"+from+"-ms", milliseconds(time.Since(started)), "ms")
	x.orders++
	s, err := x.quotation(x.order(fmt.Sprintf("AFTER-%d", x.orders), 1))
	x.that("and an order does", all(err, same("the state", s.State, "quotation")))
}

// noAnswer freezes the web server: what arrives is taken in and not answered.
func (x *test) noAnswer() {
	x.title("Trouble: Tryton does not answer")
	if !x.that("the gateway takes over shorter timeouts", all(
		x.headrace.reload(x.ctx, "apis/stock/1.0.0/openapi.yaml", "timeout: 15s", "timeout: 2s"),
		x.headrace.reload(x.ctx, "apis/sales/1.0.0/openapi.yaml", "timeout: 30s", "timeout: 3s"))) {
		return
	}
	if !x.that("Tryton is frozen", x.tryton.freeze(syscall.SIGSTOP)) {
		return
	}
	defer x.tryton.freeze(syscall.SIGCONT) // nothing frozen is left behind, whatever happens
	a := x.shop.get(x.ctx, "/stock/v1/warehouses")
	_, err := a.refused(504, "system-timeout")
	x.that("a read ends with a 504, after its timeout", all(err, truth(a.took >= 2*time.Second && a.took < 5*time.Second, "after %s", a.took)))
	frozen := x.place(x.order("FROZEN-1", 1), "Prefer", "wait=5")
	x.that("an order, whose fate nobody knows, is kept", x.kept(frozen))
	a = x.shop.call(x.ctx, http.MethodGet, "/stock/v1/warehouses", nil, "Prefer", "wait=0")
	p, err := a.refused(503, "saturated")
	x.that("both calls still count, so that a caller who does not wait is told which limit has no room", all(err, a.patience(),
		truth(p != nil && p.Pool == "concurrency", "it is %+v", p), truth(a.took < time.Second, "it took %s", a.took)))
	x.that("Tryton is thawed", x.tryton.freeze(syscall.SIGCONT))
	x.recovers("freeze")
	x.that("the gateway finds out what became of the order, and sees that it is done", x.done(frozen))
	x.that("the timeouts are as they were", all(
		x.headrace.reload(x.ctx, "apis/stock/1.0.0/openapi.yaml", "timeout: 2s", "timeout: 15s"),
		x.headrace.reload(x.ctx, "apis/sales/1.0.0/openapi.yaml", "timeout: 3s", "timeout: 30s")))
}

// noServer ends the web server: connections are refused.
func (x *test) noServer() {
	x.title("Trouble: Tryton is down")
	if !x.that("Tryton's web server is ended", x.tryton.stopFront(x.ctx)) {
		return
	}
	a := x.shop.get(x.ctx, "/stock/v1/warehouses")
	_, err := a.refused(503, "system-unavailable")
	x.that("a read is a 503 that says when to come back", all(err, a.patience()))
	held := x.place(x.order("DOWN-1", 1), "Prefer", "wait=2")
	x.that("an order is kept, not lost", x.kept(held))
	for range 20 {
		a = x.shop.get(x.ctx, "/stock/v1/warehouses")
	}
	_, err = a.refused(503, "system-unavailable")
	x.that("after many the circuit is open: refused at once", all(err, a.patience(), truth(a.took < 500*time.Millisecond, "it took %s", a.took)))
	x.that("and the log says so", until(x.ctx, 5*time.Second, func() error {
		return truth(strings.Contains(x.headrace.log.String(), `"system":"tryton","from":"closed","to":"open"`), "it does not")
	}))
	_, err = x.shop.as("").get(x.ctx, "/stock/v1/warehouses").refused(401, "unauthenticated")
	x.that("who may not call is told so all the same", err)
	x.that("headrace itself is well", x.headrace.status("/healthz"))
	x.that("Tryton is started again", x.tryton.restart(x.ctx))
	x.recovers("server")
	x.that("the order that was kept is done", x.done(held))
}

// kept checks that a write was taken over and has an address.
func (x *test) kept(a *answer) error {
	return all(a.is(202), truth(strings.HasPrefix(a.header.Get("Location"), "/writes/"), "the location is %q", a.header.Get("Location")))
}

// done waits until a write that was kept has been done.
func (x *test) done(a *answer) error {
	return until(x.ctx, 90*time.Second, func() error {
		b := x.shop.get(x.ctx, a.header.Get("Location"))
		return all(b.is(200), truth(holds(b.body, `"state":"delivered"`), "it is %.300s", b.body))
	})
}
