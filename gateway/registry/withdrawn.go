package registry

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Withdrawn is everything that was once good for calls and is no longer, for
// replicas that cannot build the table of this revision.
func (r *Registry) Withdrawn(ctx context.Context) (*gateway.Withdrawn, error) {
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return nil, err
	}
	w := &gateway.Withdrawn{
		Keys: map[[sha256.Size]byte]bool{}, Clients: map[gateway.ClientIdentity]bool{}, Certificates: map[gateway.CertificateName]bool{},
		OAuth: map[string]bool{}, Apps: map[string]bool{}, Subscriptions: map[[2]string]bool{},
	}
	now := time.Now()
	for _, e := range c.Of(KindCredential) {
		i, err := item[Credential](e)
		if err != nil {
			return nil, err
		}
		if !i.Body.Live(now) {
			i.Body.withdraw(w, e.Secret)
		}
	}
	suspended, err := suspensions(c)
	if err != nil {
		return nil, err
	}
	for _, e := range c.Of(KindApp) {
		i, err := item[App](e)
		if err != nil {
			return nil, err
		}
		if i.Body.Disabled || suspended[i.Body.Organisation] {
			w.Apps[e.Name] = true
		}
	}
	for _, e := range c.Of(KindSubscription) {
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
		w.Certificates[gateway.CertificateName{Thumbprint: c.Thumbprint}] = c.Thumbprint != ""
		w.Certificates[gateway.CertificateName{Subject: c.Subject}] = c.Subject != ""
	}
}
