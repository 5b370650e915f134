package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"embed"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
)

//go:embed document
var document embed.FS

// Document is where the OpenAPI document of the endpoints stands: its files,
// and its folder in them.
func Document() (files fs.FS, dir string) {
	files, err := fs.Sub(document, "document")
	if err != nil {
		panic(err) // it is embedded
	}
	return files, "apis/oauth2/1.0.0"
}

// Endpoints is the layer that answers the operations of the document.
func (i *Issuer) Endpoints() gateway.Layer { return endpoints{i} }

type endpoints struct{ issuer *Issuer }

func (e endpoints) Bind(b *gateway.Binding) gateway.Handler {
	switch b.Operation.ID {
	case "requestToken":
		return e.form(e.token)
	case "introspectToken":
		return e.form(e.introspect)
	case "revokeToken":
		return e.form(e.revoke)
	case "readKeys":
		return e.keys
	case "readMetadata":
		return e.metadata
	}
	b.Problems.Add(b.Operation.Node, "nothing answers "+b.Operation.ID, "")
	return nil
}

// refusal is an error as OAuth 2.0 has it (RFC 6749, section 5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`

	status     int
	challenge  bool
	retryAfter time.Duration
}

func (r *refusal) answer() *gateway.Response {
	resp := answer(r.status, r)
	if r.challenge {
		resp.Header.Set("WWW-Authenticate", `Basic realm="oauth2", charset="UTF-8"`)
	}
	if r.retryAfter > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(int((r.retryAfter+time.Second-1)/time.Second)))
	}
	return resp
}

// answer is a JSON answer that nobody keeps.
func answer(status int, value any) *gateway.Response {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // the values are ours
	}
	return &gateway.Response{Status: status, Header: http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "Pragma": {"no-cache"},
	}, Bytes: text, Own: true}
}

// caller is a client that has proved who it is, and what it asks.
type caller struct {
	client *gateway.OAuthClient
	form   url.Values
	now    time.Time
}

// form reads a form and finds out whose it is.
func (e endpoints) form(next func(*gateway.Exchange, caller) (any, *refusal)) gateway.Handler {
	return func(x *gateway.Exchange) (*gateway.Response, error) {
		c, wrong := e.identify(x)
		if wrong != nil {
			return wrong.answer(), nil
		}
		value, wrong := next(x, c)
		if wrong != nil {
			return wrong.answer(), nil
		}
		return answer(http.StatusOK, value), nil
	}
}

func (e endpoints) identify(x *gateway.Exchange) (caller, *refusal) {
	kind, _, _ := mime.ParseMediaType(x.Request.Header.Get("Content-Type"))
	body, err := x.Body()
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return caller{}, &refusal{Code: "invalid_request", Description: "the body is no form (application/x-www-form-urlencoded)", status: http.StatusBadRequest}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return caller{}, &refusal{Code: "invalid_request", Description: "the form cannot be read", status: http.StatusBadRequest}
	}
	for name, values := range form {
		if len(values) > 1 {
			return caller{}, &refusal{Code: "invalid_request", Description: strconv.Quote(name) + " stands more than once", status: http.StatusBadRequest}
		}
	}
	client, wrong := e.client(x, form)
	return caller{client: client, form: form, now: time.Now()}, wrong
}

// client proves the client by the secret that it gives, at one place.
func (e endpoints) client(x *gateway.Exchange, form url.Values) (*gateway.OAuthClient, *refusal) {
	id, secret, basic := basicAuth(x.Request)
	inForm := form.Has("client_secret")
	switch {
	case basic && inForm:
		return nil, &refusal{Code: "invalid_request", Description: "the client gives its secret twice", status: http.StatusBadRequest}
	case inForm:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	case !basic:
		return nil, &refusal{Code: "invalid_client", Description: "the client does not say who it is", status: http.StatusUnauthorized, challenge: true}
	}
	if len(id) > gateway.LongestClientID { // is nobody's, and would be remembered as a guess
		return nil, &refusal{Code: "invalid_client", Description: "the client is not known, or its secret is wrong", status: http.StatusUnauthorized, challenge: true}
	}
	i, now := e.issuer, time.Now()
	guess := x.Origin() + " " + id
	if block := i.guard.Blocked(guess, now); block > 0 {
		return nil, &refusal{Code: "invalid_client", Description: "too many secrets of this client were wrong", status: http.StatusTooManyRequests, retryAfter: block}
	}
	var client *gateway.OAuthClient
	if c := i.consumers(); c != nil {
		client = c.ByOAuthClient(id, now)
	}
	if !client.Accepts(secret) || client.App.Disabled || !client.App.CallsFrom(x) {
		i.guard.Wrong(guess, now)
		return nil, &refusal{Code: "invalid_client", Description: "the client is not known, or its secret is wrong", status: http.StatusUnauthorized, challenge: true}
	}
	i.guard.Right(guess)
	client.Used(now)
	x.App = client.App
	return client, nil
}

// basicAuth reads HTTP Basic, whose two parts are written as in a form
// (RFC 6749, section 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	plainID, err := url.QueryUnescape(id)
	plainSecret, err2 := url.QueryUnescape(secret)
	if err != nil || err2 != nil {
		return id, secret, true
	}
	return plainID, plainSecret, true
}

func (e endpoints) token(_ *gateway.Exchange, c caller) (any, *refusal) {
	switch grant := c.form.Get("grant_type"); grant {
	case "client_credentials":
	case "":
		return nil, &refusal{Code: "invalid_request", Description: "grant_type is missing; client_credentials", status: http.StatusBadRequest}
	default:
		return nil, &refusal{Code: "unsupported_grant_type", Description: "grant_type is client_credentials", status: http.StatusBadRequest}
	}
	scopes, ok := granted(c.client, c.form.Get("scope"))
	if !ok {
		return nil, &refusal{Code: "invalid_scope", Description: "the client may have " + strings.Join(append([]string{}, c.client.Scopes...), " "), status: http.StatusBadRequest}
	}
	token, lifetime, err := e.issuer.sign(c.client, scopes, c.now)
	if err != nil {
		e.issuer.log.Error("a token cannot be signed", "error", err)
		return nil, &refusal{Code: "server_error", status: http.StatusServiceUnavailable, retryAfter: time.Second}
	}
	return granting{Token: token, Type: "Bearer", Expires: int(lifetime / time.Second), Scope: strings.Join(scopes, " ")}, nil
}

type granting struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope,omitempty"`
}

// own reads a token of the caller; nil when it is none, or has ended.
func (e endpoints) own(c caller) *claims {
	read, err := e.issuer.read(c.form.Get("token"))
	if err != nil || read.Client != c.client.ID || e.issuer.Revoked(read.ID) {
		return nil
	}
	return read
}

// introspection is what is known of a token (RFC 7662, section 2.2).
type introspection struct {
	Active   bool   `json:"active"`
	Client   string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Issuer   string `json:"iss,omitempty"`
	Audience string `json:"aud,omitempty"`
	Expires  int64  `json:"exp,omitempty"`
	Issued   int64  `json:"iat,omitempty"`
	Type     string `json:"token_type,omitempty"`
	ID       string `json:"jti,omitempty"`
}

func (e endpoints) introspect(_ *gateway.Exchange, c caller) (any, *refusal) {
	if !c.form.Has("token") {
		return nil, &refusal{Code: "invalid_request", Description: "token is missing", status: http.StatusBadRequest}
	}
	read := e.own(c)
	if read == nil {
		return introspection{}, nil
	}
	return introspection{
		Active: true, Client: read.Client, Scope: read.Scope, Issuer: read.Issuer, Audience: e.issuer.settings.Audience,
		Expires: read.ExpiresAt.Unix(), Issued: read.IssuedAt.Unix(), Type: "Bearer", ID: read.ID,
	}, nil
}

func (e endpoints) revoke(x *gateway.Exchange, c caller) (any, *refusal) {
	if !c.form.Has("token") {
		return nil, &refusal{Code: "invalid_request", Description: "token is missing", status: http.StatusBadRequest}
	}
	read := e.own(c)
	if read == nil {
		return struct{}{}, nil // RFC 7009, section 2.2
	}
	if left := e.issuer.pace.wait(c.client.ID, c.now); left > 0 {
		return nil, &refusal{Code: "temporarily_unavailable", Description: "the client revokes too many tokens", status: http.StatusTooManyRequests, retryAfter: left}
	}
	if err := e.issuer.revoke(x.Context(), read.ID, read.ExpiresAt.Time); err != nil {
		e.issuer.log.Error("a token cannot be revoked", "error", err)
		return nil, &refusal{Code: "server_error", status: http.StatusServiceUnavailable, retryAfter: time.Second}
	}
	return struct{}{}, nil
}

// jwk is a public key (RFC 7517; RFC 7518, section 6.2; RFC 8037).
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
}

func (k *signer) jwk() jwk {
	j := jwk{Use: "sig", Algorithm: k.Algorithm, ID: k.ID}
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, then x and y
		if err != nil {
			panic(err) // the key is ours
		}
		half := len(point) / 2
		j.Type, j.Curve, j.X, j.Y = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		j.Type, j.Curve, j.X = "OKP", "Ed25519", encode(public)
	}
	return j
}

// keysKept is how long the published keys may be kept. New ones are published
// for longer than that before they sign.
const keysKept = 5 * time.Minute

func (e endpoints) keys(*gateway.Exchange) (*gateway.Response, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range e.issuer.known.Load().ring {
		set.Keys = append(set.Keys, k.jwk())
	}
	return kept(set, "application/jwk-set+json"), nil
}

// metadata describes the endpoints (RFC 8414, section 2).
type metadata struct {
	Issuer        string   `json:"issuer"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Introspection string   `json:"introspection_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	Grants        []string `json:"grant_types_supported"`
	Responses     []string `json:"response_types_supported"`
	Methods       []string `json:"token_endpoint_auth_methods_supported"`
}

func (e endpoints) metadata(*gateway.Exchange) (*gateway.Response, error) {
	base := strings.TrimSuffix(e.issuer.settings.Issuer, "/")
	return kept(metadata{
		Issuer: e.issuer.settings.Issuer, Token: base + "/oauth2/token", Keys: base + "/oauth2/jwks",
		Introspection: base + "/oauth2/introspect", Revocation: base + "/oauth2/revoke",
		Grants: []string{"client_credentials"}, Responses: []string{}, Methods: []string{"client_secret_basic", "client_secret_post"},
	}, "application/json"), nil
}

// kept is an answer that may be kept for a while.
func kept(value any, kind string) *gateway.Response {
	resp := answer(http.StatusOK, value)
	resp.Header = http.Header{"Content-Type": {kind}, "Cache-Control": {"public, max-age=" + strconv.Itoa(int(keysKept/time.Second))}}
	return resp
}
