package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/specs"
)

const consumers = `
organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  other: {organisation: acme}
`

func document(settings string) string {
	return "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {policies: {cache: " + settings + "}}\n" +
		"paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: fine}}\n" +
		"    head:\n      operationId: headOrders\n      responses: {'200': {description: fine}}\n" +
		"    post:\n      operationId: createOrder\n      responses: {'200': {description: fine}}\n" +
		"  /items:\n    get:\n      operationId: listItems\n      responses: {'200': {description: fine}}\n"
}

// system counts its calls and says in its answers which one it was.
type system struct {
	calls  atomic.Int64
	mu     sync.Mutex
	seen   http.Header
	answer func(n int64, x *gateway.Exchange) (*gateway.Response, error)
}

func (s *system) handle(x *gateway.Exchange) (*gateway.Response, error) {
	n := s.calls.Add(1)
	s.mu.Lock()
	s.seen = x.Request.Header.Clone()
	s.mu.Unlock()
	if s.answer != nil {
		return s.answer(n, x)
	}
	return text(n)
}

func text(n int64, headers ...string) (*gateway.Response, error) {
	h := http.Header{"Content-Type": {"text/plain"}}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return &gateway.Response{Status: 200, Header: h, Bytes: []byte("answer " + strconv.FormatInt(n, 10))}, nil
}

func site(settings string, s *system) gatewaytest.Site {
	return gatewaytest.Site{Document: document(settings), Consumers: consumers, Kinds: []gateway.Kind{Kind()}, Answer: s.handle}
}

func serve(t *testing.T, settings string, answer func(n int64, x *gateway.Exchange) (*gateway.Response, error)) (*gatewaytest.Server, *system) {
	t.Helper()
	s := &system{answer: answer}
	return gatewaytest.Serve(t, site(settings, s)), s
}

// expect checks which of the system's answers a reply is, and how it came.
func expect(t *testing.T, r gatewaytest.Reply, body, how string) {
	t.Helper()
	if r.StatusCode != 200 || r.Text != body || r.Header.Get("X-Cache") != how {
		t.Errorf("answered %d %q, X-Cache %q; want %q, %q", r.StatusCode, r.Text, r.Header.Get("X-Cache"), body, how)
	}
}

func TestHitAndMiss(t *testing.T) {
	s, sys := serve(t, "{ttl: 1h}", nil)
	first := s.Do("GET", "/orders?page=1", "shop")
	expect(t, first, "answer 1", "miss")
	if first.Header.Get("Age") != "" {
		t.Errorf("a new answer has the age %s", first.Header.Get("Age"))
	}
	r := s.Do("GET", "/orders?page=1", "shop")
	expect(t, r, "answer 1", "hit")
	if r.Header.Get("Age") != "0" || r.Header.Get("Content-Type") != "text/plain" || r.Header.Get("Etag") != first.Header.Get("Etag") || r.Header.Get("Etag") == "" {
		t.Errorf("headers of the hit: %v, of the miss: %v", r.Header, first.Header)
	}
	expect(t, s.Do("GET", "/orders?page=2", "shop"), "answer 2", "miss")
	expect(t, s.Do("GET", "/items?page=1", "shop"), "answer 3", "miss")
	expect(t, s.Do("GET", "/orders?page=1", "shop", "Accept: text/plain"), "answer 4", "miss")
	expect(t, s.Do("GET", "/orders?page=1", "shop", "Accept-Language: de"), "answer 5", "miss")
	expect(t, s.Do("GET", "/orders?page=1", "shop", "X-Company: 2"), "answer 1", "hit")
	if r := s.Do("POST", "/orders?page=1", "shop"); r.Header.Get("X-Cache") != "" || r.Text != "answer 6" {
		t.Errorf("a POST went through the cache: %v %s", r.Header, r.Text)
	}
	if got := []string{s.Record(0).Cache, s.Record(1).Cache, s.Record(7).Cache}; got[0] != "miss" || got[1] != "hit" || got[2] != "" {
		t.Errorf("recorded as %q", got)
	}
	if n := sys.calls.Load(); n != 6 {
		t.Errorf("the system was called %d times", n)
	}
}

func TestHead(t *testing.T) {
	s, _ := serve(t, "{ttl: 1h}", nil)
	if r := s.Do("HEAD", "/orders", "shop"); r.Header.Get("X-Cache") != "miss" {
		t.Errorf("X-Cache %q", r.Header.Get("X-Cache"))
	}
	expect(t, s.Do("GET", "/orders", "shop"), "answer 2", "miss")
	r := s.Do("HEAD", "/orders", "shop")
	expect(t, r, "", "hit")
	if r.Header.Get("Etag") == "" {
		t.Error("the head has no ETag")
	}
}

func TestWhoShares(t *testing.T) {
	s, _ := serve(t, "{ttl: 1h}", nil)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "miss")
	expect(t, s.Do("GET", "/orders", "other"), "answer 2", "miss")
	expect(t, s.Do("GET", "/orders", ""), "answer 3", "miss")
	expect(t, s.Do("GET", "/orders", ""), "answer 3", "hit")
	expect(t, s.Do("GET", "/orders", "shop", "Authorization: Bearer anna"), "answer 4", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "Authorization: Bearer bert"), "answer 5", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "Cookie: session=1"), "answer 6", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "Authorization: Bearer anna"), "answer 4", "hit")
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "hit")
	expect(t, s.Do("GET", "/orders", "", "Authorization: Bearer anna"), "answer 7", "")
	expect(t, s.Do("GET", "/orders", "", "Authorization: Bearer anna"), "answer 8", "")
	expect(t, s.Do("GET", "/orders", "", "Cookie: session=1"), "answer 9", "")
}

func TestShared(t *testing.T) {
	s, _ := serve(t, "{ttl: 1h, shared: true, vary: [x-company]}", nil)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "miss")
	expect(t, s.Do("GET", "/orders", "other", "Authorization: Bearer anna"), "answer 1", "hit")
	expect(t, s.Do("GET", "/orders", ""), "answer 1", "hit")
	expect(t, s.Do("GET", "/orders", "", "Authorization: Bearer anna"), "answer 2", "")
	expect(t, s.Do("GET", "/orders", "other", "X-Company: 2"), "answer 3", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "X-Company: 2"), "answer 3", "hit")
}

// TestDeclared: what an operation takes by headers and cookies tells its
// answers apart, without a word in the settings.
func TestDeclared(t *testing.T) {
	declaring := func(settings string) gatewaytest.Site {
		s := site(settings, &system{})
		s.Document = strings.Replace(s.Document, "operationId: listOrders\n", `operationId: listOrders
      parameters:
        - {name: x-company, in: header, schema: {type: string}}
        - {name: If-None-Match, in: header, schema: {type: string}}
        - {name: X-Request-Id, in: header, schema: {type: string}}
        - {name: branch, in: cookie, schema: {type: string}}
`, 1)
		return s
	}
	for _, settings := range []string{"{ttl: 1h}", "{ttl: 1h, shared: true}"} {
		s := gatewaytest.Serve(t, declaring(settings))
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 1"), "answer 1", "miss")
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 2"), "answer 2", "miss")
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 2", "Cookie: branch=7"), "answer 3", "miss")
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 2", "Cookie: branch=8"), "answer 4", "miss")
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 1", "X-Request-Id: 1", `If-None-Match: "other"`), "answer 1", "hit")
		expect(t, s.Do("GET", "/orders", "shop", "X-Company: 2", "Cookie: branch=8"), "answer 4", "hit")
		expect(t, s.Do("GET", "/items", "shop", "X-Company: 1"), "answer 5", "miss")
		expect(t, s.Do("GET", "/items", "shop", "X-Company: 2"), "answer 5", "hit")
	}
}

func TestWhatIsKept(t *testing.T) {
	long := strings.Repeat("x", 2000)
	respond := func(status int, body string, headers ...string) *gateway.Response {
		r, _ := text(0, headers...)
		r.Status, r.Bytes = status, []byte(body)
		return r
	}
	for name, c := range map[string]struct {
		response func() *gateway.Response
		kept     bool
	}{
		"plain":    {func() *gateway.Response { return respond(200, "a") }, true},
		"empty":    {func() *gateway.Response { return respond(200, "") }, true},
		"public":   {func() *gateway.Response { return respond(200, "a", "Cache-Control", "public, max-age=60") }, true},
		"no-store": {func() *gateway.Response { return respond(200, "a", "Cache-Control", "max-age=60, No-Store") }, false},
		"no-cache": {func() *gateway.Response { return respond(200, "a", "Cache-Control", "no-cache") }, false},
		"private":  {func() *gateway.Response { return respond(200, "a", "Cache-Control", `private="x"`) }, false},
		"two lines": {func() *gateway.Response {
			return respond(200, "a", "Cache-Control", "public", "Cache-Control", "private")
		}, false},
		"max-age=0":          {func() *gateway.Response { return respond(200, "a", "Cache-Control", "max-age=0") }, false},
		"max-age=x":          {func() *gateway.Response { return respond(200, "a", "Cache-Control", "max-age=x") }, false},
		"s-maxage wins":      {func() *gateway.Response { return respond(200, "a", "Cache-Control", "max-age=60, s-maxage=0") }, false},
		"already old":        {func() *gateway.Response { return respond(200, "a", "Cache-Control", "max-age=60", "Age", "60") }, false},
		"a cookie":           {func() *gateway.Response { return respond(200, "a", "Set-Cookie", "a=b") }, false},
		"vary known":         {func() *gateway.Response { return respond(200, "a", "Vary", "accept, X-Company, Authorization") }, true},
		"vary unknown":       {func() *gateway.Response { return respond(200, "a", "Vary", "Accept, User-Agent") }, false},
		"vary *":             {func() *gateway.Response { return respond(200, "a", "Vary", "*") }, false},
		"created":            {func() *gateway.Response { return respond(201, "a") }, false},
		"not found":          {func() *gateway.Response { return respond(404, "a") }, false},
		"a server error":     {func() *gateway.Response { return respond(500, "a") }, false},
		"an event stream":    {func() *gateway.Response { return events("a") }, false},
		"too long":           {func() *gateway.Response { return respond(200, long) }, false},
		"a short stream":     {func() *gateway.Response { return stream("short", -1) }, true},
		"a long stream":      {func() *gateway.Response { return stream(long, -1) }, false},
		"a stream of length": {func() *gateway.Response { return stream(long, int64(len(long))) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, sys := serve(t, "{ttl: 1h, max_entry: 1KB, vary: X-Company}", func(int64, *gateway.Exchange) (*gateway.Response, error) {
				return c.response(), nil
			})
			first := s.Do("GET", "/orders", "shop")
			second := s.Do("GET", "/orders", "shop")
			if got := sys.calls.Load() == 1; got != c.kept {
				t.Errorf("kept: %v, want %v", got, c.kept)
			}
			if first.Text != second.Text || first.StatusCode != second.StatusCode || first.Header.Get("X-Cache") != "miss" {
				t.Errorf("answered %d %d bytes (X-Cache %s), then %d %d bytes", first.StatusCode, len(first.Text), first.Header.Get("X-Cache"), second.StatusCode, len(second.Text))
			}
		})
	}
}

func stream(body string, length int64) *gateway.Response {
	return &gateway.Response{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Length: length}
}

func events(body string) *gateway.Response {
	return &gateway.Response{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Bytes: []byte(body)}
}

func TestCallersWish(t *testing.T) {
	s, _ := serve(t, "{ttl: 1h, stale: 1h}", nil)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "Cache-Control: no-cache"), "answer 2", "miss")
	expect(t, s.Do("GET", "/orders", "shop"), "answer 2", "hit")
	expect(t, s.Do("GET", "/orders", "shop", "Cache-Control: max-age=0"), "answer 3", "miss")
	expect(t, s.Do("GET", "/orders", "shop", "Cache-Control: max-age=60"), "answer 3", "hit")
	expect(t, s.Do("GET", "/orders", "shop", "Cache-Control: no-store"), "answer 4", "miss")
	expect(t, s.Do("GET", "/orders", "shop"), "answer 3", "hit")
	for _, header := range []string{"Range: bytes=0-1", `If-Match: "a"`, "If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT"} {
		if r := s.Do("GET", "/orders", "shop", header); r.Header.Get("X-Cache") != "" {
			t.Errorf("%s went through the cache", header)
		}
	}
}

func TestConditions(t *testing.T) {
	const modified = "Mon, 02 Jan 2006 15:04:05 GMT"
	s, sys := serve(t, "{ttl: 1h}", func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
		if x.Operation.Spec.ID == "listItems" {
			return text(n, "Etag", `W/"v7"`, "Last-Modified", modified, "Cache-Control", "no-store")
		}
		return text(n, "Last-Modified", modified, "Content-Language", "de", "Cache-Control", "max-age=60")
	})
	etag := s.Do("GET", "/orders", "shop").Header.Get("Etag")
	for header, want := range map[string]int{
		"If-None-Match: " + etag:                           304,
		`If-None-Match: "other", W/` + etag:                304,
		"If-None-Match: *":                                 304,
		`If-None-Match: "other"`:                           200,
		"If-Modified-Since: " + modified:                   304,
		"If-Modified-Since: Tue, 03 Jan 2006 15:04:05 GMT": 304,
		"If-Modified-Since: Sun, 01 Jan 2006 15:04:05 GMT": 200,
		"If-Modified-Since: yesterday":                     200,
	} {
		r := s.Do("GET", "/orders", "shop", header)
		if r.StatusCode != want || r.Header.Get("X-Cache") != "hit" || r.Header.Get("Etag") != etag {
			t.Errorf("%s: answered %d, %v; want %d", header, r.StatusCode, r.Header, want)
		}
		if want == 304 && (r.Text != "" || r.Header.Get("Content-Language") != "" || r.Header.Get("Cache-Control") != "max-age=60") {
			t.Errorf("%s: 304 with %q, %v", header, r.Text, r.Header)
		}
	}
	// Both at once: If-None-Match decides.
	if r := s.Do("GET", "/orders", "shop", `If-None-Match: "other"`, "If-Modified-Since: "+modified); r.StatusCode != 200 {
		t.Errorf("answered %d although If-None-Match does not match", r.StatusCode)
	}
	// The system never sees the condition, but its answer is measured by it.
	if r := s.Do("GET", "/items", "shop", `If-None-Match: "v7"`, "X-Keep: 1"); r.StatusCode != 304 || r.Header.Get("X-Cache") != "miss" {
		t.Errorf("answered %d, X-Cache %s", r.StatusCode, r.Header.Get("X-Cache"))
	}
	sys.mu.Lock()
	defer sys.mu.Unlock()
	if sys.seen.Get("If-None-Match") != "" || sys.seen.Get("X-Keep") != "1" {
		t.Errorf("the system saw %v", sys.seen)
	}
}

// caller calls an operation, with headers given as name, value.
type caller func(ctx context.Context, class specs.Class, headers ...string) (*gateway.Exchange, *gateway.Response, error)

// chain calls an operation on whatever clock there is.
func chain(t *testing.T, s gatewaytest.Site, operation string) caller {
	t.Helper()
	table, problems := s.Table()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, op := range table.Operations {
		if op.Spec.ID == operation {
			return func(ctx context.Context, class specs.Class, headers ...string) (*gateway.Exchange, *gateway.Response, error) {
				r, _ := http.NewRequestWithContext(ctx, op.Spec.Method, op.Route, nil)
				r.Header.Set("X-Test-App", "shop")
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				x := &gateway.Exchange{Request: r, Operation: op, Class: class}
				resp, err := op.Handler(x)
				return x, resp, err
			}
		}
	}
	t.Fatal("no such operation")
	return nil
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			if x.Operation.Spec.ID == "listItems" {
				return text(n, "Cache-Control", "max-age=10", "Age", "3")
			}
			return text(n)
		}}
		s := site("{ttl: 30s}", sys)
		orders, items := chain(t, s, "listOrders"), chain(t, s, "listItems")
		get := func(call caller, body, age, how string) {
			t.Helper()
			_, r, err := call(t.Context(), specs.Normal)
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Bytes) != body || r.Header.Get("Age") != age || r.Header.Get("X-Cache") != how {
				t.Errorf("answered %s, %v; want %s, Age %q, X-Cache %s", r.Bytes, r.Header, body, age, how)
			}
		}
		get(orders, "answer 1", "", "miss")
		get(items, "answer 2", "", "miss")
		time.Sleep(7*time.Second - 1)
		get(items, "answer 2", "9", "hit")
		time.Sleep(time.Nanosecond)
		get(items, "answer 3", "", "miss")
		time.Sleep(23*time.Second - 1)
		get(orders, "answer 1", "29", "hit")
		time.Sleep(time.Nanosecond)
		get(orders, "answer 4", "", "miss")
	})
}

func TestStale(t *testing.T) {
	for _, c := range []struct {
		err   error
		given bool
	}{
		{&gateway.Error{Problem: gateway.Saturated}, true},
		{&gateway.Error{Problem: gateway.SystemUnavailable}, true},
		{fmt.Errorf("wrapped: %w", &gateway.Error{Problem: gateway.SystemTimeout}), true},
		{&gateway.Error{Problem: gateway.BadGateway}, false},
		{&gateway.Error{Problem: gateway.SystemRefused}, false},
		{errors.New("a mistake"), false},
		{context.Canceled, false},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := false
				s := site("{ttl: 30s, stale: 1m}", &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
					if failing {
						return nil, c.err
					}
					return text(n)
				}})
				call := chain(t, s, "listOrders")
				call(t.Context(), specs.Normal)
				failing = true
				time.Sleep(90*time.Second - 1)
				x, r, err := call(t.Context(), specs.Normal)
				if (err == nil) != c.given {
					t.Fatalf("answered %v, %v", r, err)
				}
				if c.given && (string(r.Bytes) != "answer 1" || r.Header.Get("X-Cache") != "stale" || r.Header.Get("Age") != "89" || x.Record.Cache != "stale" || x.Record.Cause == nil) {
					t.Errorf("answered %s, %v; recorded %+v", r.Bytes, r.Header, x.Record)
				}
				if c.given {
					if _, r, err := call(t.Context(), specs.Normal, "If-None-Match", r.Header.Get("Etag")); err != nil || r.Status != 304 || r.Header.Get("X-Cache") != "stale" {
						t.Errorf("to a caller who has it: %+v, %v", r, err)
					}
				}
				time.Sleep(time.Nanosecond)
				if _, _, err := call(t.Context(), specs.Normal); !errors.Is(err, c.err) {
					t.Errorf("after the time for stale answers: %v", err)
				}
			})
		})
	}
}

// TestNotStale: must-revalidate, and callers who want no old answer.
func TestNotStale(t *testing.T) {
	saturated := &gateway.Error{Problem: gateway.Saturated, RetryAfter: time.Second}
	s, _ := serve(t, "{ttl: 1h, stale: 1h}", func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
		if n > 1 {
			return nil, saturated
		}
		return text(n)
	})
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "miss")
	s.Refused(s.Do("GET", "/orders", "shop", "Cache-Control: no-cache"), gateway.Saturated)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "hit")

	synctest.Test(t, func(t *testing.T) {
		call := chain(t, site("{ttl: 30s, stale: 1h}", &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			if n > 1 {
				return nil, saturated
			}
			return text(n, "Cache-Control", "must-revalidate")
		}}), "listOrders")
		call(t.Context(), specs.Normal)
		time.Sleep(time.Minute)
		if _, r, err := call(t.Context(), specs.Normal); err == nil {
			t.Errorf("answered %v although the system said must-revalidate", r.Header)
		}
	})
}

// TestTogether has many calls for one answer at once.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			time.Sleep(2 * time.Second)
			return text(n)
		}}
		call := chain(t, site("{ttl: 1h}", sys), "listOrders")
		start := time.Now()
		var wg sync.WaitGroup
		var hits atomic.Int64
		for range 50 {
			wg.Go(func() {
				_, r, err := call(t.Context(), specs.Normal)
				if err != nil || string(r.Bytes) != "answer 1" {
					t.Errorf("answered %+v, %v", r, err)
					return
				}
				if r.Header.Get("X-Cache") == "hit" {
					hits.Add(1)
				}
			})
		}
		wg.Wait()
		if n := sys.calls.Load(); n != 1 || hits.Load() != 49 || time.Since(start) != 2*time.Second {
			t.Errorf("%d calls to the system, %d hits, in %s", n, hits.Load(), time.Since(start))
		}
	})
}

// TestTogetherApart: followers do not suffer from the one they wait for.
func TestTogetherApart(t *testing.T) {
	type outcome struct {
		err error
		how string
		at  time.Duration
	}
	// play starts a slow call and, a second later, another one.
	play := func(t *testing.T, settings string, first func(context.Context) context.Context, class specs.Class, answer func(n int64, x *gateway.Exchange) (*gateway.Response, error)) (leader, follower outcome) {
		synctest.Test(t, func(t *testing.T) {
			call := chain(t, site(settings, &system{answer: answer}), "listOrders")
			start := time.Now()
			run := func(ctx context.Context, class specs.Class, o *outcome) {
				defer func() {
					if p := recover(); p != nil {
						*o = outcome{err: fmt.Errorf("panic: %v", p), at: time.Since(start)}
					}
				}()
				_, r, err := call(ctx, class)
				*o = outcome{err: err, at: time.Since(start)}
				if err == nil {
					o.how = r.Header.Get("X-Cache") + " " + string(r.Bytes)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() { run(first(t.Context()), specs.Normal, &leader) })
			time.Sleep(time.Second)
			wg.Go(func() { run(t.Context(), class, &follower) })
			wg.Wait()
		})
		return leader, follower
	}
	same := func(ctx context.Context) context.Context { return ctx }
	slow := func(d time.Duration) func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
		return func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			if n == 1 {
				select {
				case <-time.After(d):
				case <-x.Context().Done():
					return nil, x.Context().Err()
				}
			}
			return text(n)
		}
	}

	t.Run("the first is slow: patience ends", func(t *testing.T) {
		_, follower := play(t, "{ttl: 1h}", same, specs.Normal, slow(time.Minute))
		if follower.how != "miss answer 2" || follower.at != time.Second+patience {
			t.Errorf("%+v", follower)
		}
	})
	t.Run("the first leaves", func(t *testing.T) {
		leader, follower := play(t, "{ttl: 1h}", func(ctx context.Context) context.Context {
			ctx, leave := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, leave)
			return ctx
		}, specs.Normal, slow(time.Minute))
		if leader.err == nil || follower.how != "miss answer 2" || follower.at != 2*time.Second {
			t.Errorf("%+v, %+v", leader, follower)
		}
	})
	t.Run("the first panics", func(t *testing.T) {
		leader, follower := play(t, "{ttl: 1h}", same, specs.Normal, func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			if n == 1 {
				time.Sleep(2 * time.Second)
				panic("a mistake")
			}
			return text(n)
		})
		if leader.err == nil || follower.how != "miss answer 2" || follower.at != 2*time.Second {
			t.Errorf("%+v, %+v", leader, follower)
		}
	})
	t.Run("another class does not wait", func(t *testing.T) {
		_, follower := play(t, "{ttl: 1h}", same, specs.Critical, slow(time.Minute))
		if follower.how != "miss answer 2" || follower.at != time.Second {
			t.Errorf("%+v", follower)
		}
	})
	t.Run("the answer is not kept", func(t *testing.T) {
		_, follower := play(t, "{ttl: 1h}", same, specs.Normal, func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			time.Sleep(2 * time.Second)
			return text(n, "Cache-Control", "no-store")
		})
		if follower.how != "miss answer 2" || follower.at != 4*time.Second {
			t.Errorf("%+v", follower)
		}
	})
	t.Run("the first gets an old answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sys := &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
				if n == 1 {
					return text(n)
				}
				time.Sleep(3 * time.Second)
				return nil, &gateway.Error{Problem: gateway.Saturated}
			}}
			call := chain(t, site("{ttl: 30s, stale: 1h}", sys), "listOrders")
			call(t.Context(), specs.Normal)
			time.Sleep(time.Minute)
			start := time.Now()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if x, r, err := call(t.Context(), specs.Normal); err != nil || r.Header.Get("X-Cache") != "stale" || x.Record.Cause == nil {
						t.Errorf("%+v, %v", r, err)
					}
				})
			}
			wg.Wait()
			if n := sys.calls.Load(); n != 2 || time.Since(start) != 3*time.Second {
				t.Errorf("the saturated system was called %d times, and it took %s", n, time.Since(start))
			}
		})
	})
	t.Run("nobody waits for what is not kept", func(t *testing.T) {
		for _, first := range []string{"headOrders", "no-store"} {
			synctest.Test(t, func(t *testing.T) {
				s := site("{ttl: 1h}", &system{answer: slow(3 * time.Second)})
				call := chain(t, s, "listOrders")
				if first == "no-store" {
					go call(t.Context(), specs.Normal, "Cache-Control", "no-store")
				} else {
					go chain(t, s, first)(t.Context(), specs.Normal)
				}
				synctest.Wait()
				start := time.Now()
				_, r, err := call(t.Context(), specs.Normal)
				if err != nil || string(r.Bytes) != "answer 2" || time.Since(start) != 0 {
					t.Errorf("%s: %+v, %v after %s", first, r, err, time.Since(start))
				}
				time.Sleep(time.Minute)
			})
		}
	})
	t.Run("the follower leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			call := chain(t, site("{ttl: 1h}", &system{answer: slow(3 * time.Second)}), "listOrders")
			go call(t.Context(), specs.Normal)
			synctest.Wait()
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			start := time.Now()
			_, _, err := call(ctx, specs.Normal)
			if e := gateway.AsError(err); err == nil || e.Problem != gateway.CallerLeft || time.Since(start) != time.Second {
				t.Errorf("%v after %s", err, time.Since(start))
			}
			time.Sleep(time.Minute)
		})
	})
}

// TestNotKeptDoesNotQueue: once it is known that answers are not kept, calls
// for them run side by side.
func TestNotKeptDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := chain(t, site("{ttl: 1h}", &system{answer: func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
			time.Sleep(time.Second)
			return text(n, "Cache-Control", "no-store")
		}}), "listOrders")
		call(t.Context(), specs.Normal)
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { call(t.Context(), specs.Normal) })
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("ten calls took %s", took)
		}
	})
}

func TestSize(t *testing.T) {
	s, _ := serve(t, "{ttl: 1h, max_size: 10KB, max_entry: 4KB}", func(n int64, x *gateway.Exchange) (*gateway.Response, error) {
		return &gateway.Response{Status: 200, Header: http.Header{}, Bytes: bytes.Repeat([]byte{'x'}, 2500)}, nil
	})
	how := func(page int) string {
		return s.Do("GET", "/orders?page="+strconv.Itoa(page), "shop").Header.Get("X-Cache")
	}
	for page := range 3 {
		how(page)
	}
	if how(0) != "hit" {
		t.Error("three entries do not fit")
	}
	how(3) // pushes out page 1, which was not used for longest
	for page, want := range map[int]string{0: "hit", 2: "hit", 3: "hit"} {
		if got := how(page); got != want {
			t.Errorf("page %d: %s, want %s", page, got, want)
		}
	}
	if how(1) != "miss" {
		t.Error("four entries fit into a bound for three")
	}
}

func TestStoreKeepsItsBound(t *testing.T) {
	s := newStore()
	s.resize(100_000)
	for i := range 5000 {
		key := strconv.Itoa(i % 700)
		s.put(key, &entry{body: make([]byte, i%3000), header: http.Header{"A": {strings.Repeat("b", i%100)}}})
		var sum int64
		for e := s.order.Front(); e != nil; e = e.Next() {
			sum += e.Value.(*item).size
		}
		if sum != s.size || s.size > s.bound || len(s.kept) != s.order.Len() {
			t.Fatalf("after %d: %d bytes counted, %d kept, bound %d, %d keys, %d entries", i, s.size, sum, s.bound, len(s.kept), s.order.Len())
		}
	}
	s.resize(1000)
	if s.size > 1000 {
		t.Errorf("%d bytes after the bound was lowered", s.size)
	}
}

// TestReload keeps answers over a reload for the same revision only.
func TestReload(t *testing.T) {
	sys := &system{}
	at := site("{ttl: 1h}", sys)
	at.Revision = "one"
	s := gatewaytest.Serve(t, at)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "miss")
	s.Reload(at)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 1", "hit")
	at.Revision = "two"
	s.Reload(at)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 2", "miss")
	at.Revision = ""
	s.Reload(at)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 3", "miss")
	s.Reload(at)
	expect(t, s.Do("GET", "/orders", "shop"), "answer 4", "miss")
}

// TestStoresAreForgotten builds tables one after the other: what the old ones
// kept must not stay.
func TestStoresAreForgotten(t *testing.T) {
	all := &stores{open: map[storeKey]weakStore{}}
	for i := range 100 {
		b := &gateway.Binding{API: &gateway.API{Name: "orders", Major: "v1", Revision: strconv.Itoa(i)}, Operation: &specs.Operation{ID: "listOrders"}}
		all.get(b, 1000).put("key", &entry{body: make([]byte, 100)})
	}
	for range 100 {
		runtime.GC()
		all.mu.Lock()
		n := len(all.open)
		all.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d stores are still there", len(all.open))
}

func TestKeysAreApart(t *testing.T) {
	p := &policy{vary: []string{"Accept", "X-A"}}
	exchange := func(path, query, app string, h http.Header) *gateway.Exchange {
		r, _ := http.NewRequest("GET", path+"?"+query, nil)
		r.Header = h
		x := &gateway.Exchange{Request: r}
		if app != "" {
			x.App = &gateway.App{Name: app}
		}
		return x
	}
	seen := map[string]int{}
	for i, x := range []*gateway.Exchange{
		exchange("/a", "b", "", http.Header{}), exchange("/ab", "", "", http.Header{}), exchange("/a", "", "b", http.Header{}),
		exchange("/a", "", "", http.Header{"Accept": {"b"}}), exchange("/a", "", "", http.Header{"X-A": {"b"}}),
		exchange("/a", "", "", http.Header{"Accept": {"b", ""}}), exchange("/a", "", "", http.Header{"Accept": {"", "b"}}),
		exchange("/a", "", "b", http.Header{"Authorization": {"c"}}), exchange("/a", "", "b", http.Header{"Cookie": {"c"}}),
		exchange("/a", "", "b", http.Header{"Authorization": {"c", "d"}}), exchange("/a", "", "b", http.Header{"Authorization": {"c"}, "Cookie": {"d"}}),
		exchange("/a%2Fb", "", "", http.Header{}), exchange("/a/b", "", "", http.Header{}),
	} {
		key := string(p.appendKey(nil, x))
		if other, ok := seen[key]; ok {
			t.Errorf("exchanges %d and %d share a key", other, i)
		}
		if strings.Contains(key, "secret") {
			t.Error("a credential is kept")
		}
		seen[key] = i
	}
}

func TestProblems(t *testing.T) {
	for settings, want := range map[string]string{
		"{}":                       `the key "ttl" is missing`,
		"{ttl: 10ms}":              "at least 1s",
		"{ttl: 1m, max_size: 1MB}": "does not fit into 1MB",
		"{ttl: 1m, vary: [X-Ok, 'not a header']}": "is not the name of a header",
		"{ttl: 1m, share: true}":                  `did you mean "shared"?`,
	} {
		_, problems := site(settings, &system{}).Table()
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 3 {
			t.Errorf("%s: %v, want one problem in line 3 with %q", settings, problems, want)
		}
	}
	s := site("off", &system{})
	s.Document = strings.Replace(s.Document, "operationId: createOrder", "operationId: createOrder\n      x-headrace: {policies: {cache: {ttl: 1m}}}", 1)
	if _, problems := s.Table(); len(problems) != 1 || !strings.Contains(problems[0].String(), "answers to POST are not kept") {
		t.Errorf("a cache at a POST: %v", problems)
	}
}

func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{"no-store", "max-age=60, private", `max-age="5",,=`, "s-maxage=99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := directives([]string{line})
		if c.maxAge < -1 || c.sharedMaxAge < -1 || c.maxAge > 1<<31 {
			t.Errorf("%q: %+v", line, c)
		}
		if lower := strings.ToLower(line); c.noStore && !strings.Contains(lower, "no-store") || c.private && !strings.Contains(lower, "private") {
			t.Errorf("%q: %+v", line, c)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	table, problems := site("{ttl: 1h}", &system{}).Table()
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	op := table.Operations[0]
	for _, o := range table.Operations {
		if o.Spec.ID == "listOrders" {
			op = o
		}
	}
	r, _ := http.NewRequest("GET", "/orders/v1/orders?page=1", nil)
	r.Header.Set("X-Test-App", "shop")
	x := &gateway.Exchange{Request: r, Operation: op}
	b.ReportAllocs()
	for b.Loop() {
		at := *x
		if _, err := op.Handler(&at); err != nil {
			b.Fatal(err)
		}
	}
}
