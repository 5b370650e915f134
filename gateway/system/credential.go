package system

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// Credentials says how the gateway proves to a system who it is.
type Credentials struct {
	Kind string `yaml:"kind" enum:"none,basic,api-key,oauth2,session" default:"none" doc:"none; basic: user and password; api-key: a key in a header or the query; oauth2: a token by client credentials; session: a log-in whose result authorises the calls."`

	Username string        `yaml:"username" doc:"basic, session: the user."`
	Password source.Secret `yaml:"password" doc:"basic, session: the user's password."`

	Key  source.Secret `yaml:"key" doc:"api-key: the key."`
	In   string        `yaml:"in" enum:"header,query" doc:"api-key: where the key stands; header when absent."`
	Name string        `yaml:"name" doc:"api-key: name of the header or query parameter; X-API-Key when absent."`

	TokenURL     string            `yaml:"token_url" doc:"oauth2: the token endpoint."`
	ClientID     string            `yaml:"client_id" doc:"oauth2: the client."`
	ClientSecret source.Secret     `yaml:"client_secret" doc:"oauth2: the client's secret."`
	ClientAuth   string            `yaml:"client_auth" enum:"basic,post" doc:"oauth2: whether client and secret stand in the Authorization header or in the form; basic when absent."`
	Scope        source.Strings    `yaml:"scope" doc:"oauth2: the scopes that are asked for."`
	Audience     string            `yaml:"audience" doc:"oauth2: the audience, for servers that want one."`
	Parameters   map[string]string `yaml:"parameters" doc:"oauth2: further parameters of the form, for example resource."`
	Budget       string            `yaml:"budget" doc:"oauth2: the system that the token endpoint belongs to, as the name of a file in systems/, or of this one. Tokens are fetched as its calls, in class critical: under its limits, signs of overload, breaker and connections. token_url is below its url. The endpoint has no limits when absent."`

	Login    *SessionCall              `yaml:"login" doc:"session: the call that logs in."`
	Token    mapping.Source            `yaml:"token" doc:"session: jq over the log-in's result that gives what headers are made of; false or null means that the log-in was refused. The result itself when absent."`
	Headers  map[string]mapping.Source `yaml:"headers" doc:"session: headers of every call, each as jq over the token."`
	Context  *SessionCall              `yaml:"context" doc:"session: a call made after each log-in whose result becomes $session."`
	Session  mapping.Source            `yaml:"session" doc:"session: jq over the context's result (over the token when there is no context) that gives $session."`
	ServedBy mapping.Source            `yaml:"node" doc:"session: jq over the token that gives the server of the system which keeps the session, for limits whose scope has {node}."`
	Logout   *SessionCall              `yaml:"logout" doc:"session: the call that ends a session when the gateway stops or the system's file changes."`
	Fresh    source.Duration           `yaml:"fresh" doc:"session: a session that was not used for so long is not used again."`
	Lifetime source.Duration           `yaml:"lifetime" doc:"session: a session is not used for longer than this."`

	Node source.Node `yaml:",node"`
}

// keysOf are the keys that each kind has, the required ones first.
var keysOf = map[string]struct{ required, optional []string }{
	"none":    {},
	"basic":   {[]string{"username", "password"}, nil},
	"api-key": {[]string{"key"}, []string{"in", "name"}},
	"oauth2":  {[]string{"token_url", "client_id", "client_secret"}, []string{"client_auth", "scope", "audience", "parameters", "budget"}},
	"session": {[]string{"login", "headers"}, []string{"username", "password", "token", "context", "session", "node", "logout", "fresh", "lifetime"}},
}

// grant is what authorises calls for a while. It is immutable but for its use.
type grant struct {
	// header holds the headers to be set, query what is added to the query string.
	header http.Header
	query  string
	// session is $session, sessionJSON the same as JSON; nil and null when there is none.
	session     any
	sessionJSON []byte
	// principal is the user that the system knows the gateway as.
	principal string
	// node is the server of the system that keeps the session; empty when it is not known.
	node string
	// token is what a session's headers were made of.
	token any
	// expires is when the grant ends, renew when it should be replaced; zero for never.
	expires, renew time.Time
	fresh          time.Duration

	used   atomic.Int64 // last time that the system accepted it, in nanoseconds since 1970
	worked atomic.Bool
}

// accepted notes that the system has just accepted the grant.
func (g *grant) accepted() {
	if g.fresh > 0 {
		g.used.Store(time.Now().UnixNano())
	}
	if !g.worked.Load() {
		g.worked.Store(true)
	}
}

func (g *grant) valid(now time.Time) bool {
	if !g.expires.IsZero() && !now.Before(g.expires) {
		return false
	}
	return !g.idle(now)
}

// idle tells that the grant was not used for so long that it must not be any more.
func (g *grant) idle(now time.Time) bool {
	return g.fresh > 0 && now.Sub(time.Unix(0, g.used.Load())) >= g.fresh
}

// apply authorises a request.
func (g *grant) apply(o *outgoing) {
	for name, values := range g.header {
		o.header[name] = values
	}
	if g.query != "" {
		name, _, _ := strings.Cut(g.query, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			o.url.RawQuery = withoutKeys(o.url.RawQuery, map[string]bool{decoded: true})
		}
		if o.url.RawQuery == "" {
			o.url.RawQuery = g.query
		} else {
			o.url.RawQuery += "&" + g.query
		}
	}
}

// censor takes the grant's secrets out of an error: some systems repeat in
// their refusals what they were sent.
func (g *grant) censor(e *gateway.Error) {
	if e == nil {
		return
	}
	var secrets []string
	for _, values := range g.header {
		secrets = append(secrets, values...)
	}
	if _, value, ok := strings.Cut(g.query, "="); ok {
		plain, _ := url.QueryUnescape(value)
		secrets = append(secrets, value, plain)
	}
	clean := without(secrets...)
	e.Detail = clean.Replace(e.Detail)
	if e.Cause == nil {
		return
	}
	text := e.Cause.Error()
	if rest := clean.Replace(text); rest != text {
		e.Cause = errors.New(rest)
	}
}

// shortestSecret is the length from which a secret is looked for in texts; what
// is shorter would be found everywhere.
const shortestSecret = 6

// without makes what takes secrets out of texts: as they are, without the word
// before them (Bearer), and as they stand in a form.
func without(secrets ...string) *strings.Replacer {
	var pairs []string
	for _, secret := range secrets {
		_, token, _ := strings.Cut(secret, " ")
		for _, text := range []string{secret, token, url.QueryEscape(secret)} {
			if len(text) >= shortestSecret {
				pairs = append(pairs, text, "(secret)")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// credential gives what authorises the calls to a system.
type credential interface {
	// get gives a grant, after a log-in if there has to be one. The error is a
	// *gateway.Error that says when to come again.
	get(ctx context.Context, s *system) (*grant, error)
	// refused notes that the system did not accept a grant.
	refused(g *grant)
	// renewable tells whether another grant may be had after that.
	renewable() bool
	// state describes the credential to operators.
	state() string
}

// fixed is a credential that never changes.
type fixed struct {
	grant grant
	kind  string
}

func (f *fixed) get(context.Context, *system) (*grant, error) { return &f.grant, nil }
func (f *fixed) refused(*grant)                               {}
func (f *fixed) renewable() bool                              { return false }
func (f *fixed) state() string                                { return f.kind }

// check reports the keys that a kind lacks, and those that it has no use for.
func (c *Credentials) check(ps *source.Problems) bool {
	before := ps.Len()
	keys := keysOf[c.Kind]
	for _, f := range c.Node.Fields() {
		if f.Name != "kind" && !slices.Contains(keys.required, f.Name) && !slices.Contains(keys.optional, f.Name) && c.known(f.Name) {
			ps.Add(f.Key, fmt.Sprintf("the key %q has no meaning for the kind %s", f.Name, c.Kind), "remove it, or choose another kind")
		}
	}
	for _, name := range keys.required {
		if !c.Node.Get(name).Exists() {
			ps.Add(c.Node, fmt.Sprintf("the kind %s needs the key %q", c.Kind, name), "")
		}
	}
	return ps.Len() == before
}

// known tells whether any kind has a key; others are reported already.
func (c *Credentials) known(name string) bool {
	for _, keys := range keysOf {
		if slices.Contains(keys.required, name) || slices.Contains(keys.optional, name) {
			return true
		}
	}
	return false
}

// resolve reads a secret. That it is not there is a problem.
func resolve(at source.Node, s source.Secret, ps *source.Problems) string {
	if s.IsZero() {
		return ""
	}
	value, err := s.Resolve()
	if err != nil {
		ps.Add(at, err.Error(), "")
	}
	return value
}

// fixedCredential makes the credential of the kinds that never change.
func (c *Credentials) fixedCredential(ps *source.Problems) *fixed {
	f := &fixed{kind: c.Kind, grant: grant{sessionJSON: []byte("null"), principal: c.Username}}
	switch c.Kind {
	case "basic":
		if strings.Contains(c.Username, ":") {
			ps.Add(c.Node.At("username"), "a user of basic authentication has no colon", "RFC 7617, section 2")
		}
		password := resolve(c.Node.At("password"), c.Password, ps)
		f.grant.header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+password))}}
	case "api-key":
		c.keyGrant(&f.grant, ps)
	}
	return f
}

func (c *Credentials) keyGrant(g *grant, ps *source.Problems) {
	key := resolve(c.Node.At("key"), c.Key, ps)
	name := c.Name
	if name == "" {
		name = "X-API-Key"
	}
	if c.In == "query" {
		g.query = url.QueryEscape(name) + "=" + url.QueryEscape(key)
		return
	}
	if !httpguts.ValidHeaderFieldName(name) || reserved(name) {
		ps.Add(c.Node.At("name"), fmt.Sprintf("%q cannot be used as a header", name), "for example X-API-Key")
	}
	if !httpguts.ValidHeaderFieldValue(key) {
		ps.Add(c.Node.At("key"), "the key cannot stand in a header", "it must not hold line ends or control characters")
	}
	g.header = http.Header{http.CanonicalHeaderKey(name): {key}}
}

// secrets are the values behind the references, so that a changed secret makes
// another credential of the same settings.
func (c *Credentials) secrets() []string {
	var values []string
	for _, s := range []source.Secret{c.Password, c.Key, c.ClientSecret} {
		if !s.IsZero() {
			value, _ := s.Resolve() // was resolved when the settings were checked
			values = append(values, value)
		}
	}
	return values
}
