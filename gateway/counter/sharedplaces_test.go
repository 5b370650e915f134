package counter

import (
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// The server fails and its replica is promoted, which may have missed the last
// writes.
func TestChaosFailover(t *testing.T) {
	c := newChaos(t)
	master := redistest.Run(t)
	slave := redistest.Run(t, "--replicaof", "127.0.0.1", master.Port())
	sentinel := redistest.RunSentinel(t, "hr", master, "down-after-milliseconds hr 300", "failover-timeout hr 1000")
	watch := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Address})
	defer watch.Close()
	eventually(t, "the sentinel knows the replica", func() bool {
		replicas, err := watch.Replicas(t.Context(), "hr").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})

	client := func() redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "hr", SentinelAddrs: []string{sentinel.Address}, ContextTimeoutEnabled: true, MaxRetries: -1, DialTimeout: time.Second,
		})
	}
	one, other := c.join(client(), quick("one")), c.join(client(), quick("two"))
	awaitMode(t, one.Shared, budget.ModeShared)
	awaitMode(t, other.Shared, budget.ModeShared)
	c.progress(100)
	master.Kill()
	awaitMode(t, one.Shared, budget.ModeAlone)
	promoted := clientOf(slave.Address)
	defer promoted.Close()
	eventually(t, "the replica is promoted", func() bool {
		role, err := promoted.Do(t.Context(), "ROLE").Slice()
		return err == nil && role[0] == "master"
	})
	awaitMode(t, one.Shared, budget.ModeShared)
	awaitMode(t, other.Shared, budget.ModeShared)
	c.progress(150)
	c.verdict()
}

// All that is known of a system lies in one slot of a Cluster.
func TestSharedOnCluster(t *testing.T) {
	t.Parallel()
	var addresses []string
	for range 3 {
		s := redistest.Run(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		addresses = append(addresses, s.Address)
	}
	create := exec.Command("redis-cli", append(append([]string{"--cluster", "create"}, addresses...), "--cluster-yes")...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	client := func() *redis.ClusterClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true, MaintNotificationsConfig: noNotifications()})
	}
	check := client()
	defer check.Close()
	eventually(t, "the cluster is whole", func() bool {
		info, err := check.ClusterInfo(t.Context()).Result()
		return err == nil && len(info) > 16 && info[:16] == "cluster_state:ok"
	})
	one, two := open(t, client(), patient("one")), open(t, client(), patient("two"))
	woken := make(chan struct{}, 1)
	stop := two.Watch("erp", func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	pool := &budget.Pool{Name: "concurrency", Capacity: 1000}
	for _, name := range []string{"erp", "wms", "crm", "tms"} {
		warm(one, name)
		warm(two, name)
		ask := func() *budget.Admission {
			return &budget.Admission{System: name, Asks: []budget.Ask{{Pool: pool, Key: "concurrency", Units: 1000}}, Lease: time.Minute, Queued: true}
		}
		a := ask()
		if d, err := one.Admit(t.Context(), a); err != nil || !d.Granted {
			t.Fatal(d, err)
		}
		if d, err := two.Admit(t.Context(), ask()); err != nil || d.Granted {
			t.Fatal("the other replica is admitted, too", d, err)
		}
		if err := one.Settle(t.Context(), a, budget.Settlement{}); err != nil {
			t.Fatal(err)
		}
		if name == "erp" {
			select {
			case <-woken:
			case <-time.After(30 * time.Second):
				t.Error("nobody was woken")
			}
		}
		eventually(t, "the other one has room", func() bool {
			d, err := two.Admit(t.Context(), ask())
			return err == nil && d.Granted
		})
	}
}

// shift puts Redis' clock forward or back, as far as our scripts can tell.
func shift(t *testing.T, r *redistest.Server, d time.Duration) {
	t.Helper()
	c := clientOf(r.Address)
	defer c.Close()
	const script = `local c = redis.call('HGET', KEYS[1], 'c')
if not c then return 0 end
local last, skew = struct.unpack('<dd', c)
return redis.call('HSET', KEYS[1], 'c', struct.pack('<dd', last, skew + ARGV[1]))`
	if err := c.Eval(t.Context(), script, []string{"hr:{erp}"}, d.Microseconds()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestChaosClock(t *testing.T) {
	for _, d := range []time.Duration{10 * time.Second, -10 * time.Second, time.Second, 400 * time.Millisecond, -100 * time.Millisecond} {
		t.Run(d.String(), func(t *testing.T) {
			c := newChaos(t)
			r := redistest.Run(t)
			one, other, _, _ := two(c, r, 100)
			for range 3 {
				shift(t, r, d)
				c.progress(60)
			}
			awaitMode(t, one.Shared, budget.ModeShared)
			awaitMode(t, other.Shared, budget.ModeShared)
			c.verdict()
		})
	}
}
