package main

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/portal"
)

// portal is the partners' application of a server that has one.
func (s *server) portal() (*portal.Portal, error) {
	c := s.config.Portal
	mail, err := sender(c.Mail)
	if err != nil {
		return nil, err
	}
	oidc, err := portalOIDC(c.OIDC)
	if err != nil {
		return nil, err
	}
	var proxies []netip.Prefix
	for _, text := range c.Proxies {
		network, err := gateway.ParseNetwork(text)
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, network)
	}
	return portal.New(portal.Options{
		Version: version(), Title: c.Title, URL: s.portalURL(),
		Gateway: cmp.Or(c.Gateway, s.gatewayURL()), Sandbox: c.Sandbox,
		SignUp: c.SignUp, Outbox: s.outbox && mail == nil, Keys: s.config.Writes.Keys.Std(),
		Mail: mail, Managers: c.Managers, OIDC: oidc, Proxies: proxies,
		Tables: s.gateway, Registry: s.registry, Store: s.parts.ledger, Log: s.parts.log,
		Writes: s.parts.buffer, Events: s.parts.events, Systems: s.parts.systemHealth,
		History: history{s.registry, s.live},
	})
}

// systemHealth says how the systems are, for the portal's status page.
func (p *parts) systemHealth(ctx context.Context) []portal.SystemHealth {
	paused := map[string]bool{}
	if pauses, err := p.ledger.Pauses(ctx); err == nil {
		for _, x := range pauses {
			paused[x.System] = paused[x.System] || x.Lane == ""
		}
	}
	var all []portal.SystemHealth
	for _, s := range p.systems() {
		h := portal.SystemHealth{System: s.Name, Down: s.Breaker == "open", Paused: paused[s.Name]}
		for _, n := range s.Budget.Waiting {
			h.Waiting += n
		}
		f := ledger.Filter{System: s.Name, States: []ledger.State{ledger.Held}, Oldest: true, Limit: 1}
		if oldest, err := p.ledger.List(ctx, f); err == nil && len(oldest.Writes) > 0 {
			h.Held, h.OldestHeld = 1, oldest.Writes[0].Accepted
		}
		all = append(all, h)
	}
	return all
}

// portalURL is where people reach the portal; none without one.
func (s *server) portalURL() string {
	if s.portalListener == nil {
		return "none (portal in headrace.yaml)"
	}
	return cmp.Or(s.config.Portal.URL, "http://"+s.portalListener.Addr().String())
}

// gatewayURL is where callers on this machine reach the gateway.
func (s *server) gatewayURL() string {
	scheme := "http://"
	if s.config.TLS != nil {
		scheme = "https://"
	}
	return scheme + s.gatewayListener.Addr().String()
}

// sender is how mails leave; nil when none do.
func sender(m *workspace.Mail) (portal.Sender, error) {
	if m == nil || m.SMTP == "" {
		return nil, nil
	}
	s := &portal.SMTP{Server: m.SMTP, From: m.From, Username: m.Username, TLS: m.TLS}
	if !m.Password.IsZero() {
		var err error
		if s.Password, err = m.Password.Resolve(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// portalOIDC is the issuer at which partners log in; nil without one.
func portalOIDC(o *workspace.PortalOIDC) (*portal.OIDC, error) {
	if o == nil {
		return nil, nil
	}
	made := &portal.OIDC{Issuer: o.Issuer, ClientID: o.ClientID, Title: o.Title, Scopes: o.Scopes}
	if !o.Secret.IsZero() {
		var err error
		if made.Secret, err = o.Secret.Resolve(); err != nil {
			return nil, err
		}
	}
	return made, nil
}
