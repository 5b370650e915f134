package system

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
)

// atOnce is the longest answer of known length in bytes that is read before it
// is passed on: its connection and its place in the budget are free sooner.
const atOnce = 16 << 10

// inMemory is a body that was read already.
func inMemory(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }

// succeed makes the answer of a request that was done.
func (c *restCall) succeed(ctx context.Context, t *task, g *grant, resp *http.Response) *Result {
	if c.response == nil && c.location == nil || resp.StatusCode == http.StatusNotModified {
		r := c.pass(resp, &Result{Outcome: Delivered})
		return c.complete(ctx, t, resp, r)
	}
	data, lost := t.system.content(ctx, t, resp)
	if lost != nil {
		return lost
	}
	delivered := func(e *gateway.Error) *Result {
		e.System = t.system.name
		return fail(Delivered, e)
	}
	value, err := mapping.Decode(data)
	if err != nil && (c.response != nil && c.response.NeedsInput() || c.location != nil && c.location.NeedsInput()) {
		return delivered(&gateway.Error{Problem: gateway.BadGateway, Detail: "the answer of " + t.system.name + " cannot be mapped", Cause: err})
	}
	answer := &gateway.Response{Status: resp.StatusCode, Header: http.Header{}}
	if c.status != 0 {
		answer.Status = c.status
	}
	if err := c.locate(ctx, t, g, resp, value, answer); err != nil {
		return delivered(mappingFailed(err, gateway.BadGateway))
	}
	if c.response == nil {
		t.system.passResponse(resp.Header)
		for _, name := range []string{"Location", "Content-Location", "Content-Length", "Content-Encoding"} {
			resp.Header.Del(name)
		}
		fill(answer.Header, resp.Header)
		answer.Bytes = data
	} else if answer.Bytes, err = c.mapAnswer(ctx, t, g, resp, value); err != nil {
		return delivered(mappingFailed(err, gateway.BadGateway))
	} else {
		keepCaching(answer.Header, resp.Header)
		answer.Header["Content-Type"] = jsonType
	}
	if answer.Status == http.StatusNoContent {
		answer.Bytes = nil
		delete(answer.Header, "Content-Type")
	}
	answer.Length = int64(len(answer.Bytes))
	return &Result{Outcome: Delivered, Response: answer}
}

// fill copies headers that are not set yet.
func fill(into, from http.Header) {
	for name, values := range from {
		if _, ok := into[name]; !ok {
			into[name] = values
		}
	}
}

// keepCaching copies the headers of an answer that hold for what is made of it, too.
func keepCaching(into, from http.Header) {
	for _, name := range []string{"Etag", "Last-Modified", "Cache-Control", "Expires", "Vary", "Retry-After"} {
		if values, ok := from[name]; ok {
			into[name] = values
		}
	}
}

func (c *restCall) answerInput(t *task, g *grant, m *mapping.Mapping, resp *http.Response, value any) (mapping.Input, error) {
	in, err := t.request.around(m, value, g.session)
	in.Status, in.Headers = resp.StatusCode, headerValue(resp.Header)
	return in, err
}

func (c *restCall) mapAnswer(ctx context.Context, t *task, g *grant, resp *http.Response, value any) ([]byte, error) {
	in, err := c.answerInput(t, g, c.response, resp, value)
	if err != nil {
		return nil, err
	}
	return c.response.JSON(context.WithoutCancel(ctx), in)
}

func (c *restCall) locate(ctx context.Context, t *task, g *grant, resp *http.Response, value any, answer *gateway.Response) error {
	if c.location == nil {
		return nil
	}
	in, err := c.answerInput(t, g, c.location, resp, value)
	if err != nil {
		return err
	}
	text, ok, err := c.location.Text(context.WithoutCancel(ctx), in)
	if ok && err == nil {
		answer.Header["Location"] = []string{text}
	}
	return err
}

// pass hands the system's answer on as it came, without what is not for the caller.
func (c *restCall) pass(resp *http.Response, r *Result) *Result {
	h := resp.Header
	c.operation.system.passResponse(h)
	for _, name := range [...]string{"Location", "Content-Location"} {
		if values := h[name]; len(values) > 0 {
			if place, ok := c.outside(values[0]); ok {
				h[name] = []string{place}
			} else {
				delete(h, name)
			}
		}
	}
	answer := &gateway.Response{Status: resp.StatusCode, Header: h, Body: resp.Body, Length: resp.ContentLength}
	if c.status != 0 && r.Outcome == Delivered && resp.StatusCode < 300 {
		answer.Status = c.status
	}
	if resp.ContentLength == 0 || resp.Request != nil && resp.Request.Method == http.MethodHead {
		resp.Body.Close()
		answer.Body = nil
	}
	r.Response, r.Err = answer, nil
	return r
}

// complete reads a short answer at once.
func (c *restCall) complete(ctx context.Context, t *task, resp *http.Response, r *Result) *Result {
	answer := r.Response
	if answer.Body == nil || answer.Length < 0 || answer.Length > atOnce {
		return r
	}
	data, err := readAll(resp, atOnce)
	if err != nil {
		lost := t.system.lost(ctx, t, err, true)
		lost.Err.Detail = t.system.name + " broke its answer off"
		return lost
	}
	answer.Body, answer.Bytes = nil, data
	return r
}

// outside is where callers find what the system says is at a place of its own.
// Places elsewhere stay as they are; one that callers cannot reach is not ok.
func (c *restCall) outside(place string) (string, bool) {
	u := c.operation.system.url
	rest, own := strings.CutPrefix(place, u.Scheme+"://"+u.Host)
	if !own && (!strings.HasPrefix(place, "/") || strings.HasPrefix(place, "//")) {
		return place, true
	}
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	below, ok := strings.CutPrefix(rest, base)
	if !ok || !c.identity || below != "" && below[0] != '/' && below[0] != '?' {
		return "", false
	}
	return c.operation.api.Base + below, true
}
