package system

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// SessionCall is a call that a session needs, in the words of the system's dialect.
type SessionCall struct {
	Method string         `yaml:"method" doc:"rest: the HTTP method, POST when absent. jsonrpc: the method."`
	Path   string         `yaml:"path" doc:"rest: the path below the system's URL."`
	Body   mapping.Source `yaml:"body" doc:"rest: jq that gives the body; its input is the token, null before there is one."`
	Params mapping.Source `yaml:"params" doc:"jsonrpc: jq that gives the list of parameters; its input is the token, null before there is one."`
	Node   source.Node    `yaml:",node"`
}

// sessionVariables are known to all mappings of credentials.
var sessionVariables = []string{"$username", "$password"}

// session logs in at the system and keeps what it gets.
type session struct {
	username, password string
	login              plain
	context, logout    plain // nil when there is none
	token, session     *mapping.Mapping
	node               *mapping.Mapping
	names              []string
	headers            []*mapping.Mapping
	said               *strings.Replacer // takes the password out of the system's words
	fresh, lifetime    time.Duration
}

// plain is a call without an operation: it sends a body made of a value, and
// gives the answer as a value.
type plain interface {
	// step makes a step of the call. The result's value is a plainAnswer.
	step(in mapping.Input) step
	// place is that of its steps.
	place() (method, path string)
}

// What the calls of a session are named in budgets, spans and metrics.
const (
	loginCall   = "log-in"
	contextCall = "context"
	logoutCall  = "log-out"
)

// plainAnswer is what a plain call gives.
type plainAnswer struct {
	value   any
	headers map[string]any
}

// sessionFetcher compiles the calls and mappings of a session; nil after a problem.
func (b *builder) sessionFetcher(c *Credentials, d dialect) *session {
	before := b.problems.Len()
	f := &session{
		username: c.Username, password: resolve(c.Node.At("password"), c.Password, b.problems),
		fresh: c.Fresh.Std(), lifetime: c.Lifetime.Std(),
		token:   b.library.Get(c.Token, b.problems, sessionVariables...),
		session: b.library.Get(c.Session, b.problems, sessionVariables...),
		node:    b.library.Get(c.ServedBy, b.problems, sessionVariables...),
	}
	f.said = without(f.password)
	f.login = b.plain(c.Login, d)
	f.context = b.plain(c.Context, d)
	f.logout = b.plain(c.Logout, d)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || reserved(name) {
			b.problems.Add(c.Node.At("headers", name), fmt.Sprintf("%q cannot be used as a header", name), "")
			continue
		}
		f.names = append(f.names, http.CanonicalHeaderKey(name))
		f.headers = append(f.headers, b.library.Get(c.Headers[name], b.problems, sessionVariables...))
	}
	if b.problems.Len() > before {
		return nil
	}
	return f
}

func (b *builder) plain(c *SessionCall, d dialect) plain {
	if c == nil {
		return nil
	}
	return d.plain(b, c, sessionVariables...)
}

func (f *session) input(value any) mapping.Input {
	return mapping.Input{Value: value, Now: time.Now(), More: []any{f.username, f.password}}
}

// call makes one of the session's own calls, under the budget.
func (f *session) call(ctx context.Context, s *system, name string, p plain, token any, g *grant) (*plainAnswer, error) {
	t := &task{
		system: s, name: name, timeout: s.settings.Timeout.Std(), grant: g, safe: true, prices: s.ownPrices(name, p),
		request: &Request{Class: classOfLogins, Wait: s.settings.Timeout.Std(), Correlation: gateway.NewID(), Received: time.Now()},
	}
	r := t.do(ctx, p.step(f.input(token)))
	switch {
	case r.Err == nil:
		return r.value.(*plainAnswer), nil
	case r.Outcome == Overload && r.unsent:
		return nil, r.Err
	case r.Outcome == Overload || r.Outcome == Refused && !r.fault && !r.unsent:
		// The system's own no: the next attempt has to wait long.
		return nil, fmt.Errorf("%s: %w: %s", name, errRefused, f.said.Replace(r.Err.Error()))
	}
	return nil, fmt.Errorf("%s: %s", name, f.said.Replace(r.Err.Error()))
}

// fetch logs in, makes the headers, and asks for the context.
func (f *session) fetch(ctx context.Context, s *system) (*grant, error) {
	started := time.Now()
	answer, err := f.call(ctx, s, loginCall, f.login, nil, &grant{principal: f.username})
	if err != nil {
		return nil, err
	}
	g := &grant{principal: f.username, fresh: f.fresh, token: answer.value, sessionJSON: []byte("null"), header: http.Header{}}
	in := f.input(answer.value)
	in.Headers = answer.headers
	if f.token != nil {
		if g.token, err = f.token.Value(ctx, in); err != nil {
			return nil, fmt.Errorf("log-in: %w", err)
		}
	}
	if g.token == nil || g.token == false {
		return nil, fmt.Errorf("log-in: the system gives no session: %w", errRefused)
	}
	in.Value = g.token
	if f.node != nil {
		if g.node, _, err = f.node.Text(ctx, in); err != nil {
			return nil, fmt.Errorf("log-in: %w", err)
		}
	}
	if err := f.authorise(ctx, g, in); err != nil {
		return nil, err
	}
	if err := f.know(ctx, s, g, in); err != nil {
		return nil, err
	}
	if f.lifetime > 0 {
		early := min(f.lifetime/10, time.Minute)
		g.expires, g.renew = started.Add(f.lifetime), started.Add(f.lifetime-early)
	}
	return g, nil
}

func (f *session) authorise(ctx context.Context, g *grant, in mapping.Input) error {
	for i, m := range f.headers {
		value, ok, err := m.Text(ctx, in)
		switch {
		case err != nil:
			return fmt.Errorf("log-in: %w", err)
		case !ok:
			continue
		case !httpguts.ValidHeaderFieldValue(value):
			return fmt.Errorf("log-in: the value for the header %s cannot stand in a header", f.names[i])
		}
		g.header[f.names[i]] = []string{value}
	}
	return nil
}

// know makes $session.
func (f *session) know(ctx context.Context, s *system, g *grant, in mapping.Input) error {
	value := g.token
	if f.context != nil {
		answer, err := f.call(ctx, s, contextCall, f.context, g.token, g)
		if err != nil {
			return err
		}
		value, in.Headers = answer.value, answer.headers
	} else if f.session == nil {
		return nil
	}
	if f.session != nil {
		var err error
		in.Value = value
		if value, err = f.session.Value(ctx, in); err != nil {
			return fmt.Errorf("context: %w", err)
		}
	}
	data, err := mapping.AppendJSON(nil, value, 1<<20)
	if err != nil {
		return fmt.Errorf("context: %w", err)
	}
	g.session, g.sessionJSON = value, data
	return nil
}

// leave logs out.
func (f *session) leave(ctx context.Context, s *system, g *grant) {
	if f.logout == nil {
		return
	}
	if _, err := f.call(ctx, s, logoutCall, f.logout, g.token, g); err != nil {
		s.fleet.log.Info("a session could not be ended", "system", s.name, "error", err.Error())
	}
}

// classOfLogins is the class of a session's own calls: without them no other
// call can be made.
const classOfLogins = specs.Critical
