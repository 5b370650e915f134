package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/specs"
)

// childURL names the ledger that a child process works on.
const childURL = "HEADRACE_LEDGER_CHILD"

// child appends, claims and settles until it is killed, and says on its
// standard output what the ledger has acknowledged.
func child() {
	ctx := context.Background()
	db, err := ledger.Open(ctx, os.Getenv(childURL), ledger.Options{Replica: "child", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = db.Recover(ctx, 0, 0)
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	var mu sync.Mutex
	say := func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	}
	for i := range 8 {
		go func() {
			for n := 0; ; n++ {
				r, err := db.Append(ctx, &ledger.Write{System: "erp", Lanes: []string{fmt.Sprint(i % 5), fmt.Sprint("x", n%7)}, Class: specs.Class(n % 4), Request: body})
				if err != nil {
					say("error", err)
					return
				}
				say("kept", r.ID)
			}
		}()
	}
	for {
		list, err := db.Claim(ctx, "erp", ledger.Room{Max: 16})
		if err != nil {
			say("error", err)
			return
		}
		doubts, err := db.ClaimDoubtful(ctx, "erp", 4, time.Minute)
		if err != nil {
			say("error", err)
			return
		}
		for _, c := range append(list, doubts...) {
			say("sent", c.ID)
			if err := db.Settle(ctx, c, ledger.Settlement{State: ledger.Delivered, Response: body}); err != nil {
				say("error", err)
				return
			}
			say("done", c.ID)
		}
	}
}

// TestKill kills a process in the middle of its work, again and again: what
// it has been told is kept, is kept, and nothing is sent twice but in doubt.
func TestKill(t *testing.T) {
	url := sqlite(t)
	kept, done := map[string]bool{}, map[string]bool{}
	// A slow disk needs more rounds, and longer ones, before enough has happened.
	for round := 0; round < 15 || round < 150 && (len(kept) < 100 || len(done) < 10); round++ {
		life := time.Duration(20+rand.IntN(150)) * time.Millisecond * time.Duration(1+round/15)
		killed(t, url, life, func(word, id string) {
			switch word {
			case "kept":
				kept[id] = true
			case "done":
				done[id] = true
			case "error":
				t.Errorf("the child said %s", id)
			}
		})
	}
	db := openBench(t, url)
	for id := range kept {
		r, err := db.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("an acknowledged write is lost: %v", err)
		}
		if done[id] && r.State != ledger.Delivered {
			t.Fatalf("an acknowledged settlement is lost: the write is %s", r.State)
		}
		if len(r.Request) != len(body) {
			t.Fatalf("the request has %d bytes", len(r.Request))
		}
	}
	drained(t, db)
	if len(kept) < 100 || len(done) < 10 {
		t.Errorf("too few to show anything: %d writes, %d settled", len(kept), len(done))
	}
}

// killed runs a child, kills it when its life is over, and hears what it said.
func killed(t *testing.T, url string, life time.Duration, heard func(word, rest string)) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childURL+"="+url)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if first != "open\n" {
		t.Fatalf("the child said %q, %v", first, err)
	}
	time.AfterFunc(life, func() { c.Process.Kill() })
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // a line that was not finished was not said
		}
		if err != nil {
			t.Fatal(err)
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		heard(word, rest)
	}
	c.Wait() //nolint:errcheck // it was killed
}

// drained delivers everything, and fails when something cannot be reached.
func drained(t *testing.T, db *ledger.DB) {
	t.Helper()
	ctx := t.Context()
	if _, err := db.Recover(ctx, 0, 0); err != nil {
		t.Fatal(err)
	}
	for {
		list, err := db.Claim(ctx, "erp", ledger.Room{Max: 256})
		if err != nil {
			t.Fatal(err)
		}
		doubts, err := db.ClaimDoubtful(ctx, "erp", 256, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, c := range append(list, doubts...) {
			wg.Go(func() {
				if err := db.Settle(ctx, c, ledger.Settlement{State: ledger.Delivered}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(list)+len(doubts) == 0 || t.Failed() {
			break
		}
	}
	if n, _ := db.Depth("erp"); n != 0 {
		t.Fatalf("%d writes cannot be reached", n)
	}
}

// TestFullDisk lets writes to the disk fail: nothing is acknowledged that is
// not durable, and when there is room the ledger goes on by itself.
func TestFullDisk(t *testing.T) {
	db := openBench(t, sqlite(t))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	limited := before
	limited.Cur = 300 << 10
	write := &ledger.Write{System: "erp", Lanes: []string{"l"}, Key: "", Request: make([]byte, 20<<10)}
	var kept []string
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited))
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
	var err error
	for range 200 {
		var r ledger.Receipt
		if r, err = db.Append(t.Context(), write); err != nil {
			break
		}
		kept = append(kept, r.ID)
	}
	if !errors.Is(err, ledger.ErrFailing) {
		t.Fatalf("with a full disk: %v after %d writes", err, len(kept))
	}
	if _, err := db.Append(t.Context(), write); !errors.Is(err, ledger.ErrFailing) {
		t.Fatalf("after a failure: %v", err)
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	mended(t, db)
	again, err := db.Append(t.Context(), write)
	must(t, err)
	kept = append(kept, again.ID)
	page, err := db.List(t.Context(), ledger.Filter{Oldest: true, States: []ledger.State{ledger.Held}, Limit: 1000})
	must(t, err)
	if len(page.Writes) != len(kept) {
		t.Fatalf("%d writes are held, %d were acknowledged", len(page.Writes), len(kept))
	}
	for i, r := range page.Writes {
		if r.ID != kept[i] {
			t.Fatalf("write %d is %s, want %s", i, r.ID, kept[i])
		}
	}
	drained(t, db)
}

func mended(t *testing.T, db *ledger.DB) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); db.Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not go on: %v", db.Err())
		}
	}
}

// TestKillPostgres kills the server under load, and starts it again.
func TestKillPostgres(t *testing.T) {
	s, err := postgrestest.Start()
	must(t, err)
	t.Cleanup(s.Stop)
	db := openBench(t, s.Database(t))
	var mu sync.Mutex
	kept := map[string]bool{}
	for range 3 {
		var wg sync.WaitGroup
		var stop atomic.Bool
		for i := range 8 {
			wg.Go(func() {
				for !stop.Load() {
					r, err := db.Append(t.Context(), &ledger.Write{System: "erp", Lanes: []string{fmt.Sprint(i % 3)}, Request: body})
					if err != nil {
						if !errors.Is(err, ledger.ErrFailing) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					kept[r.ID] = true
					mu.Unlock()
				}
			})
		}
		time.Sleep(150 * time.Millisecond)
		s.Kill()
		must(t, s.Restart()) // whose commit is in doubt asks the server that comes back
		stop.Store(true)
		wg.Wait()
		mended(t, db)
	}
	held := 0
	for id := range kept {
		r, err := db.Get(t.Context(), id)
		if err != nil || r.State != ledger.Held {
			t.Fatalf("an acknowledged write is lost: %v, %v", r, err)
		}
		held++
	}
	page, err := db.List(t.Context(), ledger.Filter{States: []ledger.State{ledger.Held}, Limit: 1000})
	must(t, err)
	if page.Next == "" && len(page.Writes) != held {
		t.Errorf("%d writes are held, %d were acknowledged", len(page.Writes), held)
	}
	if held < 50 {
		t.Errorf("only %d writes show nothing", held)
	}
	drained(t, db)
}
