package sim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a sort of system that can be simulated.
type Kind struct {
	Name, Doc string
	build     func(*Server, Options)
	latency   time.Duration
	jitter    time.Duration
}

// Kinds lists what can be simulated.
func Kinds() []Kind {
	const ms = time.Millisecond
	return []Kind{
		{"crm", "customer relations over plain REST: accounts and activities", crm, 5 * ms, 25 * ms},
		{"netsuite", "ERP with NetSuite's account concurrency and record API: orders, invoices, items, customers, vendors", netsuite, 40 * ms, 80 * ms},
		{"dataverse", "CRM with Dataverse's service protection limits: accounts, sales orders", dataverse, 30 * ms, 50 * ms},
		{"wms", "warehouse management: stock levels and adjustments", wms, 5 * ms, 25 * ms},
		{"tms", "transport management: shipments and milestones", tms, 5 * ms, 25 * ms},
		{"business-central", "Dynamics 365 Business Central: a line of 5 and 95, 6000 calls in 5 minutes", businessCentral, 40 * ms, 80 * ms},
		{"dynamics365-fno", "Dynamics 365 Finance & Operations: an unpublished limit by resources", fno, 40 * ms, 80 * ms},
		{"salesforce", "Salesforce: 25 calls of 20 s and more, a rolling day", salesforce, 40 * ms, 80 * ms},
		{"sap-s4hana", "SAP S/4HANA: tokens, versions, repeatable requests, 503 under load", s4hana, 40 * ms, 80 * ms},
		{"sap-api-management", "SAP API Management: spike arrest and quota", apiManagement, 20 * ms, 40 * ms},
		{"sap-btp-token", "SAP BTP's token endpoint: 60 a second, then a queue", btpToken, 10 * ms, 20 * ms},
		{"sap-business-one", "SAP Business One Service Layer: sessions at nodes, 502 under load", businessOne, 40 * ms, 80 * ms},
		{"acumatica", "Acumatica: a line, a delay from half of the calls a minute, sessions", acumatica, 40 * ms, 80 * ms},
		{"sage-intacct", "Sage Intacct: 2 long calls at once, transactions that are billed", intacct, 60 * ms, 90 * ms},
		{"quickbooks-online", "QuickBooks Online: five limits by realm and app", quickbooks, 40 * ms, 80 * ms},
		{"xero", "Xero: 5 at once, 60 a minute, 5000 a day, 10 000 a minute for the app", xero, 40 * ms, 80 * ms},
		{"shopify-rest", "Shopify's REST API: a leaky bucket of 40 at 2 a second", shopifyREST, 30 * ms, 50 * ms},
		{"shopify-graphql", "Shopify's GraphQL API: points with refund", shopifyGraphQL, 30 * ms, 50 * ms},
		{"amazon-sp-api", "Amazon's Selling Partner API: a token bucket for each operation", amazon, 40 * ms, 80 * ms},
		{"frappe", "ERPNext on Frappe: execution time by the hour, charged after the answer", frappe, 40 * ms, 80 * ms},
		{"odoo", "Odoo Online: one worker, one call a second for a database", odoo, 40 * ms, 80 * ms},
		{"oracle-fusion", "Oracle Fusion Cloud ERP: an unpublished limit", oracleFusion, 60 * ms, 90 * ms},
		{"workday", "Workday: an unpublished limit", workday, 60 * ms, 90 * ms},
		{"manhattan", "Manhattan Active Warehouse: an hourly number, in which its own pages count", manhattan, 40 * ms, 80 * ms},
		{"generic", "a system with the limits that are given: at once, and within a window", generic, 5 * ms, 25 * ms},
	}
}

// Server simulates one system. It is an http.Handler, safe for concurrent use,
// and keeps everything in memory.
type Server struct {
	kind Kind
	mux  *http.ServeMux

	// What a kind sets when it is built.

	// limits are the kind's own, in the order in which the vendor looks at them.
	limits []*limit
	// failure is an error in the vendor's own envelope.
	failure func(status int, text string) answer
	// prepare looks at a call before it is counted, with the lock held.
	prepare func(*visit)
	// gate refuses a call that has come in, for want of a session for example.
	gate func(*visit) *answer
	// finish may add to an answer what the limits say after the call.
	finish func(*visit, *answer)
	// fresh makes the kind's own state as it was at first.
	fresh func()
	// weighs tells that the cost of a call stands in its body; points is what it is otherwise.
	weighs bool
	points float64
	// longest is how long a call may work, timeout the answer to one that takes longer.
	longest time.Duration
	timeout func(*visit) answer

	// latency and jitter are set once.
	latency, jitter time.Duration
	seed            uint64

	mu     sync.Mutex
	random *rand.Rand
	data   *data
	faults []*Fault
	report Report
	mark   marker
	last   *visit

	closing sync.Once
	closed  chan struct{}
	under   sync.WaitGroup // foreign calls
}

// answer is what a handler or a limit gives. A text is sent as it is, anything else as JSON.
type answer struct {
	status int
	header http.Header
	body   any
	// idle tells that nothing was changed, whatever the method says.
	idle bool
}

// handler does a call's work, with the server's lock held.
type handler func(s *Server, r *http.Request, body map[string]any) answer

// New makes a simulator of the named kind. Where it sends foreign traffic, Close ends that.
func New(kind string, o Options) (*Server, error) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		return nil, fmt.Errorf("there is no simulator %q; one of %s", kind, strings.Join(names, ", "))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	s := &Server{
		kind: kinds[i], latency: kinds[i].latency, jitter: kinds[i].jitter, seed: o.Seed,
		mux: http.NewServeMux(), data: &data{}, points: 1, closed: make(chan struct{}),
		failure: plain, prepare: func(*visit) {}, gate: func(*visit) *answer { return nil },
		finish: func(*visit, *answer) {}, fresh: func() {},
	}
	if o.Latency > 0 || o.Jitter > 0 {
		s.latency, s.jitter = o.Latency, o.Jitter
	}
	s.build(o)
	s.reset()
	s.begin(o.Foreign)
	return s, nil
}

// build sets up the surface and the limits.
func (s *Server) build(o Options) {
	s.mux.HandleFunc("POST /_sim/faults", s.addFault)
	s.mux.HandleFunc("DELETE /_sim/faults", s.clearFaults)
	s.mux.HandleFunc("GET /_sim/report", s.getReport)
	s.mux.HandleFunc("POST /_sim/mark", s.postMark)
	s.mux.HandleFunc("POST /_sim/reset", s.resetAll)
	s.mux.HandleFunc("/_sim/", http.NotFound)
	s.kind.build(s, o)
	s.serveAny()
	s.handle("/", func(s *Server, r *http.Request, _ map[string]any) answer {
		return s.failure(http.StatusNotFound, "there is no such resource")
	})
	for _, l := range s.limits {
		l.mu, l.meters = &s.mu, map[string]meter{}
	}
}

// begin lets the foreign traffic in: calls, or places held where only what is
// under way at once is limited.
func (s *Server) begin(foreign float64) {
	rated := slices.ContainsFunc(s.limits, func(l *limit) bool { return l.window > 0 })
	switch {
	case foreign == 0:
	case rated:
		s.under.Go(func() { s.flow(foreign) })
	default:
		for _, l := range s.limits {
			l.held = int(foreign)
		}
	}
}

// reset brings the first state back, with the lock held. What is under way stays under way.
func (s *Server) reset() {
	s.random = rand.New(rand.NewPCG(s.seed, 1))
	*s.data = *seed(rand.New(rand.NewPCG(s.seed, 2)))
	s.faults = nil
	s.report = Report{Kind: s.kind.Name, Operations: map[string]int{}, InFlight: s.report.InFlight}
	now := time.Now()
	for _, l := range s.limits {
		l.tally = tally{}
		l.busy = gauge{n: l.busy.n, last: now}
		for _, m := range l.meters {
			m.clear()
		}
	}
	s.setMark(now)
	s.fresh()
}

// handle registers a call of the system.
func (s *Server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.call(w, r, pattern, h) })
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// maxBody bounds what a call may send.
const maxBody = 1 << 20

// call counts a call as it arrives, refuses it as the vendor would, lets it
// take its time, does its work and answers; faults come in between. A call
// whose cost stands in its body arrives when its body is there.
func (s *Server) call(w http.ResponseWriter, r *http.Request, operation string, h handler) {
	v := &visit{r: r, operation: operation, elements: 1, points: s.points, actual: s.points}
	var body map[string]any
	var bad error
	if s.weighs {
		if body, bad = read(r); bad == nil {
			v.weigh(body)
		}
	}
	fault, refused, wait := s.arrive(v)
	defer s.leave(v)
	if fault.is("drop-request") || fault.is("down") {
		s.leave(v)
		cut(w)
	}
	if refused == nil {
		refused = s.await(v)
	}
	if refused != nil {
		s.answer(w, v, *refused)
		return
	}
	if !s.weighs {
		body, bad = read(r)
	}
	if bad != nil {
		s.answer(w, v, s.failure(http.StatusBadRequest, bad.Error()))
		return
	}
	// A real system goes on working when its caller has left.
	if wait += v.place.delay; s.longest > 0 && wait-v.place.delay > s.longest {
		time.Sleep(s.longest)
		s.answer(w, v, s.timeout(v))
		return
	}
	time.Sleep(wait)
	if fault.is("error") {
		s.answer(w, v, s.failure(fault.Status, "a fault on command"))
		return
	}
	result := s.work(h, v, body)
	if fault.is("drop-reply") {
		cut(w)
	}
	write(w, result)
}

// work does what a call asks for, alone. Afterwards the call counts as answered.
func (s *Server) work(h handler, v *visit, body map[string]any) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var result answer
	if refused := s.gate(v); refused != nil {
		result = *refused
	} else {
		result = h(s, v.r, body)
	}
	if result.status < 300 && v.r.Method != http.MethodGet && v.r.Method != http.MethodHead && !result.idle {
		s.report.Effects++
	}
	return s.ended(v, result)
}

// answer ends a call that did no work. The call stops to count before its
// answer can be read: who has it may send the next call.
func (s *Server) answer(w http.ResponseWriter, v *visit, a answer) {
	s.mu.Lock()
	a = s.ended(v, a)
	s.mu.Unlock()
	write(w, a)
}

// ended settles a call, with the lock held, and completes its answer.
func (s *Server) ended(v *visit, a answer) answer {
	s.depart(v)
	if a.header == nil {
		a.header = http.Header{}
	}
	s.finish(v, &a)
	return a.rendered()
}

// leave ends a call, however it went.
func (s *Server) leave(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.depart(v)
}

func (s *Server) depart(v *visit) {
	if v.left {
		return
	}
	v.left = true
	now := time.Now()
	s.report.InFlight--
	s.settle(v, now, false)
	if v.admitted {
		s.mark.latencies.add(now.Sub(v.at))
	}
}

// arrive counts the call and decides what becomes of it.
func (s *Server) arrive(v *visit) (fault *Fault, refused *answer, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.at = time.Now()
	s.report.arrived(v.operation, v.at)
	fault = s.matchFault(v.r, v.at)
	if fault.is("drop-request") || fault.is("down") {
		return fault, nil, 0
	}
	s.prepare(v)
	s.last = &visit{r: v.r, operation: v.operation, node: v.node, plan: v.plan}
	if fault.is("overload") {
		refused = s.overloaded(v)
	} else if refused = s.admit(v); refused != nil {
		s.report.Violations++
	}
	if refused != nil {
		s.report.Refused++
		return fault, refused, 0
	}
	wait = s.pause()
	if fault.is("slow") {
		wait += time.Duration(fault.LatencyMS) * time.Millisecond
	}
	return fault, nil, wait
}

// pause is how long a call works.
func (s *Server) pause() time.Duration {
	if s.jitter <= 0 {
		return s.latency
	}
	return s.latency + time.Duration(s.random.Int64N(int64(s.jitter)))
}

// await lets a call stand in the vendor's line. Its patience may run out.
func (s *Server) await(v *visit) *answer {
	t := v.place.turn
	if t == nil {
		return nil
	}
	var closed chan struct{}
	if v.foreign {
		closed = s.closed
	}
	timer := time.NewTimer(t.line.patience)
	defer timer.Stop()
	select {
	case <-t.ready:
		return nil
	case <-timer.C:
	case <-closed:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.abandon() {
		return nil
	}
	s.settle(v, time.Now(), true)
	v.admitted = false
	if !v.foreign {
		v.waitsFor.violations++
		s.report.Violations++
		s.report.Refused++
	}
	a := v.waitsFor.late(v)
	return &a
}

// overloaded is the refusal that the vendor would give under full load.
func (s *Server) overloaded(v *visit) *answer {
	a := plain(http.StatusTooManyRequests, "too many requests")
	if len(s.limits) > 0 {
		l := s.limits[0]
		a = l.refuse(v, refusal{l, l.key(v), v.at, time.Second})
	}
	return &a
}
