package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// tills sell through Headrace. They send each write with a key of its own and
// their patience, and follow it where the answer is a 202.
type tills struct {
	shop *caller
	// Of the writes that have ended: all, those that were followed, and those
	// that were done although the answer of Tryton was lost.
	writes, followed, doubted atomic.Int64
}

func (s *tills) sell(ctx context.Context, o newSale) error {
	data, err := s.write(ctx, "/sales/v1/sales", o, o.Reference+"/create")
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	id, err := saleID(data)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/sales/v1/sales/%d", id)
	for _, step := range []string{"quote", "confirm"} {
		if data, err = s.write(ctx, path+"/"+step, nil, o.Reference+"/"+step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	invoice, err := s.invoice(ctx, path, o.Reference, data)
	if err != nil {
		return err
	}
	if _, err = s.write(ctx, fmt.Sprintf("/invoices/v1/invoices/%d/post", invoice), nil, o.Reference+"/post"); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	return nil
}

// saleID finds the id in the answer of a creation: the sale itself, or the page
// that was found when its answer was lost and Tryton was asked.
func saleID(data []byte) (int, error) {
	var a struct {
		saleHead
		Items []saleHead `json:"items"`
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return 0, err
	}
	switch {
	case a.ID > 0:
		return a.ID, nil
	case len(a.Items) == 1 && a.Items[0].ID > 0:
		return a.Items[0].ID, nil
	}
	return 0, fmt.Errorf("no sale in %.300s", data)
}

// invoice gives the invoice of a confirmed sale, which is there once it is
// processed. Tryton forgets to do that when it dies at it.
func (s *tills) invoice(ctx context.Context, path, reference string, confirmed []byte) (int, error) {
	var now sale
	if err := json.Unmarshal(confirmed, &now); err != nil {
		return 0, err
	}
	for range 3 {
		if len(now.InvoiceIDs) > 0 {
			break
		}
		pause(ctx, time.Second)
		if err := s.read(ctx, path, &now); err != nil {
			return 0, err
		}
	}
	if len(now.InvoiceIDs) == 0 {
		data, err := s.write(ctx, path+"/process", nil, reference+"/process")
		if err != nil {
			return 0, fmt.Errorf("process: %w", err)
		}
		if err := json.Unmarshal(data, &now); err != nil {
			return 0, err
		}
	}
	if len(now.InvoiceIDs) != 1 {
		return 0, fmt.Errorf("the sale is %s and has the invoices %v", now.State, now.InvoiceIDs)
	}
	return now.InvoiceIDs[0], nil
}

// read reads, and comes back as it is told to.
func (s *tills) read(ctx context.Context, path string, into any) error {
	for {
		a := s.shop.get(ctx, path)
		if a.status == http.StatusOK || !s.comeBack(ctx, a) {
			return a.into(http.StatusOK, into)
		}
	}
}

// comeBack waits as long as an answer says; false when it is final.
func (s *tills) comeBack(ctx context.Context, a *answer) bool {
	again := a.status == 0 || a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout
	if !again || ctx.Err() != nil {
		return false
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	pause(ctx, time.Duration(seconds)*time.Second)
	return ctx.Err() == nil
}

// write sends a write and sees it to its end. It gives the body of the outcome.
func (s *tills) write(ctx context.Context, path string, body any, key string) ([]byte, error) {
	wait := "wait=" + strconv.Itoa(int(patience.Seconds()))
	for {
		a := s.shop.call(ctx, http.MethodPost, path, body, "Prefer", wait, "Idempotency-Key", `"`+key+`"`)
		switch {
		case a.status == http.StatusAccepted:
			return s.follow(ctx, a.header.Get("Location"))
		case a.status >= 200 && a.status < 300:
			s.writes.Add(1)
			return a.body, nil
		case a.header.Get("Headrace-Write") != "":
			return nil, fmt.Errorf("refused: %w", a.is(http.StatusOK))
		case !s.comeBack(ctx, a):
			return nil, a.is(http.StatusOK)
		}
	}
}

// written is what the status resource says of a write, as far as it matters here.
type written struct {
	State          string `json:"state"`
	NeedsAttention bool   `json:"needsAttention"`
	Reason         string `json:"reason"`
	Timeline       []struct {
		State string `json:"state"`
	} `json:"timeline"`
	Outcome struct {
		Body json.RawMessage `json:"body"`
	} `json:"outcome"`
}

// follow asks for a write until it is over.
func (s *tills) follow(ctx context.Context, location string) ([]byte, error) {
	for {
		a := s.shop.call(ctx, http.MethodGet, location, nil, "Prefer", "wait=30")
		if a.status != http.StatusOK {
			if s.comeBack(ctx, a) {
				continue
			}
			return nil, a.is(http.StatusOK)
		}
		var w written
		if err := json.Unmarshal(a.body, &w); err != nil {
			return nil, err
		}
		switch {
		case w.State == "delivered":
			s.ended(&w)
			return w.Outcome.Body, nil
		case w.NeedsAttention || w.State == "refused" || w.State == "cancelled" || w.State == "expired":
			return nil, fmt.Errorf("%s is %s: %s: %.300s", location, w.State, w.Reason, a.body)
		}
	}
}

func (s *tills) ended(w *written) {
	s.writes.Add(1)
	s.followed.Add(1)
	for _, step := range w.Timeline {
		if step.State == "doubtful" {
			s.doubted.Add(1)
			return
		}
	}
}

// settled checks that no write of the tills is on its way, was refused or waits
// for a person; those that were delivered are there to be seen.
func (s *tills) settled(ctx context.Context) error {
	var errs []error
	for _, state := range []string{"held", "sending", "doubtful", "refused", "delivered"} {
		var list struct {
			Items []written `json:"items"`
		}
		a := s.shop.get(ctx, "/writes?state="+state)
		errs = append(errs, a.is(http.StatusOK), json.Unmarshal(a.body, &list))
		errs = append(errs, truth((len(list.Items) > 0) == (state == "delivered"), "%d or more are %s", len(list.Items), state))
	}
	return all(errs...)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
