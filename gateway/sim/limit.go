package sim

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// accountConcurrency is NetSuite's limit: calls under way in the account, over
// REST, RESTlets and SOAP together. Source: Oracle NetSuite help, Integration
// Concurrency Governance.
type accountConcurrency struct {
	limit int
}

func (c *accountConcurrency) admit(r *http.Request, _ time.Time, inFlight int) *answer {
	if inFlight < c.limit {
		return nil
	}
	return c.refuse(r)
}

func (*accountConcurrency) done(*http.Request, time.Duration) {}

// refuse has two faces: RESTlets answer 400 with a SuiteScript code, the REST
// record API 429. Neither says when to come back.
func (*accountConcurrency) refuse(r *http.Request) *answer {
	if strings.HasSuffix(r.URL.Path, "/restlet.nl") {
		return &answer{status: http.StatusBadRequest, body: map[string]any{
			"error": map[string]any{"code": "SSS_REQUEST_LIMIT_EXCEEDED", "message": "Request limit exceeded."},
		}}
	}
	a := recordError(http.StatusTooManyRequests, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked.")
	return &a
}

// serviceProtection is Dataverse's: per user, 6000 requests and 1200 s of
// execution time in 300 s, and 52 calls at once. Source: Microsoft Learn,
// Service protection API limits.
type serviceProtection struct {
	requests    int
	window      time.Duration
	execution   time.Duration
	concurrency int
	users       map[string]*protectedUser
}

type protectedUser struct {
	calls   []*protectedCall // of the last window, oldest first
	running map[*http.Request]*protectedCall
	spent   time.Duration
	penalty time.Time
}

type protectedCall struct {
	at   time.Time
	took time.Duration
}

func (p *serviceProtection) user(r *http.Request) *protectedUser {
	name := r.Header.Get("Authorization")
	u := p.users[name]
	if u == nil && len(p.users) >= maxUsers {
		p.forget(time.Now())
		if len(p.users) >= maxUsers {
			name = "" // the rest are counted as one
			u = p.users[name]
		}
	}
	if u == nil {
		u = &protectedUser{running: map[*http.Request]*protectedCall{}}
		p.users[name] = u
	}
	return u
}

// maxUsers bounds the users that are counted apart.
const maxUsers = 1000

// forget drops the users that have no call in the window any more.
func (p *serviceProtection) forget(now time.Time) {
	maps.DeleteFunc(p.users, func(_ string, u *protectedUser) bool {
		p.trim(u, now)
		return len(u.calls) == 0 && len(u.running) == 0 && now.After(u.penalty)
	})
}

// trim takes out the calls that have left the window.
func (p *serviceProtection) trim(u *protectedUser, now time.Time) {
	for len(u.calls) > 0 && now.Sub(u.calls[0].at) > p.window {
		u.spent -= u.calls[0].took
		u.calls = u.calls[1:]
	}
}

// remaining are the headers of every answer. The vendor asks not to rely on them.
func (p *serviceProtection) remaining(r *http.Request) http.Header {
	u := p.user(r)
	return http.Header{
		"X-Ms-Ratelimit-Burst-Remaining-Xrm-Requests": {strconv.Itoa(max(0, p.requests-len(u.calls)))},
		"X-Ms-Ratelimit-Time-Remaining-Xrm-Requests":  {strconv.FormatFloat(max(0, p.execution-u.spent).Seconds(), 'f', 2, 64)},
	}
}

func (p *serviceProtection) admit(r *http.Request, now time.Time, _ int) *answer {
	u := p.user(r)
	p.trim(u, now)
	room := time.Duration(0) // until the first call leaves the window
	if len(u.calls) > 0 {
		room = u.calls[0].at.Add(p.window).Sub(now)
	}
	switch {
	case len(u.running) >= p.concurrency:
		return u.refused(now, 0, "0x80072326", fmt.Sprintf("Number of concurrent requests exceeded the limit of %d.", p.concurrency))
	case len(u.calls) >= p.requests:
		return u.refused(now, room, "0x80072322", fmt.Sprintf("Number of requests exceeded the limit of %d over time window of %.0f seconds.", p.requests, p.window.Seconds()))
	case u.spent >= p.execution:
		return u.refused(now, room, "0x80072321", fmt.Sprintf("Combined execution time of incoming requests exceeded limit of %s milliseconds over time window of %.0f seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later.", grouped(p.execution.Milliseconds()), p.window.Seconds()))
	}
	call := &protectedCall{at: now}
	u.running[r] = call
	u.calls = append(u.calls, call)
	return nil
}

// grouped writes a number as the vendor does: 1,200,000.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// refused tells the user to pause until there is room, two seconds at least,
// and longer each time while the user keeps sending.
func (u *protectedUser) refused(now time.Time, room time.Duration, code, message string) *answer {
	pause := max(2*time.Second, room)
	if left := u.penalty.Sub(now); left > 0 {
		pause = max(pause, min(2*left, 5*time.Minute))
	}
	u.penalty = now.Add(pause)
	return &answer{
		status: http.StatusTooManyRequests,
		header: http.Header{"Retry-After": {strconv.Itoa(int(pause.Seconds()) + 1)}},
		body:   map[string]any{"error": map[string]any{"code": code, "message": message}},
	}
}

func (p *serviceProtection) done(r *http.Request, took time.Duration) {
	u := p.user(r)
	call := u.running[r]
	delete(u.running, r)
	if call == nil {
		return
	}
	call.took = took
	if time.Since(call.at) <= p.window {
		u.spent += took
	} else {
		call.took = 0 // it has left the window already
	}
}

func (p *serviceProtection) refuse(r *http.Request) *answer {
	return p.user(r).refused(time.Now(), 0, "0x80072322", fmt.Sprintf("Number of requests exceeded the limit of %d over time window of %.0f seconds.", p.requests, p.window.Seconds()))
}

// plainConcurrency answers 429 above a number of calls at once.
type plainConcurrency struct {
	limit int
}

func (c plainConcurrency) admit(_ *http.Request, _ time.Time, inFlight int) *answer {
	if inFlight < c.limit {
		return nil
	}
	return &answer{status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {"1"}}, body: map[string]any{"error": "too many requests at once"}}
}

func (plainConcurrency) done(*http.Request, time.Duration) {}
