package jwt

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// ownIssuer is the gateway's own token endpoint as one of the issuers.
func ownIssuer(own Own) Issuer {
	return Issuer{
		Issuer: own.Name(), Audiences: source.Strings{own.Audience()}, Algorithms: []string{"ES256", "EdDSA"},
		AppClaim: "client_id", ScopeClaim: "scope", Leeway: source.Duration(30 * time.Second), own: true,
	}
}

// ownKeys are the keys of the gateway's own token endpoint. They are at hand,
// and so are the tokens that were revoked.
type ownKeys struct{ own Own }

func (o ownKeys) find(_ context.Context, algorithm, id string) (*key, error) {
	public, only := o.own.Key(id)
	if public == nil || algorithm != only {
		return nil, errUnknownKey
	}
	return &key{id: id, algorithm: only, public: public}, nil
}

func (o ownKeys) alive(c *claims, _ time.Time) bool {
	public, _ := o.own.Key(c.key.id)
	return public != nil && !o.own.Revoked(c.token)
}
