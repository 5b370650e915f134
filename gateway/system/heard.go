package system

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
)

// heard is what an answer tells of the system's limits and of its own cost.
type heard struct {
	reports []budget.PoolReport
	length  int64    // of the answer, as it was announced
	counted *counted // nil where bytes cost nothing
	answer  *mapping.Input
}

// listen takes from an answer what it tells, before anything is done with it.
// The result is set when that fails.
func (f *flight) listen(ctx context.Context, resp *http.Response) *Result {
	t := f.task
	reports, prices := &t.system.reports, t.prices
	looks := len(reports.bodies) > 0 || prices.looks
	if !looks && !prices.counts && len(reports.headers) == 0 {
		return nil
	}
	h := &heard{reports: reports.fromHeaders(nil, resp.Header)}
	f.heard = h
	if prices.counts && resp.Body != http.NoBody {
		h.length, h.counted = resp.ContentLength, &counted{ReadCloser: resp.Body}
		resp.Body = h.counted
	}
	if !looks || !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		return nil
	}
	text, lost := t.system.peek(ctx, t, resp, int64(t.system.settings.Answer))
	if lost != nil || text == nil {
		return lost
	}
	value, err := mapping.Decode(text)
	if err != nil {
		return nil
	}
	h.answer = &mapping.Input{Value: value, Status: resp.StatusCode, Headers: headerValue(resp.Header), Now: f.sent}
	h.reports = reports.fromBody(context.WithoutCancel(ctx), h.reports, *h.answer)
	return nil
}

// reports are those of the answer, and what judging it has brought.
func (f *flight) reports(r *Result) []budget.PoolReport {
	if f.heard == nil {
		return r.reports
	}
	return append(f.heard.reports, r.reports...)
}

// cost is what the call has to be charged for where that is measured. One that
// may still be under way takes as long as it may.
func (f *flight) cost(r *Result) []budget.Cost {
	p := f.task.prices
	if len(p.metered) == 0 && !p.says || f.sent.IsZero() || r.unsent {
		return nil
	}
	e := measured{sent: f.size, took: time.Since(f.sent), ordinary: !r.unknown && (r.Outcome == Delivered || r.Outcome == Refused)}
	if h := f.heard; h != nil {
		e.received, e.answer = h.bytes(), h.answer
	}
	if r.unknown {
		e.took = max(e.took, f.task.timeout)
	}
	return p.after(context.Background(), f.task.costs, &e)
}

// bytes is the size of the answer. One whose length is known counts whole, also
// if its end was not read.
func (h *heard) bytes() int64 {
	if h.counted == nil {
		return 0
	}
	return max(h.counted.n.Load(), h.length)
}

// counted counts what is read of an answer.
type counted struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
