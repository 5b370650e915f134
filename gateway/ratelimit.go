package gateway

import (
	"math"
	"strconv"
	"time"
)

// RateLimit tells callers about a limit by the header fields RateLimit-Policy
// and RateLimit of draft-ietf-httpapi-ratelimit-headers-11.
type RateLimit struct {
	policy, start string
}

// NewRateLimit prepares the fields of a limit. The name distinguishes it from
// the other limits of a call. The window is told in whole seconds, and not at
// all when it is zero. The unit is requests when it is empty.
func NewRateLimit(name string, quota int64, window time.Duration, unit string) RateLimit {
	policy := strconv.Quote(name) + ";q=" + strconv.FormatInt(quota, 10)
	if unit != "" {
		policy += ";qu=" + strconv.Quote(unit)
	}
	if window > 0 {
		policy += ";w=" + strconv.FormatInt(wholeSeconds(window), 10)
	}
	return RateLimit{policy: policy, start: strconv.Quote(name) + ";r="}
}

// Set has the fields sent with the answer, whatever it will be. The effective
// window t is the time until the limit is full again or, when nothing is left,
// until the next call: never later than Retry-After.
func (l RateLimit) Set(x *Exchange, v Verdict) {
	window := v.Reset
	if v.Remaining == 0 {
		window = v.RetryAfter
	}
	var buffer [64]byte
	b := append(buffer[:0], l.start...)
	b = strconv.AppendInt(b, v.Remaining, 10)
	if window > 0 {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, wholeSeconds(window), 10)
	}
	x.headers = append(x.headers, headerField{"Ratelimit-Policy", l.policy}, headerField{"Ratelimit", string(b)})
}

func wholeSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// OnStoreError says what becomes of a call that the counters cannot count: it
// passes (open), is refused (closed), or is counted by this process alone (local).
type OnStoreError string

// The values of OnStoreError.
const (
	StoreErrorOpen   OnStoreError = "open"
	StoreErrorClosed OnStoreError = "closed"
	StoreErrorLocal  OnStoreError = "local"
)

// Uncounted decides about a call that the counters could not count: nil lets
// it pass, and err stays in the log. Otherwise the caller is refused for now.
func (x *Exchange) Uncounted(err error, open bool) error {
	switch {
	case x.Context().Err() != nil:
		return err
	case open:
		x.Record.Cause = err
		return nil
	}
	return &Error{Problem: NotReady, Detail: "the caller's limits cannot be checked now", RetryAfter: time.Second, Cause: err}
}

// Admission lets calls through as far as a limit goes, and tells callers about it.
type Admission struct {
	Limit Limit
	// Local is asked when Limit fails; nobody is when it is nil.
	Local     Limit
	Partition Partition
	Fields    RateLimit
	// Open lets calls pass when the counters fail, and Local too.
	Open bool
	// Refusal and Detail are what callers beyond the limit get.
	Refusal Problem
	Detail  string
}

// Policy makes the policy.
func (a *Admission) Policy() Policy {
	return func(next Handler) Handler {
		return func(x *Exchange) (*Response, error) {
			if err := a.admit(x); err != nil {
				return nil, err
			}
			return next(x)
		}
	}
}

func (a *Admission) admit(x *Exchange) error {
	key := a.Partition.Key(x)
	v, err := a.Limit.Take(x.Context(), key)
	if err != nil && a.Local != nil && x.Context().Err() == nil {
		x.Record.Cause = err
		v, err = a.Local.Take(x.Context(), key)
	}
	if err != nil {
		return x.Uncounted(err, a.Open)
	}
	a.Fields.Set(x, v)
	if v.OK {
		return nil
	}
	return &Error{Problem: a.Refusal, Detail: a.Detail, RetryAfter: v.RetryAfter}
}
