package sim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// s4hana builds SAP S/4HANA's OData V2 services: writes need a token that was
// fetched in the same session, changes need the version of what they change, and
// a RequestID makes a write repeatable. No limit is published: Concurrency is the
// number of dialog processes, beyond which the answer is 503. Sources: help.sap.com,
// SAP Gateway (ETag), saphelp_hba (RequestID, RepeatabilityCreation); that the
// overload is a 503 is an assumption.
func s4hana(s *Server, o Options) {
	s.limits = hiddenLimits(o, 10, unavailable, unavailable)
	sessions := &sessions{ttl: o.span(30 * time.Minute)}
	replies := &remembered{keep: o.span(24 * time.Hour)}
	s.fresh = func() {
		sessions.clear()
		replies.clear()
	}
	s.failure = sapError
	s.gate = func(v *visit) *answer { return csrfGate(v, sessions) }
	s.finish = func(v *visit, a *answer) { handToken(v, a, sessions) }
	d := func(rec record) any { return record{"d": rec} }
	results := func(found []record) any { return record{"d": record{"results": found}} }
	const orders = sapRoot + "API_SALES_ORDER_SRV/"
	s.handle("GET "+sapRoot+"API_BUSINESS_PARTNER/A_Customer", listing(customersOf, results))
	s.handle("GET "+sapRoot+"API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod", listing(stockOf, results))
	s.handle("GET "+orders+"A_SalesOrder", listing(placedOf, results))
	s.handle("POST "+orders+"A_SalesOrder", repeatable(replies, func(s *Server, r *http.Request, body map[string]any) answer {
		a := createTagged(s, r, body)
		if rec, ok := a.body.(record); ok && a.status == http.StatusCreated {
			a.body = d(rec)
		}
		return a
	}))
	s.handle("GET "+orders+"{entity}", withTagged(func(rec record, _ *http.Request, _ map[string]any) answer {
		return answer{status: http.StatusOK, header: http.Header{"Etag": {rec[etagField].(string)}}, body: d(rec)}
	}))
	s.handle("PATCH "+orders+"{entity}", withTagged(func(rec record, r *http.Request, body map[string]any) answer {
		switch r.Header.Get("If-Match") {
		case "":
			return sapError(http.StatusPreconditionRequired, "The If-Match header is missing.")
		case "*", rec[etagField]:
			change(rec, body)
			return answer{status: http.StatusNoContent, header: http.Header{"Etag": {rec[etagField].(string)}}}
		}
		return sapError(http.StatusPreconditionFailed, "The record was changed meanwhile.")
	}))
}

// csrfGate refuses a write without the token of its session.
func csrfGate(v *visit, sessions *sessions) *answer {
	if !strings.HasPrefix(v.r.URL.Path, sapRoot) || v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return nil
	}
	c, err := v.r.Cookie(sapSession)
	if err == nil && v.r.Header.Get("X-Csrf-Token") == "T"+c.Value && sessions.touch(c.Value, time.Now()) {
		return nil
	}
	return &answer{status: http.StatusForbidden, header: http.Header{"X-Csrf-Token": {"Required"}, "Content-Type": {"text/plain"}}, body: "CSRF token validation failed"}
}

// handToken answers who fetches a token, in the session that there is or in a new one.
func handToken(v *visit, a *answer, sessions *sessions) {
	if !v.admitted || !strings.EqualFold(v.r.Header.Get("X-Csrf-Token"), "fetch") || !strings.HasPrefix(v.r.URL.Path, sapRoot) {
		return
	}
	now := time.Now()
	id := ""
	if c, err := v.r.Cookie(sapSession); err == nil && sessions.touch(c.Value, now) {
		id = c.Value
	} else {
		id = sessions.open(now, "")
		a.header.Add("Set-Cookie", (&http.Cookie{Name: sapSession, Value: id, Path: "/", HttpOnly: true}).String())
	}
	a.header.Set("X-Csrf-Token", "T"+id)
}

const (
	sapRoot    = "/sap/opu/odata/sap/"
	sapSession = "SAP_SESSIONID_HDR_100"
)

func sapError(status int, text string) answer {
	return answer{status: status, body: record{"error": record{"code": "/IWBEP/CM_MGW_RT/" + strconv.Itoa(status), "message": record{"lang": "en", "value": text}}}}
}

// repeatable does the work of a RequestID once. The creation time belongs to it.
func repeatable(replies *remembered, work handler) handler {
	once := replies.once(func(r *http.Request) string { return r.Header.Get("RequestID") }, work)
	return func(s *Server, r *http.Request, body map[string]any) answer {
		if r.Header.Get("RequestID") == "" {
			return work(s, r, body)
		}
		if r.Header.Get("RepeatabilityCreation") == "" {
			return sapError(http.StatusBadRequest, "RequestID needs RepeatabilityCreation.")
		}
		a := once(s, r, body)
		if a.status < 300 {
			if a.header == nil {
				a.header = http.Header{}
			}
			a.header.Set("RepeatabilityResult", "accepted")
		}
		return a
	}
}
