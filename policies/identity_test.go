package policies_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/policies/apikey"
	"github.com/headrace/headrace/policies/jwt"
	"github.com/headrace/headrace/policies/mtls"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/policies/scope"
	"github.com/headrace/headrace/policies/subscription"
	"github.com/headrace/headrace/specs"
)

// credentials are all that two apps have: keys, tokens and certificates.
type credentials struct {
	shopKey, otherKey                   apikey.Key
	signer                              *ecdsa.PrivateKey
	idp                                 *httptest.Server
	shopCertificate, strangeCertificate tls.Certificate
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newCredentials(t *testing.T) *credentials {
	c := &credentials{
		shopKey: apikey.New(), otherKey: apikey.New(), signer: newKey(t),
		shopCertificate: newCertificate(t, "shop"), strangeCertificate: newCertificate(t, "strange"),
	}
	public, err := c.signer.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	c.idp = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": %q, "y": %q}]}`, encode(public[1:33]), encode(public[33:]))
	}))
	t.Cleanup(c.idp.Close)
	return c
}

func (c *credentials) token(t *testing.T, client, scopes string) string {
	t.Helper()
	token := golangjwt.NewWithClaims(golangjwt.SigningMethodES256, golangjwt.MapClaims{
		"iss": "https://login.example", "aud": "orders", "client_id": client, "scope": scopes, "exp": time.Now().Add(time.Minute).Unix(),
	})
	token.Header["kid"] = "k"
	text, err := token.SignedString(c.signer)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

func (c *credentials) consumers() string {
	digest := sha256.Sum256(c.shopCertificate.Certificate[0])
	return fmt.Sprintf(`
organisations: {acme: {}}
apps:
  shop:
    organisation: acme
    keys: [{prefix: %q, hash: %q}]
    clients: [{issuer: 'https://login.example', id: shop}]
    certificates: [{thumbprint: 'sha256:%s'}]
  other:
    organisation: acme
    keys: [{prefix: %q, hash: %q}]
    clients: [{issuer: 'https://login.example', id: other}]
products: {trade: {apis: orders/v1}}
plans: {gold: {class: critical}}
subscriptions: [{app: shop, product: trade, plan: gold}]
`, c.shopKey.Prefix, c.shopKey.Hash, hex.EncodeToString(digest[:]), c.otherKey.Prefix, c.otherKey.Hash)
}

type alternatives = []map[string][]string

// serve starts an operation that knows keys, tokens and certificates.
func (c *credentials) serve(t *testing.T, more string, security alternatives) *policytest.Server {
	t.Helper()
	identify := []gateway.Kind{apikey.Kind(), jwt.Kind(slog.New(slog.DiscardHandler), nil), mtls.Kind()}
	s := policytest.New(t, policytest.Options{
		Kinds:     append(slices.Clone(identify), scope.Kind(identify), subscription.Kind(identify)),
		Consumers: c.consumers(), Security: security, Unstarted: true,
		Policies: fmt.Sprintf("{apikey: {}, mtls: {}, jwt: {issuers: [{issuer: 'https://login.example', jwks_url: %q, audiences: orders}]} %s}", c.idp.URL, more),
		Schemes: map[string]*specs.SecurityScheme{
			"key": {Type: "apiKey", In: "header", Param: "X-Api-Key"}, "oauth": {Type: "oauth2"}, "tls": {Type: "mutualTLS"},
		},
	})
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	return s
}

// send makes a request with some of the credentials.
func (c *credentials) send(t *testing.T, s *policytest.Server, certificate *tls.Certificate, headers ...string) policytest.Answer {
	t.Helper()
	transport := s.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if certificate != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*certificate}
	}
	return s.Do(t, &http.Client{Transport: transport}, s.Request(t, http.MethodGet, "/orders", headers...))
}

func TestIdentity(t *testing.T) {
	c := newCredentials(t)
	key, otherKey := []string{"X-Api-Key", c.shopKey.Text}, []string{"X-Api-Key", c.otherKey.Text}
	token := func(client, scopes string) []string { return []string{"Authorization", c.token(t, client, scopes)} }
	join := slices.Concat[[]string]
	const all = `ApiKey realm="orders/v1", Bearer realm="orders/v1", Certificate realm="orders/v1"`
	for _, tt := range []struct {
		name        string
		security    alternatives
		certificate *tls.Certificate
		headers     []string
		status      int
		challenge   string
	}{
		{"nothing said, nobody", nil, nil, nil, 401, all},
		{"nothing said, key", nil, nil, key, 200, ""},
		{"nothing said, token", nil, nil, token("shop", ""), 200, ""},
		{"nothing said, certificate", nil, &c.shopCertificate, nil, 200, ""},
		{"public, nobody", alternatives{}, nil, nil, 200, ""},
		{"public, wrong key", alternatives{}, nil, []string{"X-Api-Key", "x"}, 401, `ApiKey realm="orders/v1"`},
		{"key demanded, key", alternatives{{"key": nil}}, nil, key, 200, ""},
		{"key demanded, token", alternatives{{"key": nil}}, nil, token("shop", ""), 401, all},
		{"key demanded, key and wrong token", alternatives{{"key": nil}}, nil, join(key, []string{"Authorization", "Bearer x"}), 401, `Bearer realm="orders/v1", error="invalid_token", error_description="the token is not accepted"`},
		{"key demanded, key and strange certificate", alternatives{{"key": nil}}, &c.strangeCertificate, key, 401, `Certificate realm="orders/v1"`},
		{"key and certificate demanded", alternatives{{"key": nil, "tls": nil}}, &c.shopCertificate, key, 200, ""},
		{"key and certificate demanded, key alone", alternatives{{"key": nil, "tls": nil}}, nil, key, 401, all},
		{"key and certificate of different apps", alternatives{{"key": nil, "tls": nil}}, &c.shopCertificate, otherKey, 401, `Certificate realm="orders/v1"`},
		{"key and token of different apps", alternatives{{"key": nil}}, nil, join(otherKey, token("shop", "")), 401, `Bearer realm="orders/v1", error="invalid_token"`},
		{"all three of one app", alternatives{{"key": nil, "tls": nil, "oauth": {"orders:read"}}}, &c.shopCertificate, join(key, token("shop", "orders:read")), 200, ""},
		{"scopes", alternatives{{"oauth": {"orders:read"}}}, nil, token("shop", "x orders:read"), 200, ""},
		{"scopes lacking", alternatives{{"oauth": {"orders:read", "orders:write"}}}, nil, token("shop", "orders:read"), 403, `Bearer realm="orders/v1", error="insufficient_scope", scope="orders:write"`},
		{"scopes lacking, but a key will do", alternatives{{"oauth": {"orders:write"}}, {"key": nil}}, nil, join(key, token("shop", "")), 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.send(t, c.serve(t, "", tt.security), tt.certificate, tt.headers...)
			if a.Status != tt.status || a.Header.Get("WWW-Authenticate") != tt.challenge || (a.Seen != nil) != (tt.status == 200) {
				t.Fatalf("%d %s %q", a.Status, a.Detail, a.Header.Get("WWW-Authenticate"))
			}
			if a.Seen == nil {
				return
			}
			if a.Seen.Header.Get("X-Api-Key")+a.Seen.Header.Get("Authorization") != "" {
				t.Error("credentials go on to the system")
			}
			if known := tt.headers != nil || tt.certificate != nil; (a.Seen.App == "shop") != known {
				t.Errorf("app %q", a.Seen.App)
			}
		})
	}
}

// The way of a subscribed app from its credential to its plan.
func TestSubscribed(t *testing.T) {
	c := newCredentials(t)
	s := c.serve(t, ", subscription: {}", alternatives{{"key": nil}, {"oauth": nil}})
	if a := c.send(t, s, nil, "X-Api-Key", c.shopKey.Text); a.Status != 200 || a.Seen.Plan != "gold" || a.Seen.Class != specs.Critical {
		t.Errorf("%d %+v", a.Status, a.Seen)
	}
	if a := c.send(t, s, nil, "Authorization", c.token(t, "other", "")); a.Status != 403 || a.Problem != "not-subscribed" || !strings.Contains(a.Detail, "trade") {
		t.Errorf("%d %s %s", a.Status, a.Problem, a.Detail)
	}
	if a := c.send(t, s, nil); a.Status != 401 || a.Problem != "unauthenticated" {
		t.Errorf("%d %s", a.Status, a.Problem)
	}
}

const document = `
openapi: 3.1.0
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, policies: {apikey: {}}}
security: [{key: []}]
paths:
  /orders:
    get: {operationId: list, responses: {"200": {description: Orders}}}
    post:
      operationId: create
      security: [{key: [], %s: []}]
      responses: {"201": {description: Created}}
  /health:
    get: {operationId: health, security: [], responses: {"200": {description: Well}}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Shop-Key}
    spare: {type: apiKey, in: query, name: key}
    basic: {type: http, scheme: basic}
`

// Security as a document states it is what is enforced.
func TestDocument(t *testing.T) {
	c := newCredentials(t)
	identify := []gateway.Kind{apikey.Kind(), mtls.Kind()}
	site := gatewaytest.Site{
		Document: fmt.Sprintf(document, "spare"), Consumers: c.consumers(), Kinds: append(slices.Clone(identify), scope.Kind(identify)),
		Answer: func(*gateway.Exchange) (*gateway.Response, error) { return &gateway.Response{Status: 200}, nil },
	}
	s := gatewaytest.Serve(t, site)
	header, query := "X-Shop-Key: "+c.shopKey.Text, "?key="+c.shopKey.Text
	for _, tt := range []struct {
		method, path string
		headers      []string
		status       int
	}{
		{"GET", "/health", nil, 200},
		{"GET", "/orders", nil, 401},
		{"GET", "/orders", []string{header}, 200},
		{"GET", "/orders" + query, nil, 401},
		{"POST", "/orders", []string{header}, 401},
		{"POST", "/orders" + query, nil, 401},
		{"POST", "/orders" + query, []string{header}, 200},
		{"POST", "/orders?key=" + c.otherKey.Text, []string{header}, 401},
	} {
		if r := s.Do(tt.method, tt.path, "", tt.headers...); r.StatusCode != tt.status {
			t.Errorf("%s %s %v: %d %s", tt.method, tt.path, tt.headers, r.StatusCode, r.Text)
		}
	}
	site.Document = fmt.Sprintf(document, "basic")
	_, problems := site.Table()
	if len(problems) != 1 || !strings.Contains(problems[0].Wrong, `the security scheme "basic" (HTTP basic) is required but no configured policy establishes it`) || problems[0].Line != 11 {
		t.Errorf("%v", problems)
	}
}
