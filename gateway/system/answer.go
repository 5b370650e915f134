package system

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
)

// maxEvidence is how much of an answer is looked at for signs.
const maxEvidence = 64 << 10

var errTooLarge = errors.New("the answer is too large")

// readAll reads an answer of at most limit bytes and closes it.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return nil, errTooLarge
	}
	if n := resp.ContentLength; n >= 0 {
		data := make([]byte, n)
		_, err := io.ReadFull(resp.Body, data)
		return data, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
	}
	return data, err
}

// plainText undoes the compression of an answer.
func plainText(data []byte, encoding string, limit int64) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return data, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(z, limit+1))
		if err == nil && int64(len(text)) > limit {
			err = errTooLarge
		}
		return text, err
	}
	return nil, fmt.Errorf("the answer has the encoding %q", encoding)
}

// content reads a whole answer, at most as large as the system's settings
// allow. The result is set when that fails.
func (s *system) content(ctx context.Context, t *task, resp *http.Response) ([]byte, *Result) {
	limit := int64(s.settings.Answer)
	data, err := readAll(resp, limit)
	if err == nil {
		data, err = plainText(data, resp.Header.Get("Content-Encoding"), limit)
	} else if !errors.Is(err, errTooLarge) {
		return nil, s.brokenOff(ctx, t, err)
	}
	if errors.Is(err, errTooLarge) {
		return nil, s.unusable(t, fmt.Sprintf("the answer of %s is larger than %s", s.name, s.settings.Answer), nil)
	}
	if err != nil {
		return nil, s.unusable(t, "the answer of "+s.name+" cannot be read", err)
	}
	return data, nil
}

// brokenOff is the result of a call whose answer ended early.
func (s *system) brokenOff(ctx context.Context, t *task, err error) *Result {
	r := s.lost(ctx, t, err, true)
	r.Err.Detail = strings.Replace(r.Err.Detail, "closed the connection without an answer", "broke its answer off", 1)
	return r
}

// unusable is the result of a call whose answer says nothing.
func (s *system) unusable(t *task, detail string, cause error) *Result {
	r := fail(Unavailable, &gateway.Error{Problem: gateway.BadGateway, System: s.name, Detail: detail, Cause: cause})
	if !t.safe {
		r.Outcome = Doubtful
	}
	r.fault = true
	return r
}

// redirected is the result of a call that was sent elsewhere.
func (s *system) redirected(status int) *Result {
	return fail(Refused, &gateway.Error{
		Problem: gateway.BadGateway, System: s.name,
		Detail: fmt.Sprintf("%s answered %d, a redirect, which is not followed", s.name, status),
	})
}

func redirect(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// broke is the result of a call that the system answered with 500 or more. What
// the answer says is for the log.
func (s *system) broke(t *task, resp *http.Response, text []byte) *Result {
	status := resp.StatusCode
	e := &gateway.Error{
		Problem: gateway.BadGateway, System: s.name, Detail: fmt.Sprintf("%s answered %d", s.name, status),
		Cause: fmt.Errorf("the system says: %s", capped(string(text))),
	}
	r := fail(Unavailable, e)
	r.fault = true
	switch {
	case status == http.StatusServiceUnavailable:
		r.RetryAfter = hint(resp.Header.Get("Retry-After"), time.Second, time.Now())
		e.Problem, e.RetryAfter = gateway.SystemUnavailable, spread(r.RetryAfter)
	case status == http.StatusNotImplemented || status == http.StatusHTTPVersionNotSupported:
		r.Outcome, r.fault = Refused, false
	case !t.safe:
		r.Outcome = Doubtful
		e.Detail += "; whether it has done the request is not known"
	}
	return r
}

// evidenceOf looks at an answer that signs may fit. The text is empty where it
// is too long or cannot be read.
func (s *system) evidenceOf(resp *http.Response, text []byte) *evidence {
	e := &evidence{status: resp.StatusCode, header: resp.Header}
	if len(text) > 0 {
		e.texts = []string{string(text)}
		if value, err := mapping.Decode(text); err == nil {
			e.value = value
		}
	}
	return e
}

// problemOf is the refusal of a request in the system's own status, for
// answers that are not passed on as they came.
func (s *system) problemOf(status int) *Result {
	problem := gateway.SystemRefused
	problem.Status = status
	return fail(Refused, &gateway.Error{Problem: problem, System: s.name, Detail: fmt.Sprintf("%s answered %d", s.name, status)})
}
