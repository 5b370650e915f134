package counter

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// said is what a server of another version or in another state would answer.
type said string

func (s said) Error() string { return string(s) }
func (said) RedisError()     {}

// Only what a script itself does wrong is given up.
func TestHopelessErrors(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	c := clientOf(r.Address)
	defer c.Close()
	run := func(script string, args ...any) error {
		return redis.NewScript(script).Run(t.Context(), c, []string{"key"}, args...).Err()
	}
	scripts := lua()
	if err := c.HSet(t.Context(), systemKeys("erp")[0], "c", "x", "s", "x").Err(); err != nil {
		t.Fatal(err)
	}
	hopeless := func(want bool, name string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: there is no error", name)
		} else if hopeless(err) != want {
			t.Errorf("%s: %v is taken for hopeless: %v", name, err, !want)
		}
	}
	hopeless(true, "a broken argument", scripts.settle.Run(t.Context(), c, systemKeys("erp"), "too short", "epoch").Err())
	hopeless(true, "a broken state", scripts.settle.Run(t.Context(), c, systemKeys("erp"), numbers(make([]float64, 11)...), "epoch").Err())
	hopeless(true, "a mistake", run("return nothing.here"))
	hopeless(true, "a key of another type", run("redis.call('SET', KEYS[1], 1) return redis.call('HSET', KEYS[1], 1, 1)"))
	hopeless(true, "a mistake, before version 7", said("ERR Error running script (call to f_12): @user_script:3: user_script:3: attempt to index global 'nothing'"))

	hopeless(false, "a script that is not known", c.EvalSha(t.Context(), strings.Repeat("0", 40), []string{"key"}).Err())
	hopeless(false, "a command that is not known", c.Do(t.Context(), "NOTHING").Err())
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	hopeless(false, "a server without memory", run("return redis.call('HSET', KEYS[1], 1, 1)"))
	if err := c.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"yes", "no"} { // of a replica whose server is gone
		if err := c.ConfigSet(t.Context(), "replica-serve-stale-data", setting).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
		hopeless(false, "a replica, stale data: "+setting, run("return redis.call('HSET', KEYS[1], 1, 1)"))
	}
	r.Kill()
	hopeless(false, "no server", run("return 1"))
	for _, text := range []string{
		"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"READONLY You can't write against a read only replica. script: 12, on @user_script:3.", "CLUSTERDOWN The cluster is down", "MOVED 1 127.0.0.1:2",
		"TRYAGAIN Multiple keys request during rehashing of slot", "BUSY Redis is busy running a script.", "MISCONF Redis is configured to save RDB snapshots",
		"NOREPLICAS Not enough good replicas to write.", "NOAUTH Authentication required.", "NOPERM this user has no permissions", "ERR max number of clients reached",
		"ERR Error running script (call to f_12): @user_script:3: @user_script: 3: -READONLY You can't write against a read only replica.",
		"ERR Error running script (call to f_12): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.",
		"ERR Error running script (call to f_12): @user_script:3: Script killed by user with SCRIPT KILL...",
	} {
		hopeless(false, text, said(text))
	}
	hopeless(false, "a broken connection", errors.New("EOF"))
}

// lines are what a log was told, one after the other.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(word string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), word)
}

// A settlement that the script cannot carry out is dropped: it is said once, counted
// each time, holds up nothing, and the lease frees what it holds.
func TestSharedDropsWhatCannotBeSettled(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	o := patient("one")
	log := new(lines)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	s := open(t, clientOf(r.Address), o)
	warm(s, "erp")
	soon(t, "all is settled", func() bool { y := s.system("erp"); y.mu.Lock(); defer y.mu.Unlock(); return len(y.queue) == 0 })
	whole := s.scripts.settle
	s.scripts.settle = redis.NewScript("if KEYS[1] then error('broken') end")
	if err := s.scripts.settle.Load(t.Context(), s.client).Err(); err != nil {
		t.Fatal(err)
	}
	pool := &budget.Pool{Name: "concurrency", Capacity: 3000}
	short := func() *budget.Admission { a := callOf(pool); a.Lease = time.Second; return a }
	for range 2 {
		a := short()
		if !toldOf(t, s, a).Granted {
			t.Fatal("a call is not admitted")
		}
		mustSettle(t, s, a)
	}
	// One that an admission takes along.
	ahead, next := short(), short()
	if !toldOf(t, s, ahead).Granted {
		t.Fatal("a call is not admitted")
	}
	y := s.system("erp")
	y.carrying.Lock() // its settlement stays in the queue
	if err := s.Settle(t.Context(), ahead, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	y.carrying.Unlock()
	soon(t, "the lease frees what is dropped", func() bool {
		d, err := s.Admit(t.Context(), next)
		return err == nil && d.Granted
	})
	if got := s.Standing("erp"); got.Unsettled != 3 || got.Mode != budget.ModeShared {
		t.Errorf("after three settlements that failed: %+v", got)
	}
	if n := log.count("cannot carry out the settlement"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	s.scripts.settle = whole
	mustSettle(t, s, next)
	n := 0
	soon(t, "all is free", func() bool { n += fill(t, s, pool); return n == 3 })
	if n := s.Standing("erp").Unsettled; n != 3 { // and none since
		t.Errorf("%d are not settled", n)
	}
}

// A settlement that fails for want of a server is sent again until it is carried
// out: long before the end of its lease, what it holds is free.
func TestSharedSettlesAgain(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	near := startProxy(t, r.Address)
	client := clientOf(r.Address)
	defer client.Close()
	s := open(t, near.client(), Options{Replica: "one", Beat: 50 * time.Millisecond, Missing: time.Second, Deadline: time.Second})
	warm(s, "erp")
	for i, c := range []struct {
		name       string
		fail, mend func()
	}{
		{"unknown script", func() {
			if err := client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}, func() {}},
		{"no network", func() { near.set(func() { near.cut = true }) }, func() { near.set(func() { near.cut = false }) }},
	} {
		pool := &budget.Pool{Name: fmt.Sprint("concurrency-", i), Capacity: 1000}
		a := callOf(pool)
		a.Lease = 24 * time.Hour
		if !toldOf(t, s, a).Granted {
			t.Fatalf("%s: a call is not admitted", c.name)
		}
		c.fail()
		if err := s.Settle(t.Context(), a, budget.Settlement{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // for some tries
		c.mend()
		soon(t, c.name+": Redis counts nothing any more", func() bool {
			all, err := s.scripts.usage.Run(t.Context(), client, systemKeys("erp")).Slice()
			return err == nil && len(all) == 0
		})
	}
	if n := s.Standing("erp").Unsettled; n != 0 {
		t.Errorf("%d settlements were dropped", n)
	}
}
