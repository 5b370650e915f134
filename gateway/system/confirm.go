package system

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// confirmation is a read that tells whether a request arrived whose answer was lost.
type confirmation struct {
	read *specs.Operation
	key  string // of the read
	with []argument
	when *mapping.Mapping
}

// argument is a parameter of the read, with where its value stands in the request.
type argument struct {
	name, in string
	from     specs.Expression
}

// confirm compiles what was checked with the document; nil after a problem.
func (b *builder) confirm(bind *gateway.Binding, settings *specs.Confirm) *confirmation {
	c := &confirmation{read: bind.Operation.Document.Operation(settings.Operation), when: b.library.Get(mapping.Source{Node: settings.Node.At("when")}, b.problems)}
	if c.read == nil {
		return nil // reported when it was read
	}
	c.key = operationKey(bind.API, c.read)
	for _, name := range slices.Sorted(maps.Keys(settings.With)) {
		from, err := specs.ParseExpression(settings.With[name])
		if err != nil {
			return nil // reported when it was read
		}
		c.with = append(c.with, argument{name: name, in: c.read.ParameterIn(name), from: from})
	}
	return c
}

// request makes the read from the request that is asked about.
func (c *confirmation) request(r *Request) (*Request, error) {
	read := &Request{
		Operation: c.key, Method: c.read.Method, Header: http.Header{}, App: r.App, RequestID: r.RequestID, Correlation: r.Correlation,
		Class: r.Class, Received: r.Received, Caller: r.Caller, Wait: r.Wait, Admitted: r.Admitted,
	}
	query := url.Values{}
	for _, a := range c.with {
		values, err := r.Values(a.from)
		if err != nil {
			return nil, err
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("the request has %d values at %s", len(values), a.from)
		}
		switch a.in {
		case "path":
			read.Params = append(read.Params, specs.Param{Name: a.name, Value: values[0]})
		case "header":
			read.Header.Set(a.name, values[0])
		default:
			query.Set(a.name, values[0])
		}
	}
	read.Query = query.Encode()
	return read, nil
}

// CanConfirm tells whether the operation names a read that Confirm asks.
func (s *Set) CanConfirm(key string) bool {
	o := s.find(key)
	return o != nil && o.confirm != nil && s.find(o.confirm.key) != nil
}

// Confirm asks the system whether a request arrived whose answer was lost. The
// answer counts only where known is true: 404 and 410 of the read say no. The
// result is that of the read; its response is in memory.
func (s *Set) Confirm(ctx context.Context, r *Request) (arrived, known bool, result *Result) {
	o := s.find(r.Operation)
	if !s.CanConfirm(r.Operation) {
		return false, false, unsent(Refused, &gateway.Error{Problem: gateway.NotFound, Detail: "nothing tells whether the request arrived"})
	}
	r.operation = o
	read, err := o.confirm.request(r)
	if err != nil {
		return false, false, unsent(Refused, gateway.AsError(err))
	}
	result = s.Send(ctx, read)
	status, content := 0, []byte(nil)
	if result.Response != nil {
		status = result.Response.Status
		if content, err = result.Response.Content(maxConfirm); err != nil {
			return false, false, fail(Unavailable, gateway.AsError(err))
		}
	} else if result.Err != nil && result.Outcome == Refused && !result.unsent {
		status = result.Err.Problem.Status
	}
	switch {
	case result.Outcome == Refused && (status == http.StatusNotFound || status == http.StatusGone):
		return false, true, result
	case result.Outcome != Delivered || result.Response == nil:
		return false, false, result
	}
	arrived, err = o.confirm.holds(ctx, r, result.Response, content)
	if err != nil {
		return false, false, unsent(Refused, mappingFailed(err, gateway.BadGateway))
	}
	return arrived, true, result
}

// maxConfirm is the longest answer of a read that is looked at.
const maxConfirm = 10 << 20

func (c *confirmation) holds(ctx context.Context, r *Request, answer *gateway.Response, content []byte) (bool, error) {
	value, err := mapping.Decode(content)
	if err != nil {
		return false, &mapping.Error{Mapping: c.when.Name, Cause: fmt.Errorf("the answer %w", err)}
	}
	in, err := r.around(c.when, value, nil)
	if err != nil {
		return false, err
	}
	in.Status, in.Headers = answer.Status, headerValue(answer.Header)
	return c.when.Is(ctx, in)
}
