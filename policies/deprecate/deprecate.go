package deprecate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Settings are the policy's configuration.
type Settings struct {
	Since     gateway.Date  `yaml:"since" check:"required" doc:"Since when, or from when on, the operation is deprecated."`
	Sunset    *gateway.Date `yaml:"sunset" doc:"From when on it answers 410."`
	Successor string        `yaml:"successor" doc:"What to use instead: a path of this gateway, or a URL."`
	Link      string        `yaml:"link" doc:"URL of the page that explains the move."`
}

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "deprecate", Stage: gateway.StageDeprecate, Levels: gateway.LevelAPI,
		Doc: "Announces the end of a version or operation with Deprecation, Sunset and Link, and answers 410 after it.",
	}, compile)
}

type header struct{ name, value string }

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	checkLink(b, "successor", s.Successor, true)
	checkLink(b, "link", s.Link, false)
	headers := []header{{"Deprecation", fmt.Sprintf("@%d", s.Since.Time().Unix())}}
	var sunset time.Time
	if s.Sunset != nil {
		sunset = s.Sunset.Time()
		if sunset.Before(s.Since.Time()) {
			b.Problems.Add(b.Settings.At("sunset"), "the end lies before the deprecation", "a date after since")
		}
		headers = append(headers, header{"Sunset", sunset.UTC().Format(http.TimeFormat)})
	}
	if s.Successor != "" {
		headers = append(headers, header{"Link", "<" + s.Successor + `>; rel="successor-version"`})
	}
	if s.Link != "" {
		headers = append(headers, header{"Link", "<" + s.Link + `>; rel="deprecation"`})
	}
	gone := "this operation of " + b.Realm() + " ended on " + sunset.UTC().Format(time.DateOnly)
	if s.Successor != "" {
		gone += "; use " + s.Successor
	}
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) {
			for _, h := range headers {
				x.SetHeader(h.name, h.value)
			}
			if !sunset.IsZero() && !time.Now().Before(sunset) {
				return nil, &gateway.Error{Problem: gateway.Gone, Detail: gone}
			}
			return next(x)
		}
	}
}

// checkLink reports what cannot stand between the angle brackets of a Link header.
func checkLink(b *gateway.Binding, key, text string, path bool) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	absolute := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
	local := err == nil && path && u.Scheme == "" && u.Host == "" && strings.HasPrefix(text, "/")
	if (absolute || local) && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`<>"\`, c) }) {
		return
	}
	right := "write a URL such as https://developers.example.com/moving"
	if path {
		right = "write a path such as /orders/v2, or a URL"
	}
	b.Problems.Add(b.Settings.At(key), fmt.Sprintf("%q is not a link", text), right)
}
