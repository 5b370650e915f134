package portal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
)

// sandbox calls the gateway that partners try things at. It keeps nothing of
// what it sends, and follows no redirects.
type sandbox struct {
	client *http.Client
	places chan struct{} // calls that may be under way
}

const (
	tryPatience = 90 * time.Second
	mostTries   = 32
	// shownBody is how much of an answer is shown.
	shownBody = 256 << 10
)

func newSandbox() *sandbox {
	return &sandbox{
		client: &http.Client{
			Timeout:       tryPatience,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: tryPatience},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		places: make(chan struct{}, mostTries),
	}
}

// attempt is what somebody filled in.
type attempt struct {
	Values map[string]string // of parameters, as PLACE.NAME
	Body   string
	Key    bool // a key was given; it is not shown again
	Async  bool
	Repeat string // the Idempotency-Key
}

// tried is a call as it was made, and its answer.
type tried struct {
	Method, URL string
	Sent        []header // the credential is hidden
	SentBody    string
	Status      int
	Reason      string
	Took        time.Duration
	Got         []header
	GotBody     string
	Cut         bool // the answer was longer than what is shown
	Limits      []string
	Write       *written // nil unless the call became a write that goes on
	Problem     string   // why there is no answer
}

// Good tells that the call went well.
func (t *tried) Good() bool { return t.Status >= 200 && t.Status < 300 }

// written is a write that is followed.
type written struct {
	ID, State, Place, ETA string
	Over                  bool
}

type tryPage struct {
	*contract
	Attempt     attempt
	Result      *tried
	Scheme      string // key, token, certificate, or empty
	Sandbox     string
	ContentType string
}

// Value is what a field of the form holds.
func (p *tryPage) Value(in, name string) string { return p.Attempt.Values[in+"."+name] }

func (p *Portal) tryPage(c *call) (*tryPage, error) {
	if p.options.Sandbox == "" {
		return nil, c.missing()
	}
	o, err := c.operation()
	if err != nil {
		return nil, err
	}
	k, err := p.contract(o)
	if err != nil {
		return nil, err
	}
	page := &tryPage{contract: k, Sandbox: p.options.Sandbox, Attempt: attempt{Values: map[string]string{}}}
	page.Scheme, _, _ = o.scheme()
	if k.Body != nil && len(k.Body.Media) > 0 {
		page.ContentType = k.Body.Media[0].Type
	}
	return page, nil
}

func (c *call) showTry(page *tryPage) error {
	return c.page("try", "Try "+page.Name(), c.apiFrame(page.API, "reference", page))
}

// tryForm shows the call with the examples of the document filled in.
func (p *Portal) tryForm(c *call) error {
	page, err := p.tryPage(c)
	if err != nil {
		return err
	}
	for _, place := range page.Params {
		for _, q := range place.List {
			if q.Required || q.Given {
				page.Attempt.Values[place.In+"."+q.Name] = q.Example
			}
		}
	}
	if page.Body != nil && len(page.Body.Media) > 0 {
		page.Attempt.Body = page.Body.Media[0].Example
	}
	if page.takesKey() {
		page.Attempt.Repeat = `"` + gateway.NewID() + `"`
	}
	return c.showTry(page)
}

// tryCall makes the call at the sandbox.
func (p *Portal) tryCall(c *call) error {
	page, err := p.tryPage(c)
	if err != nil {
		return err
	}
	if err := p.paced(c, "tries "+c.from(), mostTried); err != nil {
		return err
	}
	if err := c.Request().ParseForm(); err != nil {
		return err
	}
	form := c.Request().PostForm
	page.Attempt.Body, page.Attempt.Async, page.Attempt.Repeat = form.Get("body"), form.Get("async") != "", strings.TrimSpace(form.Get("repeat"))
	for name := range form {
		if in, _, ok := strings.Cut(name, "."); ok && slices.Contains([]string{"path", "query", "header"}, in) {
			page.Attempt.Values[name] = form.Get(name)
		}
	}
	r, problem := page.build(form.Get("key"))
	if problem != "" {
		page.Result = &tried{Problem: problem}
		return c.showTry(page)
	}
	page.Result, err = p.sandbox.do(c, r, page.hidden())
	if err != nil {
		return err
	}
	return c.showTry(page)
}

// tryWrite looks at a write that a call became.
func (p *Portal) tryWrite(c *call) error {
	page, err := p.tryPage(c)
	if err != nil {
		return err
	}
	if err := p.paced(c, "tries "+c.from(), mostTried); err != nil {
		return err
	}
	id := c.FormValue("write")
	if !writeID.MatchString(id) {
		return c.fail(http.StatusBadRequest, "this is no write")
	}
	r, err := http.NewRequest(http.MethodGet, p.options.Sandbox+"/writes/"+id, nil)
	if err != nil {
		return err
	}
	page.prove(r, c.FormValue("key"))
	page.Result, err = p.sandbox.do(c, r, page.hidden())
	if err != nil {
		return err
	}
	if page.Result.Write == nil {
		page.Result.Write = &written{ID: id}
	}
	return c.showTry(page)
}

var writeID = regexp.MustCompile(`^[0-9A-Za-z_-]{8,64}$`)

// build makes the request; the problem is a sentence for who filled in the form.
func (page *tryPage) build(key string) (*http.Request, string) {
	path, query := page.Route(), url.Values{}
	var headers []header
	for _, place := range page.Params {
		for _, q := range place.List {
			value := page.Value(place.In, q.Name)
			switch {
			case place.In == "path" && (value == "" || value == "." || value == ".."):
				return nil, "Fill in " + q.Name + "."
			case place.In == "path":
				path = strings.ReplaceAll(path, "{"+q.Name+"}", url.PathEscape(value))
			case value == "":
			case place.In == "query":
				query.Add(q.Name, value)
			case place.In == "header" && !reserved(q.Name):
				headers = append(headers, header{q.Name, value})
			}
		}
	}
	address := page.Sandbox + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequest(page.Method, address, strings.NewReader(page.Attempt.Body))
	if err != nil {
		return nil, "These values make no address."
	}
	r.GetBody = nil // a write must not be sent twice
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
	}
	if page.Attempt.Body != "" && page.Body != nil {
		r.Header.Set("Content-Type", page.ContentType)
	}
	if page.Attempt.Repeat != "" && page.takesKey() {
		r.Header.Set("Idempotency-Key", page.Attempt.Repeat)
	}
	if page.Attempt.Async && page.Changes {
		r.Header.Set("Prefer", "respond-async")
	}
	page.prove(r, key)
	return r, ""
}

// reserved are headers that the connection or the page itself sets.
func reserved(name string) bool {
	return slices.Contains([]string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Authorization", "Cookie", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}, http.CanonicalHeaderKey(name))
}

// prove puts the partner's credential where the operation wants it.
func (page *tryPage) prove(r *http.Request, key string) {
	key = strings.TrimSpace(key)
	page.Attempt.Key = key != ""
	if key == "" {
		return
	}
	switch kind, in, name := page.scheme(); {
	case kind == "token":
		r.Header.Set("Authorization", "Bearer "+strings.TrimPrefix(key, "Bearer "))
	case kind == "key" && in == "query":
		q := r.URL.Query()
		q.Set(name, key)
		r.URL.RawQuery = q.Encode()
	case kind == "key" && in == "cookie":
		r.AddCookie(&http.Cookie{Name: name, Value: key})
	case kind == "key":
		r.Header.Set(name, key)
	}
}

// hidden names the header or parameter whose value is shown to nobody.
func (page *tryPage) hidden() string {
	kind, in, name := page.scheme()
	if kind == "key" && in == "cookie" {
		return "Cookie"
	}
	return name
}

// do makes a call and describes it. Errors of the way are told, not returned, so
// that nothing of the request gets into a log.
func (s *sandbox) do(c *call, r *http.Request, hidden string) (*tried, error) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return nil, c.fail(http.StatusServiceUnavailable, "many are trying something at the moment; try again shortly")
	}
	t := &tried{Method: r.Method, URL: shownURL(r.URL, hidden), Sent: shownHeaders(r.Header, hidden)}
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		t.SentBody, r.Body = string(data), io.NopCloser(bytes.NewReader(data))
		if len(data) == 0 {
			r.Body, r.ContentLength = http.NoBody, 0
		}
	}
	r.Header.Set("User-Agent", "Headrace-Portal")
	started := time.Now()
	resp, err := s.client.Do(r.WithContext(c.Request().Context()))
	if err != nil {
		t.Problem = "The sandbox has not answered."
		if _, invalid := errors.AsType[*url.Error](err); invalid && strings.Contains(err.Error(), "invalid header") {
			t.Problem = "A header or the key holds a character that cannot be sent."
		}
		return t, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, shownBody+1))
	if err != nil {
		t.Problem = "The answer broke off."
	}
	if t.Took = time.Since(started).Round(time.Millisecond); len(data) > shownBody {
		data, t.Cut = data[:shownBody], true
	}
	t.Status, t.Reason, t.Got = resp.StatusCode, http.StatusText(resp.StatusCode), shownHeaders(resp.Header, "Set-Cookie")
	t.Limits = limitTexts(resp.Header)
	t.GotBody = strings.ToValidUTF8(string(data), "�")
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && !t.Cut && !nests(data, deepestShown) {
		if n, err := parseNode(data); err == nil {
			t.GotBody = string(n.json())
			t.Write = writtenOf(n, resp)
		}
	}
	return t, nil
}

// writtenOf reads what became of a write, from a 202 or from /writes/{id}.
func writtenOf(n *node, resp *http.Response) *written {
	w := &written{ID: n.get("id").str(), State: n.get("state").str(), Place: plainValue(n.get("place")), ETA: n.get("eta").str()}
	if w.State == "" || !writeID.MatchString(w.ID) || resp.StatusCode != http.StatusAccepted && !strings.HasPrefix(resp.Request.URL.Path, "/writes/") {
		return nil
	}
	w.Over = !slices.Contains([]string{"held", "sending", "doubtful"}, w.State)
	return w
}

func shownURL(u *url.URL, hidden string) string {
	plain := *u
	if q := plain.Query(); q.Has(hidden) {
		q.Set(hidden, "…")
		plain.RawQuery = q.Encode()
	}
	return plain.String()
}

func shownHeaders(h http.Header, hidden string) []header {
	var list []header
	for name, values := range h {
		for _, value := range values {
			if strings.EqualFold(name, hidden) {
				value = "…"
			}
			list = append(list, header{name, value})
		}
	}
	slices.SortFunc(list, func(a, b header) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value)) })
	return list
}

var (
	limitItem  = regexp.MustCompile(`"([^"]*)"((?:;[a-z]+=[^;,]+)*)`)
	limitParam = regexp.MustCompile(`;([a-z]+)=([0-9]+)`)
)

// limitTexts say what is left of each limit, from the headers RateLimit and
// RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers).
func limitTexts(h http.Header) []string {
	policies := limitItems(h.Values("RateLimit-Policy"))
	var list []string
	for _, l := range limitItems(h.Values("RateLimit")) {
		text := l.name + ": " + strconv.Itoa(l.params["r"]) + " left"
		for _, p := range policies {
			if q, ok := p.params["q"]; ok && p.name == l.name {
				text += fmt.Sprintf(" of %d", q)
				if w, ok := p.params["w"]; ok {
					text += " in " + roughly(w)
				}
			}
		}
		if after, ok := l.params["t"]; ok {
			text += ", more in " + roughly(after)
		}
		list = append(list, text)
	}
	return list
}

// roughly says seconds in their largest unit.
func roughly(seconds int) string {
	for _, u := range []struct {
		seconds int
		name    string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if seconds >= u.seconds {
			return count((seconds+u.seconds/2)/u.seconds, u.name)
		}
	}
	return count(seconds, "second")
}

type limitField struct {
	name   string
	params map[string]int
}

func limitItems(values []string) []limitField {
	var list []limitField
	for _, m := range limitItem.FindAllStringSubmatch(strings.Join(values, ", "), 20) {
		l := limitField{m[1], map[string]int{}}
		for _, p := range limitParam.FindAllStringSubmatch(m[2], 10) {
			if n, err := strconv.Atoi(p[2]); err == nil {
				l.params[p[1]] = n
			}
		}
		list = append(list, l)
	}
	return list
}
