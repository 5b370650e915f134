package size

import (
	"fmt"
	"net/http"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Body   *source.Size `yaml:"body" doc:"Largest request body; limits.body of headrace.yaml when absent."`
	Header *source.Size `yaml:"header" doc:"Largest total of the header fields; limits.header of headrace.yaml when absent."`
	URL    *source.Size `yaml:"url" doc:"Longest path and query together; limits.header of headrace.yaml when absent."`
}

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "size", Stage: gateway.StageSize, Levels: gateway.LevelAPI,
		Doc: "Bounds the body, the header fields and the URL of requests.",
	}, compile)
}

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	if s.Body == nil && s.Header == nil && s.URL == nil {
		b.Problems.Add(b.Settings, "bounds nothing", "set body, header or url")
		return nil
	}
	if s.URL != nil && *s.URL == 0 {
		b.Problems.Add(b.Settings.At("url"), "no URL is that short", "for example 4KiB")
	}
	if s.Header != nil && *s.Header == 0 {
		b.Problems.Add(b.Settings.At("header"), "no request is without headers", "for example 16KiB")
	}
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) {
			if err := s.check(x); err != nil {
				return nil, err
			}
			return next(x)
		}
	}
}

func (s *Settings) check(x *gateway.Exchange) error {
	r := x.Request
	if s.URL != nil && urlLength(r) > int64(*s.URL) {
		return &gateway.Error{Problem: gateway.URLTooLong, Detail: fmt.Sprintf("at most %d bytes are accepted", *s.URL)}
	}
	if s.Header != nil && headerLength(r) > int64(*s.Header) {
		return &gateway.Error{Problem: gateway.HeaderTooLarge, Detail: fmt.Sprintf("at most %d bytes are accepted", *s.Header)}
	}
	if s.Body != nil {
		x.BodyLimit = int64(*s.Body)
		if r.ContentLength > x.BodyLimit {
			return gateway.TooLarge(x.BodyLimit)
		}
	}
	return nil
}

func urlLength(r *http.Request) int64 {
	if r.RequestURI != "" {
		return int64(len(r.RequestURI))
	}
	return int64(len(r.URL.RequestURI()))
}

// headerLength counts fields as they are sent: name, colon, space, value, line end.
func headerLength(r *http.Request) int64 {
	const around = len(": \r\n")
	n := 0
	if r.Host != "" {
		n = len("Host") + len(r.Host) + around
	}
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + around
		}
	}
	return int64(n)
}
