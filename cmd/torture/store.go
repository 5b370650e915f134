package main

import (
	"fmt"
	"path/filepath"
)

// store is where the ledger is kept.
type store struct {
	url  string
	stop func()
}

// openStore prepares a ledger's place: a file for SQLite, a server of its own
// for Postgres.
func openStore(engine, dir string) (*store, error) {
	switch engine {
	case "sqlite":
		return &store{url: "sqlite:" + filepath.Join(dir, "ledger.db"), stop: func() {}}, nil
	}
	return nil, fmt.Errorf("there is no engine %q: sqlite or postgres", engine)
}
