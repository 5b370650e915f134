package ledger

import (
	"context"
	"fmt"
	"time"
)

// Session is a log-in to the portal.
type Session struct {
	// Hash is HashOf the token, which the browser alone has.
	Hash, Account string
	// Pending tells that a second factor is still due: it proves nothing yet.
	Pending bool
	// Organisation is the one that is looked at, Acting the one that a manager
	// looks at without being able to change anything; empty without one.
	Organisation, Acting string
	// Agent is what the browser calls itself.
	Agent                  string
	Created, Seen, Expires time.Time
}

const sessionColumns = "s.hash, s.account, s.pending, s.organisation, s.acting, s.agent, s.created, s.seen, s.expires"

type scannedSession struct{ pending, created, seen, expires int64 }

func (c *scannedSession) into(s *Session) []any {
	return []any{&s.Hash, &s.Account, &c.pending, &s.Organisation, &s.Acting, &s.Agent, &c.created, &c.seen, &c.expires}
}

func (c *scannedSession) finish(s *Session) {
	s.Pending, s.Created, s.Seen, s.Expires = c.pending == 1, moment(c.created), moment(c.seen), moment(c.expires)
}

// NewSession keeps a session until s.Expires, and ends the one of the hash
// instead in the same step; none when that is empty. Created and Seen are now.
func (db *DB) NewSession(ctx context.Context, s Session, instead string) error {
	return db.alone(ctx, func(w *work) error {
		if err := w.do("DELETE FROM sessions WHERE hash = ?1", instead); err != nil {
			return err
		}
		if !s.Pending {
			if err := w.do("UPDATE accounts SET signed_in = ?2 WHERE id = ?1", s.Account, w.now); err != nil {
				return err
			}
		}
		return w.do(`INSERT INTO sessions (hash, account, pending, organisation, acting, agent, created, seen, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`, s.Hash, s.Account, flag(s.Pending), s.Organisation, s.Acting, s.Agent, w.now, w.now, micro(s.Expires))
	})
}

// Session reads a session that has not expired, with its account: ErrNotFound
// when there is none.
func (db *DB) Session(ctx context.Context, hash string) (Session, Account, error) {
	var s Session
	var a Account
	found := false
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) (err error) {
			found = true
			var c scannedSession
			a, err = scanAccount(r, c.into(&s)...)
			c.finish(&s)
			return err
		}, "SELECT "+accountOf("a")+", "+sessionColumns+" FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.hash = ?1 AND s.expires > ?2", hash, db.now())
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: session", ErrNotFound)
	}
	return s, a, err
}

// Sessions lists the sessions of an account that have not expired, the last used first.
func (db *DB) Sessions(ctx context.Context, account string) ([]Session, error) {
	var list []Session
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var s Session
			var c scannedSession
			err := r.Scan(c.into(&s)...)
			c.finish(&s)
			list = append(list, s)
			return err
		}, "SELECT "+sessionColumns+" FROM sessions s WHERE s.account = ?1 AND s.expires > ?2 ORDER BY s.seen DESC, s.hash", account, db.now())
	})
	return list, err
}

// ChangeSession keeps where a session is: its organisation, acting, and until when
// it lives. It is seen with that.
func (db *DB) ChangeSession(ctx context.Context, s Session) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("UPDATE sessions SET organisation = ?2, acting = ?3, expires = ?4, seen = ?5 WHERE hash = ?1",
			s.Hash, s.Organisation, s.Acting, micro(s.Expires), w.now)
	})
}

// EndSession ends a session of an account; none of another one's.
func (db *DB) EndSession(ctx context.Context, account, hash string) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("DELETE FROM sessions WHERE hash = ?1 AND account = ?2", hash, account)
	})
}

// EndSessions ends all sessions of an account but the one of a hash; all when it is empty.
func (db *DB) EndSessions(ctx context.Context, account, but string) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("DELETE FROM sessions WHERE account = ?1 AND hash <> ?2", account, but)
	})
}

// Ticket is something that works once, for whoever has its secret.
type Ticket struct {
	// Hash is HashOf the secret. Sort is what it is good for.
	Hash, Sort string
	// About is an account's ID or an address.
	About string
	// Body is what the portal has to know with it.
	Body    []byte
	Expires time.Time
}

// NewTicket keeps a ticket until it is taken or expires.
func (db *DB) NewTicket(ctx context.Context, t Ticket) error {
	return db.alone(ctx, func(w *work) error { return w.ticket(t) })
}

func (w *work) ticket(t Ticket) error {
	return w.do("INSERT INTO tickets (hash, sort, about, body, expires) VALUES (?1, ?2, ?3, ?4, ?5)", t.Hash, t.Sort, t.About, t.Body, micro(t.Expires))
}

const ticketColumns = "hash, sort, about, body, expires"

// Ticket looks at a ticket of a sort without taking it: ErrNotFound when there
// is none, or no longer.
func (db *DB) Ticket(ctx context.Context, sort, hash string) (Ticket, error) {
	var t Ticket
	err := db.read(ctx, func(x tx) (err error) {
		t, err = ticketIn(x, "SELECT "+ticketColumns+" FROM tickets WHERE hash = ?1 AND sort = ?2 AND expires > ?3", hash, sort, db.now())
		return err
	})
	return t, err
}

// TakeTicket takes a ticket of a sort: of many who try one succeeds, and the
// others get ErrNotFound.
func (db *DB) TakeTicket(ctx context.Context, sort, hash string) (Ticket, error) {
	var t Ticket
	err := db.alone(ctx, func(w *work) (err error) {
		t, err = ticketIn(w.tx, "DELETE FROM tickets WHERE hash = ?1 AND sort = ?2 AND expires > ?3 RETURNING "+ticketColumns, hash, sort, w.now)
		return err
	})
	return t, err
}

func ticketIn(x tx, sql string, args ...any) (Ticket, error) {
	var t Ticket
	found := false
	err := x.query(func(r row) error {
		found = true
		var expires int64
		err := r.Scan(&t.Hash, &t.Sort, &t.About, &t.Body, &expires)
		t.Expires = moment(expires)
		return err
	}, sql, args...)
	if err == nil && !found {
		err = fmt.Errorf("%w: ticket", ErrNotFound)
	}
	return t, err
}

// DropTickets ends the tickets of a sort about somebody.
func (db *DB) DropTickets(ctx context.Context, sort, about string) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("DELETE FROM tickets WHERE sort = ?1 AND about = ?2", sort, about)
	})
}

// Tickets lists the tickets of a sort that have not expired, by whom they are about.
func (db *DB) Tickets(ctx context.Context, sort string) ([]Ticket, error) {
	var list []Ticket
	err := db.read(ctx, func(x tx) error {
		return x.query(func(r row) error {
			var t Ticket
			var expires int64
			err := r.Scan(&t.Hash, &t.Sort, &t.About, &t.Body, &expires)
			t.Expires = moment(expires)
			list = append(list, t)
			return err
		}, "SELECT "+ticketColumns+" FROM tickets WHERE sort = ?1 AND expires > ?2 ORDER BY about, hash LIMIT 1000", sort, db.now())
	})
	return list, err
}
