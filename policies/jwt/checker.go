package jwt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Checker checks tokens of one issuer outside the way of a request, by the same
// rules as the policy.
type Checker struct{ verifier *verifier }

// NewChecker makes a checker of an issuer's tokens; durations that are zero are
// the policy's defaults. What is wrong with the settings is added to ps, at n.
func NewChecker(i Issuer, n source.Node, log *slog.Logger, ps *source.Problems) *Checker {
	var usual Issuer
	var missing source.Problems // of what has no default
	source.Decode(source.Node{}, &usual, &missing)
	i.Leeway, i.Refresh = cmp.Or(i.Leeway, usual.Leeway), cmp.Or(i.Refresh, usual.Refresh)
	i.MaxStale, i.MinRefreshInterval = cmp.Or(i.MaxStale, usual.MaxStale), cmp.Or(i.MinRefreshInterval, usual.MinRefreshInterval)
	before := ps.Len()
	if i.check(n, ps); ps.Len() > before {
		return nil
	}
	return &Checker{newState(log).verifier(Settings{Issuers: []Issuer{i}})}
}

// Check says what a token says: the claim app_claim, and the values of
// scope_claim. A *gateway.Error tells what is wrong with the token, or that it
// cannot be checked now.
func (c *Checker) Check(ctx context.Context, token string) (name string, values []string, err error) {
	said, err := c.verifier.verify(ctx, token)
	if err == nil {
		return said.app, said.scopes, nil
	}
	if errors.Is(err, errNoApp) {
		err = errors.New("the token names nobody")
	}
	return "", nil, (&policy{challenge: challengeScheme + ` realm="headrace"`}).explain(err).(*gateway.Error)
}
