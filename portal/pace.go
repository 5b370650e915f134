package portal

import (
	"net/http"
	"sync"
	"time"
)

// pace bounds what one visitor may have kept in a minute. The ledger belongs to the
// writes of callers first, and a change of the registry is built by every replica.
type pace struct {
	mu     sync.Mutex
	minute int64
	counts map[string]int
}

const (
	// mostChanges is what an organisation, or an account, may change in a minute.
	mostChanges = 60
	// mostChallenges is how often log-ins may be begun from an address in a minute.
	mostChallenges = 60
	// mostGuesses is how often passwords and codes may be tried from an address in a
	// minute, and mostCodes how many codes of an account from everywhere. The guard
	// counts those that were wrong; of many at a time it would know too late.
	mostGuesses = 60
	mostCodes   = 20
	// mostTried is how often things may be tried at the sandbox from an address in a
	// minute; a write that is followed is looked at a dozen times.
	mostTried = 120
	// mostCompared is how often two versions may be chosen from an address in a minute.
	mostCompared = 30
	// mostPaced bounds what is remembered of a minute.
	mostPaced = 50_000
)

// take counts one more of a key; false when there were as many as there may be.
func (p *pace) take(key string, most int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if minute := now.Unix() / 60; minute != p.minute || p.counts == nil {
		p.minute, p.counts = minute, map[string]int{}
	}
	if p.counts[key] >= most || len(p.counts) >= mostPaced && p.counts[key] == 0 {
		return false
	}
	p.counts[key]++
	return true
}

// paced refuses a change that comes too soon after many others.
func (p *Portal) paced(c *call, key string, most int) error {
	if p.pace.take(key, most, time.Now()) {
		return nil
	}
	c.Response().Header().Set("Retry-After", "60")
	return c.fail(http.StatusTooManyRequests, "this goes too fast; try again in a minute")
}

// changing paces what a visitor changes who is signed in: by the organisation for
// which it is done, or else by the account.
func (p *Portal) changing(c *call) error {
	switch {
	case reading(c.Request()) || c.visitor == nil:
		return nil
	case c.least == member || c.least == developer || c.least == owner:
		return p.paced(c, "organisation "+c.visitor.organisation, mostChanges)
	}
	return p.paced(c, "account "+c.visitor.account, mostChanges)
}
