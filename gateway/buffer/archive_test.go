package buffer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// What is deleted because of its age is in the archive before; what cannot be
// archived is not deleted.
func TestOldWritesAreArchived(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no folder can be made here
		t.Fatal(err)
	}
	w := newWorld(t, func(w *world) {
		w.o.Settings.KeyLifetime = time.Millisecond
		w.o.Settings.Retention = ledger.Retention{Settled: time.Millisecond}
		w.o.Settings.Archive = dir
		w.o.Retain = time.Millisecond
	})
	id := w.post("/orders", `{"id":"1","note":"first"}`, "Idempotency-Key: mine").Header.Get("Headrace-Write")
	time.Sleep(1500 * time.Millisecond) // it looks once a second
	if _, err := w.ledger.Get(t.Context(), id); err != nil {
		t.Fatalf("deleted without an archive: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	today := filepath.Join(dir, "writes-"+time.Now().UTC().Format(time.DateOnly)+".jsonl")
	if err := os.WriteFile(today, []byte(`{"id":"to`), 0o600); err != nil { // torn by a crash
		t.Fatal(err)
	}
	w.eventually("it is deleted", func() bool { _, err := w.ledger.Get(t.Context(), id); return err == ledger.ErrNotFound })
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files { // two when midnight has passed
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var v struct {
				ID      string
				State   string
				Request struct{ Body struct{ Note string } }
				Steps   []struct{ State string }
			}
			if json.Unmarshal([]byte(line), &v) == nil && v.ID == id && v.State == "delivered" && v.Request.Body.Note == "first" && len(v.Steps) == 2 {
				found++
			}
		}
	}
	if found != 1 {
		t.Errorf("it is %d times in the archive, %v", found, files)
	}
}
