package gateway

import (
	"crypto/sha256"
	"time"
)

// Withdrawn is what no longer holds, although a table still knows it. To build the
// newest table takes a while, and a replica that cannot goes on with its old one;
// what was taken from consumers since must be refused there all the same.
type Withdrawn struct {
	// Keys are API keys by their hashes, and from when on they do not hold; the zero
	// time is at once. Clients and Certificates are as tables have them.
	Keys         map[[sha256.Size]byte]time.Time
	Clients      map[ClientIdentity]bool
	Certificates map[CertificateName]bool
	// OAuth are clients of the gateway's own token endpoint by their ids, and from
	// when on they do not hold.
	OAuth map[string]time.Time
	// Apps may do nothing at all.
	Apps map[string]bool
	// Subscriptions are no longer approved: app and product.
	Subscriptions map[[2]string]bool
}

// Withdraw has everything of w refused from now on; nil takes that back. It may
// be called while the consumers are in use.
func (c *Consumers) Withdraw(w *Withdrawn) { c.withdrawn.Store(w) }

// holds tells whether a credential of an app was not withdrawn.
func (c *Consumers) holds(app *App, is func(*Withdrawn) bool) bool {
	w := c.withdrawn.Load()
	return w == nil || !w.Apps[app.Name] && !is(w)
}

// over tells whether the time of something has come from which on it does not hold.
func over[K comparable](from map[K]time.Time, what K, now time.Time) bool {
	at, ok := from[what]
	return ok && !now.Before(at)
}
