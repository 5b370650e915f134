package size

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

func server(t *testing.T, policies string) *policytest.Server {
	return policytest.New(t, policytest.Options{
		Kinds: []gateway.Kind{Kind()}, Policies: policies, Method: "POST",
		Answer: func(x *gateway.Exchange) (*gateway.Response, error) {
			body, err := x.Body()
			return &gateway.Response{Status: 200, Bytes: fmt.Append(nil, len(body))}, err
		},
	})
}

func TestBody(t *testing.T) {
	s := server(t, "size: {body: 1KiB}")
	for _, c := range []struct {
		length  int
		chunked bool
		status  int
		reached bool
	}{
		{0, false, 200, true}, {1024, false, 200, true}, {1024, true, 200, true},
		{1025, false, 413, false}, {1025, true, 413, true}, {100_000, true, 413, true},
	} {
		var body io.Reader = strings.NewReader(strings.Repeat("x", c.length))
		if c.chunked {
			body = io.MultiReader(body)
		}
		r, err := http.NewRequest(http.MethodPost, s.URL+"/orders/v1/orders", body)
		if err != nil {
			t.Fatal(err)
		}
		a := s.Do(t, nil, r)
		if a.Status != c.status || (a.Seen != nil) != c.reached || c.status == 200 && a.Body != fmt.Sprint(c.length) {
			t.Errorf("%d bytes, chunked %v: %d %q", c.length, c.chunked, a.Status, a.Body)
		}
		if c.status == 413 && (a.Problem != "body-too-large" || a.Detail != "at most 1024 bytes are accepted") {
			t.Errorf("%s %s", a.Problem, a.Detail)
		}
	}
	if a := server(t, "size: {body: 20MiB}").Do(t, nil, s.Request(t, http.MethodPost, "/orders")); a.Status != 200 {
		t.Errorf("%d", a.Status)
	}
}

func TestURL(t *testing.T) {
	s := server(t, "size: {url: 64}")
	path := "/orders?" // 18 bytes with the base
	for length, status := range map[int]int{64: 200, 65: 414, 4000: 414} {
		target := path + strings.Repeat("x", length-len("/orders/v1"+path))
		a := s.Do(t, nil, s.Request(t, http.MethodPost, target))
		if a.Status != status || (a.Seen != nil) != (status == 200) || status == 414 && a.Problem != "url-too-long" {
			t.Errorf("%d bytes: %d %s", length, a.Status, a.Problem)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := server(t, "size: {header: 2KiB}")
	for _, c := range []struct {
		values, length, status int
	}{
		{1, 100, 200}, {1, 2048, 431}, {30, 80, 431}, {15, 80, 200},
	} {
		r := s.Request(t, http.MethodPost, "/orders")
		for range c.values {
			r.Header.Add("X-Long", strings.Repeat("x", c.length))
		}
		a := s.Do(t, nil, r)
		if a.Status != c.status || (a.Seen != nil) != (c.status == 200) || c.status == 431 && a.Problem != "header-too-large" {
			t.Errorf("%d values of %d: %d %s", c.values, c.length, a.Status, a.Problem)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		settings string
		want     []string
	}{
		{"{body: 0}", nil},
		{"{}", []string{"size: bounds nothing; set body, header or url"}},
		{"{url: 0}", []string{"size.url: no URL is that short; for example 4KiB"}},
		{"{header: 0B}", []string{"size.header: no request is without headers; for example 16KiB"}},
		{"{body: 1 meg}", []string{`size.body: "1 meg" is not valid here; write a size such as 512, 64KiB or 1MiB`}},
		{"{headers: 1KiB}", []string{`size.headers: unknown key "headers"; did you mean "header"?`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "size: " + c.settings})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.settings, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
