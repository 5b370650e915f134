package deprecate

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

func kinds() []gateway.Kind { return []gateway.Kind{Kind()} }

func TestHeaders(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: `
deprecate:
  since: 2026-10-01
  sunset: 2097-04-01T12:00:00+02:00
  successor: /orders/v2
  link: https://developers.example.com/moving
`, Answer: func(x *gateway.Exchange) (*gateway.Response, error) {
		if x.Request.URL.RawQuery == "fail" {
			return nil, &gateway.Error{Problem: gateway.Saturated}
		}
		return &gateway.Response{Status: 200, Header: http.Header{"Link": {"</next>; rel=\"next\""}}}, nil
	}})
	for target, status := range map[string]int{"/orders": 200, "/orders?fail": 503} {
		a := s.Get(t, target)
		links := []string{`</orders/v2>; rel="successor-version"`, `<https://developers.example.com/moving>; rel="deprecation"`}
		if status == 200 {
			links = append([]string{`</next>; rel="next"`}, links...)
		}
		if a.Status != status || a.Header.Get("Deprecation") != "@1790812800" || a.Header.Get("Sunset") != "Mon, 01 Apr 2097 10:00:00 GMT" || !slices.Equal(a.Header.Values("Link"), links) {
			t.Errorf("%s: %d %v", target, a.Status, a.Header)
		}
	}
	s = policytest.New(t, policytest.Options{Kinds: kinds(), Policies: "deprecate: {since: 2026-10-01}"})
	if a := s.Get(t, "/orders"); a.Status != 200 || a.Header.Get("Deprecation") != "@1790812800" || a.Header.Get("Sunset")+a.Header.Get("Link") != "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

func TestSunset(t *testing.T) {
	for _, c := range []struct{ settings, detail string }{
		{"{since: 2000-01-01, sunset: 2000-01-02, successor: https://api.example.com/orders/v2}", "this operation of orders/v1 ended on 2000-01-02; use https://api.example.com/orders/v2"},
		{"{since: 2000-01-01, sunset: 2000-01-02}", "this operation of orders/v1 ended on 2000-01-02"},
	} {
		synctest.Test(t, func(t *testing.T) { // begins on 2000-01-01
			chain, problems := policytest.Compile(t, policytest.Options{Kinds: kinds(), Policies: "deprecate: " + c.settings})
			if problems != nil {
				t.Fatal(problems)
			}
			call := func() error {
				_, err := chain(&gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)})
				return err
			}
			time.Sleep(24*time.Hour - time.Nanosecond)
			if err := call(); err != nil {
				t.Errorf("before the end: %v", err)
			}
			time.Sleep(time.Nanosecond)
			err := call()
			if err == nil || gateway.AsError(err).Problem != gateway.Gone || gateway.AsError(err).Detail != c.detail {
				t.Errorf("at the end: %v", err)
			}
		})
	}
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: "deprecate: {since: 2020-01-01, sunset: 2021-01-01, successor: /orders/v2}"})
	if a := s.Get(t, "/orders"); a.Status != 410 || a.Problem != "gone" || a.Seen != nil || a.Header.Get("Sunset") == "" || a.Header.Get("Link") == "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

func TestProblems(t *testing.T) {
	const path = "; write a path such as /orders/v2, or a URL"
	for _, c := range []struct {
		settings string
		want     []string
	}{
		{"{since: 2026-10-01, sunset: 2026-10-01, successor: /v2}", nil},
		{"{}", []string{`deprecate: the key "since" is missing; it says: since when, or from when on, the operation is deprecated`}},
		{"{since: soon}", []string{`deprecate.since: "soon" is not valid here; write a date such as 2027-01-31 or 2027-01-31T12:00:00Z`}},
		{"{since: 2026-10-01, sunset: 2026-09-30}", []string{"deprecate.sunset: the end lies before the deprecation; a date after since"}},
		{"{since: 2026-10-01, successor: orders/v2}", []string{`deprecate.successor: "orders/v2" is not a link` + path}},
		{"{since: 2026-10-01, successor: //evil.example}", []string{`deprecate.successor: "//evil.example" is not a link` + path}},
		{"{since: 2026-10-01, successor: 'javascript:alert(1)'}", []string{`deprecate.successor: "javascript:alert(1)" is not a link` + path}},
		{`{since: 2026-10-01, successor: "/v2>; rel=x"}`, []string{`deprecate.successor: "/v2>; rel=x" is not a link` + path}},
		{`{since: 2026-10-01, successor: "/v2\r\nX: y"}`, []string{`deprecate.successor: "/v2\r\nX: y" is not a link` + path}},
		{"{since: 2026-10-01, link: /moving}", []string{`deprecate.link: "/moving" is not a link; write a URL such as https://developers.example.com/moving`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: kinds(), Policies: "deprecate: " + c.settings})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.settings, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
