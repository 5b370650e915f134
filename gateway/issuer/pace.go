package issuer

import (
	"sync"
	"time"
)

// mostRevocations is how many tokens a client may revoke in a minute at a replica.
// Each is kept by all replicas until the token would have ended.
const mostRevocations = 60

// pace bounds what clients do in a minute. The zero value is ready; it is safe for
// concurrent use.
type pace struct {
	mu    sync.Mutex
	ends  time.Time
	count map[string]int // by client, in the minute that ends then
}

// wait is how long a client has to wait; zero when it may go on, which is counted.
func (p *pace) wait(client string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !now.Before(p.ends) {
		p.ends, p.count = now.Add(time.Minute), map[string]int{}
	}
	if p.count[client] >= mostRevocations {
		return p.ends.Sub(now)
	}
	p.count[client]++
	return 0
}
