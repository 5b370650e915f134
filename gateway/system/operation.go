package system

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
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
	costs   []budget.Cost
	// priced are costs that depend on the request.
	priced []price

	call call
	// confirm is how to find out whether a request arrived; nil where nothing is said.
	confirm *confirmation
	// needsBody tells that the body is read whole, sendsBody that it is passed on.
	needsBody, sendsBody bool
	tellsCaller          bool
	// secret and secretQuery are headers and query parameters that tell the
	// gateway who the caller is; they are not passed on.
	secret, secretQuery map[string]bool
}

// price is a cost that a mapping works out.
type price struct {
	pool    string
	mapping *mapping.Mapping
}

func operationKey(api *gateway.API, spec *specs.Operation) string {
	return api.Name + "/" + api.Major + "/" + spec.ID
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
	b.costs(o, g)
	if c := g.Confirm; c != nil {
		o.confirm = b.confirm(bind, c)
	}
	o.call = s.dialect.operation(b, o)
	if o.call == nil || b.problems.Len() > before {
		return nil
	}
	mapped, passed := o.call.body()
	o.needsBody, o.sendsBody = mapped || o.priceNeedsBody(), passed
	return o
}

// costs compiles what a call costs.
func (b *builder) costs(o *operation, g *specs.OperationGovernance) {
	pools := make([]string, len(o.system.settings.Limits))
	for i, l := range o.system.settings.Limits {
		pools[i] = l.Name
	}
	for _, pool := range slices.Sorted(maps.Keys(g.Cost)) {
		at := g.At("cost").At(pool)
		if !slices.Contains(pools, pool) {
			b.problems.Add(at, fmt.Sprintf("%s has no limit %q", o.system.name, pool), source.DidYouMean(pool, pools))
			continue
		}
		text := g.Cost[pool]
		if units, err := strconv.ParseFloat(text, 64); err == nil {
			if !(units >= 0 && units <= 1e12) {
				b.problems.Add(at, fmt.Sprintf("a call cannot cost %s", text), "from 0 to 1e12")
			} else if most := o.system.settings.Limits[slices.Index(pools, pool)].Most(); units > most {
				b.problems.Add(at, fmt.Sprintf("a call of this cost is never admitted: the limit %q has room for %g", pool, most), "")
			}
			o.costs = append(o.costs, budget.Cost{Pool: pool, Units: units})
			continue
		}
		if m := b.library.Get(mapping.Source{Node: at}, b.problems); m != nil {
			o.priced = append(o.priced, price{pool: pool, mapping: m})
		}
	}
}

func (o *operation) priceNeedsBody() bool {
	return slices.ContainsFunc(o.priced, func(p price) bool { return p.mapping.NeedsBody() })
}

// price works out what a request costs.
func (o *operation) price(ctx context.Context, r *Request) ([]budget.Cost, *gateway.Error) {
	if len(o.priced) == 0 {
		return o.costs, nil
	}
	costs := slices.Clone(o.costs)
	for _, p := range o.priced {
		in, err := r.input(p.mapping, nil)
		if err != nil {
			return nil, gateway.AsError(err)
		}
		value, err := p.mapping.Value(ctx, in)
		if err != nil {
			return nil, mappingFailed(err, gateway.InvalidBody)
		}
		units, ok := mapping.Float(value)
		if !ok || units < 0 {
			return nil, mappingFailed(&mapping.Error{Mapping: p.mapping.Name, Cause: fmt.Errorf("it gives no cost")}, gateway.InvalidBody)
		}
		costs = append(costs, budget.Cost{Pool: p.pool, Units: units})
	}
	return costs, nil
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
	costs, refusal := o.price(ctx, r)
	if refusal != nil {
		return unsent(Refused, refusal)
	}
	return o.call.send(ctx, &task{system: o.system, request: r, name: o.id, safe: o.safe, timeout: o.timeout, costs: costs})
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
