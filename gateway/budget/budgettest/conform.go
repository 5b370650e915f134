package budgettest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs"
)

// Conform tries the laws of budget.Store on stores that count together, one or
// several. open is called for each law; what the stores count must be empty. The
// laws run on the wall clock, and no slowness breaks them.
func Conform(t *testing.T, open func(t *testing.T) []budget.Store) {
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			if err := l.holds(&subject{context.Background(), open(t), 0}); err != nil {
				t.Error(err)
			}
		})
	}
}

type law struct {
	name  string
	holds func(*subject) error
}

// subject is what a law is tried on. Calls go to its stores in turn.
type subject struct {
	ctx    context.Context
	stores []budget.Store
	turn   int
}

const one = budget.Units(1000)

// lease is longer than any law takes, where that is not what the law is about.
const lease = time.Minute

func ask(p *budget.Pool, u budget.Units) budget.Ask {
	return budget.Ask{Pool: p, Key: p.Name, Units: u}
}

func call(asks ...budget.Ask) *budget.Admission {
	return &budget.Admission{System: "erp", Asks: asks, Lease: lease, Class: specs.Normal}
}

func (s *subject) store() budget.Store {
	s.turn++
	return s.stores[s.turn%len(s.stores)]
}

func (s *subject) admit(a *budget.Admission) (budget.Decision, error) {
	return s.store().Admit(s.ctx, a)
}

// granted admits a call that must be.
func (s *subject) granted(a *budget.Admission) error {
	d, err := s.admit(a)
	if err == nil && !d.Granted {
		err = fmt.Errorf("refused: %+v", d)
	}
	return err
}

// refused tries a call that must not be admitted.
func (s *subject) refused(a *budget.Admission) (budget.Decision, error) {
	d, err := s.admit(a)
	if err == nil && (d.Granted || d.Refused == 0 || d.Pool < 0 || d.Again <= 0) {
		err = fmt.Errorf("not refused as it should be: %+v", d)
	}
	return d, err
}

// settle ends a call at the store that admitted it, which is the one of the last
// turn; others hold the same counts but do not know the call.
func (s *subject) settle(by budget.Store, a *budget.Admission, r budget.Settlement) error {
	return by.Settle(s.ctx, a, r)
}

// take admits a call at a store and gives the store back.
func (s *subject) take(a *budget.Admission) (budget.Store, error) {
	by := s.store()
	d, err := by.Admit(s.ctx, a)
	if err == nil && !d.Granted {
		err = fmt.Errorf("refused: %+v", d)
	}
	return by, err
}

// soon is take for a call that may have to wait for the end of a short pause.
func (s *subject) soon(a *budget.Admission) (budget.Store, error) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		by, err := s.take(a)
		if err == nil || time.Now().After(end) {
			return by, err
		}
	}
}

// patience bounds how long a law waits for what must come.
const patience = 20 * time.Second

// room waits until a call is admitted, and tells when.
func (s *subject) room(a *budget.Admission) (time.Time, error) {
	var last budget.Decision
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		d, err := s.admit(a)
		if err != nil {
			return time.Time{}, err
		}
		if d.Granted {
			return time.Now(), nil
		}
		last = d
	}
	return time.Time{}, fmt.Errorf("there is never room: %+v", last)
}

// usage waits until a pool's usage is as it should be.
func (s *subject) usage(key string, right func(budget.Usage) bool) error {
	var last []budget.Usage
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		all, err := s.store().Usage(s.ctx, "erp")
		if err != nil {
			return err
		}
		u := budget.Usage{Key: key}
		for i := range all {
			if all[i].Key == key {
				u = all[i]
			}
		}
		if right(u) {
			return nil
		}
		last = all
	}
	return fmt.Errorf("the usage of %s does not come right: %+v", key, last)
}

// first is the first error of steps that are tried in order.
func first(steps ...func() error) error {
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

var laws = []law{
	{"all pools or none", func(s *subject) error {
		wide, narrow := &budget.Pool{Name: "wide", Capacity: 5 * one}, &budget.Pool{Name: "narrow", Capacity: one}
		if err := s.granted(call(ask(narrow, one))); err != nil {
			return err
		}
		d, err := s.refused(call(ask(wide, one), ask(narrow, one)))
		if err != nil {
			return err
		}
		if d.Pool != 1 || d.Refused != 2 {
			return fmt.Errorf("the refusing pool is the second: %+v", d)
		}
		return s.granted(call(ask(wide, 5*one)))
	}},
	{"units come back when a call ends", func(s *subject) error {
		p := &budget.Pool{Name: "concurrency", Capacity: 2 * one}
		a := call(ask(p, 2*one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		if _, err := s.refused(call(ask(p, 1))); err != nil {
			return err
		}
		if err := s.settle(by, a, budget.Settlement{}); err != nil {
			return err
		}
		_, err = s.room(call(ask(p, 2*one)))
		return err
	}},
	{"units stay for the hold", func(s *subject) error {
		p := &budget.Pool{Name: "window", Capacity: 2 * one, Hold: 150 * time.Millisecond}
		for range 3 {
			a := call(ask(p, 2*one))
			by := s.store()
			for {
				d, err := by.Admit(s.ctx, a)
				if err != nil {
					return err
				}
				if d.Granted {
					break
				}
			}
			ended := time.Now()
			if err := s.settle(by, a, budget.Settlement{}); err != nil {
				return err
			}
			again := call(ask(p, one))
			at, err := s.room(again)
			if err != nil {
				return err
			}
			if at.Sub(ended) < p.Hold {
				return fmt.Errorf("units came back after %v", at.Sub(ended))
			}
			for _, store := range s.stores { // whoever admitted it knows it
				_ = store.Settle(s.ctx, again, budget.Settlement{Outcome: budget.Unsent})
			}
		}
		return nil
	}},
	{"what was not sent is free at once", func(s *subject) error {
		p := &budget.Pool{Name: "window", Capacity: one, Hold: time.Hour / 10}
		a := call(ask(p, one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		if err := s.settle(by, a, budget.Settlement{Outcome: budget.Unsent}); err != nil {
			return err
		}
		_, err = s.room(call(ask(p, one)))
		return err
	}},
	{"unknown calls stay for their lease and the hold", func(s *subject) error { return stays(s, true) }},
	{"calls that nobody settles stay for their lease and the hold", func(s *subject) error { return stays(s, false) }},
	{"what a call cost in the end counts", func(s *subject) error {
		p := &budget.Pool{Name: "points", Capacity: 10 * one, Hold: time.Minute}
		a := call(ask(p, 2*one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		if err := s.settle(by, a, budget.Settlement{Actual: []budget.Units{7 * one}}); err != nil {
			return err
		}
		if err := s.usage("points", func(u budget.Usage) bool { return u.Used == 7*one && u.InFlight == 0 }); err != nil {
			return err
		}
		if _, err := s.refused(call(ask(p, 4*one))); err != nil {
			return err
		}
		return s.granted(call(ask(p, 3*one)))
	}},
	{"a probe takes nothing", func(s *subject) error {
		p := &budget.Pool{Name: "concurrency", Capacity: one}
		for range 3 {
			a := call(ask(p, one))
			a.Probe = true
			if err := s.granted(a); err != nil {
				return err
			}
		}
		return s.granted(call(ask(p, one)))
	}},
	{"reserves are left free", func(s *subject) error {
		p := &budget.Pool{Name: "concurrency", Capacity: 3 * one}
		low := func() *budget.Admission {
			a := call(ask(p, one))
			a.Asks[0].Reserve = 2 * one
			return a
		}
		if err := s.granted(low()); err != nil {
			return err
		}
		if _, err := s.refused(low()); err != nil {
			return err
		}
		return s.granted(call(ask(p, 2*one)))
	}},
	{"a bucket starts full and refills evenly", func(s *subject) error {
		p := &budget.Pool{Name: "rate", Capacity: 3 * one, Interval: float64(50*time.Millisecond) / 1000}
		began := time.Now()
		for i := range 8 {
			by := s.store()
			a := call(ask(p, one))
			for {
				d, err := by.Admit(s.ctx, a)
				if err != nil {
					return err
				}
				if d.Granted {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if took := time.Since(began); took < time.Duration(i-2)*50*time.Millisecond {
				return fmt.Errorf("call %d was admitted after %v", i, took)
			}
			if err := s.settle(by, a, budget.Settlement{}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"pauses as told", func(s *subject) error {
		p, other := &budget.Pool{Name: "concurrency", Capacity: 5 * one}, &budget.Pool{Name: "other", Capacity: 5 * one}
		a := call(ask(p, one), ask(other, one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		ended := time.Now()
		const pause = 300 * time.Millisecond
		if err := s.settle(by, a, budget.Settlement{Overload: true, RetryAfter: pause, Pause: 1}); err != nil {
			return err
		}
		if err := s.usage("concurrency", func(u budget.Usage) bool { return u.PausedFor > 0 || time.Since(ended) > pause }); err != nil {
			return err
		}
		if err := s.granted(call(ask(other, one))); err != nil {
			return err
		}
		d, err := s.admit(call(ask(p, one)))
		if err != nil || d.Granted && time.Since(ended) < pause || !d.Granted && !d.Paused {
			return errors.Join(err, fmt.Errorf("in a pause: %+v", d))
		}
		at, err := s.room(call(ask(p, one)))
		if err == nil && at.Sub(ended) < pause {
			err = fmt.Errorf("the pause ended after %v", at.Sub(ended))
		}
		return err
	}},
	{"suspends a system", func(s *subject) error {
		p := &budget.Pool{Name: "concurrency", Capacity: 5 * one}
		if err := s.granted(call(ask(p, one))); err != nil {
			return err
		}
		if err := s.store().Suspend(s.ctx, "erp", time.Hour); err != nil {
			return err
		}
		for range s.stores {
			if d, err := s.refused(call(ask(p, one))); err != nil || !d.Suspended || d.RoomIn <= time.Minute {
				return errors.Join(err, fmt.Errorf("suspended: %+v", d))
			}
		}
		elsewhere := call(ask(p, one))
		elsewhere.System = "wms"
		if err := s.granted(elsewhere); err != nil {
			return fmt.Errorf("another system: %w", err)
		}
		if err := s.store().Suspend(s.ctx, "erp", 0); err != nil {
			return err
		}
		_, err := s.room(call(ask(p, one)))
		return err
	}},
	{"one process tries a system that was suspended", func(s *subject) error {
		p := &budget.Pool{Name: "concurrency", Capacity: 9 * one}
		standing := func(right func(budget.Suspension) bool) error {
			for _, store := range s.stores {
				for end := time.Now().Add(patience); !right(store.Standing("erp").Suspension); time.Sleep(2 * time.Millisecond) {
					if time.Now().After(end) {
						return fmt.Errorf("the suspension is said to be %+v", store.Standing("erp").Suspension)
					}
				}
			}
			return nil
		}
		ask := func(store budget.Store) (bool, bool, error) { // admitted, as a trial
			a := call(ask(p, one))
			d, err := store.Admit(s.ctx, a)
			if !d.Granted && !d.Suspended {
				err = errors.Join(err, fmt.Errorf("%+v", d))
			}
			return d.Granted, d.Granted && a.Trial, err
		}
		// only tells that one store admits trials, and the others nothing.
		only := func(trier budget.Store) error {
			for _, store := range s.stores {
				granted, trial, err := ask(store)
				if err != nil || granted != (store == trier) || trial != granted {
					return fmt.Errorf("trier %v: admitted %v, as a trial %v, %w", store == trier, granted, trial, err)
				}
			}
			return nil
		}
		a, b := s.stores[0], s.stores[len(s.stores)-1]
		if granted, trial, err := ask(a); err != nil || !granted || trial {
			return fmt.Errorf("before: %v, %v, %w", granted, trial, err)
		}
		return first(
			func() error { return b.Suspend(s.ctx, "erp", time.Hour) },
			func() error {
				return standing(func(x budget.Suspension) bool { return x.For > 0 && !x.Trial && !x.Mine })
			},
			func() error { return b.Suspend(s.ctx, "erp", 0) },
			func() error { return standing(func(x budget.Suspension) bool { return x == budget.Suspension{} }) },
			func() error { return b.Suspend(s.ctx, "erp", time.Millisecond) },
			func() error { time.Sleep(20 * time.Millisecond); return only(a) },
			func() error { return standing(func(x budget.Suspension) bool { return x.Trial && x.For == 0 }) },
			func() error {
				if x := a.Standing("erp").Suspension; !x.Mine {
					return fmt.Errorf("who tries says %+v", x)
				}
				return nil
			},
			func() error { // who does not try has nothing to give up
				if a != b {
					return errors.Join(b.Yield(s.ctx, "erp"), only(a))
				}
				return nil
			},
			func() error { return a.Yield(s.ctx, "erp") },
			func() error { _, _, err := ask(b); return err },
			func() error { return only(b) },
			// What the trial finds holds for all: anew, or over.
			func() error { return b.Suspend(s.ctx, "erp", time.Hour) },
			func() error { return only(nil) },
			func() error { return b.Suspend(s.ctx, "erp", 0) },
			func() error {
				for _, store := range s.stores {
					if granted, trial, err := ask(store); err != nil || !granted || trial {
						return fmt.Errorf("afterwards: admitted %v, as a trial %v, %w", granted, trial, err)
					}
				}
				return nil
			},
			func() error { return standing(func(x budget.Suspension) bool { return x == budget.Suspension{} }) },
		)
	}},
	{"soft pools are exceeded on demand, free ones always", func(s *subject) error {
		soft := &budget.Pool{Name: "soft", Capacity: one, Soft: true}
		free := &budget.Pool{Name: "free", Capacity: one, Free: true}
		gate := &budget.Pool{Name: "gate"}
		over := func() *budget.Admission { a := call(ask(soft, one)); a.Overdraw = true; return a }
		return first(
			func() error { return s.granted(call(ask(soft, one))) },
			func() error { _, err := s.refused(call(ask(soft, one))); return err },
			func() error { return s.granted(over()) },
			func() error { return s.granted(call(ask(free, 9*one))) },
			func() error { return s.granted(call(ask(free, 9*one))) },
			func() error { return s.granted(call(ask(gate, 0))) },
			func() error {
				return s.usage("free", func(u budget.Usage) bool { return u.Used == 18*one && u.InFlight == 18*one })
			},
		)
	}},
	{"a calendar window frees its calls when it ends", func(s *subject) error {
		p := &budget.Pool{Name: "second", Capacity: 3 * one, Hold: 20 * time.Millisecond, Calendar: &budget.Calendar{Every: time.Second}}
		counts := map[time.Time]budget.Units{}
		for range 12 {
			a := call(ask(p, one))
			var by budget.Store
			for {
				by = s.store()
				d, err := by.Admit(s.ctx, a)
				if err != nil {
					return err
				}
				if d.Granted {
					break
				}
				time.Sleep(time.Millisecond)
			}
			end := p.Calendar.End(time.Now())
			if counts[end] += one; counts[end] > p.Capacity {
				return fmt.Errorf("%v units in the window that ends at %v", counts[end].Float(), end)
			}
			if err := s.settle(by, a, budget.Settlement{}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"an overload shrinks an adaptive pool", func(s *subject) error {
		p := &budget.Pool{Name: "adaptive", Capacity: 8 * one, Adaptive: &budget.Adaptive{Floor: 2 * one, Cut: 0.5, Recover: time.Hour}}
		a, b := call(ask(p, one)), call(ask(p, one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		other, err := s.take(b)
		if err != nil {
			return err
		}
		overload := budget.Settlement{Overload: true, RetryAfter: time.Millisecond, Pause: 1, Shrink: 1}
		return first(
			func() error { return s.settle(by, a, overload) },
			func() error { // once for both: the second was admitted before
				return s.usage("adaptive", func(u budget.Usage) bool { return near(u.Capacity, 4*one) })
			},
			func() error { return s.settle(other, b, overload) },
			func() error {
				return s.usage("adaptive", func(u budget.Usage) bool { return near(u.Capacity, 4*one) && u.InFlight == 0 })
			},
			func() error { _, err := s.room(call(ask(p, 3*one))); return err },
			func() error { _, err := s.refused(call(ask(p, 2*one))); return err },
		)
	}},
	{"an overload shrinks the fullest of the pools that it may be about", func(s *subject) error {
		adaptive := func(floor budget.Units) *budget.Adaptive {
			return &budget.Adaptive{Floor: floor, Cut: 0.5, Recover: 100 * time.Hour}
		}
		window := &budget.Pool{Name: "window", Capacity: 40 * one, Hold: time.Hour / 10, Adaptive: adaptive(4 * one)}
		rate := &budget.Pool{Name: "rate", Capacity: 20 * one, Interval: float64(time.Hour) / 1000, Adaptive: adaptive(10 * one)}
		fixed := &budget.Pool{Name: "fixed", Capacity: 3 * one} // fuller than all others, and it does not shrink
		both := func() *budget.Admission { return call(ask(window, one), ask(rate, one), ask(fixed, one)) }
		refused := func(r budget.Settlement) error {
			a := both()
			by, err := s.soon(a)
			if err != nil {
				return err
			}
			r.Overload, r.RetryAfter = true, time.Millisecond
			return s.settle(by, a, r)
		}
		capacity := func(key string, want budget.Units) error {
			return s.usage(key, func(u budget.Usage) bool { return near(u.Capacity, want) })
		}
		return first(
			// A call in forty, a call in twenty: the rate is the fuller one.
			func() error { return refused(budget.Settlement{Pause: 7, Shrink: 7}) },
			func() error { return capacity("rate", 10*one) },
			func() error { return capacity("window", 40*one) },
			// It is at its floor, and the other one's turn comes.
			func() error { return refused(budget.Settlement{Pause: 7, Shrink: 7}) },
			func() error { return capacity("window", 20*one) },
			func() error { return capacity("rate", 10*one) },
			// The pool that is named shrinks, whatever else is paused.
			func() error { return refused(budget.Settlement{Pause: 7, Shrink: 1}) },
			func() error { return capacity("window", 10*one) },
			func() error { // of two that were admitted together only one shrinks a pool
				a, b := both(), both()
				by, err := s.soon(a)
				if err != nil {
					return err
				}
				other, err := s.soon(b)
				if err != nil {
					return err
				}
				r := budget.Settlement{Overload: true, RetryAfter: time.Millisecond, Shrink: 7}
				return first(
					func() error { return s.settle(by, a, r) },
					func() error { return capacity("window", 5*one) },
					func() error { return s.settle(other, b, r) },
					func() error { return s.usage("fixed", func(u budget.Usage) bool { return u.InFlight == 0 }) },
					func() error { return capacity("window", 5*one) },
					func() error { return capacity("rate", 10*one) },
				)
			},
		)
	}},
	{"the system's own word counts", func(s *subject) error {
		p := &budget.Pool{Name: "daily", Capacity: 100 * one, Hold: time.Minute}
		a := call(ask(p, one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		if err := s.settle(by, a, budget.Settlement{Reports: []budget.Report{{Ask: 0, Used: 40 * one}}}); err != nil {
			return err
		}
		if err := s.usage("daily", func(u budget.Usage) bool { return u.Used == 40*one && u.Foreign == 39*one }); err != nil {
			return err
		}
		b := call(ask(p, one))
		if by, err = s.take(b); err != nil {
			return err
		}
		if err := s.settle(by, b, budget.Settlement{Reports: []budget.Report{{Ask: 0, Used: one, Exact: true}}}); err != nil {
			return err
		}
		return s.usage("daily", func(u budget.Usage) bool { return u.Used <= 2*one && u.Foreign == 0 })
	}},
	{"a longer hold reaches what is held", func(s *subject) error {
		short := &budget.Pool{Name: "window", Capacity: 2 * one, Hold: 100 * time.Millisecond}
		long := &budget.Pool{Name: "window", Capacity: 2 * one, Hold: 400 * time.Millisecond, Revision: 1}
		a := call(ask(short, 2*one))
		by, err := s.take(a)
		if err != nil {
			return err
		}
		ended := time.Now()
		if err := s.settle(by, a, budget.Settlement{}); err != nil {
			return err
		}
		announced := call(ask(long, 0))
		announced.Probe = true
		if _, err := by.Admit(s.ctx, announced); err != nil {
			return err
		}
		reached := time.Since(ended) < short.Hold
		at, err := s.room(call(ask(long, one)))
		if err == nil && reached && at.Sub(ended) < long.Hold {
			err = fmt.Errorf("units came back after %v", at.Sub(ended))
		}
		return err
	}},
	{"a load of all sorts stays within its limits", func(s *subject) error {
		pools := []*budget.Pool{
			{Name: "window", Capacity: 10 * one, Hold: 60 * time.Millisecond},
			{Name: "concurrency", Capacity: 6 * one},
			{Name: "bucket", Capacity: 8 * one, Interval: 2000},
		}
		judge := new(Judge)
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		defer cancel()
		ended := make(chan struct{})
		for _, store := range s.stores {
			l := &Load{Store: store, System: "erp", Pools: pools, Lease: 60 * time.Millisecond, Latency: 8 * time.Millisecond, Callers: 6, Lost: 0.05, Judge: judge}
			go func() { l.Run(ctx); ended <- struct{}{} }()
		}
		for range s.stores {
			<-ended
		}
		if judge.Count() == 0 {
			return errors.New("no call was admitted")
		}
		for _, p := range pools {
			if v := judge.Violations(p); len(v) > 0 {
				return v[0]
			}
		}
		return nil
	}},
}

func near(u, want budget.Units) bool { return u >= want && u <= want+want/100 }

// stays plays a call whose end is not known.
func stays(s *subject, said bool) error {
	p := &budget.Pool{Name: "window", Capacity: one, Hold: 80 * time.Millisecond}
	a := call(ask(p, one))
	a.Lease = 150 * time.Millisecond
	asked := time.Now()
	by, err := s.take(a)
	if err != nil {
		return err
	}
	if said {
		if err := s.settle(by, a, budget.Settlement{Outcome: budget.Unknown}); err != nil {
			return err
		}
	}
	b := call(ask(p, one))
	b.Lease = a.Lease
	at, err := s.room(b)
	if err == nil && at.Sub(asked) < a.Lease+p.Hold {
		err = fmt.Errorf("units came back after %v", at.Sub(asked))
	}
	return err
}
