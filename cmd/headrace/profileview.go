package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/specs/source"
)

// profileView is a profile as the commands show it: with the numbers that its
// formulas come to.
type profileView struct {
	Name         string            `json:"name" yaml:"name"`
	Title        string            `json:"title" yaml:"title"`
	Vendor       string            `json:"vendor" yaml:"vendor"`
	Checked      string            `json:"checked" yaml:"checked"`
	AdaptiveOnly bool              `json:"adaptive_only" yaml:"adaptive_only"`
	Notes        string            `json:"notes" yaml:"notes"`
	Facts        []factView        `json:"facts" yaml:"facts"`
	Limits       []limitView       `json:"limits" yaml:"limits"`
	Overload     []signView        `json:"overload" yaml:"overload"`
	Reports      []reportView      `json:"reports" yaml:"reports"`
	Probes       []probeView       `json:"probes" yaml:"probes"`
	Idempotency  []idempotencyView `json:"idempotency" yaml:"idempotency"`
}

type factView struct {
	Name  string   `json:"name" yaml:"name"`
	Value any      `json:"value" yaml:"value"`
	Given bool     `json:"given" yaml:"given"`
	Enum  []string `json:"enum,omitempty" yaml:"enum,omitempty"`
	Doc   string   `json:"doc" yaml:"doc"`
}

type limitView struct {
	Name string `json:"name" yaml:"name"`
	// Words say what the limit allows.
	Words string `json:"words" yaml:"words"`
	// Formula is what the number comes from, where that is not a number itself.
	Formula     string   `json:"formula,omitempty" yaml:"formula,omitempty"`
	Capacity    float64  `json:"capacity" yaml:"capacity"`
	Unlimited   bool     `json:"unlimited,omitempty" yaml:"unlimited,omitempty"`
	Calls       []string `json:"calls,omitempty" yaml:"calls,omitempty"`
	Scope       string   `json:"scope,omitempty" yaml:"scope,omitempty"`
	Headroom    string   `json:"headroom,omitempty" yaml:"headroom,omitempty"`
	Enforcement string   `json:"enforcement" yaml:"enforcement"`
	Pace        string   `json:"pace,omitempty" yaml:"pace,omitempty"`
	Adaptive    string   `json:"adaptive,omitempty" yaml:"adaptive,omitempty"`
	Source      string   `json:"source" yaml:"source"`
	Evidence    string   `json:"evidence" yaml:"evidence"`
	Checked     string   `json:"checked" yaml:"checked"`
}

type signView struct {
	Words string `json:"words" yaml:"words"`
	Pool  string `json:"pool,omitempty" yaml:"pool,omitempty"`
	Hint  string `json:"hint" yaml:"hint"`
}

type reportView struct {
	Pool  string `json:"pool" yaml:"pool"`
	From  string `json:"from" yaml:"from"`
	Exact bool   `json:"exact" yaml:"exact"`
}

type probeView struct {
	Pool  string `json:"pool" yaml:"pool"`
	Get   string `json:"get" yaml:"get"`
	Every string `json:"every" yaml:"every"`
}

type idempotencyView struct {
	Calls    []string `json:"calls" yaml:"calls"`
	Class    string   `json:"class" yaml:"class"`
	Header   string   `json:"header,omitempty" yaml:"header,omitempty"`
	TTL      string   `json:"ttl,omitempty" yaml:"ttl,omitempty"`
	Notes    string   `json:"notes,omitempty" yaml:"notes,omitempty"`
	Source   string   `json:"source" yaml:"source"`
	Evidence string   `json:"evidence" yaml:"evidence"`
}

// viewOf reads a profile and works it out for facts given as name=value.
func viewOf(name string, given []string) (*profileView, error) {
	p, err := loadProfile(name)
	if err != nil {
		return nil, err
	}
	facts, err := givenFacts(p, given)
	if err != nil {
		return nil, err
	}
	v := &profileView{Name: p.Name, Title: p.Title, Vendor: p.Vendor, Checked: p.Checked.String(), AdaptiveOnly: p.AdaptiveOnly, Notes: p.Notes, Facts: []factView{}}
	var ps source.Problems
	values := map[string]budget.Fact{}
	for _, name := range slices.Sorted(maps.Keys(p.Facts)) {
		kind := p.Facts[name]
		value, ok := facts[name]
		if !ok {
			value = kind.Value(kind.Default, &ps)
		}
		values[name] = budget.Fact{Value: value}
		v.Facts = append(v.Facts, factView{Name: name, Value: value, Given: ok, Enum: kind.Enum, Doc: kind.Doc})
	}
	var s struct {
		limits   []budget.Limit
		overload []system.OverloadSign
		reports  []system.Report
		probes   []system.Probe
	}
	for key, into := range map[string]any{"limits": &s.limits, "overload": &s.overload, "reports": &s.reports, "probes": &s.probes} {
		if n := p.System.Get(key); n.Exists() {
			source.Decode(n, into, &ps)
		}
	}
	resolved := budget.Resolve(s.limits, budget.Terms{Facts: values, Tables: p.Tables}, &ps)
	budget.Check(resolved, nil, &ps)
	if ps.Len() > 0 {
		return nil, ps.Err()
	}
	for i := range resolved {
		v.Limits = append(v.Limits, viewOfLimit(&s.limits[i], &resolved[i]))
	}
	v.signs(s.overload)
	v.Reports, v.Probes, v.Idempotency = []reportView{}, []probeView{}, []idempotencyView{}
	for i := range s.reports {
		v.Reports = append(v.Reports, viewOfReport(&s.reports[i]))
	}
	for i := range s.probes {
		v.Probes = append(v.Probes, probeView{Pool: s.probes[i].Pool, Get: s.probes[i].Get, Every: span(s.probes[i].Every.Std())})
	}
	for _, i := range p.Idempotency {
		w := idempotencyView{Calls: i.Calls, Class: i.Class, Header: i.Header, Notes: i.Notes, Source: i.Source, Evidence: i.Evidence}
		if i.TTL > 0 {
			w.TTL = span(i.TTL.Std())
		}
		v.Idempotency = append(v.Idempotency, w)
	}
	return v, nil
}

// givenFacts reads facts as they are given to a command.
func givenFacts(p *profiles.Profile, given []string) (map[string]any, error) {
	facts := map[string]any{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		kind, known := p.Facts[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("%q is not a fact; write name=value", text)
		case !known:
			return nil, fmt.Errorf("the profile %s has no fact %q; %s", p.Name, name, source.DidYouMean(name, slices.Sorted(maps.Keys(p.Facts))))
		case kind.Type == "number":
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("the fact %s must be a number, and %q is none", name, value)
			}
			facts[name] = n
		case len(kind.Enum) > 0 && !slices.Contains(kind.Enum, value):
			return nil, fmt.Errorf("the fact %s cannot be %q; %s", name, value, source.DidYouMean(value, kind.Enum))
		default:
			facts[name] = value
		}
	}
	return facts, nil
}

// boundless is the capacity that stands for no limit.
const boundless = 1e12

// viewOfLimit describes a limit, as written and with its numbers.
func viewOfLimit(written, l *budget.Limit) limitView {
	v := limitView{
		Name: l.Name, Calls: l.Calls, Scope: l.Scope, Enforcement: l.Enforcement,
		Source: l.Source, Evidence: l.Evidence, Checked: l.Checked, Formula: formulaOf(written),
	}
	if l.Headroom != (budget.Portion{}) {
		v.Headroom = l.Headroom.String()
	}
	if l.Bucket != nil {
		v.Capacity = l.Bucket.Size.Value
		v.Words = bucketWords(l)
	} else {
		v.Capacity = l.Capacity.Value
		v.Words = "at most " + number(v.Capacity) + " " + unitOf(l) + window(l)
	}
	if v.Capacity >= boundless {
		v.Unlimited, v.Words = true, "no limit with these facts"
	}
	if p := l.Paced(); p != nil && !v.Unlimited {
		v.Pace = fmt.Sprintf("the classes normal and low use %s of it at once, then go as fast as it takes to last for the window", p.Burst)
	}
	if a := l.Shrinks(); a != nil && !v.Unlimited {
		v.Adaptive = fmt.Sprintf("each refusal leaves %s of it, down to %s; it grows back in %s", percent(a.Cut), a.Floor, span(a.Recover.Std()))
	}
	return v
}

func formulaOf(l *budget.Limit) string {
	if l.Bucket == nil {
		return l.Capacity.Text
	}
	var parts []string
	if l.Bucket.Size.Text != "" {
		parts = append(parts, "size "+l.Bucket.Size.Text)
	}
	if l.Bucket.Refill.Formula != "" {
		parts = append(parts, "refill "+rate(l.Bucket.Refill.Formula, l.Bucket.Refill.Per))
	}
	return strings.Join(parts, ", ")
}

// unitOf is what a limit counts, in the plural.
func unitOf(l *budget.Limit) string {
	switch c := l.Cost; {
	case c == nil || c.By == "calls":
		return "calls"
	case c.By == "duration":
		return durations[time.Duration(c.Unit)] + " of execution"
	case c.By == "value":
		return l.Name
	default:
		return c.By
	}
}

var durations = map[time.Duration]string{time.Second: "seconds", time.Millisecond: "milliseconds", time.Microsecond: "microseconds"}

// window is the time in which a limit counts.
func window(l *budget.Limit) string {
	switch c := l.Calendar; {
	case c != nil && c.Unit != "":
		return " in each " + c.Unit + " (" + c.TimeZone + ")"
	case c != nil:
		return " in each " + span(c.Every.Std()) + " by the clock"
	case l.Hold == 0:
		return " at once"
	}
	return " in any " + span(l.Hold.Std())
}

func bucketWords(l *budget.Limit) string {
	b := l.Bucket
	each := span(time.Duration(float64(b.Refill.Per) / b.Refill.Units))
	if b.Size.Value == 1 {
		return "one call every " + each
	}
	return "a bucket of " + number(b.Size.Value) + " " + unitOf(l) + " that refills by " + rate(number(b.Refill.Units), b.Refill.Per)
}

// rate is a number of units in a time, in the notation of the files.
func rate(units string, per time.Duration) string {
	if per == time.Minute || per == time.Hour || per == time.Second {
		return units + "/" + strings.TrimLeft(span(per), "1")
	}
	return units + "/" + span(per)
}

// span writes a duration as short as the files do.
func span(d time.Duration) string {
	switch {
	case d >= time.Minute && d%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	case d >= time.Minute && d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d >= time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func percent(part float64) string { return number(part*100) + "%" }

// signs describes the signs of overload, in their order.
func (v *profileView) signs(signs []system.OverloadSign) {
	v.Overload = []signView{}
	for i := range signs {
		o := &signs[i]
		v.Overload = append(v.Overload, signView{Words: signWords(o), Pool: o.Pool, Hint: hintWords(o)})
	}
}

func signWords(o *system.OverloadSign) string {
	var parts []string
	for _, status := range o.Status {
		parts = append(parts, strconv.Itoa(status))
	}
	words := strings.Join(parts, " or ")
	if words == "" {
		words = "an error"
	}
	match := ""
	if o.Match != nil {
		match = " that fits " + o.Match.String()
	}
	switch {
	case o.JSON.Exists():
		words += " with " + o.JSON.Text() + match
	case o.Header != "":
		words += " with the header " + o.Header + match
	case o.Match != nil:
		words += " with a text" + match
	}
	if o.Fault != nil {
		words += " with a SOAP fault that fits " + o.Fault.String()
	}
	return words
}

func hintWords(o *system.OverloadSign) string {
	var words string
	switch {
	case o.HintJSON.Exists():
		words = "the time stands in the answer"
	case o.HintMatch != nil:
		words = "the time stands in the text"
	case o.Hint != "none":
		words = "the time stands in " + o.Hint
	}
	switch {
	case o.RetryAfter > 0 && words != "":
		words += ", else " + span(o.RetryAfter.Std())
	case o.RetryAfter > 0:
		words = span(o.RetryAfter.Std()) + ", since no time is told"
	case words == "":
		words = "a time that grows, since none is told"
	}
	if o.Penalty {
		words += "; calling meanwhile makes it longer"
	}
	return words
}

func viewOfReport(r *system.Report) reportView {
	v := reportView{Pool: r.Pool, Exact: r.Exact}
	if r.Header != "" {
		v.From = "the header " + r.Header
	} else {
		v.From = r.JSON.Text()
	}
	return v
}
