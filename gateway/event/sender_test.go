package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	me       = ledger.By{Actor: "member:dev@shop.example"}
	secret   = bytes.Repeat([]byte{7}, SecretLength)
)

// receiver is an app's webhook.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	bodies [][]byte
	answer func(n int, w http.ResponseWriter) // n counts from 1; 204 when nil
	came   chan struct{}
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter)) *receiver {
	r := &receiver{answer: answer, came: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.got, r.bodies = append(r.got, q), append(r.bodies, body)
		n := len(r.got)
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(n, w)
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
		r.came <- struct{}{}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// wait waits until n requests have come.
func (r *receiver) wait(t *testing.T, n int) {
	t.Helper()
	for {
		have := r.count()
		if have >= n {
			return
		}
		select {
		case <-r.came:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d requests have come, not %d", have, n)
		}
	}
}

type world struct {
	*testing.T
	db     *ledger.DB
	sender *Sender
}

func newWorld(t *testing.T, o Options) *world {
	db, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{T: t, db: db}
	w.sender = w.another(o)
	return w
}

// another is one more replica's sender.
func (w *world) another(o Options) *Sender {
	o.Ledger, o.Secret = w.db, secret
	if o.Allow == nil {
		o.Allow = loopback
	}
	if o.Waits == nil {
		o.Waits = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	}
	s, err := New(o)
	w.ok(err)
	return s
}

// run lets a sender work until the test ends.
func (w *world) run(s *Sender) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	w.Cleanup(func() { cancel(); <-done })
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) hook(url string, types ...ledger.State) (id, secret string) {
	w.Helper()
	if types == nil {
		types = Types
	}
	id, secret, err := w.sender.Create(w.Context(), "shop", Draft{URL: url, About: "the shop", Types: types}, me)
	w.ok(err)
	return id, secret
}

// write appends a write and lets it come to a state.
func (w *world) write(s ledger.Settlement) string {
	w.Helper()
	r, err := w.db.Append(w.Context(), &ledger.Write{System: "erp", App: "shop", Operation: "orders/v1/create", Class: specs.Normal, Key: fmt.Sprint(time.Now().UnixNano()), Correlation: "c-1", Hand: true, Request: []byte("{}")})
	w.ok(err)
	w.ok(w.db.Settle(w.Context(), r.Claimed, s))
	return r.ID
}

// until waits for a delivery log to be as it should.
func (w *world) until(hook string, as func([]*ledger.Delivery) bool) []*ledger.Delivery {
	w.Helper()
	for range 24000 {
		list, err := w.db.Deliveries(w.Context(), hook, 0, 0)
		w.ok(err)
		if as(list) {
			return list
		}
		time.Sleep(5 * time.Millisecond)
	}
	list, _ := w.db.Deliveries(w.Context(), hook, 0, 0)
	for _, d := range list {
		w.Logf("%+v", d)
	}
	w.Fatal("the log does not become as it should")
	return nil
}

func all(state string, n int) func([]*ledger.Delivery) bool {
	return func(list []*ledger.Delivery) bool {
		return len(list) == n && !slices.ContainsFunc(list, func(d *ledger.Delivery) bool { return d.State != state })
	}
}

func TestAWriteIsTold(t *testing.T) {
	w := newWorld(t, Options{})
	r := receive(t, nil)
	hook, secret := w.hook(r.URL + "/hooks?x=1")
	w.run(w.sender)
	id := w.write(ledger.Settlement{State: ledger.Refused, Dead: true, Attempt: true, Status: 422, Reason: "erp answered 422: there is no SKU-9"})
	r.wait(t, 1)
	w.until(hook, all(ledger.Taken, 1))
	q, body := r.got[0], r.bodies[0]
	judge, err := standardwebhooks.NewWebhook(secret)
	w.ok(err)
	w.ok(judge.Verify(body, q.Header))
	if err := judge.Verify(append(bytes.Clone(body), ' '), q.Header); err == nil {
		t.Error("a changed body is taken")
	}
	if got := q.Header.Get("Content-Type"); got != "application/cloudevents+json; charset=utf-8" || q.Method != "POST" || q.URL.RawQuery != "x=1" {
		t.Errorf("%s %s as %s", q.Method, q.URL, got)
	}
	var e map[string]any
	w.ok(json.Unmarshal(body, &e))
	data := e["data"].(map[string]any)
	for name, want := range map[string]any{"specversion": "1.0", "id": id + "-2", "type": "headrace.write.refused", "subject": id, "source": "/writes", "datacontenttype": "application/json", "sequence": "0000000002"} {
		if e[name] != want {
			t.Errorf("%s is %v, not %v", name, e[name], want)
		}
	}
	for name, want := range map[string]any{"id": id, "location": "/writes/" + id, "state": "refused", "needsAttention": true, "app": "shop", "operation": "orders/v1/create",
		"status": 422.0, "reason": "the system answered 422: there is no SKU-9", "attempts": 1.0, "correlation": "c-1"} {
		if data[name] != want {
			t.Errorf("data.%s is %v, not %v", name, data[name], want)
		}
	}
	if q.Header.Get("webhook-id") != e["id"] {
		t.Errorf("the message is %s, the event %s", q.Header.Get("webhook-id"), e["id"])
	}
	if bytes.Contains(body, []byte("erp")) {
		t.Errorf("the event names the system: %s", body)
	}
	if _, err := time.Parse(time.RFC3339, e["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestAFailureIsTriedAgainWithTheSameEvent(t *testing.T) {
	w := newWorld(t, Options{})
	r := receive(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}
	})
	hook, _ := w.hook(r.URL)
	w.run(w.sender)
	w.write(ledger.Settlement{State: ledger.Delivered, Status: 201})
	list := w.until(hook, all(ledger.Taken, 1))
	if len(r.got) != 3 || !bytes.Equal(r.bodies[0], r.bodies[2]) || r.got[0].Header.Get("webhook-id") != r.got[2].Header.Get("webhook-id") {
		t.Errorf("%d requests, %s, %s", len(r.got), r.bodies[0], r.bodies[len(r.bodies)-1])
	}
	log := list[0].Log
	if len(log) != 3 || log[0].Error != "answered 500" || !strings.Contains(log[1].Error, "redirects are not followed") || log[2].Error != "" || log[2].Status != 200 {
		t.Errorf("log %+v", log)
	}
	h, err := w.db.Hook(t.Context(), hook)
	w.ok(err)
	if h.Failures != 0 || h.Answered.IsZero() {
		t.Errorf("hook %+v", h)
	}
}

func TestADeliveryIsGivenUpAndAskedForAgain(t *testing.T) {
	w := newWorld(t, Options{})
	ok := make(chan struct{})
	r := receive(t, func(n int, w http.ResponseWriter) {
		select {
		case <-ok:
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	hook, _ := w.hook(r.URL, ledger.Delivered)
	w.run(w.sender)
	w.write(ledger.Settlement{State: ledger.Delivered})
	list := w.until(hook, all(ledger.GivenUp, 1))
	if len(list[0].Log) != 4 {
		t.Errorf("%d tries", len(list[0].Log))
	}
	close(ok)
	w.ok(w.db.Redeliver(t.Context(), hook, list[0].Number, me))
	w.until(hook, all(ledger.Taken, 1))
}

func TestAWebhookThatFailsForLongIsTurnedOff(t *testing.T) {
	failed := make(chan string, 10)
	w := newWorld(t, Options{Patience: time.Nanosecond, Failed: func(_ context.Context, h *ledger.Hook) { failed <- h.ID }})
	r := receive(t, func(_ int, w http.ResponseWriter) { w.WriteHeader(500) })
	gone := receive(t, func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusGone) })
	first, _ := w.hook(r.URL, ledger.Delivered)
	second, _ := w.hook(gone.URL, ledger.Delivered)
	w.run(w.sender)
	w.write(ledger.Settlement{State: ledger.Delivered})
	if told := []string{<-failed, <-failed}; !slices.Contains(told, first) || !slices.Contains(told, second) {
		t.Errorf("told of %v", told)
	}
	for _, id := range []string{first, second} {
		h, err := w.db.Hook(t.Context(), id)
		w.ok(err)
		if h.State != ledger.HookFailed || h.Waiting != 1 {
			t.Errorf("%s is %s, and %d wait", id, h.State, h.Waiting)
		}
	}
	if len(gone.got) != 1 {
		t.Errorf("one that is gone was asked %d times", len(gone.got))
	}
	r.answer = nil
	w.ok(w.sender.Turn(t.Context(), first, true, me))
	w.until(first, all(ledger.Taken, 1))
}

func TestSecretsOverlapWhileTheyAreRotated(t *testing.T) {
	w := newWorld(t, Options{})
	r := receive(t, nil)
	hook, old := w.hook(r.URL, ledger.Delivered)
	w.run(w.sender)
	fresh, err := w.sender.Rotate(t.Context(), hook, time.Hour, me)
	w.ok(err)
	w.write(ledger.Settlement{State: ledger.Delivered})
	r.wait(t, 1)
	last, err := w.sender.Rotate(t.Context(), hook, 0, me)
	w.ok(err)
	w.until(hook, all(ledger.Taken, 1))
	w.write(ledger.Settlement{State: ledger.Delivered})
	r.wait(t, 2)
	for _, c := range []struct {
		secret string
		n      int
		good   bool
	}{{old, 0, true}, {fresh, 0, true}, {last, 0, false}, {fresh, 1, false}, {last, 1, true}} {
		judge, err := standardwebhooks.NewWebhook(c.secret)
		w.ok(err)
		if err := judge.Verify(r.bodies[c.n], r.got[c.n].Header); (err == nil) != c.good {
			t.Errorf("request %d: %v", c.n, err)
		}
	}
	if _, err := w.sender.Rotate(t.Context(), hook, 8*24*time.Hour, me); err == nil {
		t.Error("an overlap of eight days is taken")
	}
	h, err := w.db.Hook(t.Context(), hook)
	w.ok(err)
	if bytes.Contains(h.Secret, []byte(last)) || len(h.Secret) < 40 {
		t.Error("the secret is not sealed")
	}
}

// What is sent while nobody is there is told when a sender comes, and several
// share it.
func TestReplicasShareTheOutbox(t *testing.T) {
	w := newWorld(t, Options{})
	r := receive(t, nil)
	hook, _ := w.hook(r.URL, ledger.Delivered)
	const writes = 30
	for range writes {
		w.write(ledger.Settlement{State: ledger.Delivered})
	}
	w.run(w.sender)
	w.run(w.another(Options{}))
	w.until(hook, all(ledger.Taken, writes))
	seen := map[string]bool{}
	for _, q := range r.got {
		seen[q.Header.Get("webhook-id")] = true
	}
	if len(seen) != writes || len(r.got) != writes {
		t.Errorf("%d events in %d requests", len(seen), len(r.got))
	}
}

// A receiver that does not answer holds up nobody else.
func TestASlowReceiverHoldsUpNobody(t *testing.T) {
	w := newWorld(t, Options{Timeout: 30 * time.Second})
	let := make(chan struct{})
	slow := receive(t, func(_ int, w http.ResponseWriter) { <-let })
	quick := receive(t, nil)
	defer close(let)
	w.hook(slow.URL, ledger.Delivered)
	hook, _ := w.hook(quick.URL, ledger.Delivered)
	w.run(w.sender)
	for range 20 {
		w.write(ledger.Settlement{State: ledger.Delivered})
	}
	w.until(hook, all(ledger.Taken, 20))
	if n := slow.count(); n > perHook {
		t.Errorf("%d deliveries of one webhook are under way", n)
	}
}

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	strict := guard{}
	for _, text := range []string{"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1",
		"192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "ff02::1", "::127.0.0.1", "fec0::1"} {
		if strict.permits(netip.MustParseAddr(text)) {
			t.Errorf("%s is permitted", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "93.184.215.14", "2606:4700::1111"} {
		if !strict.permits(netip.MustParseAddr(text)) {
			t.Errorf("%s is not permitted", text)
		}
	}
	named := guard{allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	if !named.permits(netip.MustParseAddr("10.20.1.1")) || !named.permits(netip.MustParseAddr("::ffff:10.20.1.1")) || named.permits(netip.MustParseAddr("10.21.0.1")) || named.permits(netip.MustParseAddr("127.0.0.1")) {
		t.Error("what the operator names is not what is permitted")
	}
}

// The address that is dialled is the one that is checked, whatever the name was.
func TestAGuardedAddressIsNotDialled(t *testing.T) {
	w := newWorld(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}})
	r := receive(t, nil)
	// The name passes for what it is; what it resolves to does not.
	hook, _ := w.hook(strings.Replace(r.URL, "127.0.0.1", "localhost", 1), ledger.Delivered)
	secure := httptest.NewTLSServer(r.Config.Handler)
	defer secure.Close()
	second, _ := w.hook(strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), ledger.Delivered)
	w.run(w.sender)
	w.write(ledger.Settlement{State: ledger.Delivered})
	for _, id := range []string{hook, second} {
		list := w.until(id, all(ledger.GivenUp, 1))
		if got := list[0].Log[0]; got.Error != errGuarded.Error() || got.Status != 0 {
			t.Errorf("log %+v", got)
		}
	}
	if r.count() != 0 {
		t.Errorf("it was dialled %d times", len(r.got))
	}
}

// Errors are the owner's to read: they name nothing inside.
func TestErrorsNameNothingInside(t *testing.T) {
	w := newWorld(t, Options{})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain := receive(t, nil)
	closed := receive(t, nil)
	closed.Close()
	for url, want := range map[string]string{
		secure.URL: "the certificate is not valid for this address",
		strings.Replace(plain.URL, "http:", "https:", 1): "there is no TLS at this address",
		closed.URL: "the connection failed",
	} {
		_, _, err := w.sender.send(t.Context(), &ledger.Hook{App: "shop", URL: url, Secret: w.sender.seal.close("shop", newSecret())}, &ledger.Delivery{Type: ledger.Test, Hook: "wh_1", Number: 1})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", url, err)
		}
	}
	h := &ledger.Hook{App: "desk", URL: plain.URL, Secret: w.sender.seal.close("shop", newSecret())}
	if _, _, err := w.sender.send(t.Context(), h, &ledger.Delivery{Type: ledger.Test}); err == nil || !strings.Contains(err.Error(), "encrypted with another secret") {
		t.Errorf("another app's secret: %v", err)
	}
}

func TestDraftsAreRefused(t *testing.T) {
	w := newWorld(t, Options{Allow: []netip.Prefix{}})
	for _, d := range []Draft{
		{URL: "", Types: Types}, {URL: "shop", Types: Types}, {URL: "http://shop.example/", Types: Types}, {URL: "ftp://shop.example/", Types: Types},
		{URL: "https://user:pass@shop.example/", Types: Types}, {URL: "https://127.0.0.1/", Types: Types}, {URL: "https://[::1]/", Types: Types},
		{URL: "https://localhost/", Types: Types}, {URL: "https://db.internal./", Types: Types}, {URL: "https://shop.example/#x", Types: Types}, {URL: "https://shop.example/"},
		{URL: "https://shop.example/", Types: []ledger.State{ledger.Sending}}, {URL: "https://shop.example/", About: strings.Repeat("x", 201), Types: Types},
		{URL: "https://shop.example/" + strings.Repeat("x", 2000), Types: Types},
	} {
		_, _, err := w.sender.Create(t.Context(), "shop", d, me)
		var wrong *WrongError
		if !errors.As(err, &wrong) {
			t.Errorf("%.60s: %v", d.URL, err)
		}
	}
	id, _, err := w.sender.Create(t.Context(), "shop", Draft{URL: " https://shop.example/h ", Types: Proposed}, me)
	w.ok(err)
	if err := w.sender.Change(t.Context(), id, Draft{URL: "https://10.0.0.1/", Types: Types}, me); err == nil {
		t.Error("a change to a private address is taken")
	}
	w.ok(w.sender.Change(t.Context(), id, Draft{URL: "https://shop.example/new", Types: Types}, me))
	w.ok(w.sender.Turn(t.Context(), id, false, me))
	h, err := w.db.Hook(t.Context(), id)
	w.ok(err)
	if h.URL != "https://shop.example/new" || h.State != ledger.HookOff {
		t.Errorf("%+v", h)
	}
	if _, err := New(Options{Ledger: w.db, Secret: []byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestSystemsAreNotNamed(t *testing.T) {
	for text, want := range map[string]string{"erp answered 400": "the system answered 400", "asked erp": "asked the system", "erp erp erp": "the system the system the system", "interpreted": "interpreted", "erp-2 and erp": "erp-2 and the system", "": ""} {
		if got := Unnamed(text, "erp"); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "90": 90 * time.Second, "-1": 0, "x": 0, "99999999": 24 * time.Hour, now.Add(time.Minute).Format(http.TimeFormat): time.Minute} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %s, not %s", text, got, want)
		}
	}
}
