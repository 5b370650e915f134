package portal

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

const (
	sessionCookie = "session"
	// sessionIdle is how long a log-in lives unused, sessionLife how long in any case.
	sessionIdle = 24 * time.Hour
	sessionLife = 14 * 24 * time.Hour
	// sessionTouch is how often it is written down that a log-in is in use.
	sessionTouch = 5 * time.Minute
	// pendingLife is how long the second factor may take.
	pendingLife = 10 * time.Minute
)

// sessionEnd is until when a log-in lives that is in use now.
func sessionEnd(created, now time.Time) time.Time {
	end, last := now.Add(sessionIdle), created.Add(sessionLife)
	if last.Before(end) {
		return last
	}
	return end
}

// newSecret makes what a browser or a mail proves something with: 260 bits.
func newSecret() string { return rand.Text() + rand.Text() }

// signIn begins a log-in under a new token; the one that the browser had ends. So
// nobody can be made to use a log-in whose token somebody else knows.
func (c *call) signIn(account string, pending bool) error {
	now := time.Now()
	token, life := newSecret(), sessionLife
	s := ledger.Session{Hash: ledger.HashOf([]byte(token)), Account: account, Pending: pending, Agent: agent(c.Request()), Expires: sessionEnd(now, now)}
	if pending {
		life, s.Expires = pendingLife, now.Add(pendingLife)
	}
	if err := c.portal.options.Store.NewSession(c.Request().Context(), s, c.sessionHash()); err != nil {
		return err
	}
	c.setCookie(sessionCookie, token, life)
	return nil
}

// sessionHash is the name of the log-in that the browser says it has; no hash at
// all when it says nothing.
func (c *call) sessionHash() string {
	if token := c.cookie(sessionCookie); token != "" {
		return ledger.HashOf([]byte(token))
	}
	return ""
}

// agent is what a browser calls itself, no longer than is of use.
func agent(r *http.Request) string {
	text := r.UserAgent()
	return text[:min(len(text), 200)]
}

// signOut ends the log-in.
func (p *Portal) signOut(c *call) error {
	if err := p.options.Store.EndSession(c.Request().Context(), c.visitor.account, c.visitor.session.Hash); err != nil {
		return err
	}
	c.setCookie(sessionCookie, "", -1)
	return c.redirect("/", "You have signed out.")
}
