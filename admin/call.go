package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs"
)

// call is a request of the admin API that its caller may make, and that keeps
// to openapi.yaml.
type call struct {
	echo.Context
	who  identity
	body []byte
}

// serve makes the handler of a route: who calls, may they, is it as described,
// and only then the route itself.
func (a *admin) serve(r route) echo.HandlerFunc {
	op := a.contract.operation(&r)
	cross := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		who, err := a.program(c)
		if err != nil {
			return err
		}
		if !may(who.roles, r.roles) {
			return forbidden(who, r.roles)
		}
		// Where no token is needed, a page of another site must not act.
		if err := cross.Check(c.Request()); err != nil {
			return &gateway.Error{Problem: gateway.Forbidden, Detail: "a page of another site may not do this"}
		}
		k := &call{Context: c, who: who}
		if err := k.read(r.body); err != nil {
			return err
		}
		if err := k.check(op); err != nil {
			return err
		}
		return r.handle(k)
	}
}

// forbidden says which role would be enough.
func forbidden(who identity, least []registry.Role) error {
	enough := slices.DeleteFunc(slices.Clone(least), func(r registry.Role) bool { return r == registry.Bootstrap })
	return &gateway.Error{Problem: gateway.Forbidden, Detail: "the role " + named(who.roles, ", ") + " may not do this; " + named(enough, " or ") + " may"}
}

// read takes the whole body; handlers may read it again.
func (k *call) read(limit int64) error {
	if limit == 0 {
		limit = shortBody
	}
	r := k.Request()
	if r.ContentLength > limit {
		return gateway.TooLarge(limit)
	}
	var err error
	if k.body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, limit)); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return gateway.TooLarge(limit)
		}
		return &gateway.Error{Problem: gateway.BadRequest, Detail: "the body broke off", Cause: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(k.body))
	return nil
}

// check holds the request against openapi.yaml.
func (k *call) check(op *specs.Operation) error {
	var params specs.Params
	for i, name := range k.ParamNames() {
		value := k.ParamValues()[i]
		if name == "*" {
			name = lastParam(op.Path)
		}
		params = append(params, specs.Param{Name: name, Value: value})
	}
	f := op.CheckRequest(k.Request(), params, k.body, specs.CheckOptions{StrictQuery: true})
	if f == nil {
		return nil
	}
	problem := map[int]gateway.Problem{400: gateway.InvalidRequest, 415: gateway.UnsupportedMedia, 422: gateway.InvalidBody}[f.Status]
	return &gateway.Error{Problem: problem, Detail: f.Detail, Violations: f.Violations}
}

// lastParam is the name of the parameter at the end of a path.
func lastParam(path string) string {
	return strings.Trim(path[strings.LastIndexByte(path, '/')+1:], "{}")
}

// decode reads the body, which keeps to its schema, into a value.
func (k *call) decode(v any) error {
	if len(bytes.TrimSpace(k.body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(k.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &gateway.Error{Problem: gateway.InvalidBody, Detail: "the body cannot be read", Cause: err}
	}
	return nil
}

// by is who does something and why, as the audit keeps it: the only place that
// says so. The reason is the header X-Reason, or the member reason of a body.
// Behind a token that several may have, the header X-Actor or the member actor
// says who acts, which is kept as what it is: a claim.
func (k *call) by() ledger.By {
	var said struct{ Actor, Reason string }
	if strings.Contains(k.Request().Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(k.body, &said) // other bodies say nothing
	}
	by := ledger.By{Actor: k.who.name, Role: named(k.who.roles, " "), Reason: said.Reason, RequestID: requestID(k)}
	if reason := k.Request().Header.Get("X-Reason"); reason != "" {
		by.Reason = reason
	}
	if actor := k.Request().Header.Get("X-Actor"); actor != "" {
		said.Actor = actor
	}
	if k.who.shared && said.Actor != "" {
		by.Actor += ": " + said.Actor
	}
	return by
}

// match reads what the caller has seen: If-Match with an entity tag, or * for
// anything; If-None-Match: * where there must be nothing yet. A change of a
// thing at its address has to say so.
func (k *call) match() (ledger.Match, error) {
	header := k.Request().Header
	seen, none := header.Get("If-Match"), header.Get("If-None-Match")
	switch {
	case seen == "" && none == "*" && k.Request().Method == http.MethodPut:
		return ledger.Absent, nil
	case seen == "" && k.Request().Method == http.MethodPost:
		return ledger.Any, nil
	case seen == "":
		return 0, &gateway.Error{Problem: gateway.MatchMissing, Detail: "send If-Match with the ETag that you have seen, or * for any; to make something new, If-None-Match: *"}
	case seen == "*":
		return ledger.Any, nil
	}
	text, quoted := strings.CutPrefix(seen, `"`)
	text, ended := strings.CutSuffix(text, `"`)
	revision, err := strconv.ParseInt(text, 10, 64)
	if !quoted || !ended || err != nil || revision <= 0 {
		return 0, &gateway.Error{Problem: gateway.Changed, Detail: "If-Match is no ETag of this API"}
	}
	return ledger.Match(revision), nil
}

// tag says which revision of a thing the answer shows.
func (k *call) tag(revision int64) {
	k.Response().Header().Set("ETag", `"`+strconv.FormatInt(revision, 10)+`"`)
}

// thing answers a single thing.
func thing[T any](k *call, status int, i registry.Item[T]) error {
	k.tag(i.Revision)
	return k.JSON(status, i)
}

// span is the part of a list that the caller asks for.
type span struct {
	after string
	limit int
}

const usualLimit = 100

func (k *call) span() span {
	s := span{after: k.QueryParam("after"), limit: usualLimit}
	if n, err := strconv.Atoi(k.QueryParam("limit")); err == nil {
		s.limit = n // its bounds stand in openapi.yaml
	}
	return s
}

// items is the shape of every list. Next is what after has to be for what comes
// behind; absent at the end.
type items[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// paged answers a part of a list; more tells that there is more behind it.
func paged[T any](k *call, list []T, more bool, name func(T) string) error {
	p := items[T]{Items: list}
	if list == nil {
		p.Items = []T{}
	}
	if more && len(list) > 0 {
		p.Next = name(list[len(list)-1])
	}
	return k.JSON(http.StatusOK, p)
}
