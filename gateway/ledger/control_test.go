package ledger

import (
	"log/slog"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// A replica finds changes of which it was not told, because its connection
// that listens is lost.
func TestControlIsPolled(t *testing.T) {
	server, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	ctx, url := t.Context(), server.Database(t)
	var dbs [2]*DB
	for i := range dbs {
		if dbs[i], err = Open(ctx, url, Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		defer dbs[i].Close()
	}
	told := make(chan struct{}, 100)
	dbs[1].WatchControl(func() { told <- struct{}{} })
	<-told // the first look
	listening := func() (n int64) {
		err := dbs[0].read(ctx, func(t tx) error {
			_, err := one(t, []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN headrace' AND datname = current_database()")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for end := time.Now().Add(time.Minute); listening() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody listens")
		}
	}
	// They come back after a second; the change is made before.
	err = dbs[0].read(ctx, func(t tx) error {
		return t.query(func(row) error { return nil }, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN headrace' AND datname = current_database()")
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = dbs[0].Change(ctx, By{Actor: "ada"}, func(d *Draft) error {
		return d.Put(Entry{Kind: "app", Name: "a", Body: []byte("{}")}, Absent)
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("the change was never found")
	}
	c, err := dbs[1].Control(ctx)
	if err != nil || c.Revision != 1 {
		t.Errorf("%+v %v", c, err)
	}
}
