package portal

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
)

// call is one request that its visitor may make.
type call struct {
	echo.Context
	portal *Portal
	// visitor is nil when nobody is signed in.
	visitor *visitor
	// table is what is served while the request lasts.
	table *gateway.Table
	// least is what the route asks of its visitor.
	least who
}

// failure is a refusal that its visitor is told on a page.
type failure struct {
	status  int
	problem string // a sentence for people
	cause   error  // for the log; nil when the visitor knows all
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.problem + ": " + f.cause.Error()
	}
	return f.problem
}

func (f *failure) Unwrap() error { return f.cause }

// fail makes the error that shows a page of its own: problem is a sentence for
// people without its full stop.
func (c *call) fail(status int, problem string) error {
	return &failure{status: status, problem: problem}
}

// missing is the answer for what is not there, or not there for this visitor.
func (c *call) missing() error {
	return c.fail(http.StatusNotFound, "there is nothing at this address")
}

// page answers with the page of that name (templates/pages/NAME.html).
func (c *call) page(name, title string, data any) error {
	return c.answer(http.StatusOK, name, title, data)
}

// answer is page with another status, for forms that were refused.
func (c *call) answer(status int, name, title string, data any) error {
	body, err := c.portal.pages.render(name, c.frame(title, data))
	if err != nil {
		return err
	}
	return c.HTMLBlob(status, body)
}

// redirect goes to a page of the portal after a form was done (303). notice is a
// sentence that the page shows once; empty for none.
func (c *call) redirect(path, notice string) error {
	if notice != "" {
		c.setCookie(noticeCookie, base64.RawURLEncoding.EncodeToString([]byte(notice)), time.Minute)
	}
	return c.Redirect(http.StatusSeeOther, path)
}

const (
	noticeCookie = "notice"
	themeCookie  = "theme"
)

// cookieName binds cookies to this host where that is possible (RFC 6265bis).
func (p *Portal) cookieName(name string) string {
	if p.secure() {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that no script sees; it ends with the browser's session
// when life is 0, and at once when it is negative.
func (c *call) setCookie(name, value string, life time.Duration) {
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	c.SetCookie(&http.Cookie{
		Name: c.portal.cookieName(name), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: c.portal.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// cookie reads a cookie; empty when there is none.
func (c *call) cookie(name string) string {
	k, err := c.Cookie(c.portal.cookieName(name))
	if err != nil {
		return ""
	}
	return k.Value
}

// notice takes the sentence that the last form has left.
func (c *call) notice() string {
	value := c.cookie(noticeCookie)
	if value == "" {
		return ""
	}
	c.setCookie(noticeCookie, "", -1)
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(text) > 500 {
		return ""
	}
	return string(text)
}

// local is a path of the portal to go back to; fallback when next is none.
// Whatever a browser could take for another host is refused.
func local(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return fallback
	}
	return next
}

// serve makes the handler of a route: is the request the portal's own, who looks,
// may they, and only then the route itself.
func (p *Portal) serve(r route) echo.HandlerFunc {
	limit := r.body
	if limit == 0 {
		limit = shortBody
	}
	return func(e echo.Context) error {
		if err := p.cross.Check(e.Request()); err != nil {
			return &failure{status: http.StatusForbidden, problem: "a page of another site may not do this"}
		}
		e.Request().Body = http.MaxBytesReader(e.Response(), e.Request().Body, limit)
		v, err := p.visitor(e)
		if err != nil {
			return err
		}
		c := &call{Context: e, portal: p, visitor: v, table: p.options.Tables.Table(), least: r.who}
		if c.table == nil {
			return c.fail(http.StatusServiceUnavailable, "the portal is starting; try again in a moment")
		}
		if v == nil && !v.may(r.who) {
			return c.redirect("/sign-in?next="+url.QueryEscape(back(e.Request())), "")
		}
		if v.Acting() && !reading(e.Request()) && r.path != "/sign-out" && r.path != "/manage/stop" && r.path != "/theme" {
			return c.fail(http.StatusForbidden, "you look through a partner's eyes: nothing can be changed")
		}
		if err := p.own(c); err != nil {
			return err
		}
		if r.who != anyone && r.who != signedIn && r.who != manager && v.organisation == "" {
			return c.redirect("/organisation", "You belong to no organisation yet.")
		}
		if !v.may(r.who) {
			return c.fail(http.StatusForbidden, "your role may not do this")
		}
		if err := p.changing(c); err != nil {
			return err
		}
		return r.handler(p, c)
	}
}

// reading tells that a request changes nothing.
func reading(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// back is where a visitor wants to be after signing in: the page itself, but
// never the address of a form.
func back(r *http.Request) string {
	if !reading(r) {
		return "/"
	}
	return r.URL.RequestURI()
}

// identify gives the request an id and turns panics into errors.
func (p *Portal) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		c.Response().Header().Set("X-Request-Id", gateway.NewID())
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

func requestID(c echo.Context) string { return c.Response().Header().Get("X-Request-Id") }

// contentPolicy lets pages use what the portal itself serves, and nothing inline.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// protect sets what browsers need to keep pages to themselves.
func (p *Portal) protect(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if p.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}
