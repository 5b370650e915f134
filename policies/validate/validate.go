package validate

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Request     string      `yaml:"request" enum:"enforce,report,off" default:"enforce" doc:"Whether faulty calls are refused, only recorded, or not looked at."`
	Response    string      `yaml:"response" enum:"off,report,enforce" default:"off" doc:"Whether faulty answers of the system are not looked at, recorded, or replaced by 502."`
	Query       string      `yaml:"query" enum:"lenient,strict" default:"lenient" doc:"Whether undeclared query parameters are tolerated."`
	MaxResponse source.Size `yaml:"max_response" default:"1MiB" doc:"Longest answer that is checked."`
}

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "validate", Stage: gateway.StageValidate, Levels: gateway.LevelAPI, Default: true,
		Doc: "Checks calls, and on request answers, against the API's document.",
	}, compile)
}

const (
	off     = "off"
	enforce = "enforce"
)

type policy struct {
	operation         *specs.Operation
	request, response string
	options           specs.CheckOptions
	readsBody         bool
	longest           int64
	offers            offers
}

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	if s.Request == off && s.Response == off {
		return nil
	}
	p := &policy{
		operation: b.Operation, request: s.Request, response: s.Response,
		options:   specs.CheckOptions{StrictQuery: s.Query == "strict"},
		readsBody: b.Operation.ReadsBody(), longest: int64(s.MaxResponse), offers: b.Operation.Offers(),
	}
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) { return p.handle(x, next) }
	}
}

func (p *policy) handle(x *gateway.Exchange, next gateway.Handler) (*gateway.Response, error) {
	if p.request != off {
		if err := p.checkRequest(x); err != nil {
			return nil, err
		}
	}
	if p.response == off {
		return next(x)
	}
	x.Request.Header.Del("Accept-Encoding")
	resp, err := next(x)
	if err != nil {
		return nil, err
	}
	return p.checkResponse(x, resp)
}

func (p *policy) checkRequest(x *gateway.Exchange) error {
	opts := p.options
	opts.Seen = &x.Record.Seen
	var body []byte
	if p.readsBody {
		var err error
		if body, err = x.Body(); err != nil {
			return err
		}
	}
	if fault := p.operation.CheckRequest(x.Request, x.Params, body, opts); fault != nil {
		return p.fault(x, problemOf(fault.Status), fault.Detail, fault.Violations)
	}
	if !p.offers.meet(x.Request.Header["Accept"]) {
		return p.fault(x, gateway.NotAcceptable, "available as "+strings.Join(p.offers, ", "), nil)
	}
	return nil
}

// fault refuses the call, or records why it would have been.
func (p *policy) fault(x *gateway.Exchange, problem gateway.Problem, detail string, violations []specs.Violation) error {
	if p.request == enforce {
		return &gateway.Error{Problem: problem, Detail: detail, Violations: violations}
	}
	if len(violations) == 0 {
		violations = []specs.Violation{{In: "header", Detail: detail}}
	}
	x.Record.RequestViolations = append(x.Record.RequestViolations, violations...)
	return nil
}

func problemOf(status int) gateway.Problem {
	switch status {
	case http.StatusUnsupportedMediaType:
		return gateway.UnsupportedMedia
	case http.StatusUnprocessableEntity:
		return gateway.InvalidBody
	}
	return gateway.InvalidRequest
}

func (p *policy) checkResponse(x *gateway.Exchange, resp *gateway.Response) (*gateway.Response, error) {
	if resp.Own || x.Request.Method == http.MethodHead || resp.Status == http.StatusNotModified {
		return resp, nil // the body stayed with the system, or is the gateway's own
	}
	violations, err := p.violations(resp)
	switch {
	case err != nil:
		return nil, err
	case len(violations) == 0:
		return resp, nil
	}
	x.Record.Violations = append(x.Record.Violations, violations...)
	if p.response == enforce {
		resp.Close()
		return nil, &gateway.Error{Problem: gateway.InvalidResponse, Detail: fmt.Sprintf("the system answered %d", resp.Status), Violations: violations}
	}
	return resp, nil
}

func (p *policy) violations(resp *gateway.Response) ([]specs.Violation, error) {
	if !p.operation.ReadsResponse(resp.Status, resp.Header.Get("Content-Type")) {
		return p.operation.CheckResponse(resp.Status, resp.Header, nil), nil
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return []specs.Violation{{In: "body", Detail: "cannot be checked, because the system has compressed it"}}, nil
	}
	body, whole, err := resp.Peek(p.longest)
	switch {
	case err != nil:
		return nil, err
	case !whole:
		return []specs.Violation{{In: "body", Detail: "cannot be checked, because it is longer than " + source.Size(p.longest).String()}}, nil
	}
	if body == nil {
		body = []byte{} // nil would mean that it is not looked at
	}
	return p.operation.CheckResponse(resp.Status, resp.Header, body), nil
}
