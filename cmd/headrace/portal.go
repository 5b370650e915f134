package main

import (
	"cmp"
	"net/http"

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
		History: history{s.registry, s.live},
	})
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
