package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

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

// openCounters prepares the place of the counts: memory for each gateway on its
// own, or a Redis that all of them share.
func openCounters(ctx context.Context, kind, dir string) (*store, error) {
	switch kind {
	case "memory":
		return &store{url: "memory:", stop: func() {}}, nil
	case "redis":
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		log := filepath.Join(dir, "redis.log")
		p, err := launch(log, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
		if err != nil {
			return nil, fmt.Errorf("redis-server (Debian's package redis-server): %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return &store{url: "redis://" + address, stop: func() { p.kill() }}, listens(ctx, p, address, log)
	}
	return nil, fmt.Errorf("there are no counters %q: memory or redis", kind)
}
