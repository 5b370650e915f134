package buffer

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// Sight is a write as the people of its app see it: what they sent, what came
// of it, and when it is its turn. Nothing in it names a system.
type Sight struct {
	Record *ledger.Record
	// Method, Params, Query and Body are the request that was accepted; Media its
	// content type. Empty where it cannot be read any more.
	Method, Query, Media string
	Params               specs.Params
	Body                 []byte
	// Answer is what the app was or would be told; nil while nothing is known.
	Answer *Answered
	// Place is its place in line, from 1 on, and ETA when it is expected to be
	// done, both of held writes only and zero when nobody knows.
	Place int64
	ETA   time.Time
}

// Answered is what a write came to for its app.
type Answered struct {
	Status int
	Media  string
	Body   []byte
	// Problem is the name of the gateway's own refusal; empty for the words of
	// who answers the operation.
	Problem string
}

// Sight looks at a write. ledger.ErrNotFound. Who may see it is the caller's
// business.
func (b *Buffer) Sight(ctx context.Context, id string) (*Sight, error) {
	record, err := b.ledger.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &Sight{Record: record}
	if k, err := decodeRequest(record.Request); err == nil {
		s.Method, s.Params, s.Query, s.Body, s.Media = k.Method, k.Params, k.Query, k.Body, k.Header.Get("Content-Type")
	}
	if a, err := decodeAnswer(record.Response); err == nil {
		s.Answer = &Answered{Status: a.Status, Media: a.Header.Get("Content-Type"), Body: a.body, Problem: a.Problem}
	}
	if record.State == ledger.Held {
		at := b.stand(ctx, id)
		s.Place, s.ETA = at.place, at.estimate
	}
	return s, nil
}

// Amend sends a changed body in the place of a write that is held or needs a
// decision, and returns the id of the new one. The body is checked against the
// contract as it is now: a *gateway.Error says what is wrong with it, or that the
// write's state forbids it.
func (b *Buffer) Amend(ctx context.Context, id string, body []byte, by ledger.By) (string, error) {
	record, err := b.ledger.Get(ctx, id)
	if err != nil {
		return "", err
	}
	text := json.RawMessage(body)
	if k, err := decodeRequest(record.Request); err == nil && !json.Valid(body) {
		if jsonMedia(k.Header) {
			return "", &gateway.Error{Problem: gateway.InvalidBody, Detail: "the body is not JSON"}
		}
		if text, err = json.Marshal(string(body)); err != nil {
			return "", err
		}
	}
	w, err := b.edited(record, text)
	if err != nil {
		return "", err
	}
	receipt, err := b.ledger.Replace(ctx, record.ID, w, by)
	if err != nil {
		return "", actionRefusal(err)
	}
	b.refresh(record.ID)
	b.wakeAll()
	return receipt.ID, nil
}

func jsonMedia(h http.Header) bool { return strings.Contains(h.Get("Content-Type"), "json") }

// GiveUp leaves a write that needs a decision as it is; what waits behind it
// goes on. A *gateway.Error says that the write needs none.
func (b *Buffer) GiveUp(ctx context.Context, id string, by ledger.By) error {
	if err := b.ledger.Discard(ctx, id, by); err != nil {
		return actionRefusal(err)
	}
	b.refresh(id)
	b.wakeAll()
	return nil
}

// TakeBack cancels a write that has not been sent. A *gateway.Error says that it
// has been.
func (b *Buffer) TakeBack(ctx context.Context, id string, by ledger.By) error {
	if err := b.Cancel(ctx, id, by); err != nil {
		return actionRefusal(err)
	}
	return nil
}

// Keys are the business keys that a value may stand for: each kind of key that
// the operations of the current table have. A value with its kind is one itself.
func (b *Buffer) Keys(value string) []string {
	if strings.Contains(value, "=") {
		return []string{value}
	}
	set := b.acquire()
	if set == nil {
		return nil
	}
	defer set.Release()
	var keys []string
	for _, o := range set.operations {
		for _, l := range o.lanes {
			if key := laneKey(l.name, value); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}
