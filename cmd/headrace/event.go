package main

import (
	"fmt"

	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/workspace"
)

// openEvents makes what tells apps of their writes; nil where nobody can ask
// for it: without a portal, and without a secret.
func openEvents(dir string, config *workspace.Config, p *parts) (*event.Sender, error) {
	c := &config.Event
	if config.Portal == nil && c.Secret.IsZero() {
		return nil, nil
	}
	secret, err := eventSecret(dir, c)
	if err != nil {
		return nil, fmt.Errorf("event.secret: %w", err)
	}
	return event.New(event.Options{
		Ledger: p.ledger, Secret: secret, Allow: c.Networks(), Timeout: c.Timeout.Std(), Patience: c.Patience.Std(), Keep: c.Keep.Std(),
		Agent: "Headrace/" + version(), Observer: p.telemetry, Log: p.log,
	})
}

func eventSecret(dir string, c *workspace.Event) ([]byte, error) {
	if !c.Secret.IsZero() {
		return c.Key()
	}
	return fileSecret(dir, "event.key")
}
