package ledger

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// watch passes on the names of systems that have something to do.
type watch struct {
	mu      sync.Mutex
	next    int
	list    map[int]func(string)
	changed map[string]bool // not yet passed on to other replicas
}

// Watch calls f with the name of a system of which something may have become
// ready or may have to be asked for: appended, settled, resumed, here or, on
// Postgres, at another replica. Calls may be spurious, may be missed when a
// connection breaks, and may come at the same time; f must not block. stop
// ends them, but for one that is under way.
func (db *DB) Watch(f func(system string)) (stop func()) {
	return db.watch.add(func(name string) {
		if name != controlPlane && name != events && name != runsName {
			f(name)
		}
	})
}

// controlPlane stands among the names of systems for the control plane; no
// system is called so, because a slash ends a system's name in the tables.
const controlPlane = "/"

func (w *watch) add(f func(string)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[int]func(string){}
	}
	n := w.next
	w.next++
	w.list[n] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, n)
	}
}

// call tells those in this process.
func (w *watch) call(system string) {
	w.mu.Lock()
	list := slices.Collect(maps.Values(w.list))
	w.mu.Unlock()
	for _, f := range list {
		f(system)
	}
}

// tell tells those in this process now, and other replicas soon.
func (w *watch) tell(system string) {
	w.call(system)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = map[string]bool{}
	}
	w.changed[system] = true
}

// pass tells other replicas, at most every 20 ms: Postgres commits
// notifications one after the other, whoever sends them.
func (w *watch) pass(ctx context.Context, notify func([]string)) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		systems := slices.Sorted(maps.Keys(w.changed))
		clear(w.changed)
		w.mu.Unlock()
		if len(systems) > 0 {
			notify(systems)
		}
	}
}
