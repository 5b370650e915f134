package sim

import (
	"net/http"
	"strings"
	"time"
)

// acumatica builds Acumatica ERP with a licence of 16 calls at once, 100 a minute
// and 10 sessions. A call above the 16 waits, up to 20 wait for 10 minutes at the
// most; from half of the calls a minute on, each is delayed so that the rest of
// the minute suffices. Source: Acumatica/Acumatica-AI-Resources,
// IS__con_License_Restrictions_API_Users.md and IS__con_Limitation_of_API_Connections.md;
// the numbers of 16 and 20 are its example, 100 and 10 are examples of licences.
func acumatica(s *Server, o Options) {
	sessions := &sessions{ttl: o.span(time.Hour)}
	s.limits = acumaticaLimits(o, sessions)
	s.failure = func(status int, text string) answer { return answer{status: status, body: record{"message": text}} }
	s.fresh = sessions.clear
	s.gate = func(v *visit) *answer { return acumaticaGate(v, sessions) }
	s.handle("POST /entity/auth/login", func(_ *Server, _ *http.Request, body map[string]any) answer {
		if body["name"] == nil || body["password"] == nil {
			return answer{status: http.StatusUnauthorized, body: record{"message": "Invalid credentials. Please try again."}}
		}
		c := &http.Cookie{Name: acumaticaSession, Value: sessions.open(time.Now(), ""), Path: "/", HttpOnly: true}
		return answer{status: http.StatusNoContent, header: http.Header{"Set-Cookie": {c.String()}}, idle: true}
	})
	s.handle("POST /entity/auth/logout", func(*Server, *http.Request, map[string]any) answer {
		return answer{status: http.StatusNoContent, idle: true}
	})
	const root = "/entity/{endpoint}/{version}/"
	bare := func(found []record) any { return found }
	for set, records := range map[string]func(*data) []record{"StockItem": itemsOf, "Customer": customersOf, "SalesOrder": placedOf} {
		s.handle("GET "+root+set, listing(records, bare))
	}
	s.handle("PUT "+root+"SalesOrder", putAcumaticaOrder)
}

func isLogin(v *visit) bool  { return v.r.URL.Path == "/entity/auth/login" }
func isLogout(v *visit) bool { return v.r.URL.Path == "/entity/auth/logout" }

func acumaticaLimits(o Options, sessions *sessions) []*limit {
	perMinute, minute := o.requests(100, time.Minute)
	pace := func() pacer { return &halfway{perMinute: int(perMinute), minute: minute} }
	declined := func(*visit) answer {
		return answer{status: http.StatusTooManyRequests, body: record{"message": "The request was declined because the limit of API requests was exceeded."}}
	}
	return []*limit{
		{
			name: "processed", source: inLine(orElse(o.Concurrency, 16), 20, o.span(10*time.Minute), pace),
			cost:   func(v *visit) float64 { return count(!isLogout(v)) }, // which is served at once
			refuse: func(v *visit, _ refusal) answer { return declined(v) }, late: declined,
		},
		{
			name: "sessions", source: seats(orElse(o.Sessions, 10), sessions), cost: func(v *visit) float64 { return count(isLogin(v)) },
			refuse: func(*visit, refusal) answer {
				return answer{status: http.StatusTooManyRequests, body: record{"message": "API login limit exceeded. Please try again later."}}
			},
		},
		{name: "minute", source: sliding(perMinute, minute), billed: true},
	}
}

// acumaticaGate refuses who is not logged in.
func acumaticaGate(v *visit, sessions *sessions) *answer {
	if !strings.HasPrefix(v.r.URL.Path, "/entity/") || isLogin(v) {
		return nil
	}
	c, err := v.r.Cookie(acumaticaSession)
	if err != nil || !sessions.touch(c.Value, time.Now()) {
		return &answer{status: http.StatusUnauthorized, body: record{"message": "You are not logged in."}}
	}
	if isLogout(v) {
		delete(sessions.last, c.Value)
	}
	return nil
}

// putAcumaticaOrder makes an order, or changes the one of the same number.
func putAcumaticaOrder(s *Server, _ *http.Request, body map[string]any) answer {
	flat := map[string]any{}
	for name, v := range body {
		if inner, ok := v.(map[string]any); ok {
			flat[name] = inner["value"]
		}
	}
	if number, _ := flat["OrderNbr"].(string); number != "" {
		if old := find(s.data.placed, "OrderNbr", number); old != nil {
			change(old, flat)
			return answer{status: http.StatusOK, body: valued(old)}
		}
	}
	return answer{status: http.StatusOK, body: valued(s.data.keep(flat))}
}

const acumaticaSession = ".ASPXAUTH"

// valued writes fields as the contract does: {"OrderNbr": {"value": "SO1"}}.
func valued(rec record) record {
	out := record{"id": rec["id"]}
	for name, v := range rec {
		if name != "id" && name != etagField && name != "version" {
			out[name] = record{"value": v}
		}
	}
	return out
}

// halfway is Acumatica's rule of delay: when at least half of the calls of a
// minute were processed in the last one, the next waits for (what is left of the
// minute that began with the first of them) ÷ (calls that are left).
type halfway struct {
	perMinute int
	minute    time.Duration
	starts    []time.Time // of the last minute, oldest first
}

func (h *halfway) delay(now time.Time) time.Duration {
	for len(h.starts) > 0 && now.Sub(h.starts[0]) >= h.minute {
		h.starts = h.starts[1:]
	}
	n := len(h.starts)
	if n == 0 || 2*n < h.perMinute {
		return 0
	}
	left := h.starts[0].Add(h.minute).Sub(now)
	if n >= h.perMinute {
		return left
	}
	return left / time.Duration(h.perMinute-n)
}

func (h *halfway) started(now time.Time) { h.starts = append(h.starts, now) }
func (h *halfway) clear()                { h.starts = nil }
