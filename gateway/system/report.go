package system

import (
	"context"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// Report says where a system's answers tell what is left of a limit. It is
// looked for in every answer, whatever its status.
type Report struct {
	Pool   string         `yaml:"pool" check:"required" doc:"The limit that is spoken of."`
	Header string         `yaml:"header" doc:"Header of the answer; a number in it is what remains."`
	Match  *Regexp        `yaml:"match" doc:"Regular expression for the header, with groups named used, remaining and limit: one of the first two, or both."`
	JSON   mapping.Source `yaml:"json" doc:"jq over the answer that gives what remains, or an object with used, remaining and limit; null for nothing. Answers in JSON are then read whole, as far as the key answer allows."`
	Exact  bool           `yaml:"exact" doc:"Whether the system's word replaces the gateway's own count. Otherwise it only adds what others have used."`
	Node   source.Node    `yaml:",node"`
}

// reports are what the answers of a system tell of its limits, compiled.
type reports struct {
	headers []headerReport
	bodies  []bodyReport
}

type headerReport struct {
	pool, header string
	match        *regexp.Regexp // nil: the value is what remains
	exact        bool
}

type bodyReport struct {
	pool    string
	mapping *mapping.Mapping
	exact   bool
}

func (b *builder) reports(s *Settings) reports {
	var compiled reports
	pools := poolNames(s.Limits)
	for i := range s.Reports {
		r := &s.Reports[i]
		b.knownPool(r.Node, r.Pool, pools)
		switch {
		case (r.Header == "") == !r.JSON.Exists():
			b.problems.Add(r.Node, "a report comes from a header or from json", "give one of them")
			continue
		case r.Match != nil && r.Header == "":
			b.problems.Add(r.Node.At("match"), "there is no header to be matched", "give json an expression that gives the number")
		case r.Match != nil && !reportGroups(r.Match.Regexp):
			b.problems.Add(r.Node.At("match"), "the expression has no group for what is used or remains", `name one, for example (?<remaining>\d+)`)
		}
		if r.Header != "" {
			compiled.headers = append(compiled.headers, headerReport{pool: r.Pool, header: b.headerName(r.Node.At("header"), r.Header), match: r.Match.get(), exact: r.Exact})
		} else if m := b.library.Get(r.JSON, b.problems); m != nil {
			compiled.bodies = append(compiled.bodies, bodyReport{pool: r.Pool, mapping: m, exact: r.Exact})
		}
	}
	return compiled
}

// reportGroups tells whether an expression names what a report needs, and
// nothing that is not known.
func reportGroups(x *regexp.Regexp) bool {
	enough := false
	for _, name := range x.SubexpNames() {
		switch name {
		case "used", "remaining":
			enough = true
		case "", "limit":
		default:
			return false
		}
	}
	return enough
}

// fromHeaders adds what the headers of an answer tell.
func (r *reports) fromHeaders(all []budget.PoolReport, h http.Header) []budget.PoolReport {
	for i := range r.headers {
		c := &r.headers[i]
		for _, value := range h[c.header] {
			p := budget.PoolReport{Pool: c.pool, Used: nothing, Remaining: nothing, Exact: c.exact}
			if c.match == nil {
				fillIn(&p, "remaining", amount(value))
			} else if m := c.match.FindStringSubmatch(value); m != nil {
				for g, name := range c.match.SubexpNames() {
					fillIn(&p, name, amount(m[g]))
				}
			}
			if told(&p) {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// fromBody adds what the content of an answer tells.
func (r *reports) fromBody(ctx context.Context, all []budget.PoolReport, in mapping.Input) []budget.PoolReport {
	for i := range r.bodies {
		c := &r.bodies[i]
		value, err := c.mapping.Value(ctx, in)
		if err != nil {
			continue // an answer of another shape tells nothing
		}
		p := budget.PoolReport{Pool: c.pool, Used: nothing, Remaining: nothing, Exact: c.exact}
		if object, ok := value.(map[string]any); ok {
			for name, item := range object {
				fillIn(&p, name, measure(item))
			}
		} else {
			fillIn(&p, "remaining", measure(value))
		}
		if told(&p) {
			all = append(all, p)
		}
	}
	return all
}

// nothing stands for a number that is not there.
const nothing = -1

func fillIn(p *budget.PoolReport, name string, n float64) {
	switch {
	case n < 0:
	case name == "used":
		p.Used = n
	case name == "remaining":
		p.Remaining = n
	case name == "limit":
		p.Limit = n
	}
}

func told(p *budget.PoolReport) bool { return p.Used >= 0 || p.Remaining >= 0 }

// amount reads a number as systems write it, also with commas between
// thousands. One below zero says that more than all has been used.
func amount(text string) float64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(text), ",", ""), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nothing
	}
	return max(n, 0)
}

// measure is a number of a mapping's result, or a text that holds one.
func measure(value any) float64 {
	if text, ok := value.(string); ok {
		return amount(text)
	}
	if n, ok := mapping.Float(value); ok {
		return max(n, 0)
	}
	return nothing
}
