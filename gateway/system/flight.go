package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
)

// flight is one admitted call, from its admission until the last byte of its
// answer. It ends exactly once, whatever happens.
type flight struct {
	task   *task
	ticket *budget.Ticket
	done   func(error) // tells the breaker; nil when it is off

	sent   time.Time
	until  time.Time // a streamed answer ends by then
	took   time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	span   trace.Span
	left   atomic.Bool
	// follow stops watching whether the caller of a streamed answer leaves.
	follow func() bool

	size      int64  // of the request's body
	heard     *heard // nil where an answer says nothing that is asked for
	result    *Result
	body      io.ReadCloser // the answer while the caller reads it
	streaming atomic.Bool
	reading   atomic.Bool // the caller waits for the system
	ended     atomic.Bool
}

// run sends the request and judges the answer. An answer that is passed on
// while it arrives keeps the flight alive until it has been read or closed.
func (f *flight) run(ctx context.Context, s step, g *grant, out *outgoing) (r *Result) {
	sys := f.task.system
	defer func() {
		if p := recover(); p != nil {
			r = fail(Doubtful, &gateway.Error{Problem: gateway.Internal, System: sys.name, Cause: fmt.Errorf("panic: %v", p)})
			r.unknown = true
			f.end(r)
			panic(p)
		}
	}()
	done, pause := sys.breaker.allow(f.ticket.Trial())
	if pause > 0 {
		r = unsent(Unavailable, sys.leftAlone(pause))
		f.end(r)
		return r
	}
	f.done = done
	r = f.send(ctx, s, g, out)
	g.censor(r.Err)
	r.Took, r.Attempts = f.took, 1
	if r.Outcome == expired {
		sys.credential.refused(g)
	} else if !r.unsent && r.Outcome != Doubtful {
		g.accepted()
	}
	if r.Response != nil && r.Response.Body != nil {
		f.result, f.body = r, r.Response.Body
		r.Response.Body = f
		f.until = time.Now().Add(f.longest())
		if f.task.safe {
			f.follow = context.AfterFunc(ctx, func() { f.cancel(context.Canceled) })
		}
		f.streaming.Store(true)
		f.timer.Reset(min(f.task.timeout, time.Until(f.until)))
		return r
	}
	f.end(r)
	return r
}

// longestAnswer is how long an answer may be passed on, however steadily it is
// read: a slow caller must not hold the system's budget for ever.
const longestAnswer = 15 * time.Minute

// longest is how long the answer may be passed on. Where a limit counts calls that
// are under way, it ends before the budget takes the call for gone.
func (f *flight) longest() time.Duration {
	if f.ticket.AtOnce() {
		return min(longestAnswer, max(0, f.ticket.Left()))
	}
	return longestAnswer
}

// send makes the HTTP call. It goes on when the caller leaves: the system does,
// too, and its answer tells when the place there is free again.
func (f *flight) send(ctx context.Context, s step, g *grant, out *outgoing) *Result {
	t := f.task
	ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	f.ctx = ctx
	f.timer = time.AfterFunc(t.timeout, f.expire)
	ctx = f.trace(ctx, out)
	f.left.Store(t.safe)
	if !t.safe {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { f.left.Store(true) }})
	}
	t.system.transport.inFlight.Add(1)
	f.sent = time.Now()
	resp, err := t.system.transport.round.RoundTrip(out.request(ctx, t.safe))
	f.took = time.Since(f.sent)
	if err != nil {
		return t.system.lost(ctx, t, err, f.left.Load())
	}
	if f.span != nil {
		f.span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	}
	r := f.listen(ctx, resp)
	if r == nil {
		r = s.judge(ctx, t, g, resp)
	}
	if r.Response == nil || r.Response.Body == nil {
		f.took = time.Since(f.sent)
	}
	return r
}

// request makes net/http's request. Nothing of it is parsed or copied.
func (o *outgoing) request(ctx context.Context, safe bool) *http.Request {
	r := http.Request{Method: o.method, URL: o.url, Host: o.url.Host, Header: o.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	switch {
	case o.upload != nil:
		r.Body, r.ContentLength = o.upload, o.upload.length
	case len(o.body) > 0:
		r.Body, r.ContentLength = &memory{*bytes.NewReader(o.body)}, int64(len(o.body))
	case !safe && (o.method == http.MethodGet || o.method == http.MethodHead || o.method == http.MethodOptions):
		r.Body = empty{}
	}
	return r.WithContext(ctx)
}

// trace starts a span, and passes its context on to the system.
func (f *flight) trace(ctx context.Context, out *outgoing) context.Context {
	sys := f.task.system
	tracer := sys.fleet.options.Tracer
	if tracer == nil {
		return ctx
	}
	ctx, f.span = tracer.Start(ctx, f.task.name, trace.WithSpanKind(trace.SpanKindClient))
	if f.span.IsRecording() {
		f.span.SetAttributes(
			attribute.String("headrace.system", sys.name),
			attribute.String("headrace.operation", f.task.name),
			attribute.String("http.request.method", out.method),
			attribute.String("server.address", sys.url.Hostname()),
		)
	}
	if trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(out.header))
	}
	return ctx
}

// end settles everything that the call holds. Only the first call has an effect.
func (f *flight) end(r *Result) {
	if f.ended.Swap(true) {
		return
	}
	sys := f.task.system
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.follow != nil {
		f.follow()
	}
	if f.cancel != nil {
		f.cancel(nil)
	}
	if !f.sent.IsZero() {
		sys.transport.inFlight.Add(-1)
	}
	f.ticket.Settle(budget.Result{
		Overload: (r.Outcome == Overload || r.saturated) && !r.unsent, RetryAfter: r.RetryAfter, Pool: r.pool, Wide: r.wide, Unknown: r.unknown, Unsent: r.unsent,
		Cost: f.cost(r), Reports: f.reports(r),
	})
	if f.done != nil {
		f.done(r.verdict())
	}
	if observer := sys.fleet.options.Observer; observer != nil && !f.sent.IsZero() {
		observer.CallDone(sys.name, f.task.name, r.Outcome.String(), f.took)
	}
	if f.span != nil {
		f.span.SetAttributes(attribute.String("headrace.outcome", r.Outcome.String()))
		if r.Err != nil && r.verdict() == errFailed {
			f.span.SetStatus(codes.Error, r.Err.Problem.Name)
		}
		f.span.End()
	}
}

// Read gives the caller the answer, and ends the call with it. The time that
// is left begins anew with every piece.
func (f *flight) Read(p []byte) (int, error) {
	f.reading.Store(true)
	n, err := f.body.Read(p)
	switch {
	case err == nil:
		f.timer.Reset(min(f.task.timeout, time.Until(f.until)))
	case errors.Is(err, io.EOF):
		f.end(f.result)
	default:
		f.broken(err)
	}
	f.reading.Store(false)
	return n, err
}

// expire breaks the call off. An answer that nobody reads any more ends with it.
func (f *flight) expire() {
	if f.streaming.Load() && !f.reading.Load() {
		// The caller is slow, not the system; but it must not hold a place there.
		f.end(f.result)
	}
	f.cancel(errTimeout)
}

// broken ends a call whose answer broke off.
func (f *flight) broken(err error) {
	r := *f.result
	// A caller that left says nothing about the system.
	if cause := context.Cause(f.ctx); cause == nil || cause == errTimeout {
		r.fault, r.unknown = true, cause == errTimeout
		r.Err = &gateway.Error{Problem: gateway.BadGateway, System: f.task.system.name, Cause: err}
	}
	f.end(&r)
}

// Close ends the call, whether or not its answer was read to the end.
func (f *flight) Close() error {
	err := f.body.Close()
	f.end(f.result)
	return err
}
