package system

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// tokenEndpoint is a token endpoint that belongs to a system: tokens are fetched as
// calls of that system, with all that holds for these.
type tokenEndpoint struct {
	*oauth2
	system *system
	path   string // below the system's URL
}

// tokenCall is what the fetch of a token is named in budgets, spans and metrics.
const tokenCall = "token"

// tokenEndpoints finds the systems whose budgets the token endpoints of others stand under.
func (s *Set) tokenEndpoints(ps *source.Problems) {
	for _, name := range s.names {
		sys := s.systems[name]
		if sys == nil {
			continue // it has problems of its own
		}
		if o, ok := sys.fetcher.(*oauth2); ok && sys.settings.Credentials.Budget != "" {
			o.endpoint = s.tokenEndpoint(o, &sys.settings.Credentials, ps)
		}
	}
}

func (s *Set) tokenEndpoint(o *oauth2, c *Credentials, ps *source.Problems) *tokenEndpoint {
	at := c.Node.At("budget")
	home := s.systems[c.Budget]
	if home == nil {
		for _, name := range s.names {
			if name == c.Budget {
				return nil // its problems are reported
			}
		}
		ps.Add(at, fmt.Sprintf("there is no system %q", c.Budget), source.DidYouMean(c.Budget, s.names))
		return nil
	}
	if home.settings.Dialect != "rest" {
		ps.Add(at, fmt.Sprintf("the system %q speaks %s", c.Budget, home.settings.Dialect), "a token endpoint belongs to a system of the dialect rest")
		return nil
	}
	base := strings.TrimSuffix(home.url.EscapedPath(), "/")
	path, below := strings.CutPrefix(o.url.EscapedPath(), base)
	if o.url.Scheme != home.url.Scheme || !strings.EqualFold(o.url.Host, home.url.Host) || !below || path != "" && path[0] != '/' {
		ps.Add(c.Node.At("token_url"), fmt.Sprintf("is not below the url of the system %q, whose budget it is to stand under", c.Budget), "its calls are made over the connections of that system")
		return nil
	}
	return &tokenEndpoint{oauth2: o, system: home, path: path}
}

// fetch gets a token for a system. A lack of room, for us or by the endpoint's own
// word, is a *gateway.Error that says when to come again.
func (e *tokenEndpoint) fetch(ctx context.Context, s *system) (*grant, error) {
	home := e.system
	timeout := min(e.timeout, home.settings.Timeout.Std())
	own := &grant{header: http.Header{"Authorization": e.header["Authorization"]}, principal: e.principal, sessionJSON: []byte("null")}
	t := &task{
		// A second token does no harm: its fetch may be repeated as a read may.
		system: home, name: tokenCall, timeout: timeout, grant: own, safe: true, prices: home.ownPrices(tokenCall, e),
		request: &Request{Class: classOfLogins, Wait: timeout, Correlation: gateway.NewID(), Received: time.Now()},
	}
	r := t.do(ctx, &tokenStep{tokenEndpoint: e, asker: s})
	if g, ok := r.value.(*grant); ok {
		return g, nil
	}
	e.censor(r.Err)
	if errors.Is(r.Err.Cause, errRefused) {
		return nil, r.Err.Cause
	}
	return nil, fmt.Errorf("the token endpoint of %s: %w", s.name, r.Err)
}

// censor takes the client's secret out of an error.
func (e *tokenEndpoint) censor(err *gateway.Error) {
	err.Detail = e.said.Replace(err.Detail)
	if err.Cause != nil && !errors.Is(err.Cause, errRefused) { // that one is censored
		err.Cause = errors.New(e.said.Replace(err.Cause.Error()))
	}
}

// step implements plain.
func (e *tokenEndpoint) step(mapping.Input) step { return &tokenStep{tokenEndpoint: e} }

func (e *tokenEndpoint) place() (method, path string) { return http.MethodPost, e.path }

// tokenStep is one fetch.
type tokenStep struct {
	*tokenEndpoint
	asker *system
	asked time.Time
}

func (s *tokenStep) build(_ context.Context, t *task, _ *grant) (*outgoing, *gateway.Error) {
	s.asked = time.Now() // the token is no older than its admission
	u := *s.url
	o := &outgoing{method: http.MethodPost, url: &u, header: s.header.Clone(), body: s.form}
	t.system.identify(o.header, t.request, nil)
	return o, nil
}

// judge makes a grant of the answer: the result's value.
func (s *tokenStep) judge(ctx context.Context, t *task, _ *grant, resp *http.Response) *Result {
	home := t.system
	data, lost := home.content(ctx, t, resp)
	if lost != nil {
		return lost
	}
	if status := resp.StatusCode; home.signs.concern(status) {
		e := home.evidenceOf(resp, data)
		if x := home.signs.find(ctx, e); x != nil && (x.as == "overload" || x.as == "unavailable") {
			return home.result(ctx, t, x, e)
		}
	}
	if resp.StatusCode >= 500 {
		return home.broke(t, resp, data)
	}
	g, err := s.grant(s.asker, resp.StatusCode, data, s.asked)
	if err != nil {
		return fail(Refused, &gateway.Error{Problem: gateway.BadGateway, System: home.name, Detail: "the token endpoint gives no token", Cause: err})
	}
	return &Result{Outcome: Delivered, value: g}
}
