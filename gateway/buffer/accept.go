package buffer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
)

// WriteHeader names the write on every answer to one.
const WriteHeader = "Headrace-Write"

// Path is where callers find their writes.
const Path = "/writes"

// appending is the longest time that a caller waits for its write to be kept.
const appending = 15 * time.Second

// serve answers a write: it keeps it, has it sent, and waits for the outcome
// as long as the caller's patience lasts.
func (o *operation) serve(x *gateway.Exchange) (*gateway.Response, error) {
	b := o.set.buffer
	key, err := o.idempotencyKey(x)
	if err != nil {
		return nil, err
	}
	r, err := o.set.system.Request(x)
	if err != nil {
		return nil, err
	}
	g := b.gate(o.system)
	w, k, err := o.write(x, r, key, g)
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	receipt, err := b.append(x.Context(), g, w)
	switch {
	case err != nil:
		return nil, g.refused(err)
	case receipt.Existing != nil:
		return b.repeat(x, o, receipt.Existing, w)
	}
	if b.options.Observer != nil {
		b.options.Observer.WriteAccepted(o.system, w.Class)
	}
	return b.follow(x, o, g, receipt, k, asked)
}

// follow sees a write that was appended to its outcome.
func (b *Buffer) follow(x *gateway.Exchange, o *operation, g *gate, receipt ledger.Receipt, k *kept, asked time.Time) (*gateway.Response, error) {
	x.SetHeader(WriteHeader, receipt.ID)
	patience := o.patience(x)
	var waiter *waiter
	if patience > 0 {
		waiter = b.join(receipt.ID, false)
	}
	local := false
	if c := receipt.Claimed; c != nil {
		ctx := context.WithoutCancel(x.Context())
		local = true
		b.carryOut(ctx, g, c, k, asked)
	} else if receipt.Ready {
		g.wakeUp()
	}
	if receipt.Late {
		if waiter != nil {
			b.quit(receipt.ID, waiter, true)
		}
		return nil, &gateway.Error{Problem: gateway.Conflict, Detail: "the request came after a later one of its sequence was done; see " + Path + "/" + receipt.ID}
	}
	if waiter == nil {
		return b.accepted(x, receipt.ID, ledger.Held, receipt.Ahead+1, k.Estimate), nil
	}
	out, err := b.await(x.Context(), receipt.ID, waiter, patience, local)
	if err != nil {
		return nil, err
	}
	if out == nil || out.state == ledger.Held {
		return b.accepted(x, receipt.ID, ledger.Held, receipt.Ahead+1, k.Estimate), nil
	}
	x.Record.Wait += out.wait
	x.Record.System += out.took
	x.Record.Attempts += out.attempts
	if !local && out.dead && out.state == ledger.Refused {
		b.toldAfterAll(receipt.ID)
	}
	return b.outcome(x, receipt.ID, out)
}

// toldAfterAll frees the lanes of a write whose refusal another replica took for
// unheard: its caller waits here, and is being told.
func (b *Buffer) toldAfterAll(id string) {
	ctx, cancel := context.WithTimeout(b.given, 5*time.Second)
	defer cancel()
	err := b.ledger.Discard(ctx, id, ledger.By{Actor: "headrace", Reason: "its caller was told of the refusal"})
	if err != nil && !errors.Is(err, ledger.ErrState) {
		b.log.Warn("a write stays dead although its caller was told", "write", id, "error", err)
	}
}

// patience is how long the caller waits for the outcome.
func (o *operation) patience(x *gateway.Exchange) time.Duration {
	patience := x.Operation.Wait
	if wait, ok := x.Prefer(); ok {
		patience = min(patience, wait)
	}
	return patience
}

// write makes what the ledger keeps.
func (o *operation) write(x *gateway.Exchange, r *system.Request, key string, g *gate) (*ledger.Write, *kept, error) {
	b := o.set.buffer
	lanes, err := o.laneKeys(r)
	if err != nil {
		return nil, nil, err
	}
	sequence, err := o.sequenceOf(r)
	if err != nil {
		return nil, nil, err
	}
	settings := b.settings.Load()
	part := settings.Share
	if s := x.Subscription; s != nil && s.Plan != nil && s.Plan.WriteShare > 0 {
		part = float64(s.Plan.WriteShare) / 100
	}
	now := time.Now()
	r.IdempotencyKey = ""
	k := &kept{Request: *r, Subscribed: x.Subscription != nil, Estimate: g.estimate(now)}
	if x.Through != nil {
		k.Through = x.Through.Name + "/" + x.Through.Major
	}
	data, err := k.encode()
	if err != nil {
		return nil, nil, err
	}
	w := &ledger.Write{
		System: o.system, App: r.App, Operation: o.key, Class: x.Class, Lanes: lanes, Sequence: sequence, GapWait: settings.Gap,
		Key: key, Fingerprint: fingerprint(x, r), KeepKey: settings.KeyLifetime, Coalesce: o.coalesce, Continue: o.goesOn,
		Timeout: o.timeout, Correlation: r.Correlation, Request: data,
		Bound: ledger.Bound{
			Writes: settings.Writes, Bytes: settings.Bytes,
			AppWrites: share(settings.Writes, part), AppBytes: share(settings.Bytes, part),
		},
	}
	if settings.Expiry > 0 {
		w.Expires = now.Add(settings.Expiry)
	}
	return w, k, nil
}

func share(whole int64, part float64) int64 {
	if part <= 0 || part >= 1 {
		return whole
	}
	return max(1, int64(float64(whole)*part))
}

// estimate is when a write that comes now will have ended; zero when nobody knows.
func (g *gate) estimate(now time.Time) time.Time {
	depth, _ := g.buffer.ledger.Depth(g.system)
	return g.estimateAfter(now, depth)
}

// estimateAfter is when a write will have ended that so many are ahead of, by
// the rate at which writes have ended within the last minute.
func (g *gate) estimateAfter(now time.Time, ahead int64) time.Time {
	perSecond := g.ended.perSecond(now)
	if perSecond == 0 {
		return time.Time{}
	}
	g.mu.Lock()
	from := g.shut
	g.mu.Unlock()
	if from.Before(now) {
		from = now
	}
	seconds := math.Min(float64(ahead+1)/perSecond, (365 * 24 * time.Hour).Seconds())
	return from.Add(time.Duration(seconds * float64(time.Second))).UTC().Truncate(time.Millisecond)
}

// refused is what the caller of a write is told that was not kept.
func (g *gate) refused(err error) error {
	var full *ledger.FullError
	if !errors.As(err, &full) {
		return storeRefusal(err)
	}
	// One place comes free with each write that ends; a tenth of the buffer's
	// drain is waited for, so that callers do not come back for one place.
	wait := 30 * time.Second
	if perSecond := g.ended.perSecond(time.Now()); perSecond > 0 {
		wait = time.Duration(math.Min(float64(full.Writes)/10/perSecond, 3600) * float64(time.Second))
	}
	wait = max(wait, time.Second)
	detail := "the buffer of " + g.system + " is full"
	if full.Scope == "app" {
		detail = "the app's share of the buffer of " + g.system + " is full"
	}
	return &gateway.Error{Problem: gateway.BufferFull, System: g.system, Detail: detail, RetryAfter: wait + rand.N(wait/4), Cause: err}
}

// repeat answers a write that is known already, by its key or its number: with
// the first one's outcome, or by waiting for it.
func (b *Buffer) repeat(x *gateway.Exchange, o *operation, first *ledger.Record, w *ledger.Write) (*gateway.Response, error) {
	x.SetHeader(WriteHeader, first.ID)
	waiter := b.join(first.ID, false)
	patience := o.patience(x)
	out, err := b.look(x.Context(), first.ID)
	if err != nil {
		b.quit(first.ID, waiter, true)
		return nil, err
	}
	if !out.over() {
		if out, err = b.await(x.Context(), first.ID, waiter, patience, false); err != nil {
			return nil, err
		}
	} else {
		b.quit(first.ID, waiter, true)
	}
	if out == nil || out.state == ledger.Held {
		now := b.stand(x.Context(), first.ID)
		return b.accepted(x, first.ID, now.state, now.place, now.estimate), nil
	}
	out.err = nil // the first outcome as it was told
	return b.outcome(x, first.ID, out)
}

// stand is where a write is at the moment.
type stand struct {
	state    ledger.State
	place    int64 // 1 is next; 0 when it does not stand in line
	estimate time.Time
}

// stand is empty where the ledger cannot be asked.
func (b *Buffer) stand(ctx context.Context, id string) stand {
	e, err := b.ledger.Explain(ctx, id)
	if err != nil {
		return stand{state: ledger.Held}
	}
	return b.standOf(e)
}

func (b *Buffer) standOf(e *ledger.Explanation) stand {
	s := stand{state: e.Record.State}
	if e.Record.State != ledger.Held {
		return s
	}
	s.place = e.Ahead + 1
	for _, lane := range e.Before {
		s.place = max(s.place, lane.Writes+1)
	}
	s.estimate = b.gate(e.Record.System).estimateAfter(time.Now(), s.place-1)
	return s
}

// outcome is the answer to a write that is over.
func (b *Buffer) outcome(x *gateway.Exchange, id string, out *outcome) (*gateway.Response, error) {
	switch {
	case out.err != nil && (out.state == ledger.Delivered || out.state == ledger.Refused || out.state == ledger.Doubtful):
		return nil, out.err
	case out.answer != nil && out.state != ledger.Held:
		return out.answer.response(), nil
	case out.state == ledger.Superseded:
		return b.accepted(x, id, out.state, 0, time.Time{}), nil
	case out.state == ledger.Cancelled:
		return nil, &gateway.Error{Problem: gateway.Conflict, Detail: "the write was cancelled; see " + Path + "/" + id}
	case out.state == ledger.Expired:
		return nil, &gateway.Error{Problem: gateway.SystemUnavailable, Detail: "the write's time was over before it could be sent; see " + Path + "/" + id}
	case out.state == ledger.Doubtful:
		return nil, &gateway.Error{Problem: gateway.SystemTimeout, Detail: "whether the write was done is not known; see " + Path + "/" + id}
	}
	return nil, &gateway.Error{Problem: gateway.Conflict, Detail: "the write was not done; see " + Path + "/" + id}
}

// acceptance is the body of a 202.
type acceptance struct {
	ID       string       `json:"id"`
	State    ledger.State `json:"state"`
	Location string       `json:"location"`
	Place    int64        `json:"place,omitempty"`
	ETA      *time.Time   `json:"eta,omitempty"`
}

// accepted answers a caller whose patience is over.
func (b *Buffer) accepted(x *gateway.Exchange, id string, state ledger.State, place int64, estimate time.Time) *gateway.Response {
	a := acceptance{ID: id, State: state, Location: Path + "/" + id, Place: place}
	h := http.Header{"Content-Type": {"application/json"}, "Location": {a.Location}, "Cache-Control": {"no-store"}}
	retry := 5 * time.Second
	if !estimate.IsZero() {
		a.ETA = &estimate
		retry = min(max(time.Until(estimate), time.Second), 5*time.Minute)
	}
	h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(retry.Seconds())))}
	if wait, ok := x.Prefer(); ok {
		h["Preference-Applied"] = []string{"wait=" + strconv.Itoa(int(wait.Seconds()))}
		if wait == 0 {
			h["Preference-Applied"] = []string{"respond-async"}
		}
	}
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // texts and numbers always have a JSON form
	}
	data = append(data, '\n')
	return &gateway.Response{Status: http.StatusAccepted, Header: h, Bytes: data, Length: int64(len(data)), Own: true}
}
