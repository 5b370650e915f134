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
	"github.com/headrace/headrace/gateway/budget"
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
	Fault      *Regexp         `yaml:"fault" doc:"Regular expression for a SOAP fault: its code or text, or the name (without prefix) or text of an element of its detail must fit."`
	Pool       string          `yaml:"pool" doc:"The limit that the sign speaks of: it is paused, and shrinks where it is adaptive. When absent, all that the call passes are paused, and the one nearest to full shrinks."`
	Hint       string          `yaml:"hint" default:"Retry-After" doc:"Header with the time to wait, as a number or a date; none when the system sends none that counts."`
	HintJSON   mapping.Source  `yaml:"hint_json" doc:"jq over the answer that gives the time to wait, or null; it comes before the header."`
	HintMatch  *Regexp         `yaml:"hint_match" doc:"Regular expression for the text of the answer whose first group is the time to wait; it comes before the header."`
	HintUnit   string          `yaml:"hint_unit" enum:"ms,s,min" default:"s" doc:"Unit of the time to wait where it is a number."`
	RetryAfter source.Duration `yaml:"retry_after" doc:"Time to wait where the answer gives none."`
	Penalty    bool            `yaml:"penalty" doc:"The system makes the pause longer if it is called meanwhile: all the limits that the call passes are paused, whichever the sign speaks of, and a little longer than was told."`
	Doubtful   bool            `yaml:"doubtful" doc:"Whether the request was done is not known, as with a 502 of a proxy in front of the system. The limits are paused all the same, and a write is doubtful."`
	Node       source.Node     `yaml:",node"`
}

// ErrorSign says what an error of a system means. All the keys that are given must fit.
type ErrorSign struct {
	HTTP       Statuses        `yaml:"http" doc:"HTTP status or statuses of the answer."`
	JSON       mapping.Source  `yaml:"json" doc:"jq over the answer (over the error in the dialect jsonrpc): one of the values that it gives must be true, or fit match."`
	Match      *Regexp         `yaml:"match" doc:"Regular expression for the values of json, else for the text of the answer; in the dialect jsonrpc for the error's code, else for its message."`
	Fault      *Regexp         `yaml:"fault" doc:"Regular expression for a SOAP fault, as in overload."`
	As         string          `yaml:"as" check:"required" enum:"refused,conflict,overload,unavailable,expired,fault,doubtful" doc:"What the error means. refused and conflict: the caller's affair. overload: saturated. unavailable: the system is not there. expired: the session or token is not accepted any more. fault: the system's own mistake. doubtful: the system gave up, and whether it did the request is not known."`
	Status     int             `yaml:"status" min:"400" max:"599" doc:"Status for the caller; 422 for refused and 409 for conflict when absent."`
	Message    mapping.Source  `yaml:"message" doc:"jq over the answer (over the error in the dialect jsonrpc) that gives the text for the caller; without it the caller gets the message of a jsonrpc error, or none."`
	RetryAfter source.Duration `yaml:"retry_after" doc:"Time to wait where the answer gives none."`
	Node       source.Node     `yaml:",node"`
}

// sign is a compiled sign of either sort.
type sign struct {
	statuses []int
	header   string
	json     *mapping.Mapping
	match    *regexp.Regexp
	fault    *regexp.Regexp
	as       string
	status   int
	message  *mapping.Mapping
	pool     string
	wait     hinted
	penalty  bool
	doubtful bool
}

// signs are all the signs of a system, overload first.
type signs struct {
	all []sign
	// listed are the statuses below 400 that a sign names.
	listed map[int]bool
}

func (b *builder) signs(s *Settings) signs {
	var compiled signs
	pools := poolNames(s.Limits)
	for i := range s.Overload {
		compiled.add(b.overloadSign(&s.Overload[i], pools))
	}
	if len(s.Overload) == 0 && s.Dialect == "rest" {
		compiled.add(sign{statuses: []int{http.StatusTooManyRequests}, as: "overload", wait: plainHint(0)})
	}
	for i := range s.Errors {
		compiled.add(b.errorSign(&s.Errors[i]))
	}
	return compiled
}

func poolNames(limits []budget.Limit) []string {
	names := make([]string, len(limits))
	for i := range limits {
		names[i] = limits[i].Name
	}
	return names
}

// knownPool reports a limit that the system does not have.
func (b *builder) knownPool(n source.Node, pool string, pools []string) {
	if pool != "" && !slices.Contains(pools, pool) {
		b.problems.Add(n.At("pool"), fmt.Sprintf("there is no limit %q", pool), source.DidYouMean(pool, pools))
	}
}

// headerName gives a header in its canonical form, and reports one that cannot be.
func (b *builder) headerName(at source.Node, name string) string {
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		b.problems.Add(at, fmt.Sprintf("%q is not the name of a header", name), "")
	}
	return http.CanonicalHeaderKey(name)
}

// noHint is the word for a sign whose answer gives no time to wait.
const noHint = "none"

func (b *builder) overloadSign(o *OverloadSign, pools []string) sign {
	if len(o.Status) == 0 && o.Header == "" && !o.JSON.Exists() && o.Match == nil && o.Fault == nil {
		b.problems.Add(o.Node, "the sign fits every answer", "give at least one of status, header, json, match and fault")
	}
	b.knownPool(o.Node, o.Pool, pools)
	x := sign{
		statuses: o.Status, header: b.headerName(o.Node.At("header"), o.Header), json: b.library.Get(o.JSON, b.problems),
		match: o.Match.get(), fault: o.Fault.get(), as: "overload", pool: o.Pool, penalty: o.Penalty, doubtful: o.Doubtful,
		wait: hinted{json: b.library.Get(o.HintJSON, b.problems), match: o.HintMatch.get(), unit: hintUnits[o.HintUnit], otherwise: o.RetryAfter.Std()},
	}
	if o.Hint != noHint {
		x.wait.header = b.headerName(o.Node.At("hint"), o.Hint)
	}
	return x
}

func (b *builder) errorSign(e *ErrorSign) sign {
	if len(e.HTTP) == 0 && !e.JSON.Exists() && e.Match == nil && e.Fault == nil {
		b.problems.Add(e.Node, "the sign fits every error", "give at least one of http, json, match and fault")
	}
	if e.Status != 0 && e.As != "refused" && e.As != "conflict" {
		b.problems.Add(e.Node.At("status"), "the status cannot be chosen for "+e.As, "only for refused and conflict")
	}
	return sign{
		statuses: e.HTTP, json: b.library.Get(e.JSON, b.problems), match: e.Match.get(), fault: e.Fault.get(), as: e.As, status: e.Status,
		message: b.library.Get(e.Message, b.problems), wait: plainHint(e.RetryAfter.Std()),
	}
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

	words  []string // of a SOAP fault
	parsed bool
}

// fault tells whether the answer is a SOAP fault of which some word fits.
func (e *evidence) fault(match *regexp.Regexp) bool {
	if !e.parsed && len(e.texts) == 1 {
		e.words = faultWords([]byte(e.texts[0]))
	}
	e.parsed = true
	return slices.ContainsFunc(e.words, match.MatchString)
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
	if s.header != "" && !ok || s.fault != nil && !e.fault(s.fault) {
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
func (s *system) result(ctx context.Context, t *task, x *sign, e *evidence) *Result {
	wait := x.wait.of(ctx, e)
	message := e.message
	if x.message != nil {
		message, _, _ = x.message.Text(ctx, e.input())
	}
	cause := fmt.Errorf("the system says: %s", capped(strings.Join(append([]string{e.code}, e.texts...), " ")))
	switch x.as {
	case "overload":
		if x.penalty {
			wait = penalty(wait)
		}
		r := s.overloaded(x.pool, wait, cause)
		r.wide = x.penalty
		if x.doubtful && !t.safe {
			r.Outcome, r.saturated = Doubtful, true
			r.Err.Detail = s.name + " was saturated; whether it has done the request is not known"
		}
		return r
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
	if x.as == "doubtful" {
		return s.gaveUp(t, e, cause)
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

// gaveUp is the result of a call that the system ended before it was through.
func (s *system) gaveUp(t *task, e *evidence, cause error) *Result {
	r := fail(Unavailable, &gateway.Error{
		Problem: gateway.BadGateway, System: s.name, SystemCode: codeWord(e.code), Cause: cause, Detail: s.name + " gave up on the request",
	})
	r.fault = true
	if !t.safe {
		r.Outcome = Doubtful
		r.Err.Detail += "; whether it has done the request is not known"
	}
	return r
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
