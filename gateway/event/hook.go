package event

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// Draft is what a person says of a webhook.
type Draft struct {
	URL, About string
	Types      []ledger.State
}

func (s *Sender) draft(d Draft) (Draft, error) {
	address, err := s.guard.address(d.URL)
	if err != nil {
		return d, err
	}
	d.URL, d.About = address, strings.TrimSpace(d.About)
	switch {
	case len(d.URL) > 2000:
		return d, wrong("is longer than 2000 characters")
	case len(d.About) > 200:
		return d, &WrongError{"the name is longer than 200 characters"}
	case len(d.Types) == 0:
		return d, &WrongError{"choose at least one event"}
	}
	for _, t := range d.Types {
		if !slices.Contains(Types, t) {
			return d, &WrongError{fmt.Sprintf("there is no event %q", t)}
		}
	}
	return d, nil
}

// Create makes a webhook of an app and returns its id and its secret, which
// nobody is shown again. *WrongError; ledger.ErrInvalid when the app has too many.
func (s *Sender) Create(ctx context.Context, app string, d Draft, by ledger.By) (id, secret string, err error) {
	if d, err = s.draft(d); err != nil {
		return "", "", err
	}
	made := newSecret()
	h := &ledger.Hook{App: app, URL: d.URL, About: d.About, Types: d.Types, State: ledger.HookOn, Secret: s.seal.close(app, made)}
	if err := s.options.Ledger.AddHook(ctx, h, by); err != nil {
		return "", "", err
	}
	return h.ID, secretText(made), nil
}

// Change changes what a person may change. *WrongError, ledger.ErrNotFound.
func (s *Sender) Change(ctx context.Context, id string, d Draft, by ledger.By) error {
	d, err := s.draft(d)
	if err != nil {
		return err
	}
	return s.options.Ledger.ChangeHook(ctx, id, by, func(h *ledger.Hook) error {
		h.URL, h.About, h.Types = d.URL, d.About, d.Types
		return nil
	})
}

// Turn turns a webhook on or off. What happens while it is off waits. ledger.ErrNotFound.
func (s *Sender) Turn(ctx context.Context, id string, on bool, by ledger.By) error {
	return s.options.Ledger.ChangeHook(ctx, id, by, func(h *ledger.Hook) error {
		h.State = ledger.HookOff
		if on {
			h.State = ledger.HookOn
		}
		return nil
	})
}

// MostOverlap bounds for how long two secrets sign.
const MostOverlap = 7 * 24 * time.Hour

// Rotate gives a webhook a new secret, which nobody is shown again. The old one
// signs as well for the time of overlap, at most MostOverlap; with none it ends
// at once. *WrongError, ledger.ErrNotFound.
func (s *Sender) Rotate(ctx context.Context, id string, overlap time.Duration, by ledger.By) (secret string, err error) {
	if overlap < 0 || overlap > MostOverlap {
		return "", &WrongError{"both secrets sign for seven days at most"}
	}
	made := newSecret()
	err = s.options.Ledger.ChangeHook(ctx, id, by, func(h *ledger.Hook) error {
		h.Before, h.BeforeUntil = h.Secret, time.Now().Add(overlap)
		if overlap == 0 {
			h.Before, h.BeforeUntil = nil, time.Time{}
		}
		h.Secret = s.seal.close(h.App, made)
		return nil
	})
	if err != nil {
		return "", err
	}
	return secretText(made), nil
}
