package sim

import (
	"net/http"
	"strconv"
	"time"
)

// frappe builds ERPNext with its rate limiter turned on: 600 s of execution time
// in each hour by the clock, charged after the answer, so that calls under way
// overshoot. Source: frappe/frappe, frappe/rate_limiter.py; 600 s an hour is the
// example of its documentation. Requests replaces the 600.
func frappe(s *Server, o Options) {
	spent, window := o.requests(600, time.Hour)
	spent /= o.Scale
	hour := &limit{name: "execution-time", source: execution(fixed(spent, window, nil)), refuse: func(*visit, refusal) answer {
		return answer{status: http.StatusTooManyRequests, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body: "Too Many Requests"}
	}}
	s.limits = []*limit{hour}
	s.finish = func(v *visit, a *answer) {
		now := time.Now()
		left := window - time.Duration(now.UnixNano()%int64(window))
		reset := strconv.Itoa(int(left.Seconds()))
		a.header.Set("X-Ratelimit-Limit", micro(spent))
		a.header.Set("X-Ratelimit-Remaining", micro(hour.left(v, now)))
		a.header.Set("X-Ratelimit-Reset", reset)
		if v.admitted {
			a.header.Set("X-Ratelimit-Used", micro(now.Sub(v.at).Seconds()))
		} else if a.status == http.StatusTooManyRequests {
			a.header.Set("Retry-After", reset)
		}
	}
	s.failure = func(status int, text string) answer {
		return answer{status: status, body: record{"exc_type": "ValidationError", "exception": text}}
	}
	for set, records := range map[string]func(*data) []record{
		"Item": itemsOf, "Customer": customersOf, "Bin": stockOf, "Sales Invoice": invoicesOf, "Sales Order": placedOf,
	} {
		s.handle("GET /api/resource/"+set, listing(records, under("data")))
	}
	s.handle("POST /api/resource/Sales Order", adding(http.StatusOK, as("data")))
}

// micro writes seconds as microseconds.
func micro(seconds float64) string { return strconv.FormatInt(int64(seconds*1e6), 10) }
