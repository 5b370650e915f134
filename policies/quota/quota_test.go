package quota

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/gatewaytest"
)

const consumers = `
organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  other: {organisation: acme}
products:
  all: {apis: [orders/v1]}
plans:
  gold: {policies: {quota: %s}}
subscriptions:
  - {app: shop, product: all, plan: gold}
`

func site(settings, plan string, counters gateway.Counters) gatewaytest.Site {
	if plan == "" {
		plan = "off"
	}
	return gatewaytest.Site{
		Document: "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {policies: {quota: " + settings + "}}\n" +
			"paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: fine}}\n" +
			"    post:\n      operationId: createOrder\n      responses: {'200': {description: fine}}\n",
		Consumers: fmt.Sprintf(consumers, plan), Kinds: []gateway.Kind{Kind(counters)},
		Answer: func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Header: http.Header{}, Bytes: []byte("ok")}, nil
		},
	}
}

// passes sends calls until one is refused, at most most of them.
func passes(s *gatewaytest.Server, method, app string, most int) int {
	for n := range most {
		if r := s.Do(method, "/orders", app); r.StatusCode != 200 {
			s.Refused(r, gateway.QuotaExceeded)
			return n
		}
	}
	return most
}

func TestRefusal(t *testing.T) {
	s := gatewaytest.Serve(t, site("{limit: 2, window: 1h}", "", counter.New()))
	for left := 1; left >= 0; left-- {
		r := s.Do("GET", "/orders", "other")
		if got, want := r.Header.Get("RateLimit"), fmt.Sprintf(`"quota";r=%d;t=3600`, left); r.StatusCode != 200 || got != want {
			t.Errorf("status %d, RateLimit %s, want 200 and %s", r.StatusCode, got, want)
		}
		if got, want := r.Header.Get("RateLimit-Policy"), `"quota";q=2;w=3600`; got != want {
			t.Errorf("RateLimit-Policy %s, want %s", got, want)
		}
	}
	r := s.Do("POST", "/orders", "other")
	s.Refused(r, gateway.QuotaExceeded)
	after, _ := strconv.Atoi(r.Header.Get("Retry-After"))
	if after < 3590 || after > 3600 || r.Header.Get("RateLimit") != fmt.Sprintf(`"quota";r=0;t=%d`, after) {
		t.Errorf("Retry-After %d, RateLimit %s", after, r.Header.Get("RateLimit"))
	}
	if !strings.Contains(r.Text, "2 calls in 1h0m0s are allowed") {
		t.Errorf("the refusal does not explain itself: %s", r.Text)
	}
	if n := passes(s, "GET", "shop", 9); n != 2 {
		t.Errorf("%d calls of another app passed, want 2", n)
	}
}

// caller calls the chain of an operation on whatever clock there is.
func caller(t *testing.T, s gatewaytest.Site) func() *gateway.Error {
	table, problems := s.Table()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return func() *gateway.Error {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "/orders/v1/orders", nil)
		r.RemoteAddr = "192.0.2.1:1000"
		_, err := table.Operations[0].Handler(&gateway.Exchange{Request: r, Operation: table.Operations[0]})
		refused, _ := errors.AsType[*gateway.Error](err)
		return refused
	}
}

func TestCalendar(t *testing.T) {
	for _, c := range []struct {
		per, zone string
		// The fake clock starts at midnight UTC of 1 January 2000.
		ends time.Duration
	}{
		{"hour", "", time.Hour},
		{"hour", "Asia/Kolkata", 30 * time.Minute},
		{"day", "", 24 * time.Hour},
		{"day", "Europe/Berlin", 23 * time.Hour},
		{"day", "America/New_York", 5 * time.Hour},
		{"month", "", 31 * 24 * time.Hour},
		{"month", "America/New_York", 5 * time.Hour},
	} {
		t.Run(c.per+" "+c.zone, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				settings := "{limit: 1, per: " + c.per + "}"
				if c.zone != "" {
					settings = "{limit: 1, per: " + c.per + ", time_zone: " + c.zone + "}"
				}
				call := caller(t, site(settings, "", counter.New()))
				time.Sleep(time.Minute)
				if err := call(); err != nil {
					t.Fatal(err)
				}
				refused := call()
				if refused == nil || refused.RetryAfter != c.ends-time.Minute {
					t.Fatalf("not refused for %s: %+v", c.ends-time.Minute, refused)
				}
				time.Sleep(refused.RetryAfter - 1)
				if call() == nil {
					t.Error("let through before the window ended")
				}
				time.Sleep(time.Nanosecond)
				if err := call(); err != nil {
					t.Errorf("refused in the next window: %v", err)
				}
			})
		})
	}
}

// TestRolling calls twice the limit around the border of two windows.
func TestRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := caller(t, site("{limit: 10, window: 24h}", "", counter.New()))
		time.Sleep(24*time.Hour - time.Minute)
		passed := 0
		for range 40 {
			if call() == nil {
				passed++
			}
			time.Sleep(3 * time.Second)
		}
		if passed != 10 {
			t.Errorf("%d calls passed within two minutes, want 10", passed)
		}
		time.Sleep(call().RetryAfter)
		if err := call(); err != nil {
			t.Errorf("refused when it should come back: %v", err)
		}
	})
}

func TestPlanAndDocument(t *testing.T) {
	s := gatewaytest.Serve(t, site("{limit: 5, per: month, by: operation}", "{limit: 3, per: month}", counter.New()))
	r := s.Do("GET", "/orders", "shop")
	if got := r.Header.Values("RateLimit-Policy"); len(got) != 2 || got[0] != `"quota";q=5` || got[1] != `"quota-plan";q=3` {
		t.Errorf("RateLimit-Policy %q", got)
	}
	if n := passes(s, "GET", "shop", 9) + passes(s, "POST", "shop", 9); n != 2 {
		t.Errorf("%d more calls passed on the plan, want 2", n)
	}
	if n := passes(s, "GET", "other", 9) + passes(s, "POST", "other", 9); n != 10 {
		t.Errorf("%d calls passed without a plan, want 5 of each operation", n)
	}
}

func TestReloadKeepsCounts(t *testing.T) {
	counters := counter.New()
	s := gatewaytest.Serve(t, site("{limit: 3, window: 1h}", "", counters))
	if n := passes(s, "GET", "other", 2); n != 2 {
		t.Fatal(n)
	}
	s.Reload(site("{limit: 5, window: 1h}", "", counters))
	if n := passes(s, "GET", "other", 9); n != 3 {
		t.Errorf("%d calls passed after the reload, want 3", n)
	}
}

// failing counters cannot be reached.
type failing struct{ gateway.Counters }

func (failing) Quota(string, int64, gateway.Window) gateway.Limit { return failing{} }
func (failing) Take(context.Context, string) (gateway.Verdict, error) {
	return gateway.Verdict{}, errors.New("no connection")
}

func TestCountersFail(t *testing.T) {
	s := gatewaytest.Serve(t, site("{limit: 5, per: day, on_store_error: closed}", "", failing{counter.New()}))
	r := s.Do("GET", "/orders", "other")
	s.Refused(r, gateway.NotReady)
	if r.Header.Get("Retry-After") == "" || strings.Contains(r.Text, "no connection") {
		t.Errorf("Retry-After %q, %s", r.Header.Get("Retry-After"), r.Text)
	}
	s = gatewaytest.Serve(t, site("{limit: 5, per: day, on_store_error: open}", "", failing{counter.New()}))
	if r := s.Do("GET", "/orders", "other"); r.StatusCode != 200 {
		t.Errorf("open, but answered %d %s", r.StatusCode, r.Text)
	}
	s = gatewaytest.Serve(t, site("{limit: 1, per: month}", "", failing{counter.New()}))
	if r := s.Do("GET", "/orders", "other"); r.StatusCode != 200 {
		t.Errorf("local, but answered %d %s", r.StatusCode, r.Text)
	}
	s.Refused(s.Do("GET", "/orders", "other"), gateway.QuotaExceeded)
}

func TestProblems(t *testing.T) {
	for settings, want := range map[string]string{
		"{per: day}":           `the key "limit" is missing`,
		"{limit: 10}":          "set per to hour, day or month",
		"{limit: 0, per: day}": "too small",
		"{limit: 1, per: day, on_store_error: wait}":   `"wait" is not known here`,
		"{limit: 1, per: week}":                        `"week" is not known here`,
		"{limit: 1, per: day, window: 24h}":            "set either per or window",
		"{limit: 1, window: 24h, time_zone: UTC}":      "a rolling window has no time zone",
		"{limit: 1, window: 10ms}":                     "between 1s and 366d",
		"{limit: 1, window: 400d}":                     "between 1s and 366d",
		"{limit: 1, per: day, time_zone: Berlin}":      "write an IANA name",
		"{limit: 1, per: day, time_zone: ../zoneinfo}": "write an IANA name",
		"{limit: 1, per: day, time_zone: Local}":       "write an IANA name",
	} {
		_, problems := site(settings, "", counter.New()).Table()
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 3 {
			t.Errorf("%s: %v, want one problem in line 3 with %q", settings, problems, want)
		}
	}
}
