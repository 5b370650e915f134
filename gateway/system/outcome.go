package system

import (
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
)

// Outcome is what an attempt came to.
type Outcome uint8

// The outcomes.
const (
	// Delivered requests have been done and answered.
	Delivered Outcome = iota
	// Refused requests have not been done, and would not be if they were sent
	// again: the system said no, or the request cannot be made.
	Refused
	// Overload means that nothing was done because there was no room: by the
	// system's own word, or because its budget had none.
	Overload
	// Unavailable means that nothing was done because the system was not reached.
	Unavailable
	// Doubtful requests have left, and no answer is known. They may have been
	// done, or may still be.
	Doubtful
	// Abandoned requests have lost their caller before they were sent.
	Abandoned

	// expired means that the system did not accept the credential; nothing was done.
	expired
)

// Outcomes lists the words for outcomes, as they stand on metrics.
var Outcomes = [...]string{"delivered", "refused", "overload", "unavailable", "doubtful", "abandoned"}

func (o Outcome) String() string {
	if o == expired {
		return "refused"
	}
	return Outcomes[o]
}

// Result is what became of a request.
type Result struct {
	Outcome Outcome
	// Response is the answer for the caller: of a delivered request, or the
	// system's own answer to one that it refused. It is nil when Err is set. A
	// Body must be read to its end or closed.
	Response *gateway.Response
	Err      *gateway.Error
	// RetryAfter is when it may be sent again, by the system's own word; zero
	// when there is none.
	RetryAfter time.Duration
	// Wait was spent in line for the budget, Took at the system, over all
	// Attempts, which are the calls that were sent.
	Wait, Took time.Duration
	Attempts   int

	pool    string // the limit that the system complained of
	wide    bool   // it asks for a pause of all limits, whichever that is
	locked  bool   // the system does not accept the gateway's credentials
	reports []budget.PoolReport
	fault   bool // counts against the system, whatever the outcome
	unsent  bool // nothing has left
	unknown bool // the system may still be at it
	// saturated tells that the system had no room although the outcome is another.
	saturated bool
	alone     bool // a batch could not be sent; nothing was done
	unheard   bool // a kept connection ended before anything of an answer came
	value     any  // the result of a call that another one follows
}

// fail makes the result of a request that gets an error.
func fail(o Outcome, e *gateway.Error) *Result { return &Result{Outcome: o, Err: e} }

// unsent makes the result of a request that has not left.
func unsent(o Outcome, e *gateway.Error) *Result { return &Result{Outcome: o, Err: e, unsent: true} }

// after adds the time and the attempts of what went before.
func (r *Result) after(earlier *Result) *Result {
	r.Wait += earlier.Wait
	r.Took += earlier.Took
	r.Attempts += earlier.Attempts
	return r
}

// Running tells that no answer came, so that the system may still be at it.
func (r *Result) Running() bool { return r.unknown }

// Sent tells that something has left for the system.
func (r *Result) Sent() bool { return !r.unsent }

// Locked tells that the system does not accept the gateway's own credentials:
// the request is not at fault, and nothing was done.
func (r *Result) Locked() bool { return r.locked }

// Alone tells that the batch which the request was packed into was refused as a
// whole, so that nothing of it was done: the request has to be sent by itself.
func (r *Result) Alone() bool { return r.alone }
