package ledgertest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

func (w *world) account(email string) ledger.Account {
	w.Helper()
	a, err := w.db.NewAccount(w.ctx, ledger.Account{Email: email, Name: "Somebody", Password: "hash"})
	w.ok(err)
	return a
}

// An account is one for an address and one for a subject.
func accountsKept(w *world) {
	ada := w.account("Ada@example.com")
	w.same("address", ada.Email, "ada@example.com")
	_, err := w.db.NewAccount(w.ctx, ledger.Account{Email: "ADA@example.com"})
	w.fails(err, ledger.ErrConflict)
	bob, err := w.db.NewAccount(w.ctx, ledger.Account{Email: "bob@example.com", Subject: "https://issuer b"})
	w.ok(err)
	_, err = w.db.NewAccount(w.ctx, ledger.Account{Email: "eve@example.com", Subject: "https://issuer b"})
	w.fails(err, ledger.ErrConflict)
	w.reopen()
	found, err := w.db.AccountOf(w.ctx, "ada@EXAMPLE.com")
	w.ok(err)
	w.same("ada", []any{found.ID, found.Name, found.Password, found.Subject, found.TOTP == nil, found.SignedIn.IsZero(), w.near(found.Created)},
		[]any{ada.ID, "Somebody", "hash", "", true, true, true})
	found, err = w.db.AccountBySubject(w.ctx, "https://issuer b")
	w.ok(err)
	w.same("bob", found.ID, bob.ID)
	_, err = w.db.Account(w.ctx, "nobody")
	w.fails(err, ledger.ErrNotFound)
	list, err := w.db.Accounts(w.ctx, []string{"nobody@example.com", "bob@example.com", "ada@example.com"})
	w.ok(err)
	w.same("list", []any{len(list), list[0].ID, list[1].ID}, []any{2, ada.ID, bob.ID})
}

// An account is changed by one at a time, as a whole or not at all.
func accountsChanged(w *world) {
	ada, bob := w.account("ada@example.com"), w.account("bob@example.com")
	no := errors.New("no")
	_, err := w.db.ChangeAccount(w.ctx, ada.ID, func(a *ledger.Account) error { a.Name = "x"; return no })
	w.fails(err, no)
	_, err = w.db.ChangeAccount(w.ctx, bob.ID, func(a *ledger.Account) error { a.Email = "ada@example.com"; return nil })
	w.fails(err, ledger.ErrConflict)
	_, err = w.db.ChangeAccount(w.ctx, "nobody", func(*ledger.Account) error { return nil })
	w.fails(err, ledger.ErrNotFound)
	_, err = w.db.ChangeAccount(w.ctx, bob.ID, func(a *ledger.Account) error {
		a.TOTP, a.Recovery, a.Preferences, a.Subject, a.ID = []byte{0, 1}, []byte("[]"), []byte("{}"), "s", "other"
		return nil
	})
	w.ok(err)
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	var all sync.WaitGroup
	for _, db := range dbs {
		all.Go(func() {
			for range 10 {
				if _, err := db.ChangeAccount(w.ctx, ada.ID, func(a *ledger.Account) error { a.Step++; return nil }); err != nil {
					w.Error(err)
				}
			}
		})
	}
	all.Wait()
	ada, err = w.db.Account(w.ctx, ada.ID)
	w.ok(err)
	w.same("ada", []any{ada.Name, ada.Step}, []any{"Somebody", 10 * len(dbs)})
	bob, err = w.db.Account(w.ctx, bob.ID)
	w.ok(err)
	w.same("bob", []any{bob.Email, bob.TOTP, string(bob.Recovery), string(bob.Preferences), bob.Subject}, []any{"bob@example.com", []byte{0, 1}, "[]", "{}", "s"})
}

// A session is found by its hash until it expires, is replaced or ended.
func sessionsKept(w *world) {
	ada, bob := w.account("ada@example.com"), w.account("bob@example.com")
	open := func(hash, account, instead string, pending bool) {
		w.Helper()
		w.ok(w.db.NewSession(w.ctx, ledger.Session{Hash: hash, Account: account, Pending: pending, Agent: "browser", Expires: w.in(time.Hour)}, instead))
	}
	there := func(hash string, is bool) {
		w.Helper()
		_, _, err := w.db.Session(w.ctx, hash)
		if is {
			w.ok(err)
		} else {
			w.fails(err, ledger.ErrNotFound)
		}
	}
	open("a1", ada.ID, "", true)
	s, a, err := w.db.Session(w.ctx, "a1")
	w.ok(err)
	w.same("pending", []any{s.Pending, s.Agent, a.Email, a.SignedIn.IsZero(), w.near(s.Seen)}, []any{true, "browser", "ada@example.com", true, true})
	open("a2", ada.ID, "a1", false)
	there("a1", false)
	_, a, err = w.db.Session(w.ctx, "a2")
	w.ok(err)
	w.same("signed in", w.near(a.SignedIn), true)
	s.Hash, s.Organisation, s.Acting, s.Expires = "a2", "acme", "globex", w.in(2*time.Hour)
	w.ok(w.db.ChangeSession(w.ctx, s))
	open("a3", ada.ID, "", false)
	open("b1", bob.ID, "", false)
	w.ok(w.db.EndSession(w.ctx, bob.ID, "a2"))
	there("a2", true)
	w.reopen()
	s, _, err = w.db.Session(w.ctx, "a2")
	w.ok(err)
	w.same("changed", []any{s.Organisation, s.Acting, s.Pending}, []any{"acme", "globex", false})
	list, err := w.db.Sessions(w.ctx, ada.ID)
	w.ok(err)
	w.same("list", len(list), 2)
	w.ok(w.db.EndSessions(w.ctx, ada.ID, "a2"))
	there("a3", false)
	w.ok(w.db.EndSession(w.ctx, ada.ID, "a2"))
	there("a2", false)
	there("b1", true)
	w.advance(time.Hour + time.Minute)
	there("b1", false)
	w.ok(w.db.ForgetPeople(w.ctx, time.Hour))
}

// A ticket is taken by one of many, and is good for one thing.
func ticketsTaken(w *world) {
	put := func(hash string) {
		w.Helper()
		w.ok(w.db.NewTicket(w.ctx, ledger.Ticket{Hash: hash, Sort: "reset", About: "ada", Body: []byte("b"), Expires: w.in(time.Hour)}))
	}
	put("t1")
	_, err := w.db.Ticket(w.ctx, "confirm", "t1")
	w.fails(err, ledger.ErrNotFound)
	_, err = w.db.TakeTicket(w.ctx, "confirm", "t1")
	w.fails(err, ledger.ErrNotFound)
	got, err := w.db.Ticket(w.ctx, "reset", "t1")
	w.ok(err)
	w.same("ticket", []any{got.About, string(got.Body), got.Expires.Equal(w.in(time.Hour))}, []any{"ada", "b", true})
	dbs := []*ledger.DB{w.db, w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	var taken atomic.Int64
	var all sync.WaitGroup
	for _, db := range dbs {
		all.Go(func() {
			if _, err := db.TakeTicket(w.ctx, "reset", "t1"); err == nil {
				taken.Add(1)
			} else if !errors.Is(err, ledger.ErrNotFound) {
				w.Error(err)
			}
		})
	}
	all.Wait()
	w.same("taken", taken.Load(), int64(1))
	put("t2")
	list, err := w.db.Tickets(w.ctx, "reset")
	w.ok(err)
	w.same("list", len(list), 1)
	w.ok(w.db.DropTickets(w.ctx, "reset", "ada"))
	_, err = w.db.Ticket(w.ctx, "reset", "t2")
	w.fails(err, ledger.ErrNotFound)
	put("t3")
	w.advance(time.Hour + time.Minute)
	_, err = w.db.Ticket(w.ctx, "reset", "t3")
	w.fails(err, ledger.ErrNotFound)
	_, err = w.db.TakeTicket(w.ctx, "reset", "t3")
	w.fails(err, ledger.ErrNotFound)
}

// A passkey belongs to one account, and ends with it.
func passkeysKept(w *world) {
	ada, bob := w.account("ada@example.com"), w.account("bob@example.com")
	key := ledger.Passkey{ID: "k1", Account: ada.ID, Name: "phone", Body: []byte("{}")}
	w.ok(w.db.AddPasskey(w.ctx, key))
	key.Account = bob.ID
	w.fails(w.db.AddPasskey(w.ctx, key), ledger.ErrConflict)
	w.ok(w.db.UsePasskey(w.ctx, bob.ID, "k1", []byte("[]")))
	w.ok(w.db.DeletePasskey(w.ctx, bob.ID, "k1"))
	list, err := w.db.Passkeys(w.ctx, ada.ID)
	w.ok(err)
	w.same("kept", []any{len(list), list[0].Name, string(list[0].Body), list[0].Used.IsZero()}, []any{1, "phone", "{}", true})
	w.ok(w.db.UsePasskey(w.ctx, ada.ID, "k1", []byte("[]")))
	list, err = w.db.Passkeys(w.ctx, ada.ID)
	w.ok(err)
	w.same("used", []any{string(list[0].Body), w.near(list[0].Used)}, []any{"[]", true})
	w.ok(w.db.NewSession(w.ctx, ledger.Session{Hash: "s", Account: ada.ID, Expires: w.in(time.Hour)}, ""))
	w.ok(w.db.NewTicket(w.ctx, ledger.Ticket{Hash: "t", Sort: "reset", About: ada.ID, Expires: w.in(time.Hour)}))
	w.ok(w.db.DeleteAccount(w.ctx, ada.ID))
	list, err = w.db.Passkeys(w.ctx, ada.ID)
	w.ok(err)
	w.same("gone", len(list), 0)
	_, _, err = w.db.Session(w.ctx, "s")
	w.fails(err, ledger.ErrNotFound)
	_, err = w.db.Ticket(w.ctx, "reset", "t")
	w.fails(err, ledger.ErrNotFound)
}

// A mail is sent once, tried again, or given up; its text goes with it.
func mailsSent(w *world) {
	one, err := w.db.PutMail(w.ctx, ledger.Mail{To: "ada@example.com", Subject: "hello", Body: []byte("link")},
		ledger.Ticket{Hash: "t", Sort: "confirm", About: "ada", Expires: w.in(time.Hour)})
	w.ok(err)
	_, err = w.db.Ticket(w.ctx, "confirm", "t")
	w.ok(err)
	nobody, err := w.db.PutMail(w.ctx, ledger.Mail{Subject: "hello", State: ledger.MailNobody})
	w.ok(err)
	claim := func() []ledger.Mail {
		w.Helper()
		list, err := w.db.ClaimMails(w.ctx, 10, time.Minute)
		w.ok(err)
		return list
	}
	list := claim()
	w.same("claimed", []any{len(list), list[0].ID, string(list[0].Body), list[0].Attempts}, []any{1, one, "link", 1})
	w.same("leased", len(claim()), 0)
	w.advance(2 * time.Minute)
	w.same("again", []any{len(claim())}, []any{1})
	w.ok(w.db.MailTrouble(w.ctx, one, "no route", w.in(time.Hour)))
	w.same("later", len(claim()), 0)
	w.advance(2 * time.Hour)
	list = claim()
	w.same("third", []any{len(list), list[0].Attempts, list[0].Problem}, []any{1, 3, "no route"})
	w.ok(w.db.MailDone(w.ctx, one, false))
	m, err := w.db.Mail(w.ctx, one)
	w.ok(err)
	w.same("sent", []any{m.State, m.Body == nil, w.near(m.Sent)}, []any{ledger.MailSent, true, true})
	_, err = w.db.Mail(w.ctx, nobody)
	w.fails(err, ledger.ErrNotFound)
	two, err := w.db.PutMail(w.ctx, ledger.Mail{To: "bob@example.com", Body: []byte("x")})
	w.ok(err)
	w.ok(w.db.MailTrouble(w.ctx, two, "no such person", time.Time{}))
	w.same("given up", len(claim()), 0)
	list, err = w.db.Mails(w.ctx, 10)
	w.ok(err)
	w.same("list", []any{len(list), list[0].ID, list[0].State}, []any{2, two, ledger.MailFailed})
	w.advance(48 * time.Hour)
	w.ok(w.db.ForgetPeople(w.ctx, 24*time.Hour))
	list, err = w.db.Mails(w.ctx, 10)
	w.ok(err)
	w.same("forgotten", len(list), 0)
	w.ok(w.db.Tell(w.ctx, ledger.Message{Organisation: "acme", Author: "Desk", Manager: true, About: "shop.orders", Text: "hello"}))
	messages, err := w.db.Messages(w.ctx, "acme", 10)
	w.ok(err)
	w.same("message", []any{len(messages), messages[0].Text, messages[0].Manager, messages[0].About}, []any{1, "hello", true, "shop.orders"})
	messages, err = w.db.Messages(w.ctx, "globex", 10)
	w.ok(err)
	w.same("of another one", len(messages), 0)
}
