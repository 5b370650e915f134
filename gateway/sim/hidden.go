package sim

import (
	"net/http"
	"time"
)

// Systems whose vendors publish no number: they have a capacity all the same,
// which only their refusals show. Concurrency and Rate set it.

// hiddenLimits are calls at once, and calls a second where a rate is given.
func hiddenLimits(o Options, atMost int, busy, fast func(*visit, refusal) answer) []*limit {
	limits := []*limit{{name: "resources", source: atOnce(orElse(o.Concurrency, atMost)), refuse: busy}}
	if o.Rate > 0 {
		limits = append(limits, &limit{name: "rate", source: sliding(o.rate(0), time.Second), refuse: fast})
	}
	return limits
}

func unavailable(*visit, refusal) answer {
	return answer{
		status: http.StatusServiceUnavailable, header: http.Header{"Content-Type": {"text/html"}},
		body: "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>",
	}
}

func tooFast(_ *visit, f refusal) answer {
	return answer{status: http.StatusTooManyRequests, header: f.retryAfter(), body: record{"error": "Too many requests."}}
}
