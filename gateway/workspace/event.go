package workspace

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Event is how apps are told what becomes of their writes.
type Event struct {
	Allow    source.Strings  `yaml:"allow" doc:"Networks to which webhooks may go although they are not public, such as 10.20.0.0/16; there http is taken, too. None when absent: webhooks go to public addresses over https alone."`
	Timeout  source.Duration `yaml:"timeout" default:"15s" min:"1s" max:"1m" doc:"How long a webhook may take to answer."`
	Patience source.Duration `yaml:"patience" default:"5d" min:"1h" doc:"How long a webhook may fail before it is turned off. What happens meanwhile waits."`
	Keep     source.Duration `yaml:"keep" default:"30d" min:"1d" doc:"How long deliveries are known, told or not."`
	Secret   source.Secret   `yaml:"secret" doc:"What encrypts the webhooks' secrets in the ledger: 64 hexadecimal digits (openssl rand -hex 32). When absent, a file event.key beside the ledger's is made; several replicas need the same secret."`
	Node     source.Node     `yaml:",node"`
}

// check finds what decoding cannot see. portal tells that there is one, in
// which webhooks are made.
func (e *Event) check(l Ledger, portal source.Node, ps *source.Problems) {
	for i, text := range e.Allow {
		if _, err := netip.ParsePrefix(text); err != nil {
			n := e.Node.At("allow")
			if items := n.Items(); i < len(items) { // one may be written without a list
				n = items[i]
			}
			ps.Add(n, fmt.Sprintf("%q is no network", text), "for example 10.20.0.0/16")
		}
	}
	if e.Secret.IsZero() {
		if portal.Exists() && strings.HasPrefix(l.String(), "postgres") {
			ps.Add(portal, "event.secret is missing: replicas that share a ledger need the same one", "set event.secret to ${env:NAME}, 64 hexadecimal digits (openssl rand -hex 32)")
		}
		return
	}
	if _, err := e.Key(); err != nil {
		ps.Add(e.Node.At("secret"), err.Error(), "openssl rand -hex 32 makes one")
	}
}

// Networks are what Allow names; what is none is left out, and a problem.
func (e *Event) Networks() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range e.Allow {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// Key reads the secret. The error never repeats it.
func (e *Event) Key() ([]byte, error) { return hexKey(e.Secret) }

// hexKey reads a secret of SecretLength bytes.
func hexKey(s source.Secret) ([]byte, error) {
	text, err := s.Resolve()
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != SecretLength {
		return nil, fmt.Errorf("the secret is not %d hexadecimal digits", 2*SecretLength)
	}
	return key, nil
}

// plain tells two settings apart.
func (e *Event) plain() string {
	return fmt.Sprint(e.Allow, e.Timeout, e.Patience, e.Keep, e.Secret.String())
}
