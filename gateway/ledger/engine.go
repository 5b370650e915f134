package ledger

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
)

// engine is what SQLite and Postgres do differently. The rest of the package
// speaks to it in one SQL text: parameters are ?1, ?2 …, and a few words in
// braces stand for what has no common form:
//
//	{texts ?1}  a table v(value) of the strings of a []string
//	{ints ?1}   a table v(value) of the numbers of a []int64
//	{in ?1}     = any of the numbers of a []int64
//	{lock}      locks the rows of a SELECT that will be changed
//	{skip}      the same, and leaves out those that another replica has locked
type engine interface {
	// transact runs f in a transaction and commits it durably. f may run
	// several times, when the engine found a conflict between transactions;
	// only the effects of the last run stay.
	transact(ctx context.Context, f func(tx) error) error
	// read runs f on a consistent snapshot; f must only query.
	read(ctx context.Context, f func(tx) error) error
	// numbers fills a list with ascending numbers that have never been given
	// before, as ask does. It is called within the transaction that uses them,
	// after its locks.
	numbers(t tx, list []int64) error
	// lock keeps other replicas out of lanes until the transaction ends; the
	// lanes are sorted.
	lock(t tx, lanes []string) error
	// kind sorts an error.
	kind(err error) fault
	// reopen makes a new handle after a fault; open ones are given up.
	reopen(ctx context.Context) error
	// offset is the server's clock less ours.
	offset() time.Duration
	// notify and listen pass the names of systems to other replicas.
	notify(systems []string)
	listen(ctx context.Context, f func(system string))
	// shared tells whether other processes may write, too.
	shared() bool
	backup(ctx context.Context, path string) error
	close() error
}

// fault sorts the errors of an engine.
type fault uint8

const (
	ours    fault = iota // the statement is to blame; the handle is good
	broken               // the disk, the server or the connection
	unknown              // the same, and the commit may have taken place
)

// tx is a transaction, or a snapshot.
type tx interface {
	// do changes rows. Its error may come with a later call, and at the latest
	// with the commit.
	do(sql string, args ...any) error
	// query calls scan for each row; scan must not use the transaction.
	query(scan func(row) error, sql string, args ...any) error
	// ask is a query whose answer may come later: scan and the error come at
	// the latest with the next query, or with the commit. Questions that do not
	// depend on each other so share a round trip.
	ask(scan func(row) error, sql string, args ...any) error
	// answers waits for the answers to all that was asked.
	answers() error
	// insert adds rows to a table, as do does.
	insert(t *table, rows [][]any, tail string) error
}

// row is one row of an answer.
type row interface{ Scan(dest ...any) error }

// table is what insert needs to know.
type table struct {
	name    string
	columns []column
}

type column struct {
	name string
	kind kind
}

type kind uint8

const (
	integer kind = iota // int64, or *int64 where null is meant
	text
	blob
)

// dialect rewrites the common SQL text for an engine.
type dialect struct {
	words map[string]string // by the word in braces; ? stands for its parameter
	param string            // what stands before the number of a parameter, as regexp expands it
}

var (
	word  = regexp.MustCompile(`\{(\w+)(?: (\?\d+))?\}`)
	param = regexp.MustCompile(`\?(\d+)`)
)

func (d dialect) rewrite(sql string) string {
	sql = word.ReplaceAllStringFunc(sql, func(s string) string {
		m := word.FindStringSubmatch(s)
		to, ok := d.words[m[1]]
		if !ok {
			panic("ledger: no word for " + s) // every text of the package is run by its tests
		}
		return param.ReplaceAllString(to, m[2])
	})
	return param.ReplaceAllString(sql, d.param+"${1}")
}

// one reads a single row; found is false when there is none.
func one(t tx, dest []any, sql string, args ...any) (found bool, err error) {
	err = t.query(func(r row) error {
		if found {
			return errors.New("ledger: more than one row")
		}
		found = true
		return r.Scan(dest...)
	}, sql, args...)
	return found, err
}

// schema rewrites a text without parameters; comments may hold question marks and braces.
func (d dialect) schema(sql string) string {
	for w, to := range d.words {
		sql = strings.ReplaceAll(sql, "{"+w+"}", to)
	}
	return sql
}
