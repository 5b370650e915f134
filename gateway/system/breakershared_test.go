package system

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// sick is a system that tells which replica calls it, by the header that each names for
// its correlation ids, and how many calls of the half-open breaker are under way.
type sick struct {
	broken atomic.Bool
	calls  atomic.Int64

	mu    sync.Mutex
	now   map[string]int
	wrong []string
	most  int
	// judged tells that the calls are trials: one replica at a time, and few.
	judged bool
}

func (s *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	replica := ""
	for _, name := range []string{"a", "b"} {
		if r.Header.Get("X-Replica-"+name) != "" {
			replica = name
		}
	}
	s.calls.Add(1)
	broken := s.broken.Load()
	s.mu.Lock()
	s.now[replica]++
	if s.judged && broken {
		if s.now["a"] > 0 && s.now["b"] > 0 {
			s.wrong = append(s.wrong, fmt.Sprintf("both replicas try: %v", s.now))
		}
		s.most = max(s.most, s.now[replica])
	}
	s.mu.Unlock()
	if broken {
		time.Sleep(5 * time.Millisecond)
	}
	s.mu.Lock()
	s.now[replica]--
	s.mu.Unlock()
	if broken {
		w.WriteHeader(500)
	}
	io.WriteString(w, "{}")
}

// Two replicas over a Redis have one breaker. The failures that one of them sees open
// it for both; while it is open nobody calls the system; then one replica tries, with
// few calls; and what that finds closes it for both.
func TestBreakerOverRedis(t *testing.T) {
	r := redistest.Run(t)
	system := &sick{now: map[string]int{}}
	server := newServer(t, system.ServeHTTP)
	replica := func(name string) *world {
		client, err := counter.Dial(counter.Address{Hosts: []string{r.Address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		store, err := counter.Open(client, counter.Options{Replica: name, Beat: 100 * time.Millisecond, Missing: 5 * time.Second, Deadline: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		w := &world{t: t, calls: &observed{count: map[string]int{}}, plan: plan{
			url: server.URL, paths: at("GET", "/x", "x", "wait: 0s"),
			system: "breaker: {calls: 3, open: 2s, probes: 2}\ncorrelation_header: X-Replica-" + name + "\nlimits: [{name: concurrency, capacity: 50}]",
		}}
		w.start(Options{Store: store})
		return w
	}
	a, b := replica("a"), replica("b")
	both := []*world{a, b}
	state := func(w *world) string { return w.set.Status(t.Context())[0].Breaker }
	status := func(w *world) int { return w.send("GET", "/x", "").StatusCode }
	for _, w := range both {
		eventually(t, "a replica does not begin", func() bool { return status(w) == 200 })
	}

	system.broken.Store(true)
	eventually(t, "the breaker does not open", func() bool { status(a); return state(a) == "open" })
	// The other one, which has seen no failure, knows by itself.
	eventually(t, "the other replica does not know that it is open", func() bool { return state(b) != "closed" })

	// All call as fast as they can, over some times of trying.
	system.mu.Lock()
	system.judged = true
	system.mu.Unlock()
	stop := make(chan struct{})
	var load sync.WaitGroup
	answers := [2]map[int]int{{}, {}}
	var mu sync.Mutex
	for i, w := range both {
		for range 3 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
					}
					resp := w.send("GET", "/x", "")
					mu.Lock()
					answers[i][resp.StatusCode]++
					mu.Unlock()
					if resp.StatusCode == 503 && (resp.problem() != "system-unavailable" || resp.Header.Get("Retry-After") == "" || !strings.Contains(resp.text, "left alone")) {
						t.Errorf("refused with %v %s", resp.Header, resp.text)
					}
				}
			})
		}
	}
	before := system.calls.Load()
	eventually(t, "nobody tries", func() bool { return system.calls.Load() >= before+3 })
	eventually(t, "it does not open again", func() bool { return state(a) == "open" && state(b) == "open" })

	system.broken.Store(false)
	for _, w := range both {
		eventually(t, "it does not close for all", func() bool { return state(w) == "closed" })
	}
	mu.Lock()
	for i := range answers {
		clear(answers[i])
	}
	mu.Unlock()
	eventually(t, "it is closed, and not both call", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return answers[0][200] > 5 && answers[1][200] > 5
	})
	close(stop)
	load.Wait()
	system.mu.Lock()
	defer system.mu.Unlock()
	for _, wrong := range slices.Compact(system.wrong) {
		t.Error(wrong)
	}
	if system.most > 2 {
		t.Errorf("%d calls try the system at a time, want 2 at most", system.most)
	}
}
