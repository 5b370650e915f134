package counter

import (
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// patient are options for laws that want Redis to be there, however slow it is.
func patient(name string) Options {
	return Options{Replica: name, Beat: 50 * time.Millisecond, Missing: 2 * time.Second, Deadline: 5 * time.Second}
}

// sets is more than there are laws.
const sets = 24

func TestSharedConforms(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t, "--databases", fmt.Sprint(sets+1))
			// A cold start takes its time: all sets make theirs together.
			ready := make(chan []budget.Store, sets)
			for set := range sets {
				stores := make([]budget.Store, replicas)
				shared := make([]*Shared, replicas)
				for i := range stores {
					o := *clientOf(r.Address).Options()
					o.DB = set + 1
					options := patient(fmt.Sprint("replica ", i))
					options.Beat = 500 * time.Millisecond // they are many
					shared[i] = open(t, newClient(&o), options)
					stores[i] = shared[i]
				}
				go func() {
					for _, s := range shared {
						warm(s, "erp")
						warm(s, "wms")
					}
					ready <- stores
				}()
			}
			budgettest.Conform(t, func(t *testing.T) []budget.Store {
				select {
				case stores := <-ready:
					return stores
				case <-time.After(4 * time.Minute):
					t.Fatal("no store is ready")
					return nil
				}
			})
		})
	}
}

// warm has a system known to Redis, with the lease that calls will have.
func warm(s *Shared, system string) {
	wide := &budget.Pool{Name: "wide", Capacity: 1 << 50} // what no limit holds back asks nobody
	for range 10_000 {
		a := budget.Admission{System: system, Asks: []budget.Ask{{Pool: wide, Key: "wide", Units: 1}}, Lease: time.Minute}
		if d, err := s.Admit(s.ctx, &a); err == nil && d.Granted {
			_ = s.Settle(s.ctx, &a, budget.Settlement{Outcome: budget.Unsent})
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
