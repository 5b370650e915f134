package ledger

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"
)

// Calls wait for a note: one that a store does not take in time is given up.
func TestNoteIsGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := Open(t.Context(), "sqlite:"+path, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil { // as long as it lasts nobody else writes
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.Note(ctx, "erp", []byte("first")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a note that cannot be kept: %v", err)
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := db.Note(t.Context(), "erp", []byte("second")); err != nil {
		t.Fatal(err)
	}
	if notes, err := db.Notes(t.Context()); err != nil || string(notes["erp"]) != "second" {
		t.Errorf("%v, %q", err, notes)
	}
}
