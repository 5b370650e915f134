package counter

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func clientOf(address string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true, MaxRetries: -1, DialTimeout: time.Second, PoolSize: 32, MaintNotificationsConfig: noNotifications()})
}

// quick are options for tests that do not want to wait. A clock that is put forward
// by more than twice the deadline is noticed.
func quick(name string) Options {
	return Options{Replica: name, Beat: 40 * time.Millisecond, Missing: 300 * time.Millisecond, Deadline: 150 * time.Millisecond, Alone: time.Minute}
}

func open(t testing.TB, c redis.UniversalClient, o Options) *Shared {
	t.Helper()
	s, err := Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newClient(o *redis.Options) *redis.Client { c := *o; return redis.NewClient(&c) }
