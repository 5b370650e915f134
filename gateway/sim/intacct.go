package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// intacct builds Sage Intacct: 2 calls at once, counted when they overlap for
// more than 2 seconds; transactions, one for each element of a batch, of which
// 100 000 a month are included and the rest billed, not refused. Source:
// developer.sage.com/intacct, transaction volume and concurrency. The default of 2,
// the 100 000 and the code GW-0010 are reported by third parties.
func intacct(s *Server, o Options) {
	age := 2 * time.Second
	if o.Age > 0 {
		age = o.Age
	}
	transactions, month := o.requests(100_000, 30*24*time.Hour)
	s.weighs = true
	s.limits = []*limit{
		{name: "concurrency", source: aged(orElse(o.Concurrency, 2), o.span(age)), refuse: func(v *visit, _ refusal) answer {
			const text = "The number of concurrent requests for this company is exceeded."
			if strings.HasSuffix(v.r.URL.Path, ".phtml") {
				return answer{status: http.StatusTooManyRequests, header: http.Header{"Content-Type": {"application/xml"}}, body: `<?xml version="1.0" encoding="UTF-8"?>` +
					`<response><control><status>failure</status></control><errormessage><error><errorno>GW-0010</errorno><description2>` + text + `</description2></error></errormessage></response>`}
			}
			return intacctError(http.StatusTooManyRequests, "GW-0010", text)
		}},
		{name: "transactions", source: fixed(transactions, month, nil), cost: elements, billed: true},
	}
	s.failure = func(status int, text string) answer { return intacctError(status, "invalidRequest", text) }
	s.handle("POST /ia/xml/xmlgw.phtml", func(s *Server, _ *http.Request, body map[string]any) answer {
		text, _ := body["xml"].(string)
		if text == "" {
			return s.failure(http.StatusBadRequest, "The body is no XML.")
		}
		results := strings.Repeat("<result><status>success</status></result>", max(1, strings.Count(text, "<function")))
		return answer{
			status: http.StatusOK, header: http.Header{"Content-Type": {"application/xml"}}, idle: !strings.Contains(text, "<create"),
			body: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><response><control><status>success</status></control><operation>%s</operation></response>`, results),
		}
	})
	const root = "/ia/api/v1/objects/"
	wrap := func(found []record) any {
		return record{"ia::result": found, "ia::meta": record{"totalCount": len(found)}}
	}
	s.handle("GET "+root+"accounts-receivable/customer", listing(customersOf, wrap))
	s.handle("GET "+root+"inventory-control/item", listing(itemsOf, wrap))
	s.handle("GET "+root+"accounts-receivable/invoice", listing(placedOf, wrap))
	s.handle("POST "+root+"accounts-receivable/invoice", adding(http.StatusCreated, as("ia::result")))
}

func intacctError(status int, code, text string) answer {
	return answer{status: status, body: record{"ia::result": record{"ia::error": record{"code": code, "message": text}}}}
}
