package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Account is how a person proves who they are to the portal. What the person
// may do is no matter of the account: members stand in the control plane.
type Account struct {
	// ID is made by NewAccount and stays.
	ID string
	// Email is in small letters; no two accounts have the same.
	Email, Name string
	// Password is a hash with its parameters, as its maker encodes it; empty when
	// the person has none.
	Password string
	// Subject is what an issuer of OpenID Connect calls the person; empty without one.
	Subject string
	// TOTP is the secret of one-time codes (RFC 6238), nil while there are none.
	// Step is the last code's count of periods: no code is taken twice.
	TOTP []byte
	Step int64
	// Recovery and Preferences are JSON of the portal's; nil when there is none.
	Recovery, Preferences []byte
	Created, Changed      time.Time
	// SignedIn is the last log-in; zero before the first.
	SignedIn time.Time
}

const accountColumns = "id, email, name, password, subject, totp, totp_step, recovery, preferences, created, changed, signed_in"

// accountOf are the same of a table that others stand beside.
func accountOf(table string) string {
	return table + "." + strings.ReplaceAll(accountColumns, ", ", ", "+table+".")
}

// scanAccount reads accountColumns, and what stands behind them into more.
func scanAccount(r row, more ...any) (Account, error) {
	var a Account
	var subject sql.NullString
	var created, changed, signedIn int64
	err := r.Scan(append([]any{&a.ID, &a.Email, &a.Name, &a.Password, &subject, &a.TOTP, &a.Step, &a.Recovery, &a.Preferences, &created, &changed, &signedIn}, more...)...)
	a.Subject, a.Created, a.Changed, a.SignedIn = subject.String, moment(created), moment(changed), moment(signedIn)
	return a, err
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// newID is a random name of 26 letters and digits.
func newID() string { return strings.ToLower(rand.Text()) }

// NewAccount makes an account and returns it with its ID and times. ErrConflict
// when there is one with this address or subject.
func (db *DB) NewAccount(ctx context.Context, a Account) (Account, error) {
	a.ID, a.Email = newID(), strings.ToLower(a.Email)
	err := db.alone(ctx, func(w *work) error {
		a.Created, a.Changed = moment(w.now), moment(w.now)
		made := false
		err := w.query(func(row) error { made = true; return nil },
			"INSERT INTO accounts ("+accountColumns+") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING RETURNING 1",
			a.ID, a.Email, a.Name, a.Password, nullable(a.Subject), a.TOTP, a.Step, a.Recovery, a.Preferences, w.now, w.now, micro(a.SignedIn))
		if err == nil && !made {
			err = fmt.Errorf("%w: there is an account of this address", ErrConflict)
		}
		return err
	})
	return a, err
}

// Account reads an account by its ID: ErrNotFound when there is none.
func (db *DB) Account(ctx context.Context, id string) (Account, error) {
	return db.account(ctx, "id", id)
}

// AccountOf reads the account of an address: ErrNotFound when there is none.
func (db *DB) AccountOf(ctx context.Context, email string) (Account, error) {
	return db.account(ctx, "email", strings.ToLower(email))
}

// AccountBySubject reads the account of whom an issuer calls so: ErrNotFound when there is none.
func (db *DB) AccountBySubject(ctx context.Context, subject string) (Account, error) {
	return db.account(ctx, "subject", subject)
}

func (db *DB) account(ctx context.Context, column, value string) (Account, error) {
	var a Account
	err := db.read(ctx, func(t tx) (err error) {
		a, err = accountIn(t, column, value, "")
		return err
	})
	return a, err
}

func accountIn(t tx, column, value, lock string) (Account, error) {
	var a Account
	found := false
	err := t.query(func(r row) (err error) {
		found = true
		a, err = scanAccount(r)
		return err
	}, "SELECT "+accountColumns+" FROM accounts WHERE "+column+" = ?1 "+lock, value)
	if err == nil && !found {
		err = fmt.Errorf("%w: account", ErrNotFound)
	}
	return a, err
}

// Accounts lists the accounts of addresses, sorted by address.
func (db *DB) Accounts(ctx context.Context, emails []string) ([]Account, error) {
	var list []Account
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			a, err := scanAccount(r)
			list = append(list, a)
			return err
		}, "SELECT "+accountOf("a")+" FROM {texts ?1} JOIN accounts a ON a.email = v.value ORDER BY a.email", emails)
	})
	return list, err
}

// ChangeAccount runs change on an account, alone over all replicas, and keeps
// what it leaves; ID and Created stay. An error of change comes back as it is
// and changes nothing. change may be run several times. ErrNotFound when there
// is no such account, ErrConflict when another one has the address or subject.
func (db *DB) ChangeAccount(ctx context.Context, id string, change func(*Account) error) (Account, error) {
	var a Account
	err := db.alone(ctx, func(w *work) error {
		var err error
		if a, err = accountIn(w.tx, "id", id, "{lock}"); err != nil {
			return err
		}
		if err := change(&a); err != nil {
			return err
		}
		a.ID, a.Email, a.Changed = id, strings.ToLower(a.Email), moment(w.now)
		taken := false
		err = w.query(func(row) error { taken = true; return nil },
			"SELECT 1 FROM accounts WHERE id <> ?1 AND (email = ?2 OR subject = ?3) LIMIT 1", id, a.Email, nullable(a.Subject))
		if err == nil && taken {
			err = fmt.Errorf("%w: there is an account of this address", ErrConflict)
		}
		if err != nil {
			return err
		}
		return w.do(`UPDATE accounts SET email = ?2, name = ?3, password = ?4, subject = ?5, totp = ?6, totp_step = ?7, recovery = ?8,
	preferences = ?9, changed = ?10, signed_in = ?11 WHERE id = ?1`,
			id, a.Email, a.Name, a.Password, nullable(a.Subject), a.TOTP, a.Step, a.Recovery, a.Preferences, w.now, micro(a.SignedIn))
	})
	return a, err
}

// DeleteAccount ends an account with its sessions, passkeys and tickets.
func (db *DB) DeleteAccount(ctx context.Context, id string) error {
	return db.alone(ctx, func(w *work) error {
		for _, sql := range []string{
			"DELETE FROM sessions WHERE account = ?1", "DELETE FROM passkeys WHERE account = ?1",
			"DELETE FROM tickets WHERE about = ?1", "DELETE FROM accounts WHERE id = ?1",
		} {
			if err := w.do(sql, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Passkey is a public key of a person's device (WebAuthn).
type Passkey struct {
	// ID is the credential's, in base64url.
	ID, Account string
	// Name is what the person calls it.
	Name string
	// Body is the credential in the portal's JSON.
	Body          []byte
	Created, Used time.Time
}

// AddPasskey keeps a passkey: ErrConflict when it is known.
func (db *DB) AddPasskey(ctx context.Context, p Passkey) error {
	return db.alone(ctx, func(w *work) error {
		made := false
		err := w.query(func(row) error { made = true; return nil },
			"INSERT INTO passkeys (id, account, name, body, created, used) VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT (id) DO NOTHING RETURNING 1",
			p.ID, p.Account, p.Name, p.Body, w.now)
		if err == nil && !made {
			err = fmt.Errorf("%w: the passkey is known", ErrConflict)
		}
		return err
	})
}

// Passkeys lists the passkeys of an account, the oldest first.
func (db *DB) Passkeys(ctx context.Context, account string) ([]Passkey, error) {
	var list []Passkey
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var p Passkey
			var created, used int64
			err := r.Scan(&p.ID, &p.Account, &p.Name, &p.Body, &created, &used)
			p.Created, p.Used = moment(created), moment(used)
			list = append(list, p)
			return err
		}, "SELECT id, account, name, body, created, used FROM passkeys WHERE account = ?1 ORDER BY created, id", account)
	})
	return list, err
}

// UsePasskey keeps what a log-in has made of a passkey, and when it was.
func (db *DB) UsePasskey(ctx context.Context, account, id string, body []byte) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("UPDATE passkeys SET body = ?3, used = ?4 WHERE id = ?1 AND account = ?2", id, account, body, w.now)
	})
}

// DeletePasskey ends a passkey of an account; none of another one's.
func (db *DB) DeletePasskey(ctx context.Context, account, id string) error {
	return db.alone(ctx, func(w *work) error {
		return w.do("DELETE FROM passkeys WHERE id = ?1 AND account = ?2", id, account)
	})
}
