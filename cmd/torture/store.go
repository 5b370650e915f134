package main

import (
	"fmt"
	"path/filepath"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
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
	case "postgres":
		server, err := postgrestest.Start()
		if err != nil {
			return nil, err
		}
		url, err := server.Create()
		if err != nil {
			server.Stop()
			return nil, err
		}
		return &store{url: url, stop: server.Stop}, nil
	}
	return nil, fmt.Errorf("there is no engine %q: sqlite or postgres", engine)
}
