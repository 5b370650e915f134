package ledger

import (
	"log/slog"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/specs"
)

// A front goes on with what claims find, and back with what becomes ready.
func TestFront(t *testing.T) {
	f := front{}
	f.lower("erp", 3) // nobody claims from it: nothing to remember
	if len(f) != 0 {
		t.Fatal("a system is remembered that nobody claims from")
	}
	m := f.of("erp")
	if from, whole := m.begin(); !whole || from != [len(specs.Classes)]int64{} {
		t.Fatalf("the first claim begins at %v", from)
	}
	m.asked = time.Now()
	m.learn([len(specs.Classes)]int64{}, [len(specs.Classes)]int64{0, 20, 30, 0}, 40)
	if from, whole := m.begin(); whole || from != [len(specs.Classes)]int64{40, 20, 30, 40} {
		t.Fatalf("the second claim begins at %v", from)
	}
	f.lower("erp", 25)
	if from, _ := m.begin(); from != [len(specs.Classes)]int64{25, 20, 25, 25} {
		t.Fatalf("after something became ready, claims begin at %v", from)
	}
	m.asked = time.Now().Add(-2 * time.Second)
	if _, whole := m.begin(); !whole {
		t.Fatal("all was not looked at for two seconds")
	}
}

// What another replica makes ready before the front is found when a claim
// would come home with less than it may have.
func TestFrontOfAnotherReplica(t *testing.T) {
	s, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	ctx, url := t.Context(), s.Database(t)
	var dbs [2]*DB
	for i, name := range []string{"one", "two"} {
		if dbs[i], err = Open(ctx, url, Options{Replica: name, Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		defer dbs[i].Close()
	}
	ids := map[string]bool{}
	for i := range 3 {
		r, err := dbs[0].Append(ctx, &Write{System: "erp", Operation: "create", Class: specs.Normal, Lanes: []string{string(rune('a' + i))}})
		if err != nil {
			t.Fatal(err)
		}
		ids[r.ID] = true
	}
	first, err := dbs[1].Claim(ctx, "erp", Room{Max: 1})
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	if list, err := dbs[0].Claim(ctx, "erp", Room{Max: 1}); err != nil || len(list) != 1 { // its front is behind the first now
		t.Fatal(list, err)
	}
	if err := dbs[1].Settle(ctx, first[0], Settlement{State: Held}); err != nil {
		t.Fatal(err)
	}
	list, err := dbs[0].Claim(ctx, "erp", Room{Max: 2})
	if err != nil || len(list) != 2 || list[0].ID != first[0].ID {
		t.Fatalf("claimed %v, %v, without the one that another replica held again", list, err)
	}
}

// What is appended with an earlier number than another replica's that was
// claimed already is not passed over.
func TestFrontOfAnEarlierNumber(t *testing.T) {
	s, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	ctx := t.Context()
	db, err := Open(ctx, s.Database(t), Options{Replica: "one", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	add := func(lane string) Receipt {
		t.Helper()
		r, err := db.Append(ctx, &Write{System: "erp", Operation: "create", Class: specs.Normal, Lanes: []string{lane}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	add("a")
	if list, err := db.Claim(ctx, "erp", Room{Max: 1}); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	ahead := int64(1) << 40 // as if another replica had come much further
	err = db.alone(ctx, func(*work) error {
		db.front.of("erp").learn([len(specs.Classes)]int64{}, [len(specs.Classes)]int64{}, ahead)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b := add("b")
	var at int64
	if err := db.alone(ctx, func(*work) error { at = db.front.of("erp").place[specs.Critical-specs.Normal]; return nil }); err != nil {
		t.Fatal(err)
	}
	if at > b.Seq {
		t.Errorf("claims begin at %d, after %d, which is ready", at, b.Seq)
	}
}
