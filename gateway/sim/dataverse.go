package sim

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dataverse builds the CRM with the service protection limits: per user and web
// server, 6000 requests and 1200 s of execution time in 300 s, and 52 calls at
// once. Source: Microsoft Learn, Service protection API limits.
func dataverse(s *Server, o Options) {
	pauses := &penalties{least: o.span(2 * time.Second), most: o.span(5 * time.Minute)}
	requests, window := o.requests(6000, 300*time.Second)
	spent := o.span(1200 * time.Second)
	protect := func(name, code, message string, of source) *limit {
		return &limit{name: name, source: of, scope: userOnNode, refuse: func(_ *visit, f refusal) answer {
			a := odataError(http.StatusTooManyRequests, code, message)
			a.header = http.Header{"Retry-After": {strconv.Itoa(int(pauses.next(f).Seconds()) + 1)}}
			return a
		}}
	}
	count := protect("requests", "0x80072322",
		fmt.Sprintf("Number of requests exceeded the limit of %.0f over time window of %v seconds.", requests, window.Seconds()), sliding(requests, window))
	execTime := protect("execution-time", "0x80072321",
		fmt.Sprintf("Combined execution time of incoming requests exceeded limit of %s milliseconds over time window of %v seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later.", grouped(spent.Milliseconds()), window.Seconds()),
		execution(sliding(spent.Seconds(), window)))
	together := protect("concurrency", "0x80072326",
		fmt.Sprintf("Number of concurrent requests exceeded the limit of %d.", orElse(o.Concurrency, 52)), atOnce(orElse(o.Concurrency, 52)))
	s.limits = []*limit{count, execTime, together}
	nodes := max(1, o.Nodes)
	arrivals := 0
	s.fresh = func() { pauses.until, arrivals = map[string]time.Time{}, 0 }
	s.prepare = func(v *visit) {
		v.node = arrivals % nodes
		if c, err := v.r.Cookie(affinity); err == nil {
			if n, err := strconv.Atoi(c.Value); err == nil && n >= 0 && n < nodes {
				v.node = n
				return
			}
		}
		arrivals++
	}
	// The vendor asks not to rely on the remaining headers: they are one server's.
	s.finish = func(v *visit, a *answer) {
		if nodes > 1 {
			a.header.Add("Set-Cookie", (&http.Cookie{Name: affinity, Value: strconv.Itoa(v.node), Path: "/", HttpOnly: true}).String())
		}
		if v.admitted {
			now := time.Now()
			a.header.Set("X-Ms-Ratelimit-Burst-Remaining-Xrm-Requests", strconv.FormatFloat(count.left(v, now), 'f', 0, 64))
			a.header.Set("X-Ms-Ratelimit-Time-Remaining-Xrm-Requests", strconv.FormatFloat(execTime.left(v, now), 'f', 2, 64))
		}
	}
	s.failure = func(status int, text string) answer { return odataError(status, "0x80040216", text) }
	s.handle("GET /api/data/v9.2/accounts", listAccounts)
	s.handle("GET /api/data/v9.2/salesorders", listSalesOrders)
	s.handle("POST /api/data/v9.2/salesorders", createSalesOrder)
	s.handle("GET /api/data/v9.2/{entity}", getEntity)
	s.handle("PATCH /api/data/v9.2/{entity}", patchEntity)
}

// affinity is the cookie that keeps a caller at one web server.
const affinity = "ARRAffinity"

func userOnNode(v *visit) string { return strconv.Itoa(v.node) + " " + v.r.Header.Get("Authorization") }

// grouped writes a number as the vendor does: 1,200,000.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

var odataEquals = regexp.MustCompile(`^(\w+) eq '((?:[^']|'')*)'$`)

func odataError(status int, code, message string) answer {
	return answer{status: status, body: record{"error": record{"code": code, "message": message}}}
}

// filterRows answers a collection: $filter=FIELD eq 'value', $top.
func filterRows(r *http.Request, set string, records []record) answer {
	q := r.URL.Query()
	field, value := "", ""
	if filter := q.Get("$filter"); filter != "" {
		m := odataEquals.FindStringSubmatch(filter)
		if m == nil {
			return odataError(http.StatusBadRequest, "0x80060888", "The filter is not FIELD eq 'value'.")
		}
		field, value = m[1], strings.ReplaceAll(m[2], "''", "'")
	}
	top, err := strconv.Atoi(q.Get("$top"))
	if err != nil || top <= 0 || top > 5000 {
		top = 5000
	}
	rows := []record{}
	for _, rec := range records {
		if (field == "" || fmt.Sprint(rec[field]) == value) && len(rows) < top {
			rows = append(rows, rec)
		}
	}
	return answer{status: http.StatusOK, header: http.Header{"Odata-Version": {"4.0"}}, body: record{"@odata.context": "/api/data/v9.2/$metadata#" + set, "value": rows}}
}

func listAccounts(s *Server, r *http.Request, _ map[string]any) answer {
	return filterRows(r, "accounts", s.data.accounts)
}

func listSalesOrders(s *Server, r *http.Request, _ map[string]any) answer {
	return filterRows(r, "salesorders", s.data.salesOrders)
}

// entitySet is what the Web API calls a table: its key, its alternate key, and
// the fields that callers may change.
type entitySet struct {
	id, alternate string
	fields        []string
	records       func(*data) *[]record
}

var entitySets = map[string]entitySet{
	"accounts":    {"accountid", "accountnumber", []string{"telephone1", "address1_city", "name"}, func(d *data) *[]record { return &d.accounts }},
	"salesorders": {"salesorderid", "ordernumber", []string{"name", "description", "totalamount"}, func(d *data) *[]record { return &d.salesOrders }},
}

var entityKey = regexp.MustCompile(`^(\w+)\((?:(\w+)='((?:[^']|'')*)'|([0-9a-f-]{36}))\)$`)

// entity finds the record of a path such as accounts(GUID) or
// accounts(accountnumber='C0001'). The key is the alternate one, where it was
// used; ok tells that the path can name a record at all.
func (s *Server) entity(r *http.Request) (set entitySet, rec record, key string, ok bool) {
	m := entityKey.FindStringSubmatch(r.PathValue("entity"))
	if m == nil {
		return set, nil, "", false
	}
	set, ok = entitySets[m[1]]
	switch {
	case !ok:
		return set, nil, "", false
	case m[4] != "":
		return set, find(*set.records(s.data), set.id, m[4]), "", true
	}
	key = strings.ReplaceAll(m[3], "''", "'")
	return set, find(*set.records(s.data), set.alternate, key), key, m[2] == set.alternate
}

func missing() answer {
	return odataError(http.StatusNotFound, "0x80040217", "The record does not exist.")
}

func getEntity(s *Server, r *http.Request, _ map[string]any) answer {
	if _, rec, _, ok := s.entity(r); ok && rec != nil {
		return answer{status: http.StatusOK, header: http.Header{"Odata-Version": {"4.0"}}, body: rec}
	}
	return missing()
}

// patchEntity changes a record. A sales order that is named by its number is
// made when there is none, so that sending it twice has one effect.
func patchEntity(s *Server, r *http.Request, body map[string]any) answer {
	set, rec, key, ok := s.entity(r)
	switch {
	case !ok, rec == nil && (key == "" || set.alternate != "ordernumber"):
		return missing()
	case rec == nil:
		body["ordernumber"] = key
		return createSalesOrder(s, r, body)
	}
	for _, name := range set.fields {
		if v, ok := body[name]; ok {
			rec[name] = v
		}
	}
	return answer{status: http.StatusNoContent}
}

// createSalesOrder answers as Dataverse does: 204 with the place of the new record.
func createSalesOrder(s *Server, _ *http.Request, body map[string]any) answer {
	number, _ := body["ordernumber"].(string)
	name, _ := body["name"].(string)
	total, ok := 0.0, true
	if given := body["totalamount"]; given != nil {
		total, ok = amount(given)
	}
	switch {
	case number == "" || name == "" || !ok:
		return odataError(http.StatusBadRequest, "0x80040203", "ordernumber and name are texts, totalamount is an amount.")
	case find(s.data.salesOrders, "ordernumber", number) != nil:
		return odataError(http.StatusPreconditionFailed, "0x80040237", "A record with matching key values already exists.")
	case len(s.data.salesOrders) >= maxOrders:
		return odataError(http.StatusInsufficientStorage, "0x80044150", "The simulator holds no more sales orders; reset it.")
	}
	rec := salesOrder(len(s.data.salesOrders), number, name, total)
	rec["description"] = body["description"]
	s.data.salesOrders = append(s.data.salesOrders, rec)
	return answer{status: http.StatusNoContent, header: http.Header{"Odata-Entityid": {fmt.Sprintf("/api/data/v9.2/salesorders(%s)", rec["salesorderid"])}}}
}

func salesOrder(i int, number, name string, total float64) record {
	return record{
		"salesorderid": fmt.Sprintf("50000000-0000-4000-8000-%012d", i+1), "ordernumber": number, "name": name,
		"totalamount": cents(total), "description": nil, "statecode": 0,
	}
}
