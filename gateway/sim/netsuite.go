package sim

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// recordPath is where NetSuite's REST record API stands.
const recordPath = "/services/rest/record/v1/"

// netsuite builds the ERP. 15 calls at once is the Premium tier. Source: Oracle
// NetSuite help, Integration Concurrency Governance.
func netsuite(s *Server, o Options) {
	account := &limit{name: "account-concurrency", source: atOnce(orElse(o.Concurrency, 15)), overshoot: o.Overshoot, refuse: tooManyAtOnce}
	s.limits = []*limit{account}
	s.failure = func(status int, text string) answer { return recordError(status, "UNEXPECTED_ERROR", text) }
	for name, records := range map[string]*[]record{
		"salesOrder": &s.data.orders, "invoice": &s.data.invoices, "inventoryItem": &s.data.items,
		"vendor": &s.data.vendors, "customer": &s.data.customers,
	} {
		s.handle("GET "+recordPath+name, listRecords(name, records))
		s.handle("GET "+recordPath+name+"/{id}", getRecord(records))
	}
	s.handle("POST "+recordPath+"salesOrder", createOrder)
	s.handle("PUT "+recordPath+"salesOrder/{id}", upsertOrder)
	s.handle("PATCH "+recordPath+"salesOrder/{id}", patchOrder)
	s.handle("GET /services/rest/system/v1/governanceLimits", func(*Server, *http.Request, map[string]any) answer {
		return answer{status: http.StatusOK, body: record{
			"accountConcurrencyLimit": account.capacity, "accountUnallocatedConcurrencyLimit": account.capacity, "integrationLimitType": "accountLimit",
		}}
	})
	s.handle("POST /app/site/hosting/restlet.nl", func(_ *Server, _ *http.Request, body map[string]any) answer {
		return answer{status: http.StatusOK, body: record{"success": true, "echo": body}}
	})
	s.handle("POST /services/{port}", func(_ *Server, _ *http.Request, body map[string]any) answer {
		text, _ := body["xml"].(string)
		if !strings.Contains(text, "getAccountGovernanceInfo") {
			return soap(http.StatusOK, `<getServerTimeResponse xmlns="urn:messages.platform.webservices.netsuite.com"/>`)
		}
		return soap(http.StatusOK, fmt.Sprintf(`<getAccountGovernanceInfoResponse xmlns="urn:messages.platform.webservices.netsuite.com"><getAccountGovernanceInfoResult>`+
			`<accountConcurrencyLimit>%[1]v</accountConcurrencyLimit><unallocatedConcurrencyLimit>%[1]v</unallocatedConcurrencyLimit>`+
			`</getAccountGovernanceInfoResult></getAccountGovernanceInfoResponse>`, account.capacity))
	})
}

func soap(status int, body string) answer {
	return answer{
		status: status, header: http.Header{"Content-Type": {"text/xml; charset=utf-8"}}, idle: true,
		body: `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` + body + `</soapenv:Body></soapenv:Envelope>`,
	}
}

// tooManyAtOnce has three faces: RESTlets answer 400 with a SuiteScript code,
// SOAP 500 with a fault, the REST record API 429. None says when to come back.
func tooManyAtOnce(v *visit, _ refusal) answer {
	switch {
	case strings.HasSuffix(v.r.URL.Path, "/restlet.nl"):
		return answer{status: http.StatusBadRequest, body: record{
			"error": record{"code": "SSS_REQUEST_LIMIT_EXCEEDED", "message": "Request limit exceeded."},
		}}
	case strings.Contains(v.r.URL.Path, "NetSuitePort_"):
		return soap(http.StatusInternalServerError, `<soapenv:Fault><faultcode>soapenv:Server.userException</faultcode>`+
			`<faultstring>SuiteTalk concurrent request limit exceeded. Request blocked.</faultstring><detail>`+
			`<platformFaults:exceededConcurrentRequestLimitFault xmlns:platformFaults="urn:faults_2025_2.platform.webservices.netsuite.com">`+
			`<platformFaults:code>WS_REQUEST_BLOCKED</platformFaults:code>`+
			`<platformFaults:message>SuiteTalk concurrent request limit exceeded. Request blocked.</platformFaults:message>`+
			`</platformFaults:exceededConcurrentRequestLimitFault></detail></soapenv:Fault>`)
	}
	return recordError(http.StatusTooManyRequests, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked.")
}

// recordError is an error in the record API's envelope.
func recordError(status int, code, detail string) answer {
	return answer{
		status: status, header: http.Header{"Content-Type": {"application/vnd.oracle.resource+json; type=error"}},
		body: record{
			"type": "https://www.rfc-editor.org/rfc/rfc9110.html#section-15", "title": http.StatusText(status), "status": status,
			"o:errorDetails": []any{record{"detail": detail, "o:errorCode": code}},
		},
	}
}

// condition is one part of a q parameter: FIELD IS "value", where FIELD may
// lead into a record by dots.
var condition = regexp.MustCompile(`^\s*([A-Za-z.]+)\s+IS\s+"?([^"]*)"?\s*$`)

func listRecords(name string, records *[]record) handler {
	return func(_ *Server, r *http.Request, _ map[string]any) answer {
		q := r.URL.Query()
		limit, offset, ok := page(q, 1000)
		if !ok {
			return recordError(http.StatusBadRequest, "INVALID_PARAMETER", "limit is 1 to 1000, offset not negative")
		}
		matched := []record{}
		for _, rec := range *records {
			fits, err := matches(rec, q.Get("q"))
			if err != nil {
				return recordError(http.StatusBadRequest, "INVALID_PARAMETER", err.Error())
			}
			if fits {
				matched = append(matched, rec)
			}
		}
		items := slicePage(matched, offset, limit)
		return answer{status: http.StatusOK, body: record{
			"links": []any{record{"rel": "self", "href": recordPath + name}}, "count": len(items), "hasMore": offset+len(items) < len(matched),
			"items": items, "offset": offset, "totalResults": len(matched),
		}}
	}
}

func matches(rec record, q string) (bool, error) {
	if q == "" {
		return true, nil
	}
	for part := range strings.SplitSeq(q, " AND ") {
		m := condition.FindStringSubmatch(part)
		if m == nil {
			return false, fmt.Errorf("the condition %q is not FIELD IS \"value\"", part)
		}
		var value any = rec
		for name := range strings.SplitSeq(m[1], ".") {
			inner, _ := value.(record)
			value = inner[name]
		}
		if fmt.Sprint(value) != m[2] {
			return false, nil
		}
	}
	return true, nil
}

func page(q url.Values, most int) (limit, offset int, ok bool) {
	number := func(name string, def int) int {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return -1
			}
			return n
		}
		return def
	}
	limit, offset = number("limit", min(most, 100)), number("offset", 0)
	return limit, offset, limit > 0 && limit <= most && offset >= 0
}

func slicePage(records []record, offset, limit int) []record {
	offset = min(offset, len(records))
	return records[offset:min(offset+limit, len(records))]
}

// byID finds a record by its internal id, or by its external one (eid:ID).
func byID(records []record, id string) record {
	if external, ok := strings.CutPrefix(id, "eid:"); ok {
		return find(records, "externalId", external)
	}
	return find(records, "id", id)
}

func notFound() answer {
	return recordError(http.StatusNotFound, "NONEXISTENT_ID", "The record instance does not exist.")
}

func getRecord(records *[]record) handler {
	return func(_ *Server, r *http.Request, _ map[string]any) answer {
		if rec := byID(*records, r.PathValue("id")); rec != nil {
			return answer{status: http.StatusOK, body: rec}
		}
		return notFound()
	}
}

// createOrder answers as NetSuite does: 204 with the place of the new record.
func createOrder(s *Server, _ *http.Request, body map[string]any) answer {
	if external, _ := body["externalId"].(string); external != "" && find(s.data.orders, "externalId", external) != nil {
		return recordError(http.StatusBadRequest, "DUP_RCRD", "This record already exists: externalId "+external)
	}
	order, refusal := s.newOrder(body)
	if refusal != nil {
		return *refusal
	}
	return created(order)
}

func created(order record) answer {
	return answer{status: http.StatusNoContent, header: http.Header{"Location": {recordPath + "salesOrder/" + order["id"].(string)}}}
}

// maxOrders bounds the memory of a simulator that runs for long.
const maxOrders = 200_000

func (s *Server) newOrder(body map[string]any) (record, *answer) {
	refuse := func(code, detail string) (record, *answer) {
		a := recordError(http.StatusBadRequest, code, detail)
		return nil, &a
	}
	if len(s.data.orders) >= maxOrders {
		return refuse("RECORD_LIMIT", "The simulator holds no more orders; reset it.")
	}
	entity, _ := body["entity"].(map[string]any)
	customer := find(s.data.customers, "id", fmt.Sprint(entity["id"]))
	if customer == nil {
		return refuse("USER_ERROR", "Please enter value(s) for: Customer.")
	}
	item, _ := body["item"].(map[string]any)
	given, _ := item["items"].([]any)
	if len(given) == 0 {
		return refuse("USER_ERROR", "You must enter at least one line item for this transaction.")
	}
	var lines []any
	total := 0.0
	for n, g := range given {
		line, _ := g.(map[string]any)
		ref, _ := line["item"].(map[string]any)
		rec := find(s.data.items, "id", fmt.Sprint(ref["id"]))
		if name, ok := ref["refName"].(string); ok && rec == nil {
			rec = find(s.data.items, "itemId", name)
		}
		if rec == nil {
			return refuse("INVALID_KEY_OR_REF", fmt.Sprintf("Invalid item reference key in line %d.", n+1))
		}
		if rec["isInactive"] == true {
			return refuse("INACTIVE_ITEM", fmt.Sprintf("The item %s is inactive.", rec["itemId"]))
		}
		quantity, ok := amount(line["quantity"])
		if !ok || quantity == 0 {
			return refuse("USER_ERROR", fmt.Sprintf("The quantity of line %d must be positive.", n+1))
		}
		rate := rec["basePrice"].(float64)
		if given := line["rate"]; given != nil {
			if rate, ok = amount(given); !ok {
				return refuse("USER_ERROR", fmt.Sprintf("The rate of line %d is not an amount.", n+1))
			}
		}
		total += rate * quantity
		lines = append(lines, record{"line": n + 1, "item": record{"id": rec["id"], "refName": rec["itemId"]}, "quantity": quantity, "rate": rate, "amount": cents(rate * quantity)})
	}
	id := s.data.id()
	order := record{
		"id": id, "tranId": "SO" + id, "entity": record{"id": customer["id"], "refName": customer["companyName"]}, "tranDate": day(0),
		"status": record{"id": "pendingFulfillment", "refName": "pendingFulfillment"}, "currency": record{"refName": "EUR"},
		"total": cents(total), "memo": body["memo"], "item": record{"items": lines},
	}
	if external, ok := body["externalId"].(string); ok {
		order["externalId"] = external
	}
	s.data.orders = append(s.data.orders, order)
	return order, nil
}

// amount reads a number that is not negative and small enough to be added up.
func amount(v any) (float64, bool) {
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	return f, err == nil && f >= 0 && f <= 1e6
}

// upsertOrder makes or replaces an order by its external id, so that sending
// it twice has one effect.
func upsertOrder(s *Server, r *http.Request, body map[string]any) answer {
	external, ok := strings.CutPrefix(r.PathValue("id"), "eid:")
	if !ok {
		return recordError(http.StatusMethodNotAllowed, "INVALID_METHOD", "PUT needs an external id: eid:ID.")
	}
	if old := find(s.data.orders, "externalId", external); old != nil {
		if memo, ok := body["memo"]; ok {
			old["memo"] = memo
		}
		return created(old)
	}
	body["externalId"] = external
	order, refusal := s.newOrder(body)
	if refusal != nil {
		return *refusal
	}
	return created(order)
}

func patchOrder(s *Server, r *http.Request, body map[string]any) answer {
	order := byID(s.data.orders, r.PathValue("id"))
	if order == nil {
		return notFound()
	}
	status, _ := order["status"].(record)
	if status["id"] == "billed" {
		return recordError(http.StatusBadRequest, "USER_ERROR", "A billed order cannot be changed.")
	}
	for _, key := range []string{"memo", "status"} {
		if v, ok := body[key]; ok {
			order[key] = v
		}
	}
	return created(order)
}
