package buffer

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

//go:embed document
var document embed.FS

// Document is where the OpenAPI document of the status resource stands: its
// files, and its folder in them.
func Document() (files fs.FS, dir string) {
	files, err := fs.Sub(document, "document")
	if err != nil {
		panic(err) // it is embedded
	}
	return files, "apis/writes/1.0.0"
}

// Resource is the layer of the status resource: what apps are told of their writes.
func (b *Buffer) Resource() gateway.Layer { return resource{b} }

type resource struct{ buffer *Buffer }

func (r resource) Bind(b *gateway.Binding) gateway.Handler {
	switch b.Operation.ID {
	case "listWrites":
		return r.list
	case "getWrite":
		return r.get
	case "cancelWrite":
		return r.cancel
	}
	b.Problems.Add(b.Operation.Node, "nothing answers "+b.Operation.ID, "")
	return nil
}

// own finds a write of the caller's app. A write of another app is as unknown
// as one that does not exist.
func (r resource) own(x *gateway.Exchange) (*ledger.Record, error) {
	record, err := r.buffer.ledger.Get(x.Context(), x.Params.Get("id"))
	if err != nil {
		return nil, storeRefusal(err)
	}
	app := ""
	if x.App != nil {
		app = x.App.Name
	}
	if record.App != app {
		return nil, &gateway.Error{Problem: gateway.NoSuchWrite}
	}
	return record, nil
}

func (r resource) get(x *gateway.Exchange) (*gateway.Response, error) {
	record, err := r.own(x)
	if err != nil {
		return nil, err
	}
	if acceptsEvents(x.Request.Header) {
		return r.stream(x, record), nil
	}
	known := x.Request.Header.Get("If-None-Match")
	if wait, ok := x.Prefer(); ok && wait > 0 {
		record, err = r.wait(x, record, known, min(wait, longestPoll))
		if err != nil {
			return nil, err
		}
	}
	return r.answer(x, record, known)
}

// longestPoll is how long an answer waits for a change at most.
const longestPoll = 2 * time.Minute

// wait waits until a write is over or, if the caller knows how it stands, until
// that has changed.
func (r resource) wait(x *gateway.Exchange, record *ledger.Record, known string, patience time.Duration) (*ledger.Record, error) {
	b := r.buffer
	w := b.join(record.ID, true)
	defer b.quit(record.ID, w, true)
	end := time.NewTimer(patience)
	defer end.Stop()
	look := newLook(false)
	defer look.stop()
	for {
		changed := known != "" && !matches(known, tag(record))
		if changed || known == "" && (record.Dead || record.State.Final()) {
			return record, nil
		}
		if known != "" && record.State.Final() && !record.Dead {
			return record, nil // it will not change any more
		}
		select {
		case <-x.Context().Done():
			return nil, x.Context().Err()
		case <-b.ctx.Done():
			return record, nil
		case <-end.C:
			return record, nil
		case <-w.told:
		case <-look.c:
			look.next()
		}
		now, err := b.ledger.Get(x.Context(), record.ID)
		if err != nil {
			return nil, storeRefusal(err)
		}
		record = now
	}
}

// tag identifies how a write stands.
func tag(r *ledger.Record) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %v %d", r.ID, r.Version, r.State, r.Dead, r.Attempts))
	return `W/"` + hex.EncodeToString(sum[:8]) + `"`
}

// matches is the weak comparison of RFC 9110, section 13.1.2.
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

func (r resource) answer(x *gateway.Exchange, record *ledger.Record, known string) (*gateway.Response, error) {
	h := http.Header{"Etag": {tag(record)}, "Cache-Control": {"no-cache"}}
	if known != "" && matches(known, tag(record)) {
		return &gateway.Response{Status: http.StatusNotModified, Header: h}, nil
	}
	h["Content-Type"] = []string{"application/json"}
	return jsonResponse(http.StatusOK, h, r.whole(x.Context(), record))
}

// whole is a write with its place.
func (r resource) whole(ctx context.Context, record *ledger.Record) view {
	v := viewOf(record)
	if record.State == ledger.Held {
		s := r.buffer.stand(ctx, record.ID)
		v.Place, v.ETA = s.place, s.estimate
	}
	return v
}

func jsonResponse(status int, h http.Header, value any) (*gateway.Response, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	return &gateway.Response{Status: status, Header: h, Bytes: data, Length: int64(len(data))}, nil
}

type page struct {
	Items []view `json:"items"`
	Next  string `json:"next,omitempty"`
}

func (r resource) list(x *gateway.Exchange) (*gateway.Response, error) {
	if x.App == nil {
		return nil, &gateway.Error{Problem: gateway.Unauthenticated, Detail: "writes are listed for the app that wrote them, and no credential was given"}
	}
	f, err := filter(x.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	f.App = x.App.Name
	p, err := r.buffer.List(x.Context(), f)
	if err != nil {
		return nil, listRefusal(err)
	}
	answer := page{Items: []view{}, Next: p.Next}
	for _, record := range p.Writes {
		answer.Items = append(answer.Items, viewOf(record))
	}
	return jsonResponse(http.StatusOK, http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, answer)
}

func listRefusal(err error) error {
	if errors.Is(err, ledger.ErrInvalid) {
		return &gateway.Error{Problem: gateway.BadRequest, Detail: "after is not what a page before has given"}
	}
	return storeRefusal(err)
}

// filter reads what a list is restricted to.
func filter(q url.Values) (ledger.Filter, error) {
	f := ledger.Filter{Operation: q.Get("operation"), Correlation: q.Get("correlation"), Lane: q.Get("key"), After: q.Get("after"), Limit: 50}
	bad := func(detail string) (ledger.Filter, error) {
		return f, &gateway.Error{Problem: gateway.BadRequest, Detail: detail}
	}
	for _, text := range q["state"] {
		s := ledger.State(text)
		if !s.Known() {
			return bad("there is no state " + strconv.Quote(text))
		}
		f.States = append(f.States, s)
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return bad(name + " is not a time such as 2027-01-31T12:00:00Z")
			}
			*into = t
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return bad("limit is a number from 1 on")
		}
		f.Limit = n
	}
	return f, nil
}

func (r resource) cancel(x *gateway.Exchange) (*gateway.Response, error) {
	record, err := r.own(x)
	if err != nil {
		return nil, err
	}
	actor := "a caller"
	if x.App != nil {
		actor = "app " + x.App.Name
	}
	if err := r.buffer.Cancel(x.Context(), record.ID, ledger.By{Actor: actor, Reason: "its app has cancelled it"}); err != nil {
		return nil, actionRefusal(err)
	}
	if record, err = r.buffer.ledger.Get(x.Context(), record.ID); err != nil {
		return nil, storeRefusal(err)
	}
	return r.answer(x, record, "")
}

// actionRefusal is what somebody is told whose action the write's state forbids.
func actionRefusal(err error) error {
	var state *ledger.StateError
	if errors.As(err, &state) {
		detail := "the write is " + string(state.State)
		if state.Dead {
			detail += ", and needs a decision"
		}
		return &gateway.Error{Problem: gateway.Conflict, Detail: detail}
	}
	if errors.Is(err, ledger.ErrInvalid) {
		return &gateway.Error{Problem: gateway.BadRequest, Detail: strings.TrimPrefix(err.Error(), "ledger: ")}
	}
	return storeRefusal(err)
}

// Cancel takes back a write that has not been sent, and tells those who wait for it.
func (b *Buffer) Cancel(ctx context.Context, id string, by ledger.By) error {
	if err := b.ledger.Cancel(ctx, id, by); err != nil {
		return err
	}
	b.refresh(id)
	return nil
}

// acceptsEvents tells whether the caller wants a stream of changes.
func acceptsEvents(h http.Header) bool {
	for _, line := range h["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

// heartbeat is how often a stream without changes says that it is alive.
const heartbeat = 15 * time.Second

// stream sends every change of a write as an event until it is over.
func (r resource) stream(x *gateway.Exchange, record *ledger.Record) *gateway.Response {
	pr, pw := io.Pipe()
	ctx, b := x.Context(), r.buffer
	go func() {
		w := b.join(record.ID, true)
		defer b.quit(record.ID, w, true)
		pw.CloseWithError(r.events(ctx, pw, record, w))
	}()
	h := http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}, "X-Accel-Buffering": {"no"}}
	return &gateway.Response{Status: http.StatusOK, Header: h, Body: pr, Length: -1}
}

func (r resource) events(ctx context.Context, out io.Writer, record *ledger.Record, w *waiter) error {
	b := r.buffer
	look := newLook(false)
	defer look.stop()
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	last := ""
	for {
		if now := tag(record); now != last {
			last = now
			data, err := json.Marshal(r.whole(ctx, record))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "event: write\nid: %d\ndata: %s\n\n", record.Version, data); err != nil {
				return err
			}
		}
		if record.State.Final() || record.Dead {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.ctx.Done():
			return nil
		case <-alive.C:
			if _, err := io.WriteString(out, ": alive\n\n"); err != nil {
				return err
			}
			continue
		case <-w.told:
		case <-look.c:
			look.next()
		}
		now, err := b.ledger.Get(ctx, record.ID)
		if err != nil {
			return nil // the caller comes back
		}
		record = now
	}
}
