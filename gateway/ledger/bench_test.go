package ledger_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/specs"
)

var body = make([]byte, 1024)

// bare is a group-committing insert loop: one goroutine that puts what has
// queued up during the last commit into the next one, and nothing else.
type bare struct {
	queue chan chan error
}

func newBare(b *testing.B, insert func(n int) error) *bare {
	l := &bare{queue: make(chan chan error, 256)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := range l.queue {
			batch := []chan error{first}
			for more := true; more && len(batch) < 256; {
				select {
				case o, ok := <-l.queue:
					if more = ok; ok {
						batch = append(batch, o)
					}
				default:
					more = false
				}
			}
			err := insert(len(batch))
			for _, o := range batch {
				o <- err
			}
		}
	}()
	b.Cleanup(func() {
		close(l.queue)
		<-ended
	})
	return l
}

func (l *bare) append() error {
	done := make(chan error, 1)
	l.queue <- done
	return <-done
}

// bareSQLite inserts row by row, with the same durability. keyed gives the rows
// what any buffer needs to find: an idempotency key, a lane that is looked at,
// and an index of ready rows.
func bareSQLite(b *testing.B, keyed bool) *bare {
	path := filepath.Join(b.TempDir(), "bare.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(4000)")
	must(b, err)
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	schema, text := "CREATE TABLE bare (id integer PRIMARY KEY, body blob)", "INSERT INTO bare (body) VALUES (?1)"
	if keyed {
		schema = `CREATE TABLE bare (id integer PRIMARY KEY, key text UNIQUE, lane text, ready integer, body blob);
CREATE INDEX bare_lane ON bare (lane); CREATE INDEX bare_ready ON bare (id) WHERE ready = 1`
		text = `INSERT INTO bare (body, key, lane, ready) VALUES (?1, lower(hex(randomblob(12))), 'order:' || abs(random()),
	CASE WHEN (SELECT id FROM bare WHERE lane = 'order:' || abs(random()) LIMIT 1) IS NULL THEN 1 ELSE 0 END)`
	}
	_, err = db.Exec(schema)
	must(b, err)
	insert, err := db.Prepare(text)
	must(b, err)
	return newBare(b, func(n int) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		stmt := tx.Stmt(insert)
		for range n {
			if _, err := stmt.Exec(body); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
}

// barePostgres sends a transaction in one packet.
func barePostgres(b *testing.B, url string) *bare {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	must(b, err)
	b.Cleanup(func() { conn.Close(ctx) })
	_, err = conn.Exec(ctx, "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)")
	must(b, err)
	return newBare(b, func(n int) error {
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		for range n {
			batch.Queue("INSERT INTO bare (body) VALUES ($1)", body)
		}
		batch.Queue("COMMIT")
		return conn.SendBatch(ctx, batch).Close()
	})
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// perSecond runs n calls of f by so many callers.
func perSecond(b testing.TB, callers, n int, f func(i int) error) float64 {
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := f(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// processTime is the CPU time that this process has used: on a machine with
// other work it tells more than the clock. The Postgres server's is not in it.
func processTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u) //nolint:errcheck // it does not fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchServer is a Postgres server that syncs.
func benchServer(b *testing.B) string {
	s, err := postgrestest.Start()
	must(b, err)
	b.Cleanup(s.Stop)
	return s.Database(b)
}

func openBench(b testing.TB, url string) *ledger.DB {
	db, err := ledger.Open(context.Background(), url, ledger.Options{Log: slog.New(slog.DiscardHandler)})
	must(b, err)
	b.Cleanup(func() { db.Close() })
	return db
}

// BenchmarkAppend measures appends beside the bare loop, in turns on the same
// disk. Run it with -benchtime 1x; ratio is what counts.
func BenchmarkAppend(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine, callers), func(b *testing.B) {
				var db *ledger.DB
				var loop, keyed *bare
				if engine == "sqlite" {
					db, loop, keyed = openBench(b, sqlite(b)), bareSQLite(b, false), bareSQLite(b, true)
				} else {
					url := benchServer(b)
					db, loop = openBench(b, url), barePostgres(b, url)
				}
				compare(b, db, loop, keyed, callers)
			})
		}
	}
}

func compare(b *testing.B, db *ledger.DB, loop, keyed *bare, callers int) {
	const rounds = 4
	n := 500 + 100*callers
	var total atomic.Int64
	one := func(int) error {
		i := total.Add(1)
		_, err := db.Append(context.Background(), &ledger.Write{
			System: "erp", App: "shop", Operation: "orders/v1/create", Class: specs.Normal, Lanes: []string{fmt.Sprint("order:", i)},
			Correlation: fmt.Sprint("request-", i), Request: body,
		})
		return err
	}
	perSecond(b, callers, n, one)
	perSecond(b, callers, n, func(int) error { return loop.append() })
	for b.Loop() {
		var ours, theirs, keys float64
		var cpu [3]time.Duration
		for range rounds {
			cpu[0] = processTime()
			theirs += perSecond(b, callers, n, func(int) error { return loop.append() }) / rounds
			cpu[1] += processTime() - cpu[0]
			cpu[0] = processTime()
			ours += perSecond(b, callers, n, one) / rounds
			cpu[2] += processTime() - cpu[0]
			if keyed != nil {
				keys += perSecond(b, callers, n, func(int) error { return keyed.append() }) / rounds
			}
		}
		if keyed != nil {
			b.ReportMetric(ours/keys, "keyed-ratio")
		}
		b.ReportMetric(float64(cpu[1].Microseconds())/float64(rounds*n), "bare-cpu-µs")
		b.ReportMetric(float64(cpu[2].Microseconds())/float64(rounds*n), "append-cpu-µs")
		b.ReportMetric(theirs, "bare/s")
		b.ReportMetric(ours, "appends/s")
		b.ReportMetric(ours/theirs, "ratio")
	}
}

// deep adds depths that take minutes to reach.
var deep = flag.Bool("ledger.deep", false, "claim at depths of 100,000 and 1,000,000, too")

// BenchmarkClaim measures claims of 16 writes at a depth of held writes, ten to
// a lane; they are settled between the claims, not in the time of a claim.
func BenchmarkClaim(b *testing.B) {
	depths := []int{1_000, 10_000}
	if *deep {
		depths = []int{1_000, 100_000, 1_000_000}
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, depth := range depths {
			b.Run(fmt.Sprintf("%s/%d", engine, depth), func(b *testing.B) {
				url := sqlite(b)
				if engine == "postgres" {
					url = benchServer(b)
				}
				db := openBench(b, url)
				fill(b, db, depth)
				for b.Loop() {
					claims(b, db)
				}
			})
		}
	}
}

func fill(b testing.TB, db *ledger.DB, depth int) {
	perSecond(b, 128, depth, func(i int) error {
		_, err := db.Append(context.Background(), &ledger.Write{
			System: "erp", App: "shop", Operation: "create", Class: specs.Class(i % 4), Lanes: []string{fmt.Sprint("order:", i%(depth/10))}, Request: body,
		})
		return err
	})
}

func claims(b *testing.B, db *ledger.DB) {
	ctx := context.Background()
	var times []time.Duration
	for range 60 {
		began := time.Now()
		list, err := db.Claim(ctx, "erp", ledger.Room{Max: 16})
		times = append(times, time.Since(began))
		must(b, err)
		perSecond(b, 16, len(list), func(i int) error {
			return db.Settle(ctx, list[i-1], ledger.Settlement{State: ledger.Delivered})
		})
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "claim-p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "claim-p99-µs")
}
