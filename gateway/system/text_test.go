package system

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

func TestHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for value, want := range map[string]time.Duration{
			"": 0, "0": 0, "-5": 0, "7": 7 * time.Second, " 2.5 ": 2500 * time.Millisecond, "1e99": longestHint, "NaN": 0, "soon": 0,
			now.Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
			now.Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
			now.Add(1000 * time.Hour).UTC().Format(http.TimeFormat): longestHint,
			now.Add(90 * time.Second).UTC().Format(time.ANSIC):      90 * time.Second,
		} {
			if got := hint(value, time.Second, now); got != want {
				t.Errorf("%q: %v, want %v", value, got, want)
			}
		}
	})
}

// Callers who were refused together are told different times, none too early.
func TestSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := spread(time.Minute)
		if d < time.Minute || d > 75*time.Second {
			t.Error(d)
		}
		seen[d] = true
	}
	if len(seen) < 50 || spread(0) < time.Second {
		t.Errorf("%d times", len(seen))
	}
}

func TestCapped(t *testing.T) {
	if s := capped("  a\xffb \n"); s != "a\ufffdb" {
		t.Errorf("%q", s)
	}
	if s := capped(strings.Repeat("ü", 1000)); len(s) > longestMessage+len("…") || !utf8.ValidString(s) || !strings.HasSuffix(s, "ü…") {
		t.Errorf("%d bytes", len(s))
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

// A compressed answer goes through as it is, and is read where it must be.
func TestCompressedAnswers(t *testing.T) {
	var got seen
	body := zipped(`{"code":"LIMIT","x":1.0}`)
	status, encoding := 200, "gzip"
	w := open(t, plan{system: "answer: 1KiB\noverload: [{status: 403, json: .code, match: LIMIT, retry_after: 1ms}]", paths: at("GET", "/a", "a", "wait: 5s") + at("GET", "/b", "b", "wait: 5s\ncall: {response: .x}")},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got.note(r)
			w.Header().Set("Content-Encoding", encoding)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
	r := w.send("GET", "/a", "", "Accept-Encoding: gzip")
	if r.text != body || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", r.text, r.Header)
	}
	r = w.send("GET", "/b", "", "Accept-Encoding: gzip")
	if r.text != "1.0" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("%q %v", r.text, r.Header)
	}
	if sent, _ := got.last(); sent.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("%v", sent.Header)
	}
	status = 403
	w.want(w.send("GET", "/a", ""), 503, "saturated")
	status, encoding = 200, "br"
	w.want(w.send("GET", "/b", ""), 502, "cannot be read")
	encoding, body = "gzip", "not gzip"
	w.want(w.send("GET", "/b", ""), 502, "cannot be read")
	body = zipped(strings.Repeat("x", 1<<20)) // a small answer that grows
	w.want(w.send("GET", "/b", ""), 502, "larger than 1KiB")
}

// An answer that is too long to be looked at still goes through whole.
func TestLongErrors(t *testing.T) {
	long := strings.Repeat("no ", 100_000)
	var got seen
	w := open(t, plan{system: "errors: [{match: yes, as: conflict}]", paths: at("GET", "/a", "a", "")}, got.answers(400, long))
	if r := w.send("GET", "/a", ""); r.StatusCode != 400 || r.text != long {
		t.Errorf("%d, %d bytes", r.StatusCode, len(r.text))
	}
}

func TestQueryIsChecked(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
	for _, query := range []string{"a=1 HTTP/1.1\r\nX-Evil: 1", "a=1 b", "a\x7f", "a#b"} {
		if r := w.set.Send(t.Context(), &Request{Operation: "orders/v1/x", Method: "GET", Query: query}); r.Err == nil || r.Err.Problem != gateway.BadRequest {
			t.Errorf("%q: %+v", query, r)
		}
	}
	if got.count() != 0 {
		t.Error("sent")
	}
}

func TestWithoutKeys(t *testing.T) {
	names := map[string]bool{"key": true, "a b": true}
	for query, want := range map[string]string{
		"": "", "x=1": "x=1", "key=1": "", "x=1&key=2&y=%20&key": "x=1&y=%20", "k%65y=1&x": "x", "a+b=1&a%20b=2&keys=3": "keys=3", "x&&y": "x&&y", "%zz=1&key": "%zz=1",
	} {
		if got := withoutKeys(query, names); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestRPCError(t *testing.T) {
	for text, want := range map[string]string{
		`["UserError",["Said.","",null]]`: "UserError|Said.", `["ConcurrencyException","Said"]`: "ConcurrencyException|Said", `["free text",""]`: "free text|",
		`{"code":-32600,"message":"Said"}`: "-32600|Said", `{}`: "|", `[]`: "|", `[[1]]`: "|", `"Said"`: "|Said", `5`: "|", `["a",[[1]]]`: "a|", `{"message":5}`: "|",
	} {
		value, err := mapping.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if code, message := rpcError(value); code+"|"+message != want {
			t.Errorf("%s: %s|%s", text, code, message)
		}
	}
}

// leadsAway finds dot segments between slashes of either sort.
var leadsAway = regexp.MustCompile(`(^|[/\\])\.\.?([/\\]|$)`)

// Whatever a path parameter holds, it stays in its place: the system reads the
// same value there, and nothing else of the path changes.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"1", "a/b", "..", "%2F", "O'Neil", "a?b#c", "ü ", "'", "\x00\xff", "a;b,c"} {
		f.Add(seed, seed)
	}
	whole, err := compilePath("/base", "/x/{a}/y/{b}", []string{"a", "b"})
	if err != nil {
		f.Fatal(err)
	}
	odata, err := compilePath("", "/x('{a}')/y", []string{"a"})
	if err != nil {
		f.Fatal(err)
	}
	s := &system{url: &url.URL{Scheme: "http", Host: "x"}}
	f.Fuzz(func(t *testing.T, a, b string) {
		params := specs.Params{{Name: "a", Value: a}, {Name: "b", Value: b}}
		escaped, err := whole.render(params)
		if err != nil {
			if !leadsAway.MatchString(a) && !leadsAway.MatchString(b) {
				t.Fatalf("%q %q: %v", a, b, err)
			}
			return
		}
		if leadsAway.MatchString(a) || leadsAway.MatchString(b) {
			t.Fatalf("%q %q became %q", a, b, escaped)
		}
		sent := s.target(escaped, "").RequestURI()
		if sent != escaped {
			t.Fatalf("%q became %q", escaped, sent)
		}
		parts := strings.Split(sent, "/")
		if len(parts) != 6 || parts[1] != "base" || parts[2] != "x" || parts[4] != "y" {
			t.Fatalf("%q %q: %q", a, b, sent)
		}
		for i, want := range map[int]string{3: a, 5: b} {
			if got, err := url.PathUnescape(parts[i]); err != nil || got != want {
				t.Fatalf("%q: %q, %v", want, got, err)
			}
		}
		escaped, err = odata.render(params)
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.PathUnescape(s.target(escaped, "").RequestURI())
		inner := strings.TrimSuffix(strings.TrimPrefix(got, "/x('"), "')/y")
		if err != nil || len(inner) != len(got)-8 || strings.ReplaceAll(inner, "''", "") != strings.ReplaceAll(a, "'", "") || strings.ReplaceAll(inner, "''", "'") != a {
			t.Fatalf("%q became %q", a, got)
		}
	})
}
