package counter

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
	"github.com/headrace/headrace/gateway/counter/redistest"
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
	// latency is what an answered call takes at most.
	latency time.Duration
	lost    float64 // the part of the calls whose end nobody tells
	early   bool
	options func(name string) Options
	spoil   func(*luaScripts) // plants a mistake
}

func newChaos(t *testing.T) *chaos {
	t.Parallel() // they wait more than they work
	return &chaos{T: t, judge: &budgettest.Judge{}, pools: limits(), lease: 120 * time.Millisecond, latency: 10 * time.Millisecond, lost: 0.02, options: quick}
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
	if c.spoil != nil {
		c.spoil(&s.scripts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	load := &budgettest.Load{Tell: func(a *budget.Admission) string { return tell(s, o.Replica, a) }, Store: s, System: "erp", Pools: c.pools, Lease: c.lease, Latency: c.latency, Callers: 8, Lost: c.lost, Judge: c.judge, Early: c.early}
	ended := make(chan struct{})
	go func() { load.Run(ctx); close(ended) }()
	r := &replica{Shared: s, load: load}
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	c.Cleanup(func() { r.stop(); _ = s.Close() })
	return r
}

// tell says how a replica admitted a call, in Redis' time where that counts it.
func tell(s *Shared, name string, a *budget.Admission) string {
	y := s.system(a.System)
	if y == nil {
		return name
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	f := y.flights[a.At]
	switch {
	case f == nil:
		return name
	case f.wasAlone && y.lone != nil:
		return fmt.Sprintf("%s alone since %s, share %v, own %v, turned %s", name, y.since.Format("05.000000"), y.share, y.lone.own, y.lone.turned.Format("05.000000"))
	}
	return fmt.Sprintf("%s in %s from %s to %s, epoch %.4s", name, y.mode, time.UnixMicro(int64(f.admitted)).Format("05.000000"), time.UnixMicro(int64(f.ends)).Format("05.000000"), f.epoch)
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
	soon(c, "more calls arrive", func() bool { return c.judge.Since(since) >= n })
}

func TestChaosNone(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	one, two := c.join(clientOf(r.Address), quick("one")), c.join(clientOf(r.Address), quick("two"))
	awaitMode(t, one.Shared, budget.ModeShared)
	awaitMode(t, two.Shared, budget.ModeShared)
	c.progress(300)
	one.stop()
	two.stop()
	t.Log(one.Standing("erp"), two.Standing("erp"), one.load.Granted(), two.load.Granted(), one.load.Failed(), two.load.Failed())
	c.verdict()
}

// two starts two replicas that share a Redis through networks of their own, and
// waits for some calls.
func two(c *chaos, r *redistest.Server, calls int) (one, other *replica, near, far *proxy) {
	near, far = startProxy(c, r.Address), startProxy(c, r.Address)
	one, other = c.join(near.client(), c.options("one")), c.join(far.client(), c.options("two"))
	soon(c, "both share", func() bool {
		a, b := one.Standing("erp"), other.Standing("erp")
		return a.Mode == budget.ModeShared && b.Mode == budget.ModeShared && a.Share == 0.5 && b.Share == 0.5
	})
	c.progress(calls)
	return one, other, near, far
}

func TestChaosRedisGoes(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	one, other, _, _ := two(c, r, 100)
	r.Kill()
	awaitMode(t, one.Shared, budget.ModeAlone)
	awaitMode(t, other.Shared, budget.ModeAlone)
	c.progress(100)
	r.Start() // empty
	awaitMode(t, one.Shared, budget.ModeShared)
	awaitMode(t, other.Shared, budget.ModeShared)
	c.progress(200)
	c.verdict()
}

func TestChaosRedisRestarts(t *testing.T) {
	for name, keeps := range map[string]string{"empty": "no", "with its log": "yes"} {
		t.Run(name, func(t *testing.T) {
			c := newChaos(t)
			r := redistest.Run(t, "--appendonly", keeps)
			two(c, r, 100)
			for range 3 {
				r.Kill()
				r.Start()
				c.progress(150)
			}
			c.verdict()
		})
	}
}

func TestChaosRedisPauses(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	one, _, _, _ := two(c, r, 100)
	for _, d := range []time.Duration{30, 100, 250, 400} {
		r.Pause()
		time.Sleep(d * time.Millisecond)
		r.Resume()
		c.progress(100)
	}
	r.Pause()
	awaitMode(t, one.Shared, budget.ModeAlone)
	c.progress(50)
	r.Resume()
	awaitMode(t, one.Shared, budget.ModeShared)
	c.progress(100)
	c.verdict()
}

func TestChaosFlush(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	two(c, r, 100)
	for range 4 {
		if err := clientOf(r.Address).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		c.progress(150)
	}
	c.verdict()
}

func TestChaosPartition(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	one, other, near, _ := two(c, r, 100)
	for _, sever := range []func(bool){
		func(on bool) { near.cut = on },
		func(on bool) { near.stalled = on },
		func(on bool) { near.deaf = on },
	} {
		near.set(func() { sever(true) })
		awaitMode(t, one.Shared, budget.ModeAlone)
		c.progress(200)
		if m := other.Standing("erp"); m.Replicas != 2 {
			t.Errorf("the other one knows %+v", m)
		}
		near.set(func() { sever(false); near.cut = true }) // what has lost an answer is out of step
		near.set(func() { near.cut = false })
		awaitMode(t, one.Shared, budget.ModeShared)
		awaitMode(t, other.Shared, budget.ModeShared)
		c.progress(100)
	}
	c.verdict()
}

func TestChaosSlowNetwork(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	_, _, near, far := two(c, r, 100)
	near.set(func() { near.delay = 40 * time.Millisecond })
	far.set(func() { far.delay = 110 * time.Millisecond }) // now and then too late
	c.progress(200)
	c.verdict()
}

// slow is a replica that takes note of it much later that Redis answers again.
type slow struct{}

func (slow) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && cmd.Name() == "hexists" {
			time.Sleep(500*time.Millisecond + rand.N(400*time.Millisecond))
		}
		return err
	}
}

func (slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestChaosHearsLate(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	near := startProxy(t, r.Address)
	client := near.client()
	client.AddHook(slow{})
	one := c.join(client, c.options("one"))
	c.join(clientOf(r.Address), c.options("two"))
	awaitMode(t, one.Shared, budget.ModeShared)
	for range 5 {
		c.progress(100)
		near.set(func() { near.stalled = true })
		soon(t, "it has noticed", func() bool { return one.Standing("erp").Mode != budget.ModeShared })
		near.set(func() { near.stalled, near.cut = false, true }) // what has lost an answer is out of step
		near.set(func() { near.cut = false })
		awaitMode(t, one.Shared, budget.ModeShared)
	}
	c.progress(100)
	c.verdict()
}

func TestChaosReplicaDies(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	one, other, _, _ := two(c, r, 100)
	other.die()
	c.progress(200)
	again := c.join(clientOf(r.Address), quick("two")) // under its old name
	awaitMode(t, again.Shared, budget.ModeShared)
	third := c.join(clientOf(r.Address), quick("three"))
	awaitMode(t, third.Shared, budget.ModeShared)
	c.progress(200)
	one.stop()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the one that left is no longer counted", func() bool { return third.Standing("erp").Replicas == 2 })
	c.progress(100)
	c.verdict()
}

// spoiled changes a script.
func spoiled(name, old, new string) *redis.Script {
	text, _ := luaFiles.ReadFile("lua/" + name + ".lua")
	common, _ := luaFiles.ReadFile("lua/common.lua")
	whole := string(common) + string(text)
	if !strings.Contains(whole, old) {
		panic("there is no " + old)
	}
	return redis.NewScript(inline(strings.ReplaceAll(whole, old, new)))
}

// violated waits until a limit is exceeded.
func (c *chaos) violated() {
	c.Helper()
	c.Cleanup(func() { c.Logf("%d calls arrived", c.judge.Count()) })
	soon(c, "the mistake is found", func() bool {
		for _, p := range c.pools {
			if len(c.judge.Violations(p)) > 0 {
				return true
			}
		}
		return false
	})
}

// What chaos finds is worth something only if it finds the mistakes that one makes.
// The limits are so low, and the windows and deadlines so long, that a mistake shows
// whenever calls are admitted at all: how fast the machine is does not matter.
func TestChaosFindsMistakes(t *testing.T) {
	alone := func(c *chaos, r *redistest.Server) { c.join(clientOf(r.Address), c.options("one")) }
	few := &budget.Pool{Name: "concurrency", Capacity: 3_000}
	short := &budget.Pool{Name: "window", Capacity: 12_000, Hold: 4 * time.Second}
	long := &budget.Pool{Name: "window", Capacity: 12_000, Hold: 5 * time.Minute}
	for name, plant := range map[string]struct {
		pool  *budget.Pool
		lease time.Duration // so long that no settlement is late
		early bool
		spoil func(*luaScripts)
		stir  func(*chaos, *redistest.Server)
	}{
		"settled when sent": {few, 30 * time.Second, true, nil, alone},
		"nothing left for the missing": {short, time.Second, false, func(s *luaScripts) {
			s.admit = spoiled("admit", "if s.any > 0 then away =", "if false then away =")
		}, func(c *chaos, r *redistest.Server) {
			_, _, near, _ := two(c, r, 0)
			near.set(func() { near.cut = true })
		}},
		"no fence after a loss": {long, 30 * time.Second, false, func(s *luaScripts) {
			s.beat = spoiled("beat", "if epoch ~= '' and epoch ~= s.epoch then", "if false then")
			s.admit = spoiled("admit", "if s.fence > 0 then", "if false then")
		}, func(c *chaos, r *redistest.Server) {
			two(c, r, 0)
			soon(c, "some calls arrive", func() bool { return c.judge.Count() >= 5 })
			if err := clientOf(r.Address).FlushAll(c.Context()).Err(); err != nil {
				c.Fatal(err)
			}
		}},
		"the hold is forgotten": {long, 30 * time.Second, false, func(s *luaScripts) {
			s.settle = spoiled("settle", "return t + a.hold", "return t")
		}, alone},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChaos(t)
			c.pools, c.lease, c.lost, c.early, c.spoil = []*budget.Pool{plant.pool}, plant.lease, 0, plant.early, plant.spoil
			c.options = patient
			if plant.early {
				c.latency = time.Second
			}
			if plant.pool == short { // somebody has to lose Redis
				c.options = func(name string) Options {
					return Options{Replica: name, Beat: 50 * time.Millisecond, Missing: time.Second, Deadline: 500 * time.Millisecond}
				}
			}
			plant.stir(c, redistest.Run(t))
			c.violated()
		})
	}
}

var rounds = flag.Int("chaos", 1, "rounds of chaos by chance, of about five seconds each; the first is the same each time")

// By chance: three replicas with networks of their own, and what may happen to them
// and to Redis, one after the other and some of it at once.
func TestChaosByChance(t *testing.T) {
	for round := range *rounds {
		seed := uint64(1)
		if round > 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newChaos(t)
			random := rand.New(rand.NewPCG(seed, 0))
			r := redistest.Run(t, "--appendonly", []string{"yes", "no"}[random.IntN(2)])
			within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
			var networks []*proxy
			for i := range 3 {
				p := startProxy(t, r.Address)
				networks = append(networks, p)
				c.join(p.client(), quick(fmt.Sprint("replica ", i)))
			}
			c.progress(100)
			any := func() *proxy { return networks[random.IntN(len(networks))] }
			client := clientOf(r.Address)
			defer client.Close()
			happenings := []func(){
				func() { r.Kill(); r.Start() },
				func() { r.Pause(); time.Sleep(within(400 * time.Millisecond)); r.Resume() },
				func() { _ = client.FlushAll(t.Context()) },
				func() { shift(t, r, time.Duration(random.IntN(4)-1)*time.Second) },
				func() { p := any(); p.set(func() { p.cut = !p.cut }) },
				func() { p := any(); p.set(func() { p.stalled = !p.stalled }) },
				func() { p := any(); p.set(func() { p.deaf = !p.deaf }) },
				func() { p, delay := any(), within(120*time.Millisecond); p.set(func() { p.delay = delay }) },
			}
			for range 12 {
				happenings[random.IntN(len(happenings))]()
				time.Sleep(within(500 * time.Millisecond))
			}
			for _, p := range networks {
				p.set(func() { p.cut, p.stalled, p.deaf, p.delay = true, false, false, 0 })
				p.set(func() { p.cut = false })
			}
			c.progress(100)
			c.verdict()
		})
	}
}
