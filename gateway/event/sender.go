package event

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// Options set up a Sender. Ledger and Secret are required.
type Options struct {
	Ledger *ledger.DB
	// Secret encrypts what signs: SecretLength bytes, the same at all replicas.
	Secret []byte
	// Allow are networks to which events go although they are not public, and
	// in plain http as well.
	Allow []netip.Prefix
	// Timeout bounds one delivery; 15 s when zero.
	Timeout time.Duration
	// Patience is how long a webhook may fail before it is turned off; 5 days when zero.
	Patience time.Duration
	// Keep is how long deliveries are known, told or not; 30 days when zero.
	Keep time.Duration
	// Waits are the pauses between tries; as the documentation says when nil.
	Waits []time.Duration
	// Agent is what the sender calls itself.
	Agent string
	// Observer hears of every try; nobody when nil.
	Observer Observer
	// Failed is told of a webhook that was turned off, by the replica that has
	// done it; nobody when nil.
	Failed func(context.Context, *ledger.Hook)
	// Log is told of faults; nowhere when nil.
	Log *slog.Logger
}

// Observer counts deliveries.
type Observer interface {
	// EventTold is called for each try: delivered, failed or given up.
	EventTold(outcome string, took time.Duration)
}

// waits are the pauses after the first, second… try of a delivery: about three
// days in all, as Standard Webhooks recommends.
var waits = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
	4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour}

const (
	perHook  = 4  // how many deliveries of one webhook are under way at a time
	together = 64 // and of all
	// mostQuiet bounds how long a failing webhook is left alone.
	mostQuiet = 10 * time.Minute
	// poll is how often the outbox is looked at although nothing was said.
	poll = 5 * time.Second
	// parting is how long deliveries under way may take after the end.
	parting = 2 * time.Second
	// answerBytes is what is read of an answer.
	answerBytes = 8 << 10
)

// Sender sends what waits in the outbox. Its methods are safe for concurrent use.
type Sender struct {
	options      Options
	seal         seal
	guard        guard
	secure, open *http.Client // for https, and for http
	wake         chan struct{}

	mu   sync.Mutex
	busy map[string]int // deliveries under way by webhook
	all  int
}

// New makes a sender; Run sends.
func New(o Options) (*Sender, error) {
	s, err := newSeal(o.Secret)
	if err != nil {
		return nil, err
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Timeout, 15 * time.Second}, {&o.Patience, 5 * 24 * time.Hour}, {&o.Keep, 30 * 24 * time.Hour}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if o.Waits == nil {
		o.Waits = waits
	}
	if o.Agent == "" {
		o.Agent = "Headrace"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := guard{o.Allow}
	client := func(permits func(netip.Addr) bool) *http.Client {
		return &http.Client{
			Transport: transport(permits, o.Timeout), Timeout: o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Sender{options: o, seal: s, guard: g, secure: client(g.permits), open: client(g.allowed), wake: make(chan struct{}, 1), busy: map[string]int{}}, nil
}

// stir lets Run look at the outbox.
func (s *Sender) stir() {
	select {
	case s.wake <- struct{}{}:
	default: // it has been told already
	}
}

// Run sends until ctx ends. What is under way then has a moment to end; what is
// broken off is sent again when its lease is over.
func (s *Sender) Run(ctx context.Context) {
	defer s.options.Ledger.WatchDeliveries(s.stir)()
	under, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var sending sync.WaitGroup
	defer sending.Wait()
	defer func() { time.AfterFunc(parting, cancel) }()
	defer s.secure.CloseIdleConnections()
	defer s.open.CloseIdleConnections()
	tidied := time.Time{}
	for ctx.Err() == nil {
		pause, err := s.round(ctx, under, &sending)
		if err != nil && ctx.Err() == nil {
			s.options.Log.Warn("the outbox cannot be read; events wait", "error", err)
		}
		if time.Since(tidied) > time.Hour {
			tidied = time.Now()
			s.tidy(ctx)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		}
		timer.Stop()
	}
}

// tidy forgets old deliveries.
func (s *Sender) tidy(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.options.Ledger.ForgetDeliveries(ctx, time.Now().Add(-s.options.Keep))
		if err != nil || n == 0 {
			return
		}
	}
}

// round claims what is due, as far as there is room, and begins to send it. It
// returns how long nothing need be looked at. What it begins goes on under under.
func (s *Sender) round(ctx, under context.Context, sending *sync.WaitGroup) (time.Duration, error) {
	due, next, err := s.options.Ledger.DueHooks(ctx)
	if err != nil {
		return poll, err
	}
	for _, h := range due {
		n := s.room(h)
		if n == 0 {
			continue // who ends wakes
		}
		list, err := s.options.Ledger.ClaimDeliveries(ctx, h.ID, n, 2*s.options.Timeout+30*time.Second)
		if err != nil {
			return poll, err
		}
		s.begin(h.ID, len(list))
		for _, d := range list {
			sending.Go(func() {
				defer s.stir()
				defer s.begin(h.ID, -1)
				s.deliver(under, h, d)
			})
		}
		if len(list) == n {
			s.stir() // there may be more
		}
	}
	if !next.IsZero() {
		return max(min(time.Until(next), poll), 10*time.Millisecond), nil
	}
	return poll, nil
}

// room is how many deliveries of a webhook may begin now. One that fails is
// tried with one at a time.
func (s *Sender) room(h *ledger.Hook) int {
	most := perHook
	if h.Failures > 0 {
		most = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, min(most-s.busy[h.ID], together-s.all))
}

func (s *Sender) begin(hook string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all += n
	if s.busy[hook] += n; s.busy[hook] == 0 {
		delete(s.busy, hook)
	}
}

// deliver sends one event and keeps what came of it.
func (s *Sender) deliver(ctx context.Context, h *ledger.Hook, d *ledger.Delivery) {
	told := ledger.Told{Delivery: d, Try: ledger.Try{At: time.Now().UTC()}}
	status, after, err := s.send(ctx, h, d)
	if err != nil && ctx.Err() != nil {
		return // broken off: nothing is known of it
	}
	told.Try.Took, told.Try.Status = time.Since(told.Try.At), status
	outcome := "delivered"
	if err != nil {
		told.Try.Error = err.Error()
		outcome = s.again(h, d, &told, after)
	}
	if s.options.Observer != nil {
		s.options.Observer.EventTold(outcome, told.Try.Took)
	}
	// Another replica may have taken it over, or the webhook is gone: then there
	// is nothing to keep. Without the ledger the lease ends, and it is sent again.
	ctx = context.WithoutCancel(ctx)
	switch err := s.options.Ledger.EndDelivery(ctx, told); {
	case errors.Is(err, ledger.ErrFenced), errors.Is(err, ledger.ErrNotFound):
	case err != nil:
		s.options.Log.Warn("what came of a delivery is not kept; it is sent again", "webhook", h.ID, "error", err)
	case told.Fail:
		s.options.Log.Warn("a webhook was turned off: it has failed for long", "webhook", h.ID, "app", h.App)
		if s.options.Failed != nil {
			s.options.Failed(ctx, h)
		}
	}
}

// again decides what follows from a failure.
func (s *Sender) again(h *ledger.Hook, d *ledger.Delivery, told *ledger.Told, after time.Duration) string {
	now := time.Now()
	quiet := min(mostQuiet, s.options.Waits[min(h.Failures, len(s.options.Waits)-1)])
	told.Quiet = now.Add(max(spread(quiet), min(after, mostQuiet)))
	gone := told.Try.Status == http.StatusGone
	told.Fail = gone || !h.Failing.IsZero() && now.Sub(h.Failing) > s.options.Patience
	if d.Tries > len(s.options.Waits) && !told.Fail {
		return "given up"
	}
	wait := s.options.Waits[min(d.Tries, len(s.options.Waits))-1]
	told.Again = now.Add(max(spread(wait), after))
	return "failed"
}

// spread varies a pause by a fifth either way, so that what has failed together
// does not come back together.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// send sends one event. Its error is for the webhook's owner: it names nothing
// that is inside. after is what the receiver asks for.
func (s *Sender) send(ctx context.Context, h *ledger.Hook, d *ledger.Delivery) (status int, after time.Duration, err error) {
	body, err := Body(d)
	if err != nil {
		return 0, 0, err
	}
	now := time.Now()
	secrets, err := s.secrets(h, now)
	if err != nil {
		return 0, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, 0, errors.New("the address cannot be read")
	}
	id := ID(d)
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("User-Agent", s.options.Agent)
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", signature(id, now, body, secrets...))
	client := s.secure
	if r.URL.Scheme != "https" {
		client = s.open
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, 0, plain(err)
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, answerBytes) // so that the connection may be used again
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return resp.StatusCode, 0, nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return resp.StatusCode, 0, fmt.Errorf("answered %d; redirects are not followed", resp.StatusCode)
	}
	return resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), now), fmt.Errorf("answered %d", resp.StatusCode)
}

// retryAfter reads the header of that name, up to a day.
func retryAfter(text string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(max(n, 0), 86400)) * time.Second
	} else if t, err := http.ParseTime(text); err == nil {
		d = t.Sub(now)
	}
	return max(0, min(d, 24*time.Hour))
}

// secrets are those that sign now.
func (s *Sender) secrets(h *ledger.Hook, now time.Time) ([][]byte, error) {
	secret, err := s.seal.open(h.App, h.Secret)
	if err != nil {
		return nil, err
	}
	list := [][]byte{secret}
	if len(h.Before) > 0 && now.Before(h.BeforeUntil) {
		if before, err := s.seal.open(h.App, h.Before); err == nil {
			list = append(list, before)
		}
	}
	return list, nil
}

// plain says what is wrong with a connection without a word of what is inside.
func plain(err error) error {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.Is(err, errGuarded):
		return errGuarded
	case errors.As(err, &dns):
		return errors.New("the name is not known")
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &host):
		return errors.New("the certificate is not valid for this address")
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("there is no TLS at this address")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	}
	return errors.New("the connection failed")
}
