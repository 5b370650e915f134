package specs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/schema"
)

// bodyChecker checks the body of a request.
type bodyChecker struct {
	required bool
	// reads tells whether the bytes are looked at for any of the media types.
	reads    bool
	contents contents
}

// compileBody is nil for an operation that takes no body.
func (c *checkCompiler) compileBody() *bodyChecker {
	ref := c.op.RequestBody
	if ref == nil {
		return nil
	}
	at := c.follow(c.at.Get("requestBody"), ref.Ref)
	if ref.Value == nil {
		c.ps.Add(at, "the reference leads nowhere", "name an existing request body")
		return nil
	}
	bc := &bodyChecker{required: ref.Value.Required, contents: c.compileContents(ref.Value.Content, at, schema.Request)}
	bc.reads = slices.ContainsFunc(bc.contents, func(one *content) bool { return one.reads(one.kind) || one.media.breadth() > 0 && !one.schema.Free() })
	return bc
}

// checkBody is nil when all is well with the body.
func (rc *requestChecker) checkBody(r *http.Request, body []byte, opts CheckOptions) *Fault {
	sent := len(body) > 0 || r.ContentLength > 0 || r.ContentLength < 0 && r.Body != nil && r.Body != http.NoBody
	bc := rc.body
	switch {
	case bc == nil && sent:
		return bodyFault(http.StatusBadRequest, "the operation takes no body")
	case bc == nil:
		return nil
	case bc.reads && len(body) == 0:
		sent = false
	}
	if !sent {
		if bc.required {
			return bodyFault(http.StatusBadRequest, "the body is missing; it is required")
		}
		return nil
	}
	contentType := r.Header.Get("Content-Type")
	one, kind := bc.contents.find(contentType)
	switch {
	case len(bc.contents) == 0:
		return nil
	case contentType == "":
		return unsupported("Content-Type", "the header is missing; expected "+bc.contents.accepted())
	case one == nil:
		return unsupported("Content-Type", "this media type is not accepted; expected "+bc.contents.accepted())
	case !bc.reads || !one.reads(kind):
		return nil
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupported("Content-Encoding", "the body cannot be checked when it is compressed; send it as it is")
	}
	if kind == jsonContent && opts.Seen != nil {
		return jsonFault(one.schema.CheckSeen(body, schema.Request, rc.fields().of(one), opts.Seen))
	}
	return one.check(kind, body, contentType, schema.Request)
}

func bodyFault(status int, detail string) *Fault {
	return newFault(status, []Violation{{In: "body", Detail: detail}})
}

func unsupported(header, detail string) *Fault {
	return newFault(http.StatusUnsupportedMediaType, []Violation{{In: "header", Name: header, Detail: detail}})
}

// check checks the bytes of a body of a kind.
func (c *content) check(kind contentKind, body []byte, contentType string, dir schema.Direction) *Fault {
	switch kind {
	case jsonContent:
		return c.checkJSON(body, dir)
	case formContent:
		return c.checkForm(body, dir)
	case multipartContent:
		return c.checkMultipart(body, contentType, dir)
	case textContent:
		return contentFault(c.schema.CheckText(string(body), dir))
	}
	return nil
}

func (c *content) checkJSON(body []byte, dir schema.Direction) *Fault {
	return jsonFault(c.schema.Check(body, dir))
}

func jsonFault(violations []schema.Violation, err *schema.SyntaxError) *Fault {
	if err != nil {
		return bodyFault(http.StatusBadRequest, fmt.Sprintf("not valid JSON: %v", err))
	}
	return contentFault(violations)
}

// contentFault is nil without violations.
func contentFault(found []schema.Violation) *Fault {
	if found == nil {
		return nil
	}
	list := make([]Violation, len(found))
	for i, v := range found {
		list[i] = Violation{In: "body", Pointer: v.Pointer, Detail: v.Detail}
	}
	return newFault(http.StatusUnprocessableEntity, list)
}
