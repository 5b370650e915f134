package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// Announcement is what partners are told beforehand.
type Announcement struct {
	ID          string
	Title, Body string
	// APIs are what it concerns, as NAME/vMAJOR; all when empty.
	APIs []string
	// Starts and Ends bound a maintenance window; zero of other news.
	Starts, Ends time.Time
	Author       string
	Created      time.Time
}

func (a *Announcement) check() error {
	switch {
	case a.Title == "" || len(a.Title) > 200 || len(a.Body) > 5000:
		return fmt.Errorf("%w: an announcement needs a title of at most 200 characters, and at most 5000 in all", ErrInvalid)
	case a.Starts.IsZero() != a.Ends.IsZero() || a.Ends.Before(a.Starts):
		return fmt.Errorf("%w: a window ends after it starts", ErrInvalid)
	}
	return nil
}

// Announce keeps an announcement; its ID is filled in. ErrInvalid.
func (db *DB) Announce(ctx context.Context, a *Announcement, by By) error {
	if err := a.check(); err != nil {
		return err
	}
	a.ID, a.Author = strings.ToLower(rand.Text()), by.Actor
	return db.alone(ctx, func(w *work) error {
		err := w.do("INSERT INTO announcements (id, title, body, apis, starts, ends, author, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
			a.ID, a.Title, a.Body, strings.Join(a.APIs, " "), micro(a.Starts), micro(a.Ends), a.Author, w.now)
		if err != nil {
			return err
		}
		return w.audit("create", "announcement/"+a.ID, by)
	})
}

// Withdraw ends an announcement. ErrNotFound.
func (db *DB) Withdraw(ctx context.Context, id string, by By) error {
	return db.alone(ctx, func(w *work) error {
		found := false
		err := w.query(func(row) error { found = true; return nil }, "DELETE FROM announcements WHERE id = ?1 RETURNING id", id)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: announcement", ErrNotFound)
		}
		return w.audit("delete", "announcement/"+id, by)
	})
}

// Announcements lists those that are not over at a time: windows that end
// later, and news that are younger than thirty days. The newest come first.
func (db *DB) Announcements(ctx context.Context, at time.Time) (list []Announcement, err error) {
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var a Announcement
			var apis string
			var starts, ends, created int64
			err := r.Scan(&a.ID, &a.Title, &a.Body, &apis, &starts, &ends, &a.Author, &created)
			a.APIs, a.Starts, a.Ends, a.Created = strings.Fields(apis), moment(starts), moment(ends), moment(created)
			list = append(list, a)
			return err
		}, `SELECT id, title, body, apis, starts, ends, author, created FROM announcements
WHERE (ends > ?1) OR (ends = 0 AND created > ?2) ORDER BY created DESC, id LIMIT 100`, micro(at), micro(at.AddDate(0, 0, -30)))
	})
	return list, err
}
