package sim

import (
	"hash/fnv"
	"net/http"
	"strconv"
	"time"
)

// xero builds the accounting system. Per app and tenant: 5 calls at once, 60 a
// minute, 5000 a day that begins at a time of each tenant's own; per app 10 000
// a minute. Source: developer.xero.com/faq/limits, XeroAPI/Xero-OpenAPI. That a
// key is kept for 6 minutes, and that repeated calls count, is told by digests only.
func xero(s *Server, o Options) {
	requests, minute := o.requests(60, time.Minute)
	day := o.span(24 * time.Hour)
	problem := func(name string, hint bool) func(*visit, refusal) answer {
		return func(_ *visit, f refusal) answer {
			h := http.Header{"X-Rate-Limit-Problem": {name}}
			if hint {
				h.Set("Retry-After", strconv.Itoa(f.seconds()))
			}
			return answer{status: http.StatusTooManyRequests, header: h}
		}
	}
	perMinute := &limit{name: "minute", source: sliding(requests, minute), scope: appAndTenant, refuse: problem("minute", true)}
	perDay := &limit{name: "day", source: fixed(5000, day, phaseIn(day)), scope: appAndTenant, refuse: problem("day", true)}
	perApp := &limit{name: "app-minute", source: sliding(10_000, o.span(time.Minute)), scope: byAuthorization, refuse: problem("appminute", true)}
	atOnce := &limit{name: "concurrent", source: atOnce(orElse(o.Concurrency, 5)), scope: appAndTenant, refuse: problem("concurrent", false)}
	s.limits = []*limit{perMinute, perDay, perApp, atOnce}
	s.finish = func(v *visit, a *answer) {
		now := time.Now()
		for name, l := range map[string]*limit{"X-MinLimit-Remaining": perMinute, "X-DayLimit-Remaining": perDay, "X-AppMinLimit-Remaining": perApp} {
			a.header.Set(name, strconv.FormatFloat(l.left(v, now), 'f', 0, 64))
		}
	}
	s.failure = func(status int, text string) answer {
		return answer{status: status, body: record{"ErrorNumber": 10, "Type": "ValidationException", "Message": text}}
	}
	replies := &remembered{keep: o.span(6 * time.Minute)}
	s.fresh = replies.clear
	const root = "/api.xro/2.0/"
	for set, records := range map[string]func(*data) []record{"Invoices": invoicesOf, "Contacts": customersOf, "Items": itemsOf, "PurchaseOrders": placedOf} {
		s.handle("GET "+root+set, listing(records, under(set)))
		add := replies.once(func(r *http.Request) string { return r.Header.Get("Idempotency-Key") }, adding(http.StatusOK, func(rec record) any { return record{set: []record{rec}} }))
		s.handle("PUT "+root+set, add)
		s.handle("POST "+root+set, add)
	}
}

func appAndTenant(v *visit) string {
	return v.r.Header.Get("Authorization") + " " + v.r.Header.Get("Xero-Tenant-Id")
}

// phaseIn gives every scope a beginning of its window of its own.
func phaseIn(window time.Duration) func(string) time.Duration {
	return func(scope string) time.Duration {
		h := fnv.New64a()
		h.Write([]byte(scope))
		return time.Duration(h.Sum64() % uint64(window))
	}
}
