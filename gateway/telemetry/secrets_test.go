package telemetry

import (
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// TestSecretsAreNeverWritten sends secrets in every place that a request has,
// at the most talkative level, with tracing on.
func TestSecretsAreNeverWritten(t *testing.T) {
	quiet(t)
	c := startCollector(t)
	tel, log := open(t, slog.LevelDebug)
	op := operation()
	tel.Prepare(op)
	const secret = "hunter2"
	for _, op := range []*gateway.Operation{op, nil} {
		r := httptest.NewRequest("POST", "https://user:"+secret+"@orders.example/orders/v1/orders/7?api_key="+secret+"&"+secret, strings.NewReader(`{"password":"`+secret+`"}`))
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "Baggage", "User-Agent", "Referer", "X-Forwarded-For", "Host", "X-" + secret, "Tracestate"} {
			r.Header.Set(name, "a="+secret)
		}
		r.Header.Set("Traceparent", traceparent)
		r.Host = secret + ".example"
		x := exchange(op, r)
		x.BodyLimit = 1000
		x.App = &gateway.App{Name: "shop", Keys: []gateway.KeyCredential{{Prefix: "abcdefgh", Hash: secret}}}
		x.Scopes = []string{secret}
		x.Params = specs.Params{{Name: "id", Value: secret}}
		if _, err := x.Body(); err != nil {
			t.Fatal(err)
		}
		tel.Begin(x)
		x.SetHeader("Set-Cookie", secret)
		x.Record.Violations = []specs.Violation{{In: "query", Name: "q", Detail: "is not a number"}}
		x.Record.Cause = &url.Error{Op: "Post", URL: "https://erp.example/orders?api_key=" + secret, Err: errRefused}
		tel.End(ended(x, 502, gateway.BadGateway.Name))
	}
	metrics := scrape(t, tel)
	lines := logged(t, tel, log)
	if len(lines) != 2 || len(c.spans) != 2 || !strings.Contains(metrics, "bad-gateway") {
		t.Fatalf("%d lines, %d spans", len(lines), len(c.spans))
	}
	// The caller's tracestate belongs to the trace and goes on with it.
	spans := strings.ReplaceAll(c.raw.String(), "a="+secret, "")
	for where, text := range map[string]string{"log": log.String(), "metrics": metrics, "spans": spans} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s gives the secret away", where)
		}
	}
}

func TestTheLogCannotBeForged(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	const forged = "\"}\n{\"level\":\"INFO\",\"msg\":\"forged\"}\r\n\x1b[2J"
	r := httptest.NewRequest("GET", "/", nil)
	r.Method = forged
	r.URL = &url.URL{Path: "/" + forged}
	x := exchange(nil, r)
	x.ID, x.Correlation = forged, forged
	x.App = &gateway.App{Name: forged}
	x.Record.Cause = &gateway.Error{Problem: gateway.Internal, Detail: forged}
	x.Record.Cache = forged
	tel.Begin(x)
	tel.End(ended(x, 500, gateway.Internal.Name))
	lines := logged(t, tel, log)
	if len(lines) != 1 || lines[0]["app"] != forged || strings.Contains(log.String(), "\x1b") {
		t.Errorf("%q", log)
	}
}
