package throttle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/specs"
)

const consumers = `
organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  other: {organisation: acme}
  big: {organisation: acme}
products:
  all: {apis: [orders/v1]}
plans:
  gold: {policies: {throttle: %s}}
  free: {}
subscriptions:
  - {app: shop, product: all, plan: gold}
  - {app: other, product: all, plan: gold}
  - {app: big, product: all, plan: free}
`

// document has the policy at the root, at a path and at an operation; each may be empty.
func document(root, path, operation string) string {
	settings := func(indent, s string) string {
		if s == "" {
			return ""
		}
		return indent + "x-headrace: {policies: {throttle: " + s + "}}\n"
	}
	ok := "responses: {'200': {description: fine}}"
	return "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\n" + settings("", root) +
		"paths:\n" +
		"  /orders:\n" + settings("    ", path) +
		"    get:\n      operationId: listOrders\n" + settings("      ", operation) + "      " + ok + "\n" +
		"    post:\n      operationId: createOrder\n      " + ok + "\n" +
		"  /items:\n    get:\n      operationId: listItems\n      " + ok + "\n"
}

func site(document, plan string, counters gateway.Counters) gatewaytest.Site {
	s := gatewaytest.Site{
		Document: document, Kinds: []gateway.Kind{Kind(counters)},
		Answer: func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Header: http.Header{}, Bytes: []byte("ok")}, nil
		},
	}
	if plan == "" {
		plan = "{rate: 1000000/s}"
	}
	s.Consumers = fmt.Sprintf(consumers, plan)
	return s
}

// passes sends calls until one is refused, at most most of them.
func passes(s *gatewaytest.Server, method, path, app string, most int) int {
	for n := range most {
		if r := s.Do(method, path, app); r.StatusCode != 200 {
			s.Refused(r, gateway.Throttled)
			return n
		}
	}
	return most
}

func TestRefusal(t *testing.T) {
	s := gatewaytest.Serve(t, site(document("{rate: 6/m, burst: 2}", "", ""), "", counter.New()))
	for left := 1; left >= 0; left-- {
		r := s.Do("GET", "/orders", "big")
		// A call takes ten seconds to come back, some of which may have passed.
		want := regexp.MustCompile(fmt.Sprintf(`^"throttle";r=%d;t=([789]|10)$`, left))
		if got := r.Header.Get("RateLimit"); r.StatusCode != 200 || !want.MatchString(got) {
			t.Errorf("status %d, RateLimit %s, want 200 and %s", r.StatusCode, got, want)
		}
		if got, want := r.Header.Get("RateLimit-Policy"), `"throttle";q=2;w=20`; got != want {
			t.Errorf("RateLimit-Policy %s, want %s", got, want)
		}
	}
	r := s.Do("GET", "/orders", "big")
	s.Refused(r, gateway.Throttled)
	after, _ := strconv.Atoi(r.Header.Get("Retry-After"))
	if after < 7 || after > 10 || r.Header.Get("RateLimit") != fmt.Sprintf(`"throttle";r=0;t=%d`, after) {
		t.Errorf("Retry-After %d, RateLimit %s", after, r.Header.Get("RateLimit"))
	}
	if !strings.Contains(r.Text, "6/m calls are allowed, and 2 at once") {
		t.Errorf("the refusal does not explain itself: %s", r.Text)
	}
	if s.Record(2).Decision != "throttled" {
		t.Errorf("recorded as %q", s.Record(2).Decision)
	}
}

// TestComesBack runs the chain on a fake clock: a caller that keeps to
// Retry-After is never refused twice.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, problems := site(document("{rate: 3/m}", "", ""), "", counter.New()).Table()
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		call := func() error {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "/orders/v1/orders", nil)
			r.RemoteAddr = "192.0.2.1:1000"
			_, err := table.Operations[0].Handler(&gateway.Exchange{Request: r, Operation: table.Operations[0]})
			return err
		}
		for range 5 {
			if err := call(); err != nil {
				t.Fatal(err)
			}
			refused, ok := errors.AsType[*gateway.Error](call())
			if !ok || refused.Problem != gateway.Throttled || refused.RetryAfter != 20*time.Second {
				t.Fatalf("not refused for 20 s: %+v", refused)
			}
			time.Sleep(refused.RetryAfter)
		}
	})
}

func TestWhoIsCountedTogether(t *testing.T) {
	t.Run("root: an app over all operations", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 3}", "", ""), "", counter.New()))
		if n := passes(s, "GET", "/orders", "big", 2) + passes(s, "POST", "/orders", "big", 5) + passes(s, "GET", "/items", "big", 5); n != 3 {
			t.Errorf("%d calls passed, want 3", n)
		}
		if n := passes(s, "GET", "/items", "shop", 5); n != 3 {
			t.Errorf("%d calls of another app passed, want 3", n)
		}
	})
	t.Run("path: an app over the operations of the path", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 5}", "{rate: 1/h, burst: 3}", ""), "", counter.New()))
		if n := passes(s, "GET", "/orders", "big", 2) + passes(s, "POST", "/orders", "big", 5); n != 3 {
			t.Errorf("%d calls passed, want 3", n)
		}
		if n := passes(s, "GET", "/items", "big", 9); n != 5 {
			t.Errorf("%d calls passed elsewhere, want 5", n)
		}
	})
	t.Run("operation beats path and root", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 5}", "{rate: 1/h, burst: 3}", "{rate: 1/h, burst: 1}"), "", counter.New()))
		if n := passes(s, "GET", "/orders", "big", 9); n != 1 {
			t.Errorf("%d calls passed, want 1", n)
		}
		if n := passes(s, "POST", "/orders", "big", 9); n != 3 {
			t.Errorf("%d calls of the path passed, want 3", n)
		}
	})
	t.Run("by operation", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 2, by: operation}", "", ""), "", counter.New()))
		for _, app := range []string{"big", "shop"} {
			if n := passes(s, "GET", "/orders", app, 9) + passes(s, "POST", "/orders", app, 9); n != 4 {
				t.Errorf("%d calls of %s passed, want 4", n, app)
			}
		}
	})
	t.Run("by plan", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 3, by: plan}", "", ""), "", counter.New()))
		if n := passes(s, "GET", "/orders", "shop", 2) + passes(s, "GET", "/orders", "other", 9); n != 3 {
			t.Errorf("%d calls of the plan passed, want 3", n)
		}
		if n := passes(s, "GET", "/orders", "big", 9); n != 3 {
			t.Errorf("%d calls of another plan passed, want 3", n)
		}
	})
	t.Run("by address", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 3, by: address}", "", ""), "", counter.New()))
		if n := passes(s, "GET", "/orders", "shop", 2) + passes(s, "GET", "/orders", "big", 9); n != 3 {
			t.Errorf("%d calls of the address passed, want 3", n)
		}
	})
	t.Run("callers without an app", func(t *testing.T) {
		s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 3}", "", ""), "", counter.New()))
		if n := passes(s, "GET", "/orders", "", 9); n != 3 {
			t.Errorf("%d calls passed, want 3", n)
		}
		if n := passes(s, "GET", "/orders", "big", 9); n != 3 {
			t.Errorf("%d calls of an app passed, want 3", n)
		}
	})
}

func TestPlan(t *testing.T) {
	s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 5}", "", ""), "{rate: 1/h, burst: 3}", counter.New()))
	r := s.Do("GET", "/orders", "shop")
	if got := r.Header.Values("RateLimit-Policy"); len(got) != 2 || got[0] != `"throttle";q=5;w=18000` || got[1] != `"throttle-plan";q=3;w=10800` {
		t.Errorf("RateLimit-Policy %q", got)
	}
	if n := passes(s, "POST", "/orders", "shop", 9); n != 2 {
		t.Errorf("%d more calls passed on the plan, want 2", n)
	}
	if n := passes(s, "GET", "/orders", "other", 9); n != 3 {
		t.Errorf("%d calls of another app passed on the plan, want 3", n)
	}
	if n := passes(s, "GET", "/orders", "big", 9); n != 5 {
		t.Errorf("%d calls passed without a limit of the plan, want the document's 5", n)
	}
}

func TestPlanByOperation(t *testing.T) {
	s := gatewaytest.Serve(t, site(document("", "", ""), "{rate: 1/h, burst: 2, by: operation}", counter.New()))
	if n := passes(s, "GET", "/orders", "shop", 9) + passes(s, "GET", "/items", "shop", 9); n != 4 {
		t.Errorf("%d calls passed, want 4", n)
	}
}

func TestReloadKeepsCounts(t *testing.T) {
	counters := counter.New()
	s := gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 3}", "", ""), "", counters))
	if n := passes(s, "GET", "/orders", "big", 2); n != 2 {
		t.Fatal(n)
	}
	s.Reload(site(document("{rate: 2/h, burst: 5}", "", ""), "", counters))
	if n := passes(s, "GET", "/orders", "big", 9); n != 3 {
		t.Errorf("%d calls passed after the reload, want 3", n)
	}
}

// failing counters cannot be reached.
type failing struct{ gateway.Counters }

func (failing) Throttle(string, float64, int) gateway.Limit { return failing{} }
func (failing) Take(context.Context, string) (gateway.Verdict, error) {
	return gateway.Verdict{}, errors.New("no connection")
}

func TestCountersFail(t *testing.T) {
	s := gatewaytest.Serve(t, site(document("{rate: 1/h, on_store_error: open}", "", ""), "", failing{counter.New()}))
	if r := s.Do("GET", "/orders", "big"); r.StatusCode != 200 {
		t.Errorf("open, but answered %d %s", r.StatusCode, r.Text)
	}
	if err := s.Record(0).Cause; err == nil || err.Error() != "no connection" {
		t.Errorf("the failure is not recorded: %v", err)
	}
	s = gatewaytest.Serve(t, site(document("{rate: 1/h, burst: 2}", "", ""), "", failing{counter.New()}))
	if n := passes(s, "GET", "/orders", "big", 5); n != 2 {
		t.Errorf("local, but %d calls passed, want 2", n)
	}
	if err := s.Record(0).Cause; err == nil || err.Error() != "no connection" {
		t.Errorf("the failure is not recorded: %v", err)
	}
	s = gatewaytest.Serve(t, site(document("{rate: 1/h, on_store_error: closed}", "", ""), "", failing{counter.New()}))
	r := s.Do("GET", "/orders", "big")
	s.Refused(r, gateway.NotReady)
	if r.Header.Get("Retry-After") == "" || strings.Contains(r.Text, "no connection") {
		t.Errorf("Retry-After %q, %s", r.Header.Get("Retry-After"), r.Text)
	}
}

func TestProblems(t *testing.T) {
	for settings, want := range map[string]string{
		"{}":                                   `the key "rate" is missing`,
		"{rate: 50}":                           "write a rate such as 50/s",
		"{rate: 50/s, burst: 0}":               "too small",
		"{rate: 50/s, by: user}":               `"user" is not known here`,
		"{rate: 50/s, on_store_error: ignore}": `"ignore" is not known here`,
		"{rate: 50/s, bursts: 3}":              `did you mean "burst"?`,
		"{rate: 0.001/h}":                      "at least one call a day",
		"{rate: 50/s, burst: 2000000000000}":   "too large",
	} {
		_, problems := site(document(settings, "", ""), "", counter.New()).Table()
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 3 {
			t.Errorf("%s: %v, want one problem in line 3 with %q", settings, problems, want)
		}
	}
}

func TestDefaultBurst(t *testing.T) {
	for rate, want := range map[string]string{
		"50/s": `"throttle";q=50;w=1`, "600/m": `"throttle";q=10;w=1`, "1000/h": `"throttle";q=1;w=4`, "1.5/s": `"throttle";q=1;w=1`,
	} {
		s := gatewaytest.Serve(t, site(document("{rate: "+rate+"}", "", ""), "", counter.New()))
		if got := s.Do("GET", "/orders", "").Header.Get("RateLimit-Policy"); got != want {
			t.Errorf("%s: RateLimit-Policy %s, want %s", rate, got, want)
		}
	}
}

// BenchmarkHandler is the whole of what the policy costs a call.
func BenchmarkHandler(b *testing.B) {
	table, problems := site(document("{rate: 1000000000/s}", "", ""), "", counter.New()).Table()
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	op := table.Operations[0]
	r, _ := http.NewRequest("GET", "/orders/v1/orders", nil)
	x := &gateway.Exchange{Request: r, Operation: op, App: &gateway.App{Name: "shop"}, Class: specs.Normal}
	b.ReportAllocs()
	for b.Loop() {
		at := *x
		if _, err := op.Handler(&at); err != nil {
			b.Fatal(err)
		}
	}
}
