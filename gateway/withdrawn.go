package gateway

import "crypto/sha256"

// Withdrawn is what no longer holds, although a table still knows it. A replica
// that cannot build the newest table goes on with its old one; what was taken
// from consumers since must be refused there all the same.
type Withdrawn struct {
	// Keys are API keys by their hashes, Clients and Certificates as apps have them.
	Keys         map[[sha256.Size]byte]bool
	Clients      map[ClientIdentity]bool
	Certificates map[CertificateName]bool
	// OAuth are clients of the gateway's own token endpoint by their ids.
	OAuth map[string]bool
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
