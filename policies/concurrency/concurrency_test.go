package concurrency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
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
  gold: {policies: {concurrency: %s}}
subscriptions:
  - {app: shop, product: all, plan: gold}
`

func site(settings, plan string, counters gateway.Counters, answer gateway.Handler) gatewaytest.Site {
	if plan == "" {
		plan = "off"
	}
	return gatewaytest.Site{
		Document: "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {policies: {concurrency: " + settings + "}}\n" +
			"paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: fine}}\n",
		Consumers: fmt.Sprintf(consumers, plan), Kinds: []gateway.Kind{Kind(counters)}, Answer: answer,
	}
}

// gate is a system that answers when it is told to.
type gate struct{ arrived, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 100), make(chan struct{})} }

func (g *gate) answer(*gateway.Exchange) (*gateway.Response, error) {
	g.arrived <- struct{}{}
	<-g.open
	return &gateway.Response{Status: 200, Header: http.Header{}, Bytes: []byte("ok")}, nil
}

// begin starts a call and waits until the system has it.
func (g *gate) begin(s *gatewaytest.Server, app string) <-chan int {
	status := make(chan int, 1)
	go func() { status <- s.Do("GET", "/orders", app).StatusCode }()
	<-g.arrived
	return status
}

func TestRefusal(t *testing.T) {
	g := newGate()
	s := gatewaytest.Serve(t, site("{limit: 2}", "", counter.New(), g.answer))
	first, second := g.begin(s, "other"), g.begin(s, "other")
	r := s.Do("GET", "/orders", "other")
	s.Refused(r, gateway.TooManyCalls)
	if after, _ := strconv.Atoi(r.Header.Get("Retry-After")); after < 1 {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	if got, want := r.Header.Get("RateLimit-Policy"), `"concurrency";q=2;qu="concurrent-requests"`; got != want {
		t.Errorf("RateLimit-Policy %s, want %s", got, want)
	}
	if got, want := r.Header.Get("RateLimit"), `"concurrency";r=0`; got != want {
		t.Errorf("RateLimit %s, want %s", got, want)
	}
	third := g.begin(s, "shop")
	close(g.open)
	for _, status := range []<-chan int{first, second, third} {
		if got := <-status; got != 200 {
			t.Errorf("a call under way was answered %d", got)
		}
	}
	if r := s.Do("GET", "/orders", "other"); r.StatusCode != 200 {
		t.Errorf("answered %d when the others had ended: %s", r.StatusCode, r.Text)
	}
}

func TestPlanAndDocument(t *testing.T) {
	g := newGate()
	defer close(g.open)
	s := gatewaytest.Serve(t, site("{limit: 2}", "{limit: 1}", counter.New(), g.answer))
	g.begin(s, "shop")
	r := s.Do("GET", "/orders", "shop")
	s.Refused(r, gateway.TooManyCalls)
	if got := r.Header.Values("RateLimit"); len(got) != 2 || got[0] != `"concurrency";r=0` || got[1] != `"concurrency-plan";r=0` {
		t.Errorf("RateLimit %q", got)
	}
	// What the plan refused is not under way in the document's count either.
	g.begin(s, "other")
	g.begin(s, "other")
	s.Refused(s.Do("GET", "/orders", "other"), gateway.TooManyCalls)
}

// TestReleased ends a call in every way there is; a slot that stays occupied
// refuses the next one.
func TestReleased(t *testing.T) {
	large := bytes.Repeat([]byte("x"), short+1)
	ways := map[string]struct {
		answer gateway.Handler
		status int
	}{
		"bytes": {func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Bytes: []byte("ok")}, nil
		}, 200},
		"large bytes": {func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Bytes: large}, nil
		}, 200},
		"a stream": {func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Body: io.NopCloser(bytes.NewReader(large)), Length: -1}, nil
		}, 200},
		"no content": {func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 204, Body: http.NoBody}, nil
		}, 204},
		"an error": {func(*gateway.Exchange) (*gateway.Response, error) {
			return nil, &gateway.Error{Problem: gateway.Saturated}
		}, 503},
		"a panic": {func(*gateway.Exchange) (*gateway.Response, error) { panic("a mistake") }, 500},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := gatewaytest.Serve(t, site("{limit: 1}", "", counter.New(), way.answer))
			for n := range 5 {
				r := s.Do("GET", "/orders", "other")
				if r.StatusCode != way.status {
					t.Fatalf("call %d was answered %d, want %d: %s", n, r.StatusCode, way.status, r.Text)
				}
				s.Record(n) // the slot is free when the exchange has ended
				if name == "large bytes" && (r.Text != string(large) || r.ContentLength != int64(len(large))) {
					t.Errorf("the answer was changed: %d bytes, Content-Length %d", len(r.Text), r.ContentLength)
				}
			}
		})
	}
}

// TestSending holds the slot for as long as the answer is being sent, and lets
// go of it when the caller leaves in the middle.
func TestSending(t *testing.T) {
	first := make(chan *io.PipeWriter, 1)
	var calls atomic.Int64
	s := gatewaytest.Serve(t, site("{limit: 1}", "", counter.New(), func(x *gateway.Exchange) (*gateway.Response, error) {
		if calls.Add(1) > 1 {
			return &gateway.Response{Status: 200, Bytes: []byte("ok")}, nil
		}
		r, w := io.Pipe()
		context.AfterFunc(x.Context(), func() { w.CloseWithError(context.Canceled) })
		first <- w
		return &gateway.Response{Status: 200, Body: r, Length: -1}, nil
	}))
	ctx, leave := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/orders", nil)
	r.Header.Set("X-Test-App", "other")
	go func() { (<-first).Write([]byte("the beginning")) }()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("the beginning"))); err != nil {
		t.Fatal(err)
	}
	s.Refused(s.Do("GET", "/orders", "other"), gateway.TooManyCalls)
	leave()
	for range 200 {
		if s.Do("GET", "/orders", "other").StatusCode == 200 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the slot is still occupied when the caller has left")
}

func TestReleasedOnce(t *testing.T) {
	counters := counter.New()
	calls := counters.Concurrency("app orders/v1", 3)
	table, problems := site("{limit: 3}", "", counters, func(*gateway.Exchange) (*gateway.Response, error) {
		return &gateway.Response{Status: 200, Body: io.NopCloser(strings.NewReader("ok")), Length: 2}, nil
	}).Table()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	call := func() *gateway.Response {
		r, _ := http.NewRequest("GET", "/orders/v1/orders", nil)
		r.RemoteAddr = "192.0.2.1:1000"
		resp, err := table.Operations[0].Handler(&gateway.Exchange{Request: r, Operation: table.Operations[0]})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	one, two := call(), call()
	one.Close()
	one.Close()
	if v, err := calls.Acquire(t.Context(), "@192.0.2.1"); err != nil || v.Remaining != 1 {
		t.Errorf("after one of two calls ended: %+v, %v", v, err)
	}
	two.Close()
}

// TestLargeAnswersAreHeld: an answer in memory takes a slow caller's time, too.
func TestLargeAnswersAreHeld(t *testing.T) {
	counters := counter.New()
	calls := counters.Concurrency("app orders/v1", 1)
	for _, size := range []int{short, short + 1} {
		table, problems := site("{limit: 1}", "", counters, func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Bytes: make([]byte, size)}, nil
		}).Table()
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r, _ := http.NewRequest("GET", "/orders/v1/orders", nil)
		r.RemoteAddr = "192.0.2.1:1000"
		resp, err := table.Operations[0].Handler(&gateway.Exchange{Request: r, Operation: table.Operations[0]})
		if err != nil {
			t.Fatal(err)
		}
		v, err := calls.Acquire(t.Context(), "@192.0.2.1")
		if err != nil || v.OK != (size <= short) {
			t.Errorf("%d bytes that are not sent yet: %+v, %v", size, v, err)
		}
		if v.OK {
			calls.Release("@192.0.2.1")
		}
		resp.Close()
	}
}

// failing counters cannot be reached.
type failing struct{ gateway.Counters }

func (failing) Concurrency(string, int) gateway.Concurrency { return failing{} }
func (failing) Acquire(context.Context, string) (gateway.Verdict, error) {
	return gateway.Verdict{}, errors.New("no connection")
}
func (failing) Release(string) { panic("a call that was not counted must not be released") }

func TestCountersFail(t *testing.T) {
	answer := func(*gateway.Exchange) (*gateway.Response, error) {
		return &gateway.Response{Status: 200, Bytes: []byte("ok")}, nil
	}
	s := gatewaytest.Serve(t, site("{limit: 1, on_store_error: open}", "", failing{counter.New()}, answer))
	if r := s.Do("GET", "/orders", "other"); r.StatusCode != 200 || r.Header.Get("RateLimit") != "" {
		t.Errorf("open, but answered %d %s, RateLimit %s", r.StatusCode, r.Text, r.Header.Get("RateLimit"))
	}
	held, release := make(chan bool, 1), make(chan bool)
	s = gatewaytest.Serve(t, site("{limit: 1}", "", failing{counter.New()}, func(*gateway.Exchange) (*gateway.Response, error) {
		held <- true
		<-release
		return &gateway.Response{Status: 200, Bytes: []byte("ok")}, nil
	}))
	first := make(chan int)
	go func() { first <- s.Do("GET", "/orders", "other").StatusCode }()
	<-held
	s.Refused(s.Do("GET", "/orders", "other"), gateway.TooManyCalls)
	close(release)
	if status := <-first; status != 200 {
		t.Errorf("local, but answered %d", status)
	}
	if r := s.Do("GET", "/orders", "other"); r.StatusCode != 200 {
		t.Errorf("a call that was counted locally is still under way: %d %s", r.StatusCode, r.Text)
	}
	s = gatewaytest.Serve(t, site("{limit: 1, on_store_error: closed}", "", failing{counter.New()}, answer))
	s.Refused(s.Do("GET", "/orders", "other"), gateway.NotReady)
}

// TestWait follows how long calls take.
func TestWait(t *testing.T) {
	p := &policy{limit: 4}
	for range 200 {
		p.took.add(40 * time.Second)
	}
	for range 100 {
		// A slot becomes free every ten seconds on average.
		if w := p.wait(); w < 4*time.Second || w > 16*time.Second {
			t.Fatalf("the estimate is %s", w)
		}
	}
}

func TestProblems(t *testing.T) {
	for settings, want := range map[string]string{
		"{}":                                 `the key "limit" is missing`,
		"{limit: 0}":                         "too small",
		"{limit: 1, by: caller}":             `"caller" is not known here`,
		"{limit: 1, on_store_error: ignore}": `"ignore" is not known here`,
		"{limits: 1}":                        `did you mean "limit"?`,
	} {
		_, problems := site(settings, "", counter.New(), nil).Table()
		if len(problems) == 0 || !strings.Contains(fmt.Sprint(problems), want) || problems[0].Line != 3 {
			t.Errorf("%s: %v, want a problem in line 3 with %q", settings, problems, want)
		}
	}
}
