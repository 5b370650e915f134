package system

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// Statuses is a list of HTTP statuses; a single one stands for a list of one.
type Statuses []int

// DecodeNode accepts a status or a list of them.
func (s *Statuses) DecodeNode(n source.Node, ps *source.Problems) {
	var list []int
	if n.Kind() == source.List {
		source.Decode(n, &list, ps)
	} else {
		var one int
		source.Decode(n, &one, ps)
		list = []int{one}
	}
	for _, status := range list {
		if status != 0 && (status < 200 || status > 599) {
			ps.Add(n, fmt.Sprintf("%d is not the status of an answer", status), "from 200 to 599")
		}
	}
	*s = list
}

// JSONSchema describes the notation for editors.
func (Statuses) JSONSchema() map[string]any {
	one := map[string]any{"type": "integer", "minimum": 200, "maximum": 599}
	return map[string]any{"oneOf": []any{one, map[string]any{"type": "array", "items": one}}}
}

// Regexp is a regular expression in the syntax of RE2.
type Regexp struct {
	*regexp.Regexp
}

// UnmarshalText compiles the expression.
func (r *Regexp) UnmarshalText(text []byte) (err error) {
	r.Regexp, err = regexp.Compile(string(text))
	return err
}

// JSONSchema describes the notation for editors.
func (Regexp) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "format": "regex"}
}

// OverloadSign is one way in which a system says that it is saturated. All the
// keys that are given must fit.
type OverloadSign struct {
	Status     Statuses        `yaml:"status" doc:"HTTP status or statuses of the answer."`
	Header     string          `yaml:"header" doc:"Header of the answer that must be there; match looks at it where json is not given."`
	JSON       mapping.Source  `yaml:"json" doc:"jq over the answer (over the error in the dialect jsonrpc): one of the values that it gives must be true, or fit match."`
	Match      *Regexp         `yaml:"match" doc:"Regular expression for the values of json, else for the header, else for the text of the answer (code and message in the dialect jsonrpc)."`
	Pool       string          `yaml:"pool" doc:"The limit that the sign speaks of; all of them when absent."`
	Hint       string          `yaml:"hint" default:"Retry-After" doc:"Header with the time to wait, in seconds or as a date."`
	RetryAfter source.Duration `yaml:"retry_after" doc:"Time to wait where the answer gives none."`
	Node       source.Node     `yaml:",node"`
}

// ErrorSign says what an error of a system means. All the keys that are given must fit.
type ErrorSign struct {
	HTTP       Statuses        `yaml:"http" doc:"HTTP status or statuses of the answer."`
	JSON       mapping.Source  `yaml:"json" doc:"jq over the answer (over the error in the dialect jsonrpc): one of the values that it gives must be true, or fit match."`
	Match      *Regexp         `yaml:"match" doc:"Regular expression for the values of json, else for the text of the answer; in the dialect jsonrpc for the error's code, else for its message."`
	As         string          `yaml:"as" check:"required" enum:"refused,conflict,overload,unavailable,expired,fault" doc:"What the error means. refused and conflict: the caller's affair. overload: saturated. unavailable: the system is not there. expired: the session or token is not accepted any more. fault: the system's own mistake."`
	Status     int             `yaml:"status" min:"400" max:"599" doc:"Status for the caller; 422 for refused and 409 for conflict when absent."`
	Message    mapping.Source  `yaml:"message" doc:"jq over the answer (over the error in the dialect jsonrpc) that gives the text for the caller; without it the caller gets the message of a jsonrpc error, or none."`
	RetryAfter source.Duration `yaml:"retry_after" doc:"Time to wait where the answer gives none."`
	Node       source.Node     `yaml:",node"`
}

// sign is a compiled sign of either sort.
type sign struct {
	statuses   []int
	header     string
	json       *mapping.Mapping
	match      *regexp.Regexp
	as         string
	status     int
	message    *mapping.Mapping
	pool, hint string
	retryAfter time.Duration
}

// signs are all the signs of a system, overload first.
type signs struct {
	all []sign
	// listed are the statuses below 400 that a sign names.
	listed map[int]bool
	// texts tells that some sign looks at the content of answers.
	texts bool
}

func (b *builder) signs(s *Settings) signs {
	var compiled signs
	pools := make([]string, len(s.Limits))
	for i, l := range s.Limits {
		pools[i] = l.Name
	}
	for i := range s.Overload {
		o := &s.Overload[i]
		if len(o.Status) == 0 && o.Header == "" && !o.JSON.Exists() && o.Match == nil {
			b.problems.Add(o.Node, "the sign fits every answer", "give at least one of status, header, json and match")
		}
		for _, name := range []string{o.Header, o.Hint} {
			if name != "" && !httpguts.ValidHeaderFieldName(name) {
				b.problems.Add(o.Node, fmt.Sprintf("%q is not the name of a header", name), "")
			}
		}
		if o.Pool != "" && !slices.Contains(pools, o.Pool) {
			b.problems.Add(o.Node.At("pool"), fmt.Sprintf("there is no limit %q", o.Pool), source.DidYouMean(o.Pool, pools))
		}
		compiled.add(sign{
			statuses: o.Status, header: http.CanonicalHeaderKey(o.Header), json: b.library.Get(o.JSON, b.problems), match: o.Match.get(),
			as: "overload", pool: o.Pool, hint: http.CanonicalHeaderKey(o.Hint), retryAfter: o.RetryAfter.Std(),
		})
	}
	if len(s.Overload) == 0 && s.Dialect == "rest" {
		compiled.add(sign{statuses: []int{http.StatusTooManyRequests}, as: "overload", hint: "Retry-After"})
	}
	for i := range s.Errors {
		e := &s.Errors[i]
		if len(e.HTTP) == 0 && !e.JSON.Exists() && e.Match == nil {
			b.problems.Add(e.Node, "the sign fits every error", "give at least one of http, json and match")
		}
		if e.Status != 0 && e.As != "refused" && e.As != "conflict" {
			b.problems.Add(e.Node.At("status"), "the status cannot be chosen for "+e.As, "only for refused and conflict")
		}
		compiled.add(sign{
			statuses: e.HTTP, json: b.library.Get(e.JSON, b.problems), match: e.Match.get(), as: e.As, status: e.Status,
			message: b.library.Get(e.Message, b.problems), hint: "Retry-After", retryAfter: e.RetryAfter.Std(),
		})
	}
	return compiled
}

func (r *Regexp) get() *regexp.Regexp {
	if r == nil {
		return nil
	}
	return r.Regexp
}

func (s *signs) add(x sign) {
	s.all = append(s.all, x)
	for _, status := range x.statuses {
		if status < 400 {
			if s.listed == nil {
				s.listed = map[int]bool{}
			}
			s.listed[status] = true
		}
	}
	s.texts = s.texts || x.json != nil || x.message != nil || x.match != nil && x.header == ""
}

// concern tells whether any sign could fit an answer of this status.
func (s *signs) concern(status int) bool {
	return len(s.all) > 0 && (status >= 400 || s.listed[status])
}

// evidence is an answer as signs look at it.
type evidence struct {
	status int
	header http.Header
	// texts are what match looks at: the body, or code and message of an error.
	texts []string
	// value is what json looks at.
	value any
	// message is the text for the caller where the sign has none of its own.
	message string
	// code is the system's own word for the error.
	code string
	// failed tells that the answer is an error whatever its status.
	failed bool
}

// find gives the first sign that fits; nil when none does.
func (s *signs) find(ctx context.Context, e *evidence) *sign {
	for i := range s.all {
		if s.all[i].fits(ctx, e) {
			return &s.all[i]
		}
	}
	return nil
}

func (s *sign) fits(ctx context.Context, e *evidence) bool {
	switch {
	case len(s.statuses) > 0 && !slices.Contains(s.statuses, e.status):
		return false
	case len(s.statuses) == 0 && e.status < 400 && !e.failed:
		return false
	}
	values, ok := e.header[s.header]
	if s.header != "" && !ok {
		return false
	}
	switch {
	case s.json != nil:
		return s.json.Any(ctx, e.input(), s.truth)
	case s.match == nil:
		return true
	case s.header != "":
		return slices.ContainsFunc(values, s.match.MatchString)
	}
	return slices.ContainsFunc(e.texts, s.match.MatchString)
}

func (e *evidence) input() mapping.Input {
	return mapping.Input{Value: e.value, Status: e.status, Headers: headerValue(e.header)}
}

// truth is whether one value of json is what the sign looks for.
func (s *sign) truth(value any) bool {
	if s.match == nil {
		return value != nil && value != false
	}
	text, ok := value.(string)
	if !ok {
		data, err := mapping.AppendJSON(nil, value, 1<<16)
		if err != nil {
			return false
		}
		text = string(data)
	}
	return s.match.MatchString(text)
}

// longestMessage is how much of a system's words a caller gets, in bytes.
const longestMessage = 500

// capped cuts a text to a length fit for a caller or a log line.
func capped(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\ufffd")
	if len(text) <= longestMessage {
		return text
	}
	cut := longestMessage
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}

var wordPattern = regexp.MustCompile(`^-?[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

// codeWord lets a code through that is one, and no free text, which may speak
// of the system's insides.
func codeWord(code string) string {
	if wordPattern.MatchString(code) {
		return code
	}
	return ""
}

// result is what a sign makes of an answer.
func (s *system) result(ctx context.Context, x *sign, e *evidence) *Result {
	wait := hint(firstOf(e.header, x.hint), time.Now())
	if wait == 0 {
		wait = x.retryAfter
	}
	message := e.message
	if x.message != nil {
		message, _, _ = x.message.Text(ctx, e.input())
	}
	cause := fmt.Errorf("the system says: %s", capped(strings.Join(append([]string{e.code}, e.texts...), " ")))
	switch x.as {
	case "overload":
		return s.overloaded(x.pool, wait, cause)
	case "unavailable":
		r := fail(Unavailable, &gateway.Error{Problem: gateway.SystemUnavailable, System: s.name, RetryAfter: spread(wait), Detail: s.name + " is not available", Cause: cause})
		r.RetryAfter = wait
		return r
	case "expired":
		return fail(expired, s.notAccepted(cause))
	case "fault":
		r := fail(Refused, &gateway.Error{Problem: gateway.BadGateway, System: s.name, Detail: s.name + " failed to do it", SystemCode: codeWord(e.code), Cause: cause})
		r.fault = true
		return r
	}
	problem := gateway.SystemRefused
	if x.as == "conflict" {
		problem = gateway.Conflict
	}
	if x.status != 0 {
		problem.Status = x.status
	}
	return fail(Refused, &gateway.Error{Problem: problem, System: s.name, SystemCode: codeWord(e.code), Detail: capped(message), Cause: cause})
}

// overloaded is the result of a call that the system had no room for.
func (s *system) overloaded(pool string, wait time.Duration, cause error) *Result {
	r := fail(Overload, &gateway.Error{
		Problem: gateway.Saturated, System: s.name, Pool: pool, RetryAfter: spread(wait), Cause: cause,
		Detail: s.name + " has no room for the request now",
	})
	r.RetryAfter, r.pool = wait, pool
	return r
}

// notAccepted is the error of a call whose credential the system did not accept.
func (s *system) notAccepted(cause error) *gateway.Error {
	return &gateway.Error{Problem: gateway.BadGateway, System: s.name, Detail: s.name + " does not accept the gateway's credentials", Cause: cause}
}

func firstOf(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
