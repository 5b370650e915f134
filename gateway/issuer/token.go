package issuer

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway"
)

// claims are those of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims
	Client string `json:"client_id"`
	Scope  string `json:"scope,omitempty"`
}

// sign makes an access token for a client.
func (i *Issuer) sign(client *gateway.OAuthClient, scopes []string, now time.Time) (token string, lifetime time.Duration, err error) {
	k := i.known.Load().ring.signing(now)
	if k == nil {
		return "", 0, errNoKey
	}
	lifetime = i.settings.Lifetime
	if e := client.Expires; e != nil && e.Time().Sub(now) < lifetime {
		lifetime = e.Time().Sub(now).Truncate(time.Second) // no token outlives the secret that it was given for
	}
	var id [12]byte
	rand.Read(id[:])
	t := jwt.NewWithClaims(jwt.GetSigningMethod(k.Algorithm), claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.settings.Issuer, Subject: client.ID, Audience: jwt.ClaimStrings{i.settings.Audience},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
			ID: base64.RawURLEncoding.EncodeToString(id[:]),
		},
		Client: client.ID, Scope: strings.Join(scopes, " "),
	})
	t.Header["typ"], t.Header["kid"] = "at+jwt", k.ID
	token, err = t.SignedString(k.private)
	return token, lifetime, err
}

// read checks a token of this issuer. Any error means that it is none, or has ended.
func (i *Issuer) read(token string) (*claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		public, algorithm := i.Key(id)
		if public == nil || t.Method.Alg() != algorithm || t.Header["typ"] != "at+jwt" {
			return nil, jwt.ErrTokenUnverifiable
		}
		return public, nil
	}, jwt.WithIssuer(i.settings.Issuer), jwt.WithAudience(i.settings.Audience), jwt.WithExpirationRequired(), jwt.WithStrictDecoding())
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// granted are the scopes that a client gets: those that it asks for, or all
// that it may have. ok is false when it may not have one of them.
func granted(client *gateway.OAuthClient, asked string) (scopes []string, ok bool) {
	scopes = strings.Fields(asked)
	if len(scopes) == 0 {
		return client.Scopes, true
	}
	for _, s := range scopes {
		if !slices.Contains(client.Scopes, s) {
			return nil, false
		}
	}
	return scopes, true
}
