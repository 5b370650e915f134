package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/source"
)

// refusal is what the page of an error shows.
type refusal struct {
	Status    int
	Problem   string
	RequestID string
}

// refuse answers every error with a page that says what is wrong.
func (p *Portal) refuse(err error, e echo.Context) {
	if e.Response().Committed {
		return
	}
	f := asFailure(err)
	if f.status >= http.StatusInternalServerError {
		p.options.Log.Error("the portal failed", "path", e.Path(), "request_id", requestID(e), "error", err.Error())
	}
	if _, ok := errors.AsType[*source.Error](f.cause); ok && f.status == http.StatusConflict {
		p.options.Log.Warn("a change in the portal cannot be served", "path", e.Path(), "request_id", requestID(e), "error", f.cause.Error())
	}
	c := &call{Context: e, portal: p}
	c.visitor, _ = p.visitor(e)
	data := refusal{f.status, sentence(f.problem), requestID(e)}
	body, err := p.pages.render("error", c.frame(http.StatusText(f.status), data))
	if err != nil {
		p.options.Log.Error("the page of an error cannot be shown", "request_id", requestID(e), "error", err.Error())
		body = []byte(http.StatusText(f.status))
	}
	e.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	e.Response().WriteHeader(f.status)
	e.Response().Write(body)
}

// asFailure puts errors of all parts into what visitors are told: the one place
// that does.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &failure{status: http.StatusRequestEntityTooLarge, problem: "this is too large", cause: err}
	}
	if r, ok := errors.AsType[*registry.Refusal](err); ok {
		return refused(r)
	}
	if e, ok := errors.AsType[*source.Error](err); ok && len(e.Problems) > 0 {
		return unserved(e)
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok && he.Code < 500 {
		switch he.Code {
		case http.StatusNotFound:
			return &failure{status: he.Code, problem: "there is nothing at this address"}
		case http.StatusMethodNotAllowed:
			return &failure{status: he.Code, problem: "this address does not take such a request"}
		}
		return &failure{status: he.Code, problem: "the request cannot be read"}
	}
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return &failure{status: http.StatusNotFound, problem: "there is nothing at this address"}
	case errors.Is(err, ledger.ErrConflict):
		return &failure{status: http.StatusConflict, problem: "somebody has changed this meanwhile; look again"}
	case errors.Is(err, ledger.ErrFailing), errors.Is(err, ledger.ErrClosed):
		return &failure{status: http.StatusServiceUnavailable, problem: "the portal cannot keep anything at the moment; try again shortly", cause: err}
	}
	return &failure{status: http.StatusInternalServerError, problem: "something went wrong here; it has been written down under the number below", cause: err}
}

// unserved tells that a change would make something that cannot be served. What is
// wrong with what was entered is said; what is wrong with files of the workspace, or
// with other partners' things, may name systems and is for the log.
func unserved(e *source.Error) *failure {
	first := e.Problems[0]
	kind, _, _ := strings.Cut(first.File, "/")
	if !slices.Contains([]string{registry.KindOrganisation, registry.KindMember, registry.KindApp, registry.KindCredential, registry.KindSubscription}, kind) {
		return &failure{status: http.StatusConflict, problem: "this does not go with what is there; ask your partner manager", cause: e}
	}
	f := &failure{status: http.StatusUnprocessableEntity, problem: "this cannot be kept: " + first.Wrong, cause: e}
	if first.Right != "" {
		f.problem += "; " + first.Right
	}
	return f
}

// refused tells why the registry does not make a change.
func refused(r *registry.Refusal) *failure {
	status := http.StatusConflict
	switch r.Why {
	case registry.NotFound:
		status = http.StatusNotFound
	case registry.Invalid:
		status = http.StatusUnprocessableEntity
	}
	f := &failure{status: status, problem: r.Wrong}
	if r.Right != "" {
		f.problem += "; " + r.Right
	}
	return f
}
