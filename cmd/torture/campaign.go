package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// plan is what a campaign does.
type plan struct {
	engine   string // sqlite or postgres
	counters string // memory or redis
	replicas int
	kills    int
	// least and most bound the time between two kills.
	least, most time.Duration
	// stalls is how often a gateway stands still for the time of stall, longer
	// than its leases, and goes on then as if nothing had been.
	stalls  int
	stall   time.Duration
	writers int
	orders  int           // of each writer: lanes of its own
	pause   time.Duration // of a writer between two writes, on average
	peace   time.Duration // writing without kills at the end
	drain   time.Duration // for the last write to be settled
	limits  limits
	seed    uint64
	bugs    []string
}

// campaign is one run on one store.
type campaign struct {
	plan     plan
	headrace string
	dir      string
	store    *store // of the ledger
	counters *store
	erp      *process
	address  string // of the ERP, for the gateways
	control  string // of the ERP, for the harness
	replicas []*replica
	writers  []*writer
	client   *client
}

// replica is a gateway that is killed and started again in the same place.
type replica struct {
	headrace, dir, log, listen string
	// busy is held by who kills the process and starts it again, or stops it.
	busy    sync.Mutex
	process *process
}

func (r *replica) start() (err error) {
	r.process, err = launch(r.log, r.headrace, "serve", r.dir)
	return err
}

// restart kills the gateway and starts it again.
func (r *replica) restart() error {
	if !r.process.kill() {
		return fmt.Errorf("a gateway ended by itself; see %s", r.log)
	}
	return r.start()
}

// result is what came out of a campaign.
type result struct {
	plan     plan
	took     time.Duration
	kills    int
	drained  time.Duration
	stopped  time.Duration // until all gateways had ended that were asked to
	verdict  *verdict
	erp      erpReport
	writes   int
	tries    int
	faults   []string
	complain []string // what gateways said of themselves
	dead     map[string]int
	// unexpected are dead letters that neither the ERP's refusal nor the
	// operation's class explains; a person is asked although nobody need be.
	unexpected []string
	open       []string // how some of those stand that are not settled
	strays     int      // writes in the ledger that no client knows of and that are not final
}

// bad tells that a promise was broken.
func (r *result) bad() bool { return r.verdict.bad() || len(r.faults) > 0 || r.violations() > 0 }

func (r *result) violations() int {
	return r.erp.Counts.ConcurrencyViolations + r.erp.Counts.WindowViolations
}

// run carries a plan out. The directory holds everything that is written.
func run(ctx context.Context, headrace, dir string, p plan) (*result, error) {
	c := &campaign{plan: p, headrace: headrace, dir: dir}
	defer c.close()
	started := time.Now()
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	kills, err := c.torture(ctx)
	if err != nil {
		return nil, err
	}
	r := &result{plan: p, kills: kills, dead: map[string]int{}}
	if err := c.calm(ctx, r); err != nil {
		return nil, err
	}
	r.took = time.Since(started)
	return r, nil
}

func (c *campaign) close() {
	for _, r := range c.replicas {
		if r.process != nil {
			r.process.kill()
		}
	}
	if c.erp != nil {
		c.erp.kill()
	}
	for _, s := range []*store{c.store, c.counters} {
		if s != nil {
			s.stop()
		}
	}
}

func (c *campaign) start(ctx context.Context) error {
	var err error
	if c.store, err = openStore(c.plan.engine, c.dir); err != nil {
		return err
	}
	if c.counters, err = openCounters(ctx, c.plan.counters, c.dir); err != nil {
		return err
	}
	if err := c.startERP(ctx); err != nil {
		return err
	}
	var addresses []string
	for i := range c.plan.replicas {
		r, err := c.newReplica(i)
		if err != nil {
			return err
		}
		c.replicas = append(c.replicas, r)
		addresses = append(addresses, r.listen)
		if err := r.start(); err != nil {
			return err
		}
	}
	for _, r := range c.replicas {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := listens(ctx, r.process, r.listen, r.log)
		cancel()
		if err != nil {
			return err
		}
	}
	c.client = newClient(addresses, c.plan.writers)
	return nil
}

func (c *campaign) startERP(ctx context.Context) error {
	for _, address := range []*string{&c.address, &c.control} {
		var err error
		if *address, err = freeAddress(); err != nil {
			return err
		}
	}
	settings, err := json.Marshal(erpSettings{
		Seed: c.plan.seed, Concurrency: c.plan.limits.concurrency, Calls: c.plan.limits.calls, Window: c.plan.limits.window, Timeout: callTimeout, Bugs: c.plan.bugs,
	})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := filepath.Join(c.dir, "erp.log")
	if c.erp, err = launch(log, self, "erp", c.address, c.control, string(settings)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return listens(ctx, c.erp, c.control, log)
}

func (c *campaign) newReplica(i int) (*replica, error) {
	name := fmt.Sprintf("gateway-%d", i+1)
	r := &replica{headrace: c.headrace, dir: filepath.Join(c.dir, name), log: filepath.Join(c.dir, name+".log")}
	var err error
	if r.listen, err = freeAddress(); err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	limits := c.plan.limits
	if c.plan.counters == "memory" { // each counts for itself
		limits = limits.share(c.plan.replicas)
	}
	return r, writeWorkspace(r.dir, gatewaySettings{
		listen: r.listen, admin: admin, ledger: c.store.url, counters: c.counters.url, replica: name, erp: c.address, limits: limits,
	})
}

// torture lets the writers write while the gateways are killed, and waits until
// each has an answer to its last write.
func (c *campaign) torture(ctx context.Context) (kills int, err error) {
	random := rand.New(rand.NewPCG(c.plan.seed, 3))
	writing, stop := context.WithCancel(ctx)
	trying, end := context.WithCancel(ctx)
	defer end()
	var wait sync.WaitGroup
	for i := range c.plan.writers {
		w := newWriter(c.client, fmt.Sprintf("w%d", i+1), c.plan.orders, c.plan.seed)
		c.writers = append(c.writers, w)
		wait.Go(func() { w.run(writing, trying, c.plan.pause) })
	}
	stalls := make(chan struct{})
	go func() {
		defer close(stalls)
		c.stalls(trying)
	}()
	for kills < c.plan.kills && ctx.Err() == nil {
		time.Sleep(c.plan.least + time.Duration(random.Float64()*float64(c.plan.most-c.plan.least)))
		r := c.replicas[random.IntN(len(c.replicas))]
		if !r.busy.TryLock() {
			continue // it stands still
		}
		err = r.restart()
		r.busy.Unlock()
		if err != nil {
			break
		}
		kills++
	}
	if err != nil {
		end()
	}
	<-stalls
	select { // kills leave calls little time to run into their timeouts
	case <-trying.Done():
	case <-time.After(c.plan.peace):
	}
	stop()
	timer := time.AfterFunc(time.Minute, end)
	wait.Wait()
	timer.Stop()
	return kills, errors.Join(err, ctx.Err())
}

// stalls stops one gateway after the other in the middle of what it does.
func (c *campaign) stalls(ctx context.Context) {
	for i := range c.plan.stalls {
		r := c.replicas[i%len(c.replicas)]
		time.Sleep(c.plan.most) // in the middle of what it does, and not at its start
		r.busy.Lock()
		r.process.cmd.Process.Signal(syscall.SIGSTOP)
		select {
		case <-ctx.Done():
		case <-time.After(c.plan.stall):
		}
		r.process.cmd.Process.Signal(syscall.SIGCONT)
		r.busy.Unlock()
	}
}

// calm ends the misbehaving, waits for the last write, and judges.
func (c *campaign) calm(ctx context.Context, r *result) error {
	if err := c.askERP(ctx, http.MethodPost, "/calm", nil); err != nil {
		return err
	}
	var writes []*sent
	for _, w := range c.writers {
		writes = append(writes, w.writes...)
		r.faults = append(r.faults, w.faults...)
	}
	began := time.Now()
	for time.Since(began) < c.plan.drain && ctx.Err() == nil {
		if c.client.states(ctx, writes) == 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	r.drained = time.Since(began)
	r.open = c.client.explain(ctx, writes)
	var err error
	if r.strays, err = c.strays(ctx, writes, began.Add(c.plan.drain)); err != nil {
		return err
	}
	asked := time.Now()
	for _, g := range c.replicas {
		g.process.stop(time.Minute)
	}
	r.stopped = time.Since(asked)
	if err := c.askERP(ctx, http.MethodGet, "/report", &r.erp); err != nil {
		return err
	}
	r.verdict = check(writes, r.erp.Effects)
	r.writes = len(writes)
	for _, s := range writes {
		r.tries += s.tries
		if s.dead {
			r.dead[s.operation+" "+s.state]++
			if !s.expectedDead() {
				r.unexpected = append(r.unexpected, fmt.Sprintf("dead letter: %s (%s, %s) is %s: %s", s.order.ID, s.operation, s.write, s.state, s.reason))
			}
		}
	}
	r.verdict.unsettled += r.strays
	r.complain = c.complaints()
	return ctx.Err()
}

// strays counts the writes that no client has an acknowledgement of and that
// are not final: also those have to come to an end.
func (c *campaign) strays(ctx context.Context, writes []*sent, until time.Time) (int, error) {
	known := map[string]bool{}
	for _, s := range writes {
		known[s.write] = true
	}
	for {
		n := 0
		for _, state := range []string{"held", "sending", "doubtful"} {
			list, err := c.client.list(ctx, state)
			if err != nil {
				return 0, err
			}
			for _, w := range list {
				if !w.Dead && !known[w.ID] {
					n++
				}
			}
		}
		if n == 0 || time.Now().After(until) {
			return n, ctx.Err()
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (c *campaign) askERP(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.control+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// complaints are the errors and panics in the gateways' logs, a few of each.
func (c *campaign) complaints() []string {
	var found []string
	for _, r := range c.replicas {
		data, err := os.ReadFile(r.log)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if len(found) < 10 && (strings.Contains(line, `"level":"ERROR"`) || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:")) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}
