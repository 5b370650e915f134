package system

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Probe is a question to the system about one of its limits, asked under the
// budget itself, in class low.
type Probe struct {
	Every     source.Duration `yaml:"every" check:"required" doc:"How often it is asked, give or take a tenth. 0s turns a probe of the profile off that makes the same call."`
	Get       string          `yaml:"get" doc:"Path below the system's URL that is read with GET."`
	Call      *SessionCall    `yaml:"call" doc:"The call, where it is not a plain GET."`
	Pool      string          `yaml:"pool" doc:"The limit that the answer speaks of; only a probe that is off has none."`
	Capacity  mapping.Source  `yaml:"capacity" doc:"jq over the answer (the result in the dialect jsonrpc) that gives what the limit allows; it takes the place of the capacity or size that is configured, headroom is still left free. null changes nothing."`
	Remaining mapping.Source  `yaml:"remaining" doc:"jq over the answer that gives what is left of the limit."`
	Used      mapping.Source  `yaml:"used" doc:"jq over the answer that gives what is used of the limit."`
	Exact     bool            `yaml:"exact" doc:"Whether remaining or used replaces the gateway's own count."`
	Node      source.Node     `yaml:",node"`
}

// off tells that the probe only removes one.
func (p *Probe) off() bool { return p.Every == 0 }

// shortestProbe is the fastest pace of a probe.
const shortestProbe = time.Second

// probeCall is what a probe is named in budgets, spans and metrics.
const probeCall = "probe"

// probe is a compiled probe.
type probe struct {
	pool                      string
	every                     time.Duration
	call                      plain
	capacity, remaining, used *mapping.Mapping
	exact                     bool
}

// probesOf compiles the probes of a system.
func (b *builder) probesOf(s *system) []*probe {
	var all []*probe
	pools := poolNames(s.settings.Limits)
	for i := range s.settings.Probes {
		p := &s.settings.Probes[i]
		b.knownPool(p.Node, p.Pool, pools)
		c := p.Call
		switch {
		case (p.Get == "") == (c == nil):
			b.problems.Add(p.Node, "a probe has either get or call", "give one of them")
			continue
		case p.Get != "" && s.settings.Dialect != "rest":
			b.problems.Add(p.Node.At("get"), "a call of "+s.settings.Dialect+" is no GET", "set call with its method")
			continue
		case p.off():
			continue
		case p.Pool == "":
			b.problems.Add(p.Node, "nothing says which limit the answer speaks of", "give the name of a limit as pool")
		case !p.Capacity.Exists() && !p.Remaining.Exists() && !p.Used.Exists():
			b.problems.Add(p.Node, "nothing says what the answer tells", "give at least one of capacity, remaining and used")
		case p.Every.Std() < shortestProbe:
			b.problems.Add(p.Node.At("every"), p.Every.String()+" is too short", "the least is "+shortestProbe.String())
		}
		if p.Get != "" {
			c = &SessionCall{Method: http.MethodGet, Path: p.Get, Node: p.Node}
			c.Node = p.Node.At("get")
		}
		compiled := &probe{
			pool: p.Pool, every: p.Every.Std(), exact: p.Exact, capacity: b.library.Get(p.Capacity, b.problems),
			remaining: b.library.Get(p.Remaining, b.problems), used: b.library.Get(p.Used, b.problems),
		}
		if s.dialect == nil {
			continue
		}
		compiled.call = s.dialect.plain(b, c)
		all = append(all, compiled)
	}
	return all
}

// watch asks until ctx ends. The first question comes soon, but not at the same
// moment from all replicas.
func (p *probe) watch(ctx context.Context, s *system) {
	wait := rand.N(min(p.every/10, 5*time.Second) + time.Millisecond)
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := p.ask(ctx, s)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			s.fleet.log.Warn("a probe has failed", "system", s.name, "pool", p.pool, "error", err.Error())
		case err == nil && failing:
			s.fleet.log.Info("a probe works again", "system", s.name, "pool", p.pool)
		}
		failing = err != nil
		wait = p.every - p.every/10 + rand.N(p.every/5+1)
	}
}

// ask asks once.
func (p *probe) ask(ctx context.Context, s *system) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = errors.New("the probe broke down")
		}
	}()
	timeout := s.settings.Timeout.Std()
	t := &task{
		system: s, name: probeCall, timeout: timeout, safe: true, prices: s.ownPrices(probeCall, p.call),
		request: &Request{Class: specs.Low, Wait: min(p.every, timeout), Correlation: gateway.NewID(), Received: time.Now()},
	}
	step := &probeStep{step: p.call.step(mapping.Input{Now: time.Now()}), probe: p}
	r := t.do(ctx, step)
	switch {
	case r.Err != nil && (r.Err.Problem.Name == gateway.Saturated.Name || r.Err.Problem.Name == gateway.CallerLeft.Name):
		return nil // it has the least urgent class, and comes again
	case r.Err != nil && r.Err.Detail != "":
		return errors.New(r.Err.Detail)
	case r.Err != nil:
		return errors.New(r.Err.Problem.Title)
	case step.err != nil:
		return step.err
	}
	return nil
}

// probeStep is a probe's call. What the answer tells has to be known when the
// call is settled.
type probeStep struct {
	step
	probe *probe
	err   error
}

func (p *probeStep) judge(ctx context.Context, t *task, g *grant, resp *http.Response) *Result {
	r := p.step.judge(ctx, t, g, resp)
	if a, ok := r.value.(*plainAnswer); ok {
		p.err = p.probe.learn(ctx, t.system, mapping.Input{Value: a.value, Status: resp.StatusCode, Headers: a.headers, Now: time.Now()}, r)
	}
	return r
}

// learn takes what an answer tells.
func (p *probe) learn(ctx context.Context, s *system, in mapping.Input, r *Result) error {
	report := budget.PoolReport{Pool: p.pool, Used: nothing, Remaining: nothing, Exact: p.exact}
	for _, part := range []struct {
		name    string
		mapping *mapping.Mapping
	}{{"limit", p.capacity}, {"remaining", p.remaining}, {"used", p.used}} {
		if part.mapping == nil {
			continue
		}
		value, err := part.mapping.Value(ctx, in)
		if err != nil || value != nil && measure(value) == nothing {
			return fmt.Errorf("its answer gives no number for what is %s", strings.Replace(part.name, "limit", "allowed", 1))
		}
		if value != nil {
			fillIn(&report, part.name, measure(value))
		}
	}
	if told(&report) {
		r.reports = append(r.reports, report)
	}
	if p.capacity != nil && report.Limit > 0 {
		return s.fleet.discovered(s, p.pool, report.Limit)
	}
	return nil
}
