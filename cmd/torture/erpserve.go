package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// erpReport is what an ERP tells at the end.
type erpReport struct {
	Counts  erpCounts `json:"counts"`
	Effects []effect  `json:"effects"`
}

// door is the ERP's listener, which can be shut: then connections are refused,
// and those that were open are cut.
type door struct {
	address string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server // nil while it is shut
}

func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", d.address)
	if err != nil {
		return err
	}
	d.server = &http.Server{Handler: d.handler, ErrorLog: log.New(io.Discard, "", 0)}
	go d.server.Serve(l)
	return nil
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		d.server.Close()
		d.server = nil
	}
}

// serveERP runs an ERP until its process is killed: one address for the
// gateways, one for the harness.
func serveERP(address, control, settings string) error {
	var s erpSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	e := newERP(s)
	d := &door{address: address, handler: e}
	if err := d.open(); err != nil {
		return err
	}
	calm := make(chan struct{})
	go e.wander(d, calm)
	mux := http.NewServeMux()
	var once sync.Once
	mux.HandleFunc("POST /calm", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(calm) })
		e.mu.Lock()
		e.calm, e.resting = true, false
		e.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{})
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) {
		e.pending.Wait() // what has come is carried out
		e.mu.Lock()
		defer e.mu.Unlock()
		answer(w, http.StatusOK, erpReport{e.counts, e.effects})
	})
	err := http.ListenAndServe(control, mux)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// wander goes away now and then, as long as the ERP misbehaves: in maintenance,
// or altogether.
func (e *erp) wander(d *door, calm <-chan struct{}) {
	random := rand.New(rand.NewPCG(e.settings.Seed, 2))
	wait := func(least, most time.Duration) bool {
		select {
		case <-calm:
			return false
		case <-time.After(least + time.Duration(random.Float64()*float64(most-least))):
			return true
		}
	}
	for wait(6*time.Second, 15*time.Second) {
		e.mu.Lock()
		e.counts.Away++
		e.resting = random.IntN(2) == 0
		shut := !e.resting
		e.mu.Unlock()
		if shut {
			d.shut()
		}
		wait(500*time.Millisecond, 2*time.Second)
		e.mu.Lock()
		e.resting = false
		e.mu.Unlock()
		if err := d.open(); err != nil {
			log.Fatalf("the ERP cannot come back: %v", err)
		}
	}
	if e.has(bugGone) {
		d.shut()
	}
}
