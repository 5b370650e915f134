package counter

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
)

// The limits that chaos is tried on: short, so that much happens in little time.
func limits() []*budget.Pool {
	return []*budget.Pool{
		{Name: "window", Capacity: 12_000, Hold: 60 * time.Millisecond},
		{Name: "concurrency", Capacity: 8_000},
		{Name: "bucket", Capacity: 10_000, Interval: 3_000}, // 333 a second
	}
}

// chaos is a system under load by several replicas.
type chaos struct {
	*testing.T
	judge *budgettest.Judge
	pools []*budget.Pool
	lease time.Duration
	early bool

	mu    sync.Mutex
	ended sync.WaitGroup
}

func newChaos(t *testing.T) *chaos {
	return &chaos{T: t, judge: &budgettest.Judge{}, pools: limits(), lease: 60 * time.Millisecond}
}

// replica is a process of its own, as far as that is possible within one.
type replica struct {
	*Shared
	stop func() // ends its load
	load *budgettest.Load
}

// join starts a replica under load.
func (c *chaos) join(client redis.UniversalClient, o Options) *replica {
	s, err := Open(client, o)
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	load := &budgettest.Load{Store: s, System: "erp", Pools: c.pools, Lease: c.lease, Latency: 10 * time.Millisecond, Callers: 8, Lost: 0.02, Judge: c.judge, Early: c.early}
	ended := make(chan struct{})
	go func() { load.Run(ctx); close(ended) }()
	r := &replica{Shared: s, load: load}
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	c.Cleanup(func() { r.stop(); _ = s.Close() })
	return r
}

// die ends a replica without a goodbye.
func (r *replica) die() {
	r.stop()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.work.Wait()
}

// verdict says whether any limit was exceeded so far.
func (c *chaos) verdict() {
	c.Helper()
	if n := c.judge.Count(); n < 50 {
		c.Errorf("only %d calls arrived", n)
	}
	for _, p := range c.pools {
		if v := c.judge.Violations(p); len(v) > 0 {
			c.Errorf("%d violations, the first: %v", len(v), v[0])
		}
	}
	c.Logf("%d calls arrived", c.judge.Count())
}

// progress waits until so many more calls have arrived.
func (c *chaos) progress(n int) {
	c.Helper()
	since := time.Now()
	eventually(c, "more calls arrive", func() bool { return c.judge.Since(since) >= n })
}

func TestChaosNone(t *testing.T) {
	r := startServer(t)
	c := newChaos(t)
	one, two := c.join(r.client(), quick("one")), c.join(r.client(), quick("two"))
	awaitMode(t, one.Shared, budget.ModeShared)
	awaitMode(t, two.Shared, budget.ModeShared)
	c.progress(500)
	one.stop()
	two.stop()
	t.Log(one.Standing("erp"), two.Standing("erp"), one.load.Granted(), two.load.Granted(), one.load.Failed(), two.load.Failed())
	c.verdict()
}
