//go:build !race

// The race detector slows replicas down so much that they lose Redis by themselves.

package counter

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// stall is a replica that stands still for a while at some point: before a command
// is sent, or after its answer has arrived and before anybody has taken note of it.
type stall struct {
	mu            sync.Mutex
	before, after func(command string) error
	scripts       map[any]string // the names of scripts by their hashes
	said          []string
}

func (s *stall) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s *stall) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *stall) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		name := s.name(cmd)
		s.mu.Lock()
		before, after := s.before, s.after
		s.mu.Unlock()
		if before != nil {
			if err := before(name); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		s.mu.Lock()
		s.said = append(s.said, name)
		s.mu.Unlock()
		err := next(ctx, cmd)
		if err == nil && after != nil {
			_ = after(name)
		}
		return err
	}
}

// name is that of the script, or of the command.
func (s *stall) name(cmd redis.Cmder) string {
	if args := cmd.Args(); len(args) > 1 && s.scripts[args[1]] != "" {
		return s.scripts[args[1]]
	}
	return cmd.Name()
}

// set says what happens from now on, and forgets what was said before.
func (s *stall) set(before, after func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.said = before, after, nil
}

// first is which of two commands was said first; empty when none was yet.
func (s *stall) first(a, b string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.said {
		if name == a || name == b {
			return name
		}
	}
	return ""
}

var errOutOfReach = errors.New("out of reach")

// outOfReach has nothing arrive.
func outOfReach(string) error { return errOutOfReach }

// stalled are two replicas that share, the first of which can be made to stand still.
func stalled(t *testing.T, r *redistest.Server) (one, two *Shared, at *stall) {
	t.Helper()
	client := clientOf(r.Address)
	scripts := lua()
	at = &stall{scripts: map[any]string{scripts.beat.Hash(): "beat", scripts.rejoin.Hash(): "rejoin", scripts.admit.Hash(): "admit"}}
	for _, script := range []*redis.Script{scripts.beat, scripts.rejoin, scripts.admit} { // they go by their hashes then
		if err := script.Load(t.Context(), client).Err(); err != nil {
			t.Fatal(err)
		}
	}
	client.AddHook(at)
	one, two = open(t, client, quick("one")), open(t, clientOf(r.Address), quick("two"))
	warm(one, "erp")
	warm(two, "erp")
	soon(t, "both share", func() bool {
		a, b := one.Standing("erp"), two.Standing("erp")
		return a.Mode == budget.ModeShared && b.Mode == budget.ModeShared && a.Share == 0.5 && b.Share == 0.5
	})
	return one, two, at
}

// underWay has Redis admit some calls.
func underWay(t *testing.T, s *Shared, p *budget.Pool, n int) (calls []*budget.Admission) {
	t.Helper()
	for range n {
		a := callOf(p)
		if !toldOf(t, s, a).Granted {
			t.Fatal("a call is not admitted")
		}
		calls = append(calls, a)
	}
	return calls
}

// admittedAlone has a replica admit a call while it is alone.
func admittedAlone(t *testing.T, s *Shared, p *budget.Pool) {
	t.Helper()
	soon(t, "a call is admitted alone", func() bool {
		d, err := s.Admit(t.Context(), callOf(p))
		return err == nil && d.Granted
	})
	if m := s.Standing("erp").Mode; m != budget.ModeAlone {
		t.Fatalf("it is %s", m)
	}
}

func settledAll(t *testing.T, s *Shared) {
	t.Helper()
	soon(t, "all is settled", func() bool {
		y := s.system("erp")
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.mode == budget.ModeShared && len(y.queue) == 0
	})
}

// A replica that comes to be alone while it still asks whether Redis answers tells
// what it has admitted before it beats: with the beat the others may use its share.
func TestSharedAloneWhileItAsks(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, _, at := stalled(t, r)
	pool := &budget.Pool{Name: "concurrency", Capacity: 8000}
	calls := underWay(t, one, pool, 3)
	release := make(chan struct{})
	at.set(func(name string) error {
		if name == "hexists" {
			return nil
		}
		return errOutOfReach
	}, func(name string) error { <-release; return nil })
	awaitMode(t, one, budget.ModeAlone)
	if err := one.Settle(t.Context(), calls[0], budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	admittedAlone(t, one, pool)
	at.set(nil, nil)
	close(release)
	first := ""
	soon(t, "it says something", func() bool { first = at.first("beat", "rejoin"); return first != "" })
	if first != "rejoin" {
		t.Error("it has beaten before it told what it had admitted")
	}
	settledAll(t, one)
	if u := used(t, one, pool.Name); u != 3000 {
		t.Errorf("%v are counted of three calls", u.Float())
	}
}

// A replica that comes to be alone again before it has heard that it has told
// everything has more to tell.
func TestSharedAloneWhileItTells(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, _, at := stalled(t, r)
	pool := &budget.Pool{Name: "concurrency", Capacity: 8000}
	calls := underWay(t, one, pool, 3)
	at.set(outOfReach, nil)
	awaitMode(t, one, budget.ModeAlone)
	for _, a := range calls[:2] {
		if err := one.Settle(t.Context(), a, budget.Settlement{}); err != nil {
			t.Fatal(err)
		}
	}
	admittedAlone(t, one, pool)
	told, release := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(told) })
	at.set(nil, func(name string) error {
		if name == "rejoin" {
			once()
			<-release
		}
		return nil
	})
	<-told
	awaitMode(t, one, budget.ModeAlone)
	admittedAlone(t, one, pool)
	at.set(nil, nil)
	close(release)
	settledAll(t, one)
	if u := used(t, one, pool.Name); u < 3000 {
		t.Errorf("%v are counted of three calls", u.Float())
	}
}

// A call whose lease is over when its caller would hear that it is admitted is not.
func TestSharedHearsTooLate(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, _, at := stalled(t, r)
	pool := &budget.Pool{Name: "concurrency", Capacity: 8000}
	underWay(t, one, pool, 1) // the script is known now
	y := one.system("erp")
	held, lease := make(chan struct{}), 50*time.Millisecond
	once := sync.OnceFunc(func() { y.mu.Lock(); close(held) })
	at.set(nil, func(name string) error {
		if name == "admit" {
			once()
		}
		return nil
	})
	answer := make(chan budget.Decision)
	go func() {
		for { // a replica that is uncertain for a moment does not ask Redis
			a := callOf(pool)
			a.Lease = lease
			d, _ := one.Admit(t.Context(), a)
			select {
			case <-held:
				answer <- d
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	<-held
	time.Sleep(lease)
	y.mu.Unlock()
	if d := <-answer; d.Granted {
		t.Errorf("it is admitted when its lease is over: %+v", d)
	}
}

// What Redis took for over, because its lease was, is not used again by a replica
// that heard of its end later and is alone then: Redis has given it to others.
func TestSharedPlacesOfLateEnds(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two, _ := stalled(t, r)
	pool := &budget.Pool{Name: "window", Capacity: 4000, Hold: 4 * time.Second}
	late := callOf(pool)
	late.Lease = 100 * time.Millisecond
	if !toldOf(t, one, late).Granted {
		t.Fatal("a call is not admitted")
	}
	n := 0
	soon(t, "the other one has all", func() bool { // when the lease and the hold are over
		if toldOf(t, two, callOf(pool)).Granted {
			n++
		}
		return n == 4
	})
	if err := one.Settle(t.Context(), late, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	awaitMode(t, one, budget.ModeAlone)
	soon(t, "it is over here as well", func() bool { return one.system("erp").shadow.Occupied("erp", pool.Name) == 0 })
	if n := grants(t, one, pool); n != 0 {
		t.Errorf("%d calls are admitted where others have all", n)
	}
}

// What a call whose end is not known may have cost more counts for all replicas.
func TestSharedCountsWhatIsUnknown(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two, _ := stalled(t, r)
	pool := &budget.Pool{Name: "concurrency", Capacity: 8000}
	a := underWay(t, one, pool, 1)[0]
	if err := one.Settle(t.Context(), a, budget.Settlement{Outcome: budget.Unknown, Actual: []budget.Units{3000}}); err != nil {
		t.Fatal(err)
	}
	settledAll(t, one)
	if u := used(t, two, pool.Name); u != 3000 {
		t.Errorf("%v units are counted, want 3", u.Float())
	}
}
