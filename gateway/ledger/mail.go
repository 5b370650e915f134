package ledger

import (
	"context"
	"fmt"
	"time"
)

// Mail is a message to a person that the portal sends, once it can.
type Mail struct {
	ID, To, Subject string
	// Body is in the portal's form; nil once the mail was sent, as links in it are keys.
	Body  []byte
	State MailState
	// Attempts is how often it was tried, Problem what went wrong the last time.
	Attempts int
	Problem  string
	// Due is when it is tried next.
	Due, Created, Sent time.Time
}

// MailState is where a mail stands.
type MailState string

// The states of mails.
const (
	MailDue    MailState = "due"
	MailSent   MailState = "sent"
	MailFailed MailState = "failed" // given up
	MailNobody MailState = "nobody" // kept for nobody: so that an answer takes the same time
)

// PutMail keeps a mail that is to be sent, together with the tickets whose
// secrets stand in it. m.State is MailDue when empty. It returns the mail's ID.
func (db *DB) PutMail(ctx context.Context, m Mail, tickets ...Ticket) (string, error) {
	if m.State == "" {
		m.State = MailDue
	}
	m.ID = newID()
	return m.ID, db.alone(ctx, func(w *work) error {
		for _, t := range tickets {
			if err := w.ticket(t); err != nil {
				return err
			}
		}
		return w.do(`INSERT INTO mails (id, receiver, subject, body, state, attempts, due, problem, created, sent)
VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, '', ?6, 0)`, m.ID, m.To, m.Subject, m.Body, string(m.State), w.now)
	})
}

const mailColumns = "id, receiver, subject, body, state, attempts, due, problem, created, sent"

func scanMail(r row) (Mail, error) {
	var m Mail
	var attempts, due, created, sent int64
	err := r.Scan(&m.ID, &m.To, &m.Subject, &m.Body, (*string)(&m.State), &attempts, &due, &m.Problem, &created, &sent)
	m.Attempts, m.Due, m.Created, m.Sent = int(attempts), moment(due), moment(created), moment(sent)
	return m, err
}

// ClaimMails takes at most n mails that are due, the oldest first, and counts an
// attempt of each. Nobody else gets them for as long as lease; one that is not
// settled by then is due again.
func (db *DB) ClaimMails(ctx context.Context, n int, lease time.Duration) ([]Mail, error) {
	var list []Mail
	err := db.alone(ctx, func(w *work) error {
		list = nil
		err := w.query(func(r row) error {
			m, err := scanMail(r)
			list = append(list, m)
			return err
		}, "SELECT "+mailColumns+" FROM mails WHERE state = 'due' AND due <= ?1 ORDER BY due, id LIMIT ?2 {skip}", w.now, int64(n))
		if err != nil {
			return err
		}
		for i := range list {
			list[i].Attempts++
			if err := w.do("UPDATE mails SET due = ?2, attempts = attempts + 1 WHERE id = ?1", list[i].ID, w.now+lease.Microseconds()); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// MailDone says that a mail was sent. keep leaves its body where it is, as the
// demo does, which has nowhere else to show it.
func (db *DB) MailDone(ctx context.Context, id string, keep bool) error {
	body := "NULL"
	if keep {
		body = "body"
	}
	return db.alone(ctx, func(w *work) error {
		return w.do("UPDATE mails SET state = 'sent', problem = '', sent = ?2, body = "+body+" WHERE id = ?1", id, w.now)
	})
}

// MailTrouble says what went wrong with a mail, and when it is tried again;
// never when that is zero.
func (db *DB) MailTrouble(ctx context.Context, id, problem string, again time.Time) error {
	return db.alone(ctx, func(w *work) error {
		if again.IsZero() {
			return w.do("UPDATE mails SET state = 'failed', problem = ?2, body = NULL WHERE id = ?1", id, problem)
		}
		return w.do("UPDATE mails SET problem = ?2, due = ?3 WHERE id = ?1", id, problem, micro(again))
	})
}

// Mails lists the mails that somebody gets, the newest first.
func (db *DB) Mails(ctx context.Context, limit int) ([]Mail, error) {
	var list []Mail
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			m, err := scanMail(r)
			list = append(list, m)
			return err
		}, "SELECT "+mailColumns+" FROM mails WHERE state <> 'nobody' ORDER BY created DESC, id LIMIT ?1", int64(limit))
	})
	return list, err
}

// Mail reads a mail: ErrNotFound when there is none.
func (db *DB) Mail(ctx context.Context, id string) (Mail, error) {
	var m Mail
	found := false
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) (err error) {
			found = true
			m, err = scanMail(r)
			return err
		}, "SELECT "+mailColumns+" FROM mails WHERE id = ?1 AND state <> 'nobody'", id)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: mail", ErrNotFound)
	}
	return m, err
}

// Message is what an organisation and the partner managers write to each other.
type Message struct {
	ID, Organisation string
	// Author is the writer's name; Manager tells that it is a partner manager.
	Author  string
	Manager bool
	// About is the name of a subscription, or empty.
	About string
	Text  string
	At    time.Time
}

// Tell keeps a message.
func (db *DB) Tell(ctx context.Context, m Message) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("INSERT INTO messages (id, organisation, author, manager, about, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			newID(), m.Organisation, m.Author, flag(m.Manager), m.About, []byte(m.Text), w.now)
	})
}

// Messages lists the last messages with an organisation, the newest first.
func (db *DB) Messages(ctx context.Context, organisation string, limit int) ([]Message, error) {
	var list []Message
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var m Message
			var manager, at int64
			var text []byte
			err := r.Scan(&m.ID, &m.Organisation, &m.Author, &manager, &m.About, &text, &at)
			m.Manager, m.Text, m.At = manager == 1, string(text), moment(at)
			list = append(list, m)
			return err
		}, "SELECT id, organisation, author, manager, about, body, at FROM messages WHERE organisation = ?1 ORDER BY at DESC, id LIMIT ?2", organisation, int64(limit))
	})
	return list, err
}

// ForgetPeople deletes what has expired: sessions, tickets, and mails that are
// older than mails.
func (db *DB) ForgetPeople(ctx context.Context, mails time.Duration) error {
	return db.alone(ctx, func(w *work) error {
		if err := w.do("DELETE FROM sessions WHERE expires <= ?1", w.now); err != nil {
			return err
		}
		if err := w.do("DELETE FROM tickets WHERE expires <= ?1", w.now); err != nil {
			return err
		}
		return w.do("DELETE FROM mails WHERE state <> 'due' AND created <= ?1", w.now-mails.Microseconds())
	})
}
