package main

import (
	"cmp"
	"context"
	"net/http"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/portal"
)

// portal is the partners' application of a server that has one.
func (s *server) portal() (http.Handler, error) {
	c := s.config.Portal
	return portal.New(portal.Options{
		Version: version(), Title: c.Title, URL: s.portalURL(),
		Gateway: cmp.Or(c.Gateway, s.gatewayURL()), Sandbox: c.Sandbox,
		SignUp: c.SignUp, Outbox: s.outbox, Keys: s.config.Writes.Keys.Std(),
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
