package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// businessOne builds the Service Layer of SAP Business One: a session in two
// cookies, of which one names the node that knows it; 401 when it is lost, and
// Apache's "502 Proxy Error" when a node has too much to do. No limit is published:
// Concurrency is what one node takes at once. Source: bgmulinari/B1SLayer and its issue 78.
func businessOne(s *Server, o Options) {
	sessions := &sessions{ttl: o.span(30 * time.Minute)}
	nodes, arrivals := max(1, o.Nodes), 0
	s.limits = []*limit{{name: "node", source: atOnce(orElse(o.Concurrency, 8)), scope: byNode, refuse: func(v *visit, _ refusal) answer {
		return proxyError(v.r)
	}}}
	s.fresh = func() {
		sessions.clear()
		arrivals = 0
	}
	// A caller without a node gets one, as Apache's balancer gives it.
	s.prepare = func(v *visit) {
		if v.node = routeOf(v.r, nodes); v.node == 0 {
			v.node = arrivals%nodes + 1
			arrivals++
			v.r.AddCookie(route(v.node))
		}
	}
	s.failure = func(status int, text string) answer { return serviceLayerError(status, -1000, text) }
	s.gate = func(v *visit) *answer { return businessOneGate(v, sessions) }
	s.handle("POST /b1s/{version}/Login", func(_ *Server, r *http.Request, body map[string]any) answer {
		if body["CompanyDB"] == nil || body["UserName"] == nil {
			return serviceLayerError(http.StatusUnauthorized, 100000027, "Login failed")
		}
		node := routeOf(r, nodes)
		id := sessions.open(time.Now(), strconv.Itoa(node)+" ")
		session := &http.Cookie{Name: "B1SESSION", Value: id, Path: "/b1s", HttpOnly: true}
		return answer{
			status: http.StatusOK, idle: true, header: http.Header{"Set-Cookie": {session.String(), route(node).String()}},
			body: record{"SessionId": id, "SessionTimeout": 30, "Version": "1000000"},
		}
	})
	s.handle("POST /b1s/{version}/Logout", func(*Server, *http.Request, map[string]any) answer {
		return answer{status: http.StatusNoContent, idle: true}
	})
	for set, records := range map[string]func(*data) []record{"Items": itemsOf, "BusinessPartners": customersOf, "Orders": placedOf, "Invoices": invoicesOf} {
		s.handle("GET /b1s/{version}/"+set, listing(records, under("value")))
	}
	s.handle("POST /b1s/{version}/Orders", adding(http.StatusCreated, as("")))
}

// businessOneGate refuses a call whose session its node does not know.
func businessOneGate(v *visit, sessions *sessions) *answer {
	if !strings.HasPrefix(v.r.URL.Path, "/b1s/") || strings.HasSuffix(v.r.URL.Path, "/Login") {
		return nil
	}
	c, err := v.r.Cookie("B1SESSION")
	if err != nil || !sessions.touch(byNode(v)+" "+c.Value, time.Now()) {
		a := serviceLayerError(http.StatusUnauthorized, 301, "Invalid session or session already timeout.")
		return &a
	}
	if strings.HasSuffix(v.r.URL.Path, "/Logout") {
		delete(sessions.last, byNode(v)+" "+c.Value)
	}
	return nil
}

// routeOf is the node that a caller's cookie names, 0 when there is none.
func routeOf(r *http.Request, nodes int) int {
	for _, c := range r.CookiesNamed("ROUTEID") {
		if n, err := strconv.Atoi(strings.TrimPrefix(c.Value, ".node")); err == nil && n >= 1 && n <= nodes {
			return n
		}
	}
	return 0
}

func route(node int) *http.Cookie {
	return &http.Cookie{Name: "ROUTEID", Value: fmt.Sprintf(".node%d", node), Path: "/b1s"}
}

func serviceLayerError(status, code int, text string) answer {
	return answer{status: status, body: record{"error": record{"code": code, "message": record{"lang": "en-us", "value": text}}}}
}

func proxyError(r *http.Request) answer {
	return answer{
		status: http.StatusBadGateway, header: http.Header{"Content-Type": {"text/html; charset=iso-8859-1"}},
		body: fmt.Sprintf("<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>502 Proxy Error</title>\n</head><body>\n<h1>Proxy Error</h1>\n"+
			"<p>The proxy server received an invalid\nresponse from an upstream server.<br />\nThe proxy server could not handle the request <em>%s</em>.<p>\n"+
			"Reason: <strong>Error reading from remote server</strong></p></p>\n</body></html>\n", r.Method),
	}
}
