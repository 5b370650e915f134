package workspace

import (
	"bytes"
	"strings"
	"testing"
)

func TestEventSettings(t *testing.T) {
	t.Setenv("EVENT_SECRET", strings.Repeat("0a", SecretLength))
	t.Setenv("EVENT_SHORT", "0a0a0a")
	c, err := portalOf(t, "{}\n")
	if err != nil || c.Event.Timeout.Std().Seconds() != 15 || len(c.Event.Networks()) != 0 {
		t.Errorf("%+v, %v", c.Event, err)
	}
	c, err = portalOf(t, "event: {allow: [10.20.1.1/16, \"fd00::/8\"], timeout: 5s, patience: 2d, keep: 7d, secret: \"${env:EVENT_SECRET}\"}\n")
	if err != nil || len(c.Event.Networks()) != 2 || c.Event.Networks()[0].String() != "10.20.0.0/16" {
		t.Errorf("%+v, %v", c.Event, err)
	}
	if key, err := c.Event.Key(); err != nil || !bytes.Equal(key, bytes.Repeat([]byte{10}, SecretLength)) {
		t.Errorf("key %x, %v", key, err)
	}
	for text, want := range map[string]string{
		"event: {allow: [10.0.0.1]}":                        `headrace.yaml:1:17: event.allow[0]: "10.0.0.1" is no network`,
		"event: {timeout: 2m}":                              "event.timeout",
		"event: {secret: \"${env:EVENT_SHORT}\"}":           "event.secret: the secret is not 64 hexadecimal digits",
		"event: {secret: \"${env:EVENT_ABSENT}\"}":          "EVENT_ABSENT",
		"event: {secrets: x}":                               "did you mean",
		"stores: {ledger: \"postgres://db/x\"}\nportal: {}": "event.secret is missing: replicas that share a ledger need the same one",
	} {
		_, err := portalOf(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0a0a0a") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
