package system

import (
	"context"
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// operation is an operation that a system answers, compiled.
type operation struct {
	key, id string
	spec    *specs.Operation
	api     *gateway.API
	system  *system
	set     *Set

	safe    bool
	timeout time.Duration
	wait    time.Duration
	prices  prices

	call call
	// repeats is how the system recognises a request that is sent twice.
	repeats Recognition
	// confirm is how to find out whether a request arrived; nil where nothing is said.
	confirm *confirmation
	// batch is how several requests go out in one call; nil where each goes alone.
	batch *batch
	// needsBody tells that the body is read whole, sendsBody that it is passed on.
	needsBody, sendsBody bool
	tellsCaller          bool
	// secret and secretQuery are headers and query parameters that tell the
	// gateway who the caller is; they are not passed on.
	secret, secretQuery map[string]bool
}

func operationKey(api *gateway.API, spec *specs.Operation) string {
	return api.Key(spec)
}

// operation compiles an operation's call; nil after a problem.
func (b *builder) operation(s *system, bind *gateway.Binding) *operation {
	before := b.problems.Len()
	g := &bind.Operation.Governance
	o := &operation{
		key: operationKey(bind.API, bind.Operation), id: bind.Operation.ID, spec: bind.Operation, api: bind.API, system: s,
		safe: bind.Operation.Safe(), timeout: s.settings.Timeout.Std(), tellsCaller: s.forwarded != "off",
		secret: map[string]bool{}, secretQuery: map[string]bool{},
	}
	if g.Timeout != nil {
		if o.timeout = g.Timeout.Std(); o.timeout <= 0 {
			b.problems.Add(g.At("timeout"), "a call needs some time", "for example 30s")
		}
	}
	if g.Wait != nil {
		o.wait = g.Wait.Std()
	}
	for _, scheme := range bind.Operation.Document.Schemes {
		if scheme.Type == "apiKey" && scheme.In == "header" {
			o.secret[http.CanonicalHeaderKey(scheme.Param)] = true
		}
		if scheme.Type == "apiKey" && scheme.In == "query" {
			o.secretQuery[scheme.Param] = true
		}
	}
	if c := g.Confirm; c != nil {
		o.confirm = b.confirm(bind, c)
	}
	o.call = s.dialect.operation(b, o)
	b.costs(o, g)
	if g.Batch != nil {
		o.batch = b.batch(bind, o, g.Batch)
	}
	if o.call == nil || b.problems.Len() > before {
		return nil
	}
	o.repeats = o.recognition(g.Idempotency)
	mapped, passed := o.call.body()
	o.needsBody, o.sendsBody = mapped || o.prices.needBody(), passed
	return o
}

// serve answers an exchange.
func (o *operation) serve(x *gateway.Exchange) (*gateway.Response, error) {
	r, err := o.newRequest(x)
	if err != nil {
		return nil, err
	}
	result := o.send(x.Context(), r)
	x.Record.Wait += result.Wait
	x.Record.System += result.Took
	x.Record.Attempts += result.Attempts
	if result.Err != nil {
		return nil, result.Err
	}
	if o.safe && x.Context().Err() != nil {
		x.Record.Decision = gateway.CallerLeft.Name // the answer may still be kept
	}
	return result.Response, nil
}

// send carries a request out.
func (o *operation) send(ctx context.Context, r *Request) *Result {
	o.set.start()
	costs, refusal := o.prices.before(ctx, r)
	if refusal != nil {
		return unsent(Refused, refusal)
	}
	return o.call.send(ctx, &task{system: o.system, request: r, name: o.id, safe: o.safe, timeout: o.timeout, prices: &o.prices, costs: costs})
}

// mappingFailed is the error of a mapping that gave nothing. What the mapping
// itself says goes to the caller, everything else to the log.
func mappingFailed(err error, problem gateway.Problem) *gateway.Error {
	if e, ok := err.(*gateway.Error); ok {
		return e
	}
	e := &gateway.Error{Problem: problem, Cause: err}
	if m, ok := err.(*mapping.Error); ok {
		e.Detail = capped(m.Said)
		if m.Said == "" {
			e.Detail = "the mapping " + m.Mapping + " failed"
		}
		return e
	}
	e.Problem = gateway.CallerLeft // the only other error is that of the context
	return e
}
