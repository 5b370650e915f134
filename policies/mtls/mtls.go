package mtls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Settings are empty: consumers.yaml says which certificates are known.
type Settings struct{}

const challengeScheme = "Certificate"

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "mtls", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI,
		Doc:       "Identifies the app by the client certificate of its TLS connection.",
		Satisfies: func(s *specs.SecurityScheme) bool { return s.Type == "mutualTLS" },
		Challenge: challengeScheme,
	}, compile)
}

type policy struct {
	consumers *gateway.Consumers
	schemes   uint32
	challenge string
	next      gateway.Handler
}

func compile(b *gateway.Binding, _ Settings) gateway.Policy {
	p := &policy{consumers: b.Consumers, challenge: fmt.Sprintf("%s realm=%q", challengeScheme, b.Realm())}
	for _, s := range b.Operation.Document.Schemes {
		if s.Type == "mutualTLS" {
			p.schemes |= s.Bit
		}
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	connection := x.Request.TLS
	if connection == nil || len(connection.PeerCertificates) == 0 {
		return p.next(x)
	}
	if err := p.identify(x, connection); err != nil {
		if err.Problem.Status == http.StatusUnauthorized {
			err.Challenge = p.challenge
		}
		return nil, err
	}
	return p.next(x)
}

func (p *policy) identify(x *gateway.Exchange, connection *tls.ConnectionState) *gateway.Error {
	cert := connection.PeerCertificates[0]
	digest := sha256.Sum256(cert.Raw)
	thumbprint := "sha256:" + hex.EncodeToString(digest[:])
	app, used := p.consumers.ByCertificate(thumbprint, "")
	if app == nil && len(connection.VerifiedChains) > 0 {
		subject, err := gateway.SubjectOf(cert)
		if err != nil {
			return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the client certificate is not accepted", Cause: err}
		}
		app, used = p.consumers.ByCertificate(thumbprint, subject)
	}
	if app == nil {
		verified := "of no known authority"
		if len(connection.VerifiedChains) > 0 {
			verified = "of a known authority"
		}
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the client certificate belongs to no app",
			Cause: fmt.Errorf("certificate %s, subject %q, %s", thumbprint, cert.Subject, verified)}
	}
	switch now := time.Now(); {
	case now.Before(cert.NotBefore):
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the client certificate is not valid yet", Cause: errors.New(thumbprint)}
	case now.After(cert.NotAfter):
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the client certificate has expired", Cause: errors.New(thumbprint)}
	default:
		used(now)
	}
	return x.Recognise(app, p.schemes, nil)
}
