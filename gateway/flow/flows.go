package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// Observer measures what becomes of runs.
type Observer interface {
	// RunBegan tells of a run that was kept.
	RunBegan(operation string)
	// RunEnded tells of a run that this process has brought to an end, or left to
	// a person; took is the time since it was accepted.
	RunEnded(operation, state string, took time.Duration)
	// RunTaken tells of a run that this process goes on with after another one,
	// or itself, had let go of it.
	RunTaken(operation string)
}

// Options set up Flows.
type Options struct {
	// Ledger keeps the runs, Buffer sends their writes. Without a ledger flows are only compiled.
	Ledger *ledger.DB
	Buffer *buffer.Buffer
	Log    *slog.Logger
	// Observer may be nil.
	Observer Observer
	// Lease is how long a claim of a run is valid without being renewed; that of
	// the buffer when zero.
	Lease time.Duration
	// Look is how often runs are looked for without being told; 2 s when zero.
	Look time.Duration
	// Linger is how long a run that nobody waits for stays in memory while it
	// waits; 2 s when zero.
	Linger time.Duration
	// Backoff is the pause before a compensation is tried again, which grows; 1 s
	// when zero.
	Backoff time.Duration
	// Parallel is how many steps of a workflow are under way at a time; 8 when zero.
	Parallel int
	// Most is how many runs are claimed at a time; 256 when zero.
	Most int
}

// Flows carries runs on. It lives as long as the process; every table gets a
// Set of it. It is safe for concurrent use.
type Flows struct {
	options Options
	ledger  *ledger.DB
	log     *slog.Logger
	current atomic.Pointer[Set]
	keys    atomic.Int64 // how long idempotency keys are kept

	ctx   context.Context // ends when it drains
	drain context.CancelFunc
	// given ends what still tries to keep something when the time for it is over.
	given  context.Context
	giveUp context.CancelFunc
	wake   chan struct{}

	start     sync.Once
	stopWatch func()
	running   sync.WaitGroup // the loops
	carrying  sync.WaitGroup // runs

	mu       sync.Mutex
	shelf    shelf
	live     map[string]*run             // by ID
	known    map[string]*arazzo.Document // by hash, of this table and earlier ones
	kept     map[string]bool             // hashes whose documents are in the ledger
	draining atomic.Bool
}

// New makes Flows. Nothing is carried on before Use.
func New(o Options) *Flows {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.Lease, buffer.DefaultLease)
	set(&o.Look, 2*time.Second)
	set(&o.Linger, 2*time.Second)
	set(&o.Backoff, time.Second)
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.Most == 0 {
		o.Most = 256
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Flows{options: o, ledger: o.Ledger, log: o.Log, wake: make(chan struct{}, 1), live: map[string]*run{}, known: map[string]*arazzo.Document{}, kept: map[string]bool{}}
	f.keys.Store(int64(buffer.DefaultSettings.KeyLifetime))
	f.ctx, f.drain = context.WithCancel(context.Background())
	f.given, f.giveUp = context.WithCancel(context.Background())
	return f
}

// Configure changes how long idempotency keys are kept.
func (f *Flows) Configure(keys time.Duration) { f.keys.Store(int64(keys)) }

// Use makes flows go by a table from now on. The first call begins to carry on
// the runs that others have left.
func (f *Flows) Use(s *Set) {
	f.mu.Lock()
	for hash, d := range s.documents {
		f.known[hash] = d
	}
	f.mu.Unlock()
	f.current.Store(s)
	if f.ledger == nil {
		return
	}
	f.start.Do(func() {
		f.stopWatch = f.ledger.WatchRuns(f.wakeUp)
		f.running.Go(f.claim)
		f.running.Go(f.renew)
	})
	f.wakeUp()
}

func (f *Flows) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// use is a set that is kept from being let go of.
type use struct {
	*Set
	once sync.Once
}

func (u *use) release() { u.once.Do(u.buffer.Release) }

// acquire gives the set that flows go by; it must be released.
func (f *Flows) acquire() (*use, error) {
	for {
		s := f.current.Load()
		if s != nil && s.buffer.Acquire() {
			return &use{Set: s}, nil
		}
		if s == nil || f.current.Load() == s {
			return nil, &gateway.Error{Problem: gateway.NotReady}
		}
	}
}

// claim takes runs that nobody carries on, as long as it does not drain.
func (f *Flows) claim() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		timer.Reset(f.claimSome())
	}
}

// claimSome claims what there is room for, and tells when to look again.
func (f *Flows) claimSome() time.Duration {
	f.mu.Lock()
	room := min(64, f.options.Most-len(f.live))
	f.mu.Unlock()
	if room <= 0 || f.current.Load() == nil {
		return f.options.Look
	}
	ctx, cancel := context.WithTimeout(f.ctx, 30*time.Second)
	defer cancel()
	claims, err := f.ledger.ClaimRuns(ctx, room, f.options.Lease)
	if err != nil {
		if f.ctx.Err() == nil {
			f.log.Warn("the ledger gives no runs", "error", err)
		}
		return f.options.Look
	}
	for _, c := range claims {
		f.resume(c)
	}
	if len(claims) == room {
		return 0
	}
	return f.options.Look
}

// resume goes on with a run.
func (f *Flows) resume(c *ledger.RunClaim) {
	r := &run{flows: f, claim: c, over: map[string]flowOver{}}
	if !f.enter(r) {
		return // it is found again when the lease is over, or by who comes next
	}
	if f.options.Observer != nil {
		f.options.Observer.RunTaken(c.Operation)
	}
	go f.carry(r, func() error {
		steps, err := f.ledger.StepsOf(r.ctx, c)
		if err != nil {
			return err
		}
		r.made = len(steps)
		if err := r.journal.read(steps); err != nil {
			return &stuck{cause: "unreadable", reason: err.Error()}
		}
		if r.request, err = decodeRequest(c.Request); err != nil {
			return &stuck{cause: "unreadable", reason: err.Error()}
		}
		return f.pin(r)
	})
}

// pin finds the workflow that a run began with.
func (f *Flows) pin(r *run) error {
	c := r.claim
	f.mu.Lock()
	d := f.known[c.Flow]
	f.mu.Unlock()
	if d == nil {
		var err error
		if d, err = f.old(r.ctx, c); err != nil {
			return err
		}
	}
	if r.workflow = d.Workflow(c.Workflow); r.workflow == nil {
		return &stuck{cause: "flow gone", reason: fmt.Sprintf("the flow has no workflow %q", c.Workflow)}
	}
	r.status = http.StatusOK
	if s := f.current.Load(); s != nil {
		if e := s.entries[c.Operation]; e != nil {
			r.status = e.usual
		}
	}
	return nil
}

// old compiles a document that no table has any more.
func (f *Flows) old(ctx context.Context, c *ledger.RunClaim) (*arazzo.Document, error) {
	data, err := f.ledger.Flow(ctx, c.Flow)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, &stuck{cause: "flow gone", reason: "the flow that the run began with was not kept"}
	case err != nil:
		return nil, err
	}
	set, err := f.acquire()
	if err != nil {
		return nil, err
	}
	defer set.release()
	var ps source.Problems
	d := set.compile(data, c.Operation, &ps)
	if err := ps.Err(); err != nil || d == nil {
		return nil, &stuck{cause: "flow gone", reason: fmt.Sprintf("the flow that the run began with does not fit the APIs of now: %v", err)}
	}
	f.mu.Lock()
	f.known[c.Flow] = d
	f.mu.Unlock()
	return d, nil
}

// enter notes a run that this process carries on; false while it drains.
func (f *Flows) enter(r *run) bool {
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.done = make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining.Load() {
		r.cancel()
		return false
	}
	f.carrying.Add(1)
	if old := f.live[r.claim.ID]; old != nil {
		old.cancel() // its claim has run out without being renewed
	}
	f.live[r.claim.ID] = r
	return true
}

// carry goes on with a run until it has ended or is let go.
func (f *Flows) carry(r *run, prepare func() error) {
	defer f.carrying.Done()
	defer func() {
		f.mu.Lock()
		if f.live[r.claim.ID] == r {
			delete(f.live, r.claim.ID)
		}
		f.mu.Unlock()
		close(r.done)
		r.cancel()
	}()
	for {
		end, err := f.attempt(r, prepare)
		if end == nil {
			f.letGo(r, err)
			return
		}
		if f.finish(r, end) {
			return
		}
		// It is not stuck any more at what it was stuck at: once more.
		r.over, r.undo = map[string]flowOver{}, nil
		r.undoes.Store(false)
	}
}

// attempt carries a run, and turns what it panics with into its end.
func (f *Flows) attempt(r *run, prepare func() error) (end *ledger.RunEnd, err error) {
	defer func() {
		if p := recover(); p != nil {
			end, err = r.left(&gateway.Error{Problem: gateway.Internal, Cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())})
		}
	}()
	if r.workflow == nil {
		if err := prepare(); err != nil {
			return r.left(err)
		}
	}
	return r.carry()
}

// finish keeps the end of a run; false when the run has to go on.
func (f *Flows) finish(r *run, end *ledger.RunEnd) bool {
	fresh := r.take()
	end.Steps = fresh
	pause := 50 * time.Millisecond
	for {
		ctx, cancel := context.WithTimeout(f.given, 30*time.Second)
		err := f.ledger.EndRun(ctx, r.claim, *end)
		cancel()
		switch {
		case err == nil:
			f.mu.Lock()
			r.end = end
			f.mu.Unlock()
			if end.State == ledger.Stuck {
				f.log.Warn("a run needs a person", "run", r.claim.ID, "operation", r.claim.Operation, "correlation", r.claim.Correlation, "cause", end.Cause, "reason", end.Reason)
			}
			if f.options.Observer != nil {
				f.options.Observer.RunEnded(r.claim.Operation, string(end.State), time.Since(r.claim.Accepted))
			}
			return true
		case errors.Is(err, ledger.ErrConflict):
			r.giveBack(fresh)
			return false
		case errors.Is(err, ledger.ErrFenced):
			f.log.Warn("a run has been taken over", "run", r.claim.ID)
			return true
		}
		f.log.Warn("the end of a run cannot be kept yet", "run", r.claim.ID, "error", err)
		if !f.pause(&pause) {
			return true // it is found when the lease is over
		}
	}
}

// pause waits longer each time; false when there is no more time.
func (f *Flows) pause(d *time.Duration) bool {
	t := time.NewTimer(*d)
	defer t.Stop()
	*d = min(2**d, 5*time.Second)
	select {
	case <-t.C:
		return true
	case <-f.given.Done():
		return false
	}
}

// letGo gives a run back that waits, or that the gateway has no more time for.
func (f *Flows) letGo(r *run, why error) {
	var p parked
	switch {
	case errors.Is(why, ledger.ErrFenced), r.ctx.Err() != nil && !errors.As(why, &p):
		return // another has it
	case !errors.As(why, &p):
		f.log.Warn("a run cannot go on now", "run", r.claim.ID, "error", why)
		p.until = time.Now().Add(5 * time.Second)
	}
	fresh := r.take()
	pause := 50 * time.Millisecond
	for {
		ctx, cancel := context.WithTimeout(f.given, 30*time.Second)
		err := f.ledger.ParkRun(ctx, r.claim, p.until, fresh)
		cancel()
		if err == nil || errors.Is(err, ledger.ErrFenced) || !f.pause(&pause) {
			return
		}
		f.log.Warn("a run cannot be let go yet", "run", r.claim.ID, "error", err)
	}
}

// renew keeps the claims of this process valid.
func (f *Flows) renew() {
	for {
		t := time.NewTimer(f.options.Lease / 4)
		select {
		case <-f.given.Done():
			t.Stop()
			return
		case <-t.C:
		}
		f.mu.Lock()
		claims := make([]*ledger.RunClaim, 0, len(f.live))
		for _, r := range f.live {
			claims = append(claims, r.claim)
		}
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(f.given, f.options.Lease/4)
		lost, err := f.ledger.RenewRuns(ctx, f.options.Lease, claims...)
		cancel()
		if err != nil {
			f.log.Warn("claims of runs cannot be renewed", "runs", len(claims), "error", err)
			continue
		}
		f.mu.Lock()
		for _, c := range lost {
			if r := f.live[c.ID]; r != nil && r.claim == c {
				r.cancel()
			}
		}
		f.mu.Unlock()
	}
}

// Drain begins the end: no step that is not under way is begun any more, and
// runs are let go for other replicas.
func (f *Flows) Drain() {
	f.mu.Lock()
	f.draining.Store(true)
	f.mu.Unlock()
	f.drain()
}

// Close waits until the runs have been let go, until ctx ends. The ledger and
// the buffer stay open; the buffer is to be closed after it.
func (f *Flows) Close(ctx context.Context) {
	f.Drain()
	if f.stopWatch != nil {
		f.stopWatch()
	}
	done := make(chan struct{})
	go func() {
		f.carrying.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		f.mu.Lock()
		for _, r := range f.live {
			r.cancel()
		}
		f.mu.Unlock()
	}
	f.giveUp()
	f.running.Wait()
}

func jsonBytes(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}
