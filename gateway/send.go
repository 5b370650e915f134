package gateway

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// send writes an answer to the caller. A body that breaks off half-way breaks
// the connection, so that the caller cannot take it for whole.
func send(w http.ResponseWriter, x *Exchange, resp *Response) {
	h := w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	for _, f := range x.headers {
		h[f.name] = append(slices.Clip(h[f.name]), f.value) // the response's own slice may be shared
	}
	h["X-Request-Id"] = []string{x.ID}
	if x.Record.Decision == "" {
		x.Record.Decision = "answered"
	}
	x.Record.Status = resp.Status
	if x.Record.Decision == CallerLeft.Name {
		x.Record.Status = CallerLeft.Status
	}
	if len(x.Request.TransferEncoding) > 0 {
		// net/http does not tell whether the request had a length as well; such a
		// connection must not be used again (RFC 9112, section 6.1).
		h["Connection"] = []string{"close"}
	}
	bodyless := x.Request.Method == http.MethodHead || resp.Status == http.StatusNoContent || resp.Status == http.StatusNotModified
	if resp.Body == nil {
		if !bodyless {
			h["Content-Length"] = []string{strconv.Itoa(len(resp.Bytes))}
		}
		w.WriteHeader(resp.Status)
		if !bodyless {
			n, _ := w.Write(resp.Bytes)
			x.Record.Sent = int64(n)
		}
		return
	}
	defer resp.Body.Close()
	if resp.Length >= 0 && !bodyless {
		h["Content-Length"] = []string{strconv.FormatInt(resp.Length, 10)}
	}
	w.WriteHeader(resp.Status)
	if bodyless {
		return
	}
	if err := stream(w, x, resp); err != nil {
		x.Record.Decision, x.Record.Cause = "broke-off", err
		panic(http.ErrAbortHandler)
	}
}

// stream copies the body; an answer of unknown length (server-sent events,
// exports) is flushed as it arrives.
func stream(w http.ResponseWriter, x *Exchange, resp *Response) error {
	buffer := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	var flusher http.Flusher
	if resp.Length < 0 {
		flusher, _ = w.(http.Flusher)
	}
	for {
		n, err := resp.Body.Read(*buffer)
		if n > 0 {
			written, werr := w.Write((*buffer)[:n])
			x.Record.Sent += int64(written)
			if werr != nil {
				return werr
			}
			if flusher != nil {
				flusher.Flush()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
