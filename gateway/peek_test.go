package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/headrace/headrace/specs"
)

func operationNamed(id string) *specs.Operation { return &specs.Operation{ID: id} }

// closing notes whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestPeek(t *testing.T) {
	const text = "0123456789"
	for _, c := range []struct {
		name   string
		length int64
		limit  int64
		whole  bool
	}{
		{"known length, fits", 10, 10, true},
		{"known length, too long", 10, 9, false},
		{"unknown length, fits", -1, 10, true},
		{"unknown length, too long", -1, 9, false},
		{"unknown length, nothing fits", -1, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := &closing{Reader: iotest.OneByteReader(strings.NewReader(text))}
			r := &Response{Body: body, Length: c.length}
			data, whole, err := r.Peek(c.limit)
			if err != nil || whole != c.whole {
				t.Fatalf("whole: %v, %v", whole, err)
			}
			if whole {
				if string(data) != text || string(r.Bytes) != text || r.Body != nil || r.Length != 10 || !body.closed {
					t.Errorf("read %q; the response is %+v, closed %v", data, r, body.closed)
				}
				return
			}
			rest, err := io.ReadAll(r.Body)
			if err != nil || string(rest) != text || data != nil || r.Length != c.length || body.closed {
				t.Errorf("%q is left, %v; given %q, closed %v", rest, err, data, body.closed)
			}
			if r.Close(); !body.closed {
				t.Error("the body cannot be closed any more")
			}
		})
	}
	r := &Response{Bytes: []byte(text)}
	if data, whole, err := r.Peek(10); string(data) != text || !whole || err != nil {
		t.Errorf("%q, %v, %v", data, whole, err)
	}
	if data, whole, err := r.Peek(9); data != nil || whole || err != nil {
		t.Errorf("beyond the limit: %q, %v, %v", data, whole, err)
	}
}

func TestPeekAtWhatBreaksOff(t *testing.T) {
	for _, r := range []*Response{
		{Body: &closing{Reader: strings.NewReader("half")}, Length: 10},
		{Body: &closing{Reader: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))}, Length: -1},
	} {
		body := r.Body.(*closing)
		_, whole, err := r.Peek(100)
		if e, ok := errors.AsType[*Error](err); whole || !ok || e.Problem != BadGateway || !body.closed {
			t.Errorf("whole %v, %v, closed %v", whole, err, body.closed)
		}
	}
}
