package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/source"
)

// refuse answers every error with a problem document (RFC 9457).
func (a *admin) refuse(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	e := asError(err, c)
	if e.Problem == gateway.Internal {
		a.options.Log.Error("the admin application failed", "path", c.Path(), "request_id", requestID(c), "error", err.Error())
	}
	resp := e.Response(requestID(c))
	maps.Copy(c.Response().Header(), resp.Header)
	c.Response().WriteHeader(resp.Status)
	c.Response().Write(resp.Bytes)
}

// asError puts echo's errors into the words of the gateway.
func asError(err error, c echo.Context) *gateway.Error {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return refusal(err)
	}
	switch he.Code {
	case http.StatusNotFound:
		return &gateway.Error{Problem: gateway.NotFound, Detail: "the admin application has nothing here"}
	case http.StatusMethodNotAllowed:
		allow := c.Response().Header().Get("Allow")
		return &gateway.Error{Problem: gateway.MethodNotAllowed, Detail: "allowed here: " + allow, Allow: allow}
	case http.StatusRequestEntityTooLarge:
		return &gateway.Error{Problem: gateway.BodyTooLarge}
	}
	return &gateway.Error{Problem: gateway.Internal, Cause: err}
}

// identify gives the request an id and turns panics into errors.
func (a *admin) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		c.Response().Header().Set("X-Request-Id", gateway.NewID())
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return next(c)
	}
}

func requestID(c echo.Context) string { return c.Response().Header().Get("X-Request-Id") }

// protect sets what browsers need to keep the page and the answers to
// themselves: nothing is loaded, framed, cached, or sent on.
func (a *admin) protect(next echo.HandlerFunc) echo.HandlerFunc {
	policy := "default-src 'none'; style-src " + a.page.styleHash + "; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		return next(c)
	}
}

// refusal puts the errors of the control plane into the words of the gateway.
func refusal(err error) *gateway.Error {
	if r, ok := errors.AsType[*registry.Refusal](err); ok {
		return refused(r)
	}
	if e, ok := errors.AsType[*source.Error](err); ok {
		return &gateway.Error{Problem: gateway.InvalidChange, Detail: count(len(e.Problems), "problem"), Problems: e.Problems}
	}
	switch {
	case errors.Is(err, ledger.ErrConflict):
		return &gateway.Error{Problem: gateway.Changed, Detail: plain(err)}
	case errors.Is(err, ledger.ErrNotFound):
		return &gateway.Error{Problem: gateway.NoSuchThing, Detail: plain(err)}
	case errors.Is(err, ledger.ErrInvalid):
		return &gateway.Error{Problem: gateway.InvalidChange, Detail: plain(err)}
	case errors.Is(err, ledger.ErrFailing), errors.Is(err, ledger.ErrClosed):
		return &gateway.Error{Problem: gateway.LedgerUnavailable, Cause: err}
	}
	return gateway.AsError(err)
}

// plain is the text of an error without the name of the package.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "ledger: ", "") }

// refused tells why the registry does not make a change.
func refused(r *registry.Refusal) *gateway.Error {
	problem, ok := map[registry.Why]gateway.Problem{
		registry.NotFound: gateway.NoSuchThing, registry.Exists: gateway.Exists, registry.Immutable: gateway.Immutable,
		registry.Breaks: gateway.Breaking, registry.InUse: gateway.InUse, registry.State: gateway.WrongState,
		registry.Invalid: gateway.InvalidChange, registry.NoReason: gateway.ReasonMissing, registry.ReadOnly: gateway.StandsInFiles,
		registry.TooMany: gateway.TooMany, registry.Different: gateway.Changed,
	}[r.Why]
	if !ok {
		return &gateway.Error{Problem: gateway.Internal, Cause: r}
	}
	e := &gateway.Error{Problem: problem, Detail: plain(errors.New(r.Wrong))}
	if r.Right != "" {
		e.Detail += "; " + r.Right
	}
	if len(r.Changes) > 0 {
		e.Changes = r.Changes
	}
	if len(r.Uses) > 0 {
		e.Uses = r.Uses
	}
	return e
}
