package registry

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// Withdrawn is what was good for calls at a revision and is no longer, for
// replicas that serve the table of that one until they have built the next.
func (r *Registry) Withdrawn(ctx context.Context, since int64) (*gateway.Withdrawn, error) {
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return nil, err
	}
	w := &gateway.Withdrawn{
		Keys: map[[sha256.Size]byte]bool{}, Clients: map[gateway.ClientIdentity]bool{}, Certificates: map[gateway.CertificateName]bool{},
		OAuth: map[string]bool{}, Apps: map[string]bool{}, Subscriptions: map[[2]string]bool{},
	}
	now := time.Now()
	for _, e := range changed(c, KindCredential, since) {
		i, err := item[Credential](e)
		if err != nil {
			return nil, err
		}
		if !i.Body.Live(now) {
			i.Body.withdraw(w, e.Secret)
		}
	}
	for _, e := range changed(c, KindApp, since) {
		i, err := item[App](e)
		if err != nil {
			return nil, err
		}
		if i.Body.Disabled {
			w.Apps[e.Name] = true
		}
	}
	for _, e := range changed(c, KindSubscription, since) {
		i, err := item[Subscription](e)
		if err != nil {
			return nil, err
		}
		if i.Body.Status != Approved {
			w.Subscriptions[[2]string{i.Body.App, i.Body.Product}] = true
		}
	}
	return w, nil
}

// changed lists the entries of a kind that have changed after a revision.
func changed(c *ledger.Control, kind string, since int64) []*ledger.Entry {
	var list []*ledger.Entry
	for _, e := range c.Of(kind) {
		if e.Revision > since {
			list = append(list, e)
		}
	}
	return list
}

// withdraw notes the credential, whose hash is secret.
func (c *Credential) withdraw(w *gateway.Withdrawn, secret []byte) {
	switch c.Type {
	case "key":
		if len(secret) == sha256.Size {
			w.Keys[[sha256.Size]byte(secret)] = true
		}
	case "oauth":
		w.OAuth[c.ID] = true
	case "client":
		w.Clients[gateway.ClientIdentity{Issuer: c.Issuer, ID: c.ID}] = true
	case "certificate":
		if name, err := (gateway.CertificateName{Thumbprint: c.Thumbprint, Subject: c.Subject}).Canonical(); err == nil {
			w.Certificates[name] = true
		}
	}
}
