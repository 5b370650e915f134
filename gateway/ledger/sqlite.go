package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// lite is a SQLite file. One connection writes, and only the committer uses
// it; the others read.
type lite struct {
	path    string
	claim   *os.File // the lock that makes this process the owner
	writers *sql.DB
	writer  *liteTx
	readers atomic.Pointer[sql.DB] // changed by the committer when it opens the file again

	next, until int64 // numbers that are reserved in the file
}

var liteWords = dialect{param: "?", words: map[string]string{
	"texts": "json_each(?0) AS v", "ints": "json_each(?0) AS v", "in": "IN (SELECT value FROM json_each(?0))",
	"lock": "", "lockw": "", "skip": "", "bytes": "blob", "rowid": "integer", "serial": "integer", "wide": " WITHOUT ROWID", "writes": "", "sequence": "",
}}

// openLite opens a file and takes it for this process.
func openLite(ctx context.Context, path string) (*lite, error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, fmt.Errorf("%w: sqlite: needs the path of a file", ErrInvalid)
	}
	claim, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(claim.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		claim.Close()
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if err := private(path); err != nil {
		claim.Close()
		return nil, err
	}
	e := &lite{path: path, claim: claim}
	if err := e.reopen(ctx); err != nil {
		claim.Close()
		return nil, err
	}
	return e, nil
}

// private makes a file that is not there, which only its owner may read; so
// SQLite makes the files beside it.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn names the file for the driver. Pragmas are set for each connection.
func dsn(path string, pragmas ...string) string {
	q := url.Values{}
	for _, p := range append([]string{"busy_timeout(5000)", "temp_store(memory)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (e *lite) reopen(ctx context.Context) (err error) {
	e.closeHandles()
	defer func() {
		if err != nil {
			e.closeHandles()
		}
	}()
	// FULL syncs the log at every commit; NORMAL would not.
	e.writers, err = sql.Open("sqlite", dsn(e.path, "journal_mode(wal)", "synchronous(full)",
		"cache_size(-65536)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)"))
	if err != nil {
		return err
	}
	e.writers.SetMaxOpenConns(1)
	if err := migrate(ctx, e.writers, goose.DialectSQLite3, liteWords); err != nil {
		return err
	}
	if err := syncFolder(e.path); err != nil {
		return err
	}
	conn, err := e.writers.Conn(ctx)
	if err != nil {
		return err
	}
	e.writer = &liteTx{conn: conn, statements: map[string]*sql.Stmt{}, inserts: map[chunk]string{}}
	readers, err := sql.Open("sqlite", dsn(e.path, "query_only(true)", "cache_size(-8192)"))
	if err != nil {
		return err
	}
	readers.SetMaxOpenConns(4)
	e.readers.Store(readers)
	e.next, e.until = 0, 0
	return nil
}

func (e *lite) closeHandles() {
	if e.writer != nil {
		e.writer.close()
		e.writer = nil
	}
	for _, db := range []*sql.DB{e.writers, e.readers.Swap(nil)} {
		if db != nil {
			db.Close()
		}
	}
	e.writers = nil
}

// syncFolder makes the name of a new file durable.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (e *lite) transact(_ context.Context, f func(tx) error) error {
	t := e.writer
	if err := t.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	next, until := e.next, e.until
	err := f(t)
	if err == nil {
		if err = t.do("COMMIT"); err == nil {
			return nil
		}
		if e.kind(err) == broken {
			err = &commitError{err}
		}
	}
	e.next, e.until = next, until
	// Some errors have ended the transaction already.
	if rollback := t.do("ROLLBACK"); rollback != nil && e.kind(rollback) == broken {
		return errors.Join(err, rollback)
	}
	return err
}

// commitError is a commit that may have taken place although it failed: its
// log may have reached the disk.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

func (e *lite) read(ctx context.Context, f func(tx) error) error {
	readers := e.readers.Load()
	if readers == nil {
		return fmt.Errorf("%w: the file is being opened again", ErrFailing)
	}
	conn, err := readers.Conn(ctx)
	if err != nil {
		return err
	}
	t := &liteTx{conn: conn, statements: map[string]*sql.Stmt{}, inserts: map[chunk]string{}}
	defer t.close()
	if err := t.do("BEGIN"); err != nil {
		return err
	}
	defer t.do("ROLLBACK") //nolint:errcheck // nothing was changed
	return f(t)
}

// reserve is how many numbers are taken from the file at once.
const reserve = 10_000

func (e *lite) numbers(t tx, list []int64) error {
	n := len(list)
	if e.next+int64(n) > e.until {
		var text string
		found, err := one(t, []any{&text}, "SELECT value FROM meta WHERE name = 'numbers'")
		if err != nil {
			return err
		}
		e.next = 1
		if found {
			if _, err := fmt.Sscan(text, &e.next); err != nil {
				return fmt.Errorf("ledger: meta numbers: %w", err)
			}
		}
		e.until = e.next + max(reserve, int64(n))
		err = t.do("INSERT INTO meta (name, value) VALUES ('numbers', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", []byte(fmt.Sprint(e.until)))
		if err != nil {
			return err
		}
	}
	for i := range list {
		list[i] = e.next
		e.next++
	}
	return nil
}

func (*lite) lock(tx, []string) error { return nil }

func (*lite) kind(err error) fault {
	var commit *commitError
	if errors.As(err, &commit) {
		return unknown
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return ours
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_CANTOPEN,
		sqlitelib.SQLITE_NOTADB, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_NOMEM, sqlitelib.SQLITE_PROTOCOL:
		return broken
	}
	return ours
}

func (*lite) offset() time.Duration { return 0 }

func (*lite) notify([]string) {}

func (*lite) listen(context.Context, func(string)) {}

func (*lite) shared() bool { return false }

func (e *lite) backup(ctx context.Context, path string) error { return backupLite(ctx, e.path, path) }

func (e *lite) close() error {
	e.closeHandles()
	return e.claim.Close()
}

// liteTx is a connection with its prepared statements, by common text.
type liteTx struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	inserts    map[chunk]string // texts of insert
}

// chunk is an insert of so many rows.
type chunk struct {
	table *table
	rows  int
	tail  string
}

func (t *liteTx) close() {
	for _, s := range t.statements {
		s.Close()
	}
	t.conn.Close()
}

// prepare is not given the caller's context: the driver would watch it in a
// goroutine for each statement, and statements here are short.
func (t *liteTx) prepare(text string) (*sql.Stmt, error) {
	if s := t.statements[text]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), liteWords.rewrite(text))
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, text)
	}
	t.statements[text] = s
	return s, nil
}

func (t *liteTx) do(text string, args ...any) error {
	s, err := t.prepare(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background(), liteArgs(args)...)
	return err
}

func (t *liteTx) query(scan func(row) error, text string, args ...any) error {
	s, err := t.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), liteArgs(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ask has no round trip to share.
func (t *liteTx) ask(scan func(row) error, text string, args ...any) error {
	return t.query(scan, text, args...)
}

func (*liteTx) answers() error { return nil }

// liteArgs turns lists into JSON for json_each.
func liteArgs(args []any) []any {
	for i, a := range args {
		switch a := a.(type) {
		case []int64, []string:
			list, _ := json.Marshal(a) // cannot fail
			args[i] = string(list)
		case []byte:
			if a == nil {
				args[i] = nil
			}
		}
	}
	return args
}

// chunks are the numbers of rows for which insert has statements: few enough
// to keep them prepared.
var chunks = [...]int{32, 8, 1}

func (t *liteTx) insert(table *table, rows [][]any, tail string) error {
	for _, size := range chunks {
		for len(rows) >= size {
			args := make([]any, 0, size*len(table.columns))
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			rows = rows[size:]
			this := chunk{table, size, tail}
			text, ok := t.inserts[this]
			if !ok {
				text = table.values(size) + tail
				t.inserts[this] = text
			}
			if err := t.do(text, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// values is the text of an INSERT of so many rows.
func (t *table) values(rows int) string {
	one := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	return "INSERT INTO " + t.name + " (" + t.names() + ") VALUES " + one + strings.Repeat(", "+one, rows-1) + " "
}

func (t *table) names() string {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}
