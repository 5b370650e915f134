package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// Serves tells that the table that is served was built of the layer of a revision,
// the last that Layer gave.
func (r *Registry) Serves(revision int64) {
	r.shown.Lock()
	defer r.shown.Unlock()
	if r.given != nil && r.given.Revision == revision {
		r.served = r.given
	}
}

// Withdrawn is what was taken from consumers since the table that is served was
// built; nil when that is nothing.
func (r *Registry) Withdrawn(ctx context.Context) (*gateway.Withdrawn, error) {
	now, err := r.ledger.Control(ctx)
	if err != nil {
		return nil, err
	}
	r.shown.Lock()
	was := r.served
	r.shown.Unlock()
	if was == nil || was.Revision == now.Revision {
		return nil, nil
	}
	w := &withdrawal{now: now}
	for _, step := range []struct {
		kind string
		of   func(was, is *ledger.Entry) error
	}{{KindCredential, w.credential}, {KindOrganisation, w.organisation}, {KindApp, w.app}, {KindSubscription, w.subscription}} {
		for _, e := range was.Of(step.kind) {
			is := now.Get(e.Kind, e.Name)
			if is != nil && is.Revision == e.Revision {
				continue
			}
			if err := step.of(e, is); err != nil {
				return nil, err
			}
		}
	}
	return w.found, nil
}

// withdrawal finds what was good for calls and is no longer.
type withdrawal struct {
	now   *ledger.Control
	found *gateway.Withdrawn
}

// list is where something is noted.
func (w *withdrawal) list() *gateway.Withdrawn {
	if w.found == nil {
		w.found = &gateway.Withdrawn{
			Keys: map[[sha256.Size]byte]time.Time{}, Clients: map[gateway.ClientIdentity]bool{}, Certificates: map[gateway.CertificateName]bool{},
			OAuth: map[string]time.Time{}, Apps: map[string]bool{}, Subscriptions: map[[2]string]bool{},
		}
	}
	return w.found
}

// credential looks at one that has changed, or is gone (nil).
func (w *withdrawal) credential(was, is *ledger.Entry) error {
	old, err := item[Credential](was)
	if err != nil || old.Body.Revoked != nil {
		return err
	}
	var from time.Time // zero for at once
	if is != nil && is.Parent == was.Parent && bytes.Equal(is.Secret, was.Secret) {
		next, err := item[Credential](is)
		switch {
		case err != nil:
			return err
		case next.Body.Revoked != nil:
		case next.Body.Expires == nil || old.Body.Expires != nil && !next.Body.Expires.Before(*old.Body.Expires):
			return nil
		default:
			from = *next.Body.Expires // it was rotated
		}
	}
	old.Body.withdraw(w.list(), was.Secret, from)
	return nil
}

// withdraw notes the credential, whose hash is secret, by the names that tables
// have for it.
func (c *Credential) withdraw(w *gateway.Withdrawn, secret []byte, from time.Time) {
	switch c.Type {
	case "key":
		if len(secret) == sha256.Size {
			w.Keys[[sha256.Size]byte(secret)] = from
		}
	case "oauth":
		w.OAuth[c.ID] = from
	case "client":
		w.Clients[gateway.ClientIdentity{Issuer: c.Issuer, ID: c.ID}] = true
	case "certificate":
		// One whose subject cannot be read is in no table.
		if name, err := (gateway.CertificateName{Thumbprint: c.Thumbprint, Subject: c.Subject}).Canonical(); err == nil {
			w.Certificates[name] = true
		}
	}
}

// organisation takes everything from the apps of one that is suspended.
func (w *withdrawal) organisation(_, is *ledger.Entry) error {
	if is == nil {
		return nil // its apps went before it
	}
	i, err := item[Organisation](is)
	if err != nil || !i.Body.Suspended {
		return err
	}
	apps, err := items[App](w.now, KindApp)
	for _, a := range apps {
		if a.Body.Organisation == is.Name {
			w.list().Apps[a.Name] = true
		}
	}
	return err
}

func (w *withdrawal) app(was, is *ledger.Entry) error {
	if is != nil {
		i, err := item[App](is)
		if err != nil || !i.Body.Disabled {
			return err
		}
	}
	w.list().Apps[was.Name] = true
	return nil
}

func (w *withdrawal) subscription(was, is *ledger.Entry) error {
	old, err := item[Subscription](was)
	if err != nil {
		return err
	}
	if is != nil {
		i, err := item[Subscription](is)
		if err != nil || i.Body.Status == Approved {
			return err
		}
	}
	w.list().Subscriptions[[2]string{old.Body.App, old.Body.Product}] = true
	return nil
}
