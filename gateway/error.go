package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Problem is a sort of refusal. Its name is stable: it is the end of the
// type of the problem document, and the decision in logs and metrics.
type Problem struct {
	Name   string
	Status int
	Title  string
}

// TypeBase is what the types of problem documents start with.
const TypeBase = "urn:headrace:problem:"

// The refusals of the gateway, all of them. docs/problems.md explains each.
var (
	BadRequest         = Problem{"bad-request", 400, "The request cannot be understood"}
	InvalidRequest     = Problem{"invalid-request", 400, "The request does not keep to the API's contract"}
	Unauthenticated    = Problem{"unauthenticated", 401, "The caller is not known"}
	InvalidCredentials = Problem{"invalid-credentials", 401, "The credentials are not accepted"}
	Forbidden          = Problem{"forbidden", 403, "The caller may not do this"}
	InsufficientScope  = Problem{"insufficient-scope", 403, "The credentials lack a scope"}
	NotSubscribed      = Problem{"not-subscribed", 403, "The app has no approved subscription to this API"}
	AddressRefused     = Problem{"address-refused", 403, "Calls from this address are not accepted"}
	NotFound           = Problem{"not-found", 404, "There is no such operation"}
	NoSuchWrite        = Problem{"no-such-write", 404, "The app has no such write"}
	NoSuchRun          = Problem{"no-such-run", 404, "The app has no such run"}
	NoSuchThing        = Problem{"no-such-thing", 404, "There is no such thing"}
	MethodNotAllowed   = Problem{"method-not-allowed", 405, "The operation does not exist with this method"}
	NotAcceptable      = Problem{"not-acceptable", 406, "The answer is not available in this form"}
	Conflict           = Problem{"conflict", 409, "The system's state does not allow this"}
	Exists             = Problem{"exists", 409, "There is one of this name"}
	Immutable          = Problem{"immutable", 409, "A published version does not change"}
	Breaking           = Problem{"breaking-change", 409, "The change breaks callers and needs a new major version"}
	InUse              = Problem{"in-use", 409, "Somebody depends on it"}
	WrongState         = Problem{"wrong-state", 409, "It is not in a state in which this can be done"}
	StandsInFiles      = Problem{"stands-in-files", 409, "It stands in files and is changed there"}
	TooMany            = Problem{"too-many", 409, "There are as many as there may be"}
	Gone               = Problem{"gone", 410, "This version of the API has been retired"}
	Changed            = Problem{"changed-meanwhile", 412, "It is not as the caller has seen it"}
	BodyTooLarge       = Problem{"body-too-large", 413, "The request body is too large"}
	URLTooLong         = Problem{"url-too-long", 414, "The request's URL is too long"}
	UnsupportedMedia   = Problem{"unsupported-media-type", 415, "The request body is of a type that is not accepted"}
	InvalidBody        = Problem{"invalid-body", 422, "The request body does not keep to the API's contract"}
	InvalidChange      = Problem{"invalid-change", 422, "What was handed in cannot be served"}
	ReasonMissing      = Problem{"reason-missing", 422, "This needs a reason"}
	KeyReused          = Problem{"idempotency-key-reused", 422, "The Idempotency-Key belongs to another request"}
	FlowFailed         = Problem{"flow-failed", 422, "The business transaction came to a step that failed"}
	SystemRefused      = Problem{"system-refused", 422, "The system refused the request"}
	MatchMissing       = Problem{"match-missing", 428, "The request must say what it has seen"}
	Throttled          = Problem{"throttled", 429, "The app calls too fast"}
	QuotaExceeded      = Problem{"quota-exceeded", 429, "The app's quota is used up"}
	TooManyCalls       = Problem{"too-many-concurrent-calls", 429, "The app has too many calls under way"}
	TooManyGuesses     = Problem{"too-many-guesses", 429, "Too many credentials were wrong"}
	HeaderTooLarge     = Problem{"header-too-large", 431, "The request's header fields are too large"}
	Internal           = Problem{"internal", 500, "Something went wrong in the gateway"}
	BadGateway         = Problem{"bad-gateway", 502, "The system's answer cannot be used"}
	InvalidResponse    = Problem{"invalid-response", 502, "The system's answer does not keep to the API's contract"}
	Saturated          = Problem{"saturated", 503, "The system's limits leave no room now"}
	SystemUnavailable  = Problem{"system-unavailable", 503, "The system cannot be reached"}
	BufferFull         = Problem{"buffer-full", 503, "No more writes are held for the system"}
	LedgerUnavailable  = Problem{"ledger-unavailable", 503, "Writes cannot be kept at the moment"}
	NotReady           = Problem{"not-ready", 503, "The gateway is not ready"}
	SystemTimeout      = Problem{"system-timeout", 504, "The system did not answer in time"}
	CallerLeft         = Problem{"caller-left", 499, "The caller left before the answer"}
)

// Error is a refusal on its way to the caller. Cause goes to the log and never
// to the caller.
type Error struct {
	Problem Problem
	// Detail explains this occurrence to the caller.
	Detail string
	// RetryAfter says when it may succeed; zero when nobody knows.
	RetryAfter time.Duration
	// Violations name the faults of a request or response.
	Violations []specs.Violation
	// System and Pool say whose limit refused.
	System, Pool string
	// SystemCode is the system's own code for a refusal.
	SystemCode string
	// Problems are the faults of a configuration that was handed in.
	Problems []source.Problem
	// Changes and Uses are lists with a JSON form: the changes that break
	// callers, and who would be hit; nil where there are none.
	Changes, Uses any
	// Challenge is the WWW-Authenticate header of a 401 or 403; Allow the methods of a 405.
	Challenge, Allow string
	Cause            error
}

func (e *Error) Error() string {
	text := e.Problem.Name
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// TooLarge is the refusal of a body beyond limit bytes.
func TooLarge(limit int64) *Error {
	return &Error{Problem: BodyTooLarge, Detail: fmt.Sprintf("at most %d bytes are accepted", limit)}
}

// AsError turns any error into a refusal; unknown ones become an internal error
// whose text stays in the log.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Problem: Internal, Cause: err}
}

// document is the body of RFC 9457.
type document struct {
	Type       string            `json:"type"`
	Title      string            `json:"title"`
	Status     int               `json:"status"`
	Detail     string            `json:"detail,omitempty"`
	RequestID  string            `json:"requestId,omitempty"`
	System     string            `json:"system,omitempty"`
	Pool       string            `json:"pool,omitempty"`
	SystemCode string            `json:"systemCode,omitempty"`
	RetryAfter int               `json:"retryAfter,omitempty"`
	Violations []specs.Violation `json:"violations,omitempty"`
	Problems   []source.Problem  `json:"problems,omitempty"`
	Changes    any               `json:"changes,omitempty"`
	Uses       any               `json:"uses,omitempty"`
}

// Response makes the answer of a refusal: the only place that does.
func (e *Error) Response(requestID string) *Response {
	d := document{
		Type: TypeBase + e.Problem.Name, Title: e.Problem.Title, Status: e.Problem.Status, Detail: e.Detail,
		RequestID: requestID, System: e.System, Pool: e.Pool, SystemCode: e.SystemCode, Violations: e.Violations,
		Problems: e.Problems, Changes: e.Changes, Uses: e.Uses,
	}
	h := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}}
	if e.RetryAfter > 0 {
		d.RetryAfter = int(math.Ceil(e.RetryAfter.Seconds()))
		h["Retry-After"] = []string{strconv.Itoa(d.RetryAfter)}
	}
	if e.Challenge != "" {
		h["Www-Authenticate"] = []string{e.Challenge}
	}
	if e.Allow != "" {
		h["Allow"] = []string{e.Allow}
	}
	body, err := json.Marshal(d)
	if err != nil {
		body = []byte(`{"type":"urn:headrace:problem:internal","status":500}`)
	}
	return &Response{Status: e.Problem.Status, Header: h, Bytes: append(body, '\n'), Length: int64(len(body) + 1)}
}
