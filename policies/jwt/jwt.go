package jwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

const challengeScheme = "Bearer"

// Kind describes the policy. It owns the key sets and the verified tokens of
// the process; issuers that cannot be reached are written to log. own is the
// gateway's own token endpoint; nil when it has none.
func Kind(log *slog.Logger, own Own) gateway.Kind {
	s := newState(log)
	s.own = own
	return s.kind()
}

// state is what outlasts tables.
type state struct {
	log       *slog.Logger
	own       Own
	client    *http.Client
	timeout   time.Duration
	cache     *cache
	keySets   shared[origin, keySet]
	verifiers shared[string, verifier]
	lastID    atomic.Uint64
}

func newState(log *slog.Logger) *state {
	return &state{log: log, client: newClient(), timeout: fetchTimeout, cache: newCache()}
}

func (s *state) kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "jwt", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI,
		Doc:       "Identifies the app by a token (JWT) that an issuer has signed.",
		Satisfies: satisfies,
		Challenge: challengeScheme,
	}, s.compile)
}

func satisfies(s *specs.SecurityScheme) bool {
	return s.Type == "oauth2" || s.Type == "openIdConnect" || s.Type == "http" && s.HTTPScheme == "bearer"
}

type policy struct {
	verifier  *verifier
	consumers *gateway.Consumers
	schemes   uint32
	challenge string
	forward   bool
	next      gateway.Handler
}

func (s *state) compile(b *gateway.Binding, settings Settings) gateway.Policy {
	before := b.Problems.Len()
	if settings.check(b, s.own); b.Problems.Len() > before {
		return nil
	}
	if settings.Own {
		settings.Issuers = append(slices.Clip(settings.Issuers), ownIssuer(s.own))
	}
	p := &policy{
		verifier: s.verifier(settings), consumers: b.Consumers, forward: settings.Forward,
		challenge: fmt.Sprintf("%s realm=%q", challengeScheme, b.Realm()),
	}
	p.verifier.checkFiles(b)
	for _, scheme := range b.Operation.Document.Schemes {
		if satisfies(scheme) {
			p.schemes |= scheme.Bit
		}
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

// verifier gives the rules of a configuration, the same for equal ones.
func (s *state) verifier(settings Settings) *verifier {
	name, err := json.Marshal(settings.Issuers)
	if err != nil {
		panic(err) // texts, numbers and lists always have a JSON form
	}
	return s.verifiers.get(string(name), func() *verifier {
		v := &verifier{id: s.lastID.Add(1), cache: s.cache}
		for _, i := range settings.Issuers {
			v.issuers = append(v.issuers, &issuer{
				Issuer: i,
				keys:   s.keys(i),
				validator: jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuer(i.Issuer),
					jwt.WithAudience(i.Audiences...), jwt.WithLeeway(i.Leeway.Std())),
			})
		}
		return v
	})
}

func (s *state) keys(i Issuer) keys {
	if i.own {
		return ownKeys{s.own}
	}
	return s.keySet(i)
}

func (s *state) keySet(i Issuer) *keySet {
	o := origin{url: i.JWKSURL, file: i.JWKSFile, refresh: i.Refresh.Std(), maxStale: i.MaxStale.Std(), minInterval: i.MinRefreshInterval.Std()}
	if i.Discovery {
		o.issuer = i.Issuer
	}
	return s.keySets.get(o, func() *keySet {
		return &keySet{origin: o, client: s.client, timeout: s.timeout, log: s.log, rotated: s.cache.purge}
	})
}

// checkFiles reads key sets that are files, so that a wrong one is noticed now.
func (v *verifier) checkFiles(b *gateway.Binding) {
	for i, node := range b.Settings.At("issuers").Items() {
		keys, ok := v.issuers[i].keys.(*keySet)
		if !ok || keys.file == "" {
			continue
		}
		if err := keys.reload(); err != nil {
			b.Problems.Add(node.At("jwks_file"), "the key set cannot be used: "+err.Error(), "")
		}
	}
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	values := x.Request.Header["Authorization"]
	token, count := bearer(values)
	if count == 0 {
		return p.next(x)
	}
	if !p.forward {
		delete(x.Request.Header, "Authorization")
	}
	if len(values) > 1 {
		return nil, p.refuse("more than one credential stands in Authorization", nil)
	}
	c, err := p.verifier.verify(x.Context(), token)
	if err != nil {
		return nil, p.explain(err)
	}
	iss := p.verifier.issuers[c.issuer]
	name := iss.Issuer.Issuer
	app := p.app(iss, c)
	if app == nil {
		return nil, p.refuse("the client of the token belongs to no app", fmt.Errorf("client %.100q of the issuer %q", c.app, name))
	}
	if err := x.Recognise(app, p.schemes, c.scopes); err != nil {
		if err.Problem.Status == http.StatusUnauthorized {
			err.Challenge = p.challenge + `, error="invalid_token"`
		}
		return nil, err
	}
	return p.next(x)
}

// app is the app of a token's client; nil when it has none, or no more.
func (p *policy) app(i *issuer, c *claims) *gateway.App {
	now := time.Now()
	if !i.own {
		return p.consumers.ByClient(i.Issuer.Issuer, c.app, now)
	}
	if client := p.consumers.ByOAuthClient(c.app, now); client != nil {
		client.Used(now)
		return client.App
	}
	return nil
}

// bearer is the first bearer token among the values of Authorization, and how
// many there are.
func bearer(values []string) (token string, count int) {
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, challengeScheme) {
			continue
		}
		if count++; count == 1 {
			token = strings.TrimSpace(rest)
		}
	}
	return token, count
}

// explain tells the caller what helps, and the log what was wrong.
func (p *policy) explain(err error) error {
	if away, ok := errors.AsType[*unavailable](err); ok {
		return &gateway.Error{Problem: gateway.NotReady, Detail: "the token cannot be checked now, the issuer's keys are not there", RetryAfter: away.retryAfter, Cause: err}
	}
	detail := "the token is not accepted"
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		detail = "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		detail = "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		detail = "the token is meant for another audience"
	case errors.Is(err, errTooLong), errors.Is(err, errNoApp), errors.Is(err, errRevoked):
		detail = err.Error()
	}
	return p.refuse(detail, err)
}

func (p *policy) refuse(detail string, cause error) error {
	return &gateway.Error{
		Problem: gateway.InvalidCredentials, Detail: detail, Cause: cause,
		Challenge: p.challenge + `, error="invalid_token", error_description="` + detail + `"`,
	}
}
