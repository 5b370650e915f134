package sim

import (
	"fmt"
	"math"
	"net/http"
	"time"
)

// btpToken builds the token endpoint of XSUAA: 60 calls a second for a
// subaccount; more are queued and served at that rate, still more are refused.
// Source: SAP-docs/btp-cloud-platform, 60-security/rate-limiting-d203e2d.md. The
// length of the queue is not published: 120 here.
func btpToken(s *Server, o Options) {
	rate := o.rate(60)
	burst := math.Max(1, rate/o.Scale)
	s.limits = []*limit{{name: "tokens", source: leaky(burst, rate, 120), refuse: func(_ *visit, f refusal) answer {
		h := f.retryAfter()
		h.Set("Content-Type", "text/html")
		return answer{status: http.StatusTooManyRequests, header: h, body: "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"}
	}}}
	s.failure = func(status int, text string) answer {
		return answer{status: status, body: record{"error": "invalid_request", "error_description": text}}
	}
	issued := 0
	s.fresh = func() { issued = 0 }
	s.handle("POST /oauth/token", func(_ *Server, _ *http.Request, body map[string]any) answer {
		if body["grant_type"] == nil {
			return s.failure(http.StatusBadRequest, "grant_type is missing")
		}
		issued++
		return answer{status: http.StatusOK, idle: true, body: record{
			"access_token": fmt.Sprintf("simulated-%d", issued), "token_type": "bearer", "expires_in": int(o.span(12 * time.Hour).Seconds()), "scope": "uaa.resource",
		}}
	})
}
