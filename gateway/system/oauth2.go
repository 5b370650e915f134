package system

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// fetcher fetches a grant for a keeper.
type fetcher interface {
	fetch(ctx context.Context, s *system) (*grant, error)
	// leave ends a grant that will not be used any more, as far as the system knows how.
	leave(ctx context.Context, s *system, g *grant)
}

// oauth2 fetches tokens by client credentials (RFC 6749, section 4.4). The
// token endpoint is not the system: its calls pass the budget that endpoint names, if any.
type oauth2 struct {
	// endpoint makes the calls of a system of them; nil when it belongs to none.
	endpoint  *tokenEndpoint
	url       *url.URL
	form      []byte
	header    http.Header
	principal string
	// said takes the client's secret out of the endpoint's words.
	said      *strings.Replacer
	timeout   time.Duration
	transport http.RoundTripper
}

// oauth2Fetcher checks the settings and makes a fetcher of them; nil after a problem.
func (c *Credentials) oauth2Fetcher(timeout time.Duration, connections Connections, ps *source.Problems) *oauth2 {
	before := ps.Len()
	at := c.Node.At("token_url")
	u, err := url.Parse(c.TokenURL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		ps.Add(at, "is not the URL of a token endpoint", "write for example https://login.example.com/oauth2/token")
	case u.User != nil:
		ps.Add(at, "a URL must not hold a user or a password", "use client_id and client_secret")
	}
	secret := resolve(c.Node.At("client_secret"), c.ClientSecret, ps)
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range c.Parameters {
		if name == "grant_type" || name == "client_secret" {
			ps.Add(c.Node.At("parameters", name), fmt.Sprintf("the parameter %q is set by the gateway", name), "remove it")
		}
		form.Set(name, value)
	}
	if ps.Len() > before {
		return nil
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": noUserAgent}
	if len(c.Scope) > 0 {
		form.Set("scope", strings.Join(c.Scope, " "))
	}
	if c.Audience != "" {
		form.Set("audience", c.Audience)
	}
	if c.ClientAuth == "post" {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", secret)
	} else {
		// Both are form-encoded first: RFC 6749, section 2.3.1.
		pair := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	connections.KeepAlive = false // a token is fetched once in a while
	return &oauth2{
		url: u, form: []byte(form.Encode()), header: header, principal: c.ClientID, timeout: timeout,
		said:      without(header.Get("Authorization"), secret),
		transport: newTransport(u, connections).round,
	}
}

// tokenAnswer is the answer of a token endpoint (RFC 6749, sections 5.1 and 5.2).
type tokenAnswer struct {
	AccessToken string          `json:"access_token"`
	TokenType   string          `json:"token_type"`
	ExpiresIn   json.RawMessage `json:"expires_in"`
	Error       string          `json:"error"`
	Description string          `json:"error_description"`
}

// unknownLifetime is how long a token is used that does not say when it ends.
const unknownLifetime = time.Hour

func (o *oauth2) fetch(ctx context.Context, s *system) (*grant, error) {
	if o.endpoint != nil {
		return o.endpoint.fetch(ctx, s)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	req := &http.Request{
		Method: http.MethodPost, URL: o.url, Host: o.url.Host, Header: o.header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(o.form)), ContentLength: int64(len(o.form)),
	}
	asked := time.Now()
	resp, err := o.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("the token endpoint of %s cannot be reached: %w", s.name, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("the token endpoint of %s broke off: %w", s.name, err)
	}
	return o.grant(s, resp.StatusCode, data, asked)
}

func (o *oauth2) grant(s *system, status int, data []byte, asked time.Time) (*grant, error) {
	var answer tokenAnswer
	bad := json.Unmarshal(data, &answer)
	switch {
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		return nil, fmt.Errorf("the token endpoint of %s answers %d %s: %w", s.name, status, capped(o.said.Replace(answer.Error+" "+answer.Description)), errRefused)
	case status != http.StatusOK:
		return nil, fmt.Errorf("the token endpoint of %s answers %d %s", s.name, status, capped(o.said.Replace(answer.Error+" "+answer.Description)))
	case bad != nil:
		return nil, fmt.Errorf("the token endpoint of %s does not answer with JSON", s.name)
	case answer.AccessToken == "":
		return nil, fmt.Errorf("the token endpoint of %s gives no access_token", s.name)
	case answer.TokenType != "" && !strings.EqualFold(answer.TokenType, "bearer"):
		return nil, fmt.Errorf("the token endpoint of %s gives a token of the type %q; only bearer is supported", s.name, capped(answer.TokenType))
	}
	lifetime := unknownLifetime
	if text := strings.Trim(string(answer.ExpiresIn), `"`); text != "" && text != "null" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds >= 0) {
			return nil, fmt.Errorf("the token endpoint of %s gives no lifetime in seconds", s.name)
		}
		lifetime = time.Duration(min(seconds, 365*86400) * float64(time.Second))
	}
	// It is replaced while it still works, and not used up to its last second.
	early := min(lifetime/5, time.Minute)
	return &grant{
		header: http.Header{"Authorization": {"Bearer " + answer.AccessToken}}, sessionJSON: []byte("null"), principal: o.principal,
		expires: asked.Add(lifetime - early/4), renew: asked.Add(lifetime - early),
	}, nil
}

// leave does nothing: tokens end by themselves.
func (o *oauth2) leave(context.Context, *system, *grant) {}
