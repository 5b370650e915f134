package counter

import (
	"context"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// detour is a connection on which words get stuck: what has a script's hash is kept,
// and its caller is told that the connection broke.
type detour struct {
	mu     sync.Mutex
	script string // the hash of those that get stuck
	shut   int    // how many more of them do
	kept   [][]any
}

func (d *detour) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (d *detour) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (d *detour) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		d.mu.Lock()
		args := cmd.Args()
		stuck := d.shut > 0 && len(args) > 1 && args[1] == d.script
		if stuck {
			d.shut--
			d.kept = append(d.kept, args)
		}
		d.mu.Unlock()
		if stuck {
			cmd.SetErr(net.ErrClosed)
			return net.ErrClosed
		}
		return next(ctx, cmd)
	}
}

// stick has the next calls of a script get stuck, so many of them.
func (d *detour) stick(script *redis.Script, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script, d.shut = script.Hash(), n
}

// words are those that are stuck.
func (d *detour) words() [][]any { d.mu.Lock(); defer d.mu.Unlock(); return d.kept }

// detoured is a replica whose words can get stuck.
func detoured(t *testing.T, r *redistest.Server, name string) (*Shared, *detour) {
	t.Helper()
	client, d := clientOf(r.Address), new(detour)
	client.AddHook(d)
	o := patient(name)
	o.Deadline = time.Minute // what is stuck comes in time
	s := open(t, client, o)
	warm(s, "erp")
	return s, d
}

// A beat that a later one has overtaken tells of a share that its replica does not go
// by any more: nobody is given what is missing to the present one.
func TestSharedBeatsThatAreOvertaken(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, way := detoured(t, r, "one")
	two := open(t, clientOf(r.Address), patient("two"))
	warm(two, "erp")
	share := func(s *Shared, part float64) func() bool {
		return func() bool {
			st := s.Standing("erp")
			return st.Mode == budget.ModeShared && st.Share == part
		}
	}
	soon(t, "both have a half", func() bool { return share(one, 0.5)() && share(two, 0.5)() })
	way.stick(one.scripts.beat, 1)
	soon(t, "a beat is stuck", func() bool { return len(way.words()) > 0 })
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the first has all", share(one, 1))
	way.stick(one.scripts.beat, math.MaxInt) // it hears of nobody that comes

	client := clientOf(r.Address)
	defer client.Close()
	three := open(t, clientOf(r.Address), patient("three"))
	warm(three, "erp")
	if err := client.Do(t.Context(), way.words()[0]...).Err(); err != nil {
		t.Fatal(err)
	}
	beaten := time.Now()
	soon(t, "the third has beaten again", func() bool {
		y := three.system("erp")
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.mode == budget.ModeShared && y.beatHeard.After(beaten)
	})
	if sum := one.Standing("erp").Share + three.Standing("erp").Share; sum > 1 {
		t.Errorf("the shares of both are %v together", sum)
	}
}

// What was admitted alone is counted once, however often and late it is told.
func TestSharedTellsOnce(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one := open(t, clientOf(r.Address), quick("one"))
	warm(one, "erp")
	pool := &budget.Pool{Name: "concurrency", Capacity: 8000}
	if !toldOf(t, one, callOf(pool)).Granted {
		t.Fatal("a call is not admitted")
	}
	watch := clientOf(r.Address)
	defer watch.Close()
	y := one.system("erp")
	y.mu.Lock() // it says nothing else meanwhile
	told := func() []any {
		y.words++
		now := time.Now()
		ask := budget.Ask{Pool: pool, Key: pool.Name}
		return []any{
			numbers(y.clock.least(now), 1<<52, one.by, y.share, 0, atLeast(y.lease), -1, 1, y.words), y.epoch, "one", "[]",
			pool.Name, askNumbers(&ask, shape(pool, now), 0, nil, 0), (&push{ceiling: -1, single: []budget.Stay{{Units: 2000, In: time.Minute}}}).numbers(),
		}
	}
	first, second := told(), told()
	var answers []int64
	for _, args := range [][]any{second, second, first} {
		answer, err := readTold(one.scripts.rejoin.Run(t.Context(), watch, y.keys, args...).Result())
		if err != nil {
			t.Error(err)
		}
		answers = append(answers, answer.code)
	}
	y.mu.Unlock()
	if !slices.Equal(answers, []int64{beatOK, beatLate, beatLate}) {
		t.Errorf("the answers are %v", answers)
	}
	if u := used(t, one, pool.Name); u != 3000 {
		t.Errorf("%v units are counted of three", u.Float())
	}
}

// The data of a server that had not heard the last words of a replica takes its next
// one, and that of a process that is started again.
func TestSharedWordsOfOldData(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one := open(t, clientOf(r.Address), patient("one"))
	warm(one, "erp")
	client := clientOf(r.Address)
	defer client.Close()
	key := systemKeys("erp")[0]
	old := client.HGet(t.Context(), key, "r").Val()
	y := one.system("erp")
	heard := func() time.Time { y.mu.Lock(); defer y.mu.Unlock(); return y.beatHeard }
	since := time.Now()
	soon(t, "it has beaten since", func() bool { return heard().After(since) })
	if err := client.HSet(t.Context(), key, "r", old).Err(); err != nil {
		t.Fatal(err)
	}
	since = time.Now()
	soon(t, "it is heard of after its last words were lost", func() bool { return heard().After(since) })
	again := open(t, clientOf(r.Address), patient("one"))
	warm(again, "erp")
	soon(t, "another process of its name has joined", func() bool { return again.Standing("erp").Share == 1 })
}
