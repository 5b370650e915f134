package budget

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/specs"
)

// shared is a store as several replicas have: it records what it is asked, and
// wakes whoever watches it.
type shared struct {
	*Memory
	mu      sync.Mutex
	asked   []Admission
	waking  map[int]func()
	watched int
}

func newShared() *shared { return &shared{Memory: NewMemory(), waking: map[int]func(){}} }

func (s *shared) Admit(ctx context.Context, a *Admission) (Decision, error) {
	s.mu.Lock()
	s.asked = append(s.asked, *a)
	s.asked[len(s.asked)-1].Asks = slices.Clone(a.Asks)
	s.mu.Unlock()
	d, err := s.Memory.Admit(ctx, a)
	if d.Again > 0 {
		d.Again = time.Hour // only a wake-up helps
	}
	return d, err
}

func (s *shared) Watch(_ string, wake func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched++
	n := s.watched
	s.waking[n] = wake
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waking, n)
	}
}

func (s *shared) wake() (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, wake := range s.waking {
		wake()
	}
	return len(s.waking)
}

// Units that another replica gives back wake the line, and a store is watched
// only while somebody waits.
func TestTheLineIsWokenByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShared()
		limits := []Limit{capacity("l", 1, 0)}
		here, there := New(Options{System: "erp", Limits: limits, Store: store}), New(Options{System: "erp", Limits: limits, Store: store})
		if n := store.wake(); n != 0 {
			t.Errorf("%d watch before anybody waits", n)
		}
		for range 2 {
			ticket := admit(t, there, Call{Timeout: 10 * time.Hour})
			admitted := make(chan *Ticket)
			go func() {
				ticket, _ := here.Admit(t.Context(), Call{Wait: 10 * time.Hour, Timeout: 10 * time.Hour})
				admitted <- ticket
			}()
			synctest.Wait()
			started := time.Now()
			time.Sleep(time.Minute)
			ticket.Settle(Result{})
			if n := store.wake(); n != 1 {
				t.Errorf("%d watch while one waits", n)
			}
			(<-admitted).Settle(Result{})
			if took := time.Since(started); took != time.Minute {
				t.Errorf("waited %v for a unit that came back after a minute", took)
			}
			synctest.Wait()
			if n := store.wake(); n != 0 {
				t.Errorf("%d watch when nobody waits any more", n)
			}
		}
	})
}

// A store learns which calls stand in line, of which class, and whether their
// floor is due. A call that will not wait leaves no claim.
func TestAdmissionsSayWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShared()
		b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 0)}, Store: store})
		ticket := admit(t, b, Call{Class: specs.High, Timeout: time.Minute})
		refused(t, b, Call{Class: specs.Critical})
		go func() {
			if ticket, err := b.Admit(t.Context(), Call{Class: specs.Low, Wait: time.Minute}); err == nil {
				ticket.Settle(Result{})
			}
		}()
		synctest.Wait()
		ticket.Settle(Result{})
		synctest.Wait()
		want := []struct {
			class  specs.Class
			queued bool
		}{{specs.High, false}, {specs.Critical, false}, {specs.Low, false}, {specs.Low, true}, {specs.Low, true}}
		if len(store.asked) != len(want) {
			t.Fatalf("the store is asked %d times: %+v", len(store.asked), store.asked)
		}
		for i, a := range store.asked {
			if a.Class != want[i].class || a.Queued != want[i].queued || a.Floor || a.Probe {
				t.Errorf("question %d is %+v", i, a)
			}
		}
	})
}

func TestFloorsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShared()
		b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 0)}, Store: store})
		ctx, cancel := context.WithCancel(t.Context())
		for _, c := range []specs.Class{specs.Critical, specs.Critical, specs.Critical, specs.High} {
			go func() {
				for ctx.Err() == nil {
					if ticket, err := b.Admit(ctx, Call{Class: c, Wait: time.Hour}); err == nil {
						time.Sleep(time.Second)
						ticket.Settle(Result{})
					}
				}
			}()
		}
		time.Sleep(100 * time.Second)
		cancel()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		floors := 0
		for _, a := range store.asked {
			if a.Floor {
				floors++
				if a.Class != specs.High || a.Asks[0].Reserve != 0 {
					t.Errorf("a floor of %+v", a)
				}
			}
		}
		if floors == 0 {
			t.Error("no call went by its floor")
		}
	})
}
