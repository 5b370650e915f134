package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a ledger; the zero value works.
type Options struct {
	// Replica names this process among those that share the ledger. Give each
	// a name that it keeps when it starts again: its lost claims are then
	// found at once and not only when their lease is over. The host's name
	// when empty.
	Replica string
	// Lease is how long claims are valid by default: longer than any call
	// takes. Two minutes when zero.
	Lease time.Duration
	// Grace is how much longer than its timeout a request counts as running that
	// may have been sent of a write since the ledger was copied; 10 s when zero.
	Grace time.Duration
	// Log gets what no caller is told; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil. On Postgres it is corrected by the
	// server's, so that replicas agree.
	Now func() time.Time
}

// DB is an open ledger.
type DB struct {
	engine  engine
	options Options
	ids     ids
	// owner is the replica's name and a random part that is new with each Open.
	owner string

	queue   chan *op
	quit    chan struct{} // closed by Close
	ended   sync.WaitGroup
	closing sync.Once
	failure atomic.Pointer[error]

	tally   tally
	front   front
	watch   watch
	control controls
}

// Open opens a ledger and brings its schema up to date. url is sqlite:PATH,
// relative to the working directory, or postgres://… as pgx understands it. A
// SQLite file is made when it is not there, and belongs to one process:
// ErrInUse otherwise. A password in the url is not part of any error.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lease == 0 {
		o.Lease = 2 * time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Replica == "" {
		o.Replica, _ = os.Hostname() // without a name all replicas without one are one
	}
	self := rand.Text()
	var e engine
	var err error
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		e, err = openLite(ctx, rest)
	case "postgres", "postgresql":
		e, err = openPost(ctx, url, self, o.Log)
	default:
		return nil, fmt.Errorf("%w: a ledger is sqlite:PATH or postgres://…", ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return open(ctx, e, self, o)
}

func open(ctx context.Context, e engine, self string, o Options) (*DB, error) {
	db := &DB{engine: e, options: o, owner: o.Replica + " " + self, queue: make(chan *op, batchSize), quit: make(chan struct{}), front: front{}}
	err := e.transact(ctx, func(t tx) (err error) {
		if db.ids, err = secret(t); err != nil {
			return err
		}
		if err := db.suspect(t); err != nil {
			return err
		}
		return beginChain(t)
	})
	if err == nil {
		_, err = db.recount(ctx)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	db.ended.Go(db.commit)
	if e.shared() {
		ctx, cancel := context.WithCancel(context.Background())
		db.ended.Go(func() {
			<-db.quit
			cancel()
		})
		db.ended.Go(func() { e.listen(ctx, db.watch.call) })
		db.ended.Go(func() { db.watch.pass(ctx, e.notify) })
		db.ended.Go(func() { db.recounts(ctx) })
		db.ended.Go(func() { db.pollControl(ctx) })
	}
	return db, nil
}

// Close ends the handle, after what has been begun. It does not wait for claims.
func (db *DB) Close() error {
	err := error(nil)
	db.closing.Do(func() {
		close(db.quit)
		db.ended.Wait()
		err = db.engine.close()
	})
	return err
}

// Err is nil while the ledger takes writes, and says why when it does not.
func (db *DB) Err() error {
	select {
	case <-db.quit:
		return ErrClosed
	default:
	}
	if err := db.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// read runs f on a snapshot. It works on while the ledger takes no writes, as
// far as it can.
func (db *DB) read(ctx context.Context, f func(tx) error) error {
	select {
	case <-db.quit:
		return ErrClosed
	default:
	}
	return db.engine.read(ctx, f)
}

// now is the time of the ledger in microseconds.
func (db *DB) now() int64 { return db.options.Now().Add(db.engine.offset()).UnixMicro() }

// micro and moment turn times into columns and back.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// op is something that a caller wants to be committed. One of the fields up
// to alone says what.
type op struct {
	write  *appending
	settle *settling
	claim  *claiming
	run    *running
	// alone runs in a transaction of its own.
	alone func(*work) error

	err  error
	done chan struct{}
}

// submit hands an op to the committer and waits for it. A ctx that ends takes
// it back only as long as it waits for its turn in a full queue.
func (db *DB) submit(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.Err(); err != nil {
		return err
	}
	o.done = make(chan struct{})
	select {
	case db.queue <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.quit:
		return ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-db.quit:
	}
	// The committer has ended, or will after its last commit.
	db.ended.Wait()
	select {
	case <-o.done:
		return o.err
	default:
		return ErrClosed
	}
}

// alone runs f in a transaction of its own.
func (db *DB) alone(ctx context.Context, f func(*work) error) error {
	return db.submit(ctx, &op{alone: f})
}

// batchSize bounds what shares a transaction: enough for all that comes in
// during a sync, few enough for Postgres's table of locks.
const batchSize = 256

// commit is the committer: it takes what has queued up during the last commit
// into the next one.
func (db *DB) commit() {
	for {
		var ops []*op
		select {
		case <-db.quit:
			return
		case o := <-db.queue:
			ops = db.gather(o)
		}
		for len(ops) > 0 {
			var batch []*op
			batch, ops = share(ops)
			ops = append(db.run(batch), ops...)
			if db.failure.Load() != nil {
				for _, o := range ops {
					o.end(db.Err())
				}
				db.mend(batch)
				break
			}
		}
	}
}

// gather takes what waits. The callers of the last commit have just been
// answered: they get a chance to come back, so that they share this one, too.
func (db *DB) gather(first *op) []*op {
	ops := []*op{first}
	for idle := 0; len(ops) < batchSize && idle < 2; {
		select {
		case o := <-db.queue:
			ops = append(ops, o)
			idle = 0
		default:
			runtime.Gosched()
			idle++
		}
	}
	return ops
}

// share takes what goes into one transaction from the front.
func share(ops []*op) (batch, rest []*op) {
	if ops[0].alone != nil {
		return ops[:1], ops[1:]
	}
	for _, o := range ops {
		if o.alone != nil {
			rest = append(rest, o)
		} else {
			batch = append(batch, o)
		}
	}
	return batch, rest
}

func (o *op) end(err error) {
	o.err = err
	close(o.done)
}

// patience is how long a transaction may take before its server counts as gone.
const patience = 30 * time.Second

// run commits a batch and answers its callers. It returns what has to go into
// the next transaction.
func (db *DB) run(batch []*op) (later []*op) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var w *work
	err := db.engine.transact(ctx, func(t tx) error {
		w = &work{tx: t, db: db, now: db.now()}
		return w.run(batch)
	})
	switch {
	case err == nil:
		w.committed()
		for _, o := range batch {
			if w.later[o] {
				later = append(later, o)
			} else {
				o.end(o.err)
			}
		}
		return later
	case db.engine.kind(err) != ours:
		failing := fmt.Errorf("%w: %w", ErrFailing, err)
		db.failure.Store(&failing)
		db.options.Log.Error("the ledger takes no writes", "error", err)
		told := failing
		if db.engine.kind(err) == unknown {
			told = fmt.Errorf("%w: %w", ErrUnknown, failing)
		}
		for _, o := range batch {
			o.end(told)
		}
		return nil
	case len(batch) == 1:
		batch[0].end(err)
		return nil
	}
	// One of them is to blame: each for itself.
	for _, o := range batch {
		o.err = nil
		later = append(later, db.run([]*op{o})...)
		if db.failure.Load() != nil {
			break
		}
	}
	for _, o := range batch { // after a failure
		if db.failure.Load() != nil && !o.ended() {
			o.end(db.Err())
		}
	}
	if db.failure.Load() != nil {
		return nil
	}
	return later
}

func (o *op) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// mend opens the ledger again after a fault, and refuses what comes meanwhile.
// last is the batch whose commit failed.
func (db *DB) mend(last []*op) {
	wait := 50 * time.Millisecond
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-db.quit:
			return
		case o := <-db.queue:
			o.end(db.Err())
			continue
		case <-timer.C:
		}
		err := db.restore(last)
		if err == nil {
			db.options.Log.Info("the ledger takes writes again")
			db.failure.Store(nil)
			return
		}
		failing := fmt.Errorf("%w: %w", ErrFailing, err)
		db.failure.Store(&failing)
		wait = min(2*wait, 5*time.Second)
		timer.Reset(wait)
	}
}

// restore makes a new handle, proves that it takes writes, and takes back what
// the failed batch may have left: nobody has been told of it.
func (db *DB) restore(last []*op) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := db.engine.reopen(ctx); err != nil {
		return err
	}
	var w *work
	err := db.engine.transact(ctx, func(t tx) error {
		w = &work{tx: t, db: db, now: db.now()}
		err := t.do("INSERT INTO meta (name, value) VALUES ('reopened', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			[]byte(moment(w.now).UTC().Format(time.RFC3339)))
		return errors.Join(err, w.takeBack(last))
	})
	if err != nil {
		return err
	}
	if _, err = db.recount(ctx); err != nil {
		return err
	}
	w.wakeAll()
	return nil
}
