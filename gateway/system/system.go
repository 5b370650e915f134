package system

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/gateway/mapping"
)

// system is a system as one table knows it. What outlasts the table is shared
// with the systems of other tables.
type system struct {
	name     string
	settings *Settings
	profile  *profiles.Profile // nil when the file names none
	url      *url.URL
	dialect  dialect

	transport  *transport
	breaker    *breaker
	credential credential
	budget     *budget.Budget
	// fetcher fetches grants where the credential is a keeper.
	fetcher fetcher

	signs             signs
	reports           reports
	probes            []*probe
	charges           []charged
	correlationHeader string
	forwarded         string
	passOn            map[string]bool

	fleet   *Fleet
	library *mapping.Library
	limits  string // identifies the limits
	release []func()
}

// task is a request on its way to a system, over all its attempts.
type task struct {
	system  *system
	request *Request
	// name is the operationId, or what the gateway does on its own behalf.
	name    string
	safe    bool
	timeout time.Duration
	prices  *prices
	costs   []budget.Cost // what the request says of them
	// grant is what to authorise the calls with, for those that make the
	// credential itself; nil asks for the credential.
	grant *grant
}

// step is one call of a task: it makes the request and judges the answer.
type step interface {
	// build makes the request from the task's and what authorises it. URL,
	// header and body must be new.
	build(ctx context.Context, t *task, g *grant) (*outgoing, *gateway.Error)
	// judge makes a result of the answer. It closes the answer's body or
	// leaves it in the result.
	judge(ctx context.Context, t *task, g *grant, resp *http.Response) *Result
	// place is what the call looks like to the system's limits: its method, and
	// its path below the system's URL as a template.
	place() (method, path string)
}

// outgoing is a request for a system.
type outgoing struct {
	method string
	url    *url.URL
	header http.Header
	// body is sent as it is; upload is passed on while it arrives. Both may be nil.
	body   []byte
	upload *upload
}

// do makes a call, once more if the system did not accept a credential that
// can be renewed. ctx ends when the caller leaves.
func (t *task) do(ctx context.Context, s step) *Result {
	r := t.try(ctx, s)
	if r.unheard && ctx.Err() == nil {
		// A read may be asked for again, once, with an admission of its own.
		r = t.try(ctx, s).after(r)
	}
	if r.Outcome != expired {
		return r
	}
	if t.grant != nil || !t.system.credential.renewable() || !t.request.replayable() {
		r.Outcome, r.locked = Refused, true
		return r
	}
	again := t.try(ctx, s)
	if again.Outcome == expired {
		again.Outcome, again.locked = Refused, true
	}
	return again.after(r)
}

// try makes a call once.
func (t *task) try(ctx context.Context, s step) *Result {
	sys := t.system
	if pause := sys.breaker.pause(); pause > 0 {
		return unsent(Unavailable, sys.leftAlone(pause))
	}
	g, err := t.authorise(ctx)
	if err != nil {
		return notAdmitted(gateway.AsError(err))
	}
	out, refusal := s.build(ctx, t, g)
	if refusal != nil {
		return unsent(Refused, refusal)
	}
	asked := time.Now()
	method, path := s.place()
	ticket, err := sys.budget.Admit(ctx, budget.Call{
		Class: t.request.Class, Operation: t.name, App: t.request.App, Principal: g.principal, Account: sys.settings.Account, Node: g.node,
		Method: method, Path: path, Cost: t.prices.guess(t.costs, out), Wait: t.request.Wait, Timeout: t.timeout, Bytes: out.held(t.request.Body),
		Turn: t.request.Turn,
	})
	if err != nil {
		r := notAdmitted(gateway.AsError(err))
		r.Wait = time.Since(asked)
		return r
	}
	if r := t.tooLate(ticket); r != nil {
		ticket.Settle(budget.Result{Unsent: true})
		sys.breaker.unused(ticket.Trial())
		return r
	}
	f := &flight{task: t, ticket: ticket, size: out.size()}
	r := f.run(ctx, s, g, out)
	r.Wait = ticket.Waited()
	return r
}

// tooLate tells why an admitted call is not sent all the same; nil when it is.
func (t *task) tooLate(ticket *budget.Ticket) *Result {
	if t.request.Admitted != nil && !t.request.Admitted() {
		return unsent(Abandoned, &gateway.Error{Problem: gateway.CallerLeft, System: t.system.name})
	}
	if ticket.Left() > 0 {
		return nil
	}
	// The process stood still, and its place may be somebody else's by now.
	return unsent(Overload, &gateway.Error{
		Problem: gateway.Saturated, System: t.system.name, RetryAfter: spread(time.Second), Detail: "the gateway took too long to send what it had room for",
	})
}

// authorise gives the task's grant, or that of the system's credential.
func (t *task) authorise(ctx context.Context) (*grant, error) {
	if t.grant != nil {
		return t.grant, nil
	}
	return t.system.credential.get(ctx, t.system)
}

// leftAlone is the refusal of a call while the breaker is open.
func (s *system) leftAlone(pause time.Duration) *gateway.Error {
	return &gateway.Error{
		Problem: gateway.SystemUnavailable, System: s.name, RetryAfter: spread(pause),
		Detail: s.name + " has failed too often and is left alone for a while",
	}
}

// notAdmitted is the result of a call that had no credential, or that the
// budget did not let through.
func notAdmitted(e *gateway.Error) *Result {
	r := unsent(Unavailable, e)
	switch e.Problem.Name {
	case gateway.CallerLeft.Name:
		r.Outcome = Abandoned
	case gateway.Saturated.Name:
		r.Outcome = Overload
	}
	r.RetryAfter = e.RetryAfter
	return r
}
