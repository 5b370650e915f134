package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Recorder writes down what happened: a span, metrics and a log line for each
// exchange. Begin may replace x.Request to carry a span; End is called once,
// after the last byte was sent. Prepare is called for every operation of a
// table before it serves.
type Recorder interface {
	Prepare(*Operation)
	Begin(*Exchange)
	End(*Exchange)
}

// Meter counts who uses what. Prepare is called with every table before it
// serves; Count is called once for each exchange, after the last byte was
// sent, and must not keep the exchange.
type Meter interface {
	Prepare(*Table)
	Count(*Exchange)
}

// Options set up a Gateway.
type Options struct {
	Recorder Recorder
	// Meter may be nil.
	Meter Meter
	// BodyLimit is the largest request body in bytes; policies may set less or more.
	BodyLimit int64
}

// Gateway answers requests by the current table. It is an http.Handler.
type Gateway struct {
	options Options
	table   atomic.Pointer[Table]
}

// New makes a gateway that answers 503 until it is given a table.
func New(o Options) *Gateway {
	if o.BodyLimit == 0 {
		o.BodyLimit = 10 << 20
	}
	return &Gateway{options: o}
}

// Table is the table that new requests use; nil before the first.
func (g *Gateway) Table() *Table { return g.table.Load() }

// Swap makes t the current table. Requests under way keep the one that they
// started with; it is closed when the last of them has ended.
func (g *Gateway) Swap(t *Table) {
	for _, o := range t.Operations {
		g.options.Recorder.Prepare(o)
	}
	if g.options.Meter != nil {
		g.options.Meter.Prepare(t)
	}
	t.users.Store(1)
	if old := g.table.Swap(t); old != nil {
		old.release()
	}
}

// Stop lets go of the current table; it is closed when the last request of it
// has ended. Later requests are answered 503.
func (g *Gateway) Stop() {
	if t := g.table.Swap(nil); t != nil {
		t.release()
	}
}

func (g *Gateway) acquire() *Table {
	for {
		t := g.table.Load()
		if t == nil || t.acquire() {
			return t
		}
	}
}

// ServeHTTP runs one exchange: the only place where bytes are sent and where
// exchanges are recorded.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &Exchange{Request: r, BodyLimit: g.options.BodyLimit}
	x.Record.Started = time.Now()
	x.identify()
	table := g.acquire()
	if table != nil {
		defer table.release()
		if table.BodyLimit > 0 {
			x.BodyLimit = table.BodyLimit
		}
	}
	match(x, table)
	g.options.Recorder.Begin(x)
	defer g.options.Recorder.End(x)
	if g.options.Meter != nil {
		defer g.options.Meter.Count(x)
	}
	resp, err := handle(x, table)
	if err != nil {
		resp = x.refuse(err)
	}
	send(w, x, resp)
}

// identify takes the caller's request id if it is harmless, and makes one otherwise.
func (x *Exchange) identify() {
	if ids := x.Request.Header["X-Request-Id"]; len(ids) == 1 && harmless(ids[0]) {
		x.ID = ids[0]
	} else {
		x.ID = NewID()
	}
	if ids := x.Request.Header["X-Correlation-Id"]; len(ids) == 1 && harmless(ids[0]) {
		x.Correlation = ids[0]
	} else {
		x.Correlation = x.ID
	}
}

// NewID makes a random identifier of 128 bits in hexadecimal.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	var text [32]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// harmless tells whether an identifier of the caller may go into logs and headers.
func harmless(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}

// match finds the operation; handle answers when there is none.
func match(x *Exchange, t *Table) {
	if t == nil {
		return
	}
	path := x.Request.URL.EscapedPath()
	m := t.Tree.Match(x.Request.Method, path)
	x.allow = m.Allow
	if m.Value == nil && m.Allow != "" {
		if wanted := preflight(x.Request); wanted != "" {
			m = t.Tree.Match(wanted, path)
			x.Preflight = m.Value != nil
		}
	}
	x.Operation, x.Params = m.Value, m.Params
	if x.Operation != nil {
		x.Class = x.Operation.Class
	}
}

// preflight is the method that a browser asks for before a cross-origin call
// (Fetch standard, CORS-preflight fetch); empty when the request is none.
func preflight(r *http.Request) string {
	if r.Method != http.MethodOptions || len(r.Header["Origin"]) != 1 || len(r.Header["Access-Control-Request-Method"]) != 1 {
		return ""
	}
	return r.Header["Access-Control-Request-Method"][0]
}

// handle runs the chain and turns a panic into an internal error.
func handle(x *Exchange, t *Table) (resp *Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, &Error{Problem: Internal, Cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	switch {
	case t == nil:
		return nil, &Error{Problem: NotReady, Detail: "no configuration has been loaded yet", RetryAfter: time.Second}
	case x.Operation != nil:
		return x.Operation.Handler(x)
	case x.allow != "":
		return nil, x.methodNotAllowed()
	}
	return nil, &Error{Problem: NotFound, Detail: "no API has an operation at this path"}
}

func (x *Exchange) methodNotAllowed() error {
	return &Error{Problem: MethodNotAllowed, Detail: "allowed here: " + x.allow, Allow: x.allow}
}

// refuse turns an error into the answer, and notes the decision.
func (x *Exchange) refuse(err error) *Response {
	if errors.Is(err, context.Canceled) && x.Context().Err() != nil {
		err = &Error{Problem: CallerLeft, Cause: err}
	}
	e := AsError(err)
	x.Record.Decision, x.Record.Cause = e.Problem.Name, e.Cause
	return e.Response(x.ID)
}
