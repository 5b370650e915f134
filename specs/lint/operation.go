package lint

import (
	"regexp"
	"slices"
	"strings"
)

// operationRules are about what an operation says of itself.
func operationRules() []Rule {
	return []Rule{
		{
			Name: "operation-id", Severity: Error,
			Summary: "Every operation has an operationId in camel case.",
			Why:     "Generated clients name their methods by it, and so do flows, usage and logs.",
			Bad:     "paths:\n  /orders:\n    get:\n      summary: List orders.\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      summary: List orders.\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					switch {
					case o.OperationID == "":
						p.add(o.Origin, o.name, "there is no operationId", "add one, for example listOrders")
					case !camel.MatchString(o.OperationID):
						p.add(o.Origin, o.name, "the operationId "+o.OperationID+" is not in camel case", "for example listOrders")
					}
				}
			},
		},
		{
			Name: "operation-summary", Severity: Error,
			Summary: "Every operation has a summary.",
			Why:     "It is the line that people read in the catalogue and in their editor.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      summary: List orders.\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					if strings.TrimSpace(o.Summary) == "" {
						p.add(o.Origin, o.name, "there is no summary", "say in one line what the operation does")
					}
				}
			},
		},
		{
			Name: "operation-security", Severity: Error,
			Summary: "Every operation says who may call it.",
			Why:     "An operation without security is open to everybody, mostly by oversight.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders.}}\n",
			Good: "components:\n  securitySchemes:\n    apiKey: {type: apiKey, in: header, name: X-API-Key}\nsecurity: [{apiKey: []}]\n" +
				"paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					if len(o.governed.Security) == 0 {
						p.add(o.Origin, o.name, "nothing says who may call", "add security, at the operation or for the document")
					}
				}
			},
		},
	}
}

// answerRules are about what an operation takes and answers, and where it stands.
func answerRules() []Rule {
	return []Rule{
		{
			Name: "problem-documents", Severity: Error,
			Summary: "Failures are described as problem documents (RFC 9457).",
			Why:     "The gateway answers so. A caller who expects another shape cannot tell why a call was refused, or when to come again.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders.}\n        '404': {description: Not there., content: {text/plain: {}}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders.}\n        default: {description: A problem., content: {application/problem+json: {schema: {type: object}}}}\n",
			check:   problems,
		},
		{
			Name: "success-described", Severity: Error,
			Summary: "Every operation describes what it answers when all is well.",
			Why:     "Without a schema there is nothing to generate, to validate, or to compare with the next version.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders.}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders., content: {application/json: {schema: {type: object}}}}\n",
			check:   successes,
		},
		{
			Name: "path-naming", Severity: Warning,
			Summary: "Paths are small letters with hyphens, without verbs and without a slash at the end.",
			Why:     "The method is the verb; one manner of writing is one thing less to look up.",
			Bad:     "paths:\n  /getSalesOrders/:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /sales-orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					if wrong := pathFault(o.path); wrong != "" {
						p.add(o.item.Origin, o.path, wrong, "for example /sales-orders/{id}/lines")
					}
				}
			},
		},
		{
			Name: "no-body-on-reads", Severity: Error,
			Summary: "GET, HEAD and DELETE take no body.",
			Why:     "Intermediaries drop it (RFC 9110, section 9.3).",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      requestBody: {content: {application/json: {schema: {type: object}}}}\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /orders/search:\n    post:\n      operationId: searchOrders\n      x-headrace: {safe: true}\n      requestBody: {content: {application/json: {schema: {type: object}}}}\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					if o.RequestBody != nil && slices.Contains([]string{"GET", "HEAD", "DELETE"}, o.governed.Method) {
						p.add(o.Origin, o.name, "a "+o.governed.Method+" has a body", "use parameters, or a POST with x-headrace.safe: true")
					}
				}
			},
		},
		{
			Name: "parameter-description", Severity: Warning,
			Summary: "Every parameter is described.",
			Why:     "A name rarely says which number of the ERP is meant.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      parameters: [{name: ref, in: query, schema: {type: string}}]\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      parameters: [{name: ref, in: query, description: The customer's own order number., schema: {type: string}}]\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					for _, ref := range o.parameters() {
						if v := ref.Value; v != nil && v.Description == "" && (v.Schema == nil || v.Schema.Value == nil || v.Schema.Value.Description == "") {
							p.add(v.Origin, o.name, "the parameter "+v.Name+" is not described", "say what it is, in a sentence")
						}
					}
				}
			},
		},
	}
}

var camel = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

func problems(p *pass) {
	for _, o := range p.operations() {
		described := false
		for _, a := range o.answers() {
			if !a.failure() {
				continue
			}
			described = true
			if len(a.Content) > 0 && a.Content.Get("application/problem+json") == nil {
				p.add(a.Origin, o.name, "the answer "+a.status+" is no problem document", "describe it as application/problem+json")
			}
		}
		if !described {
			p.add(o.Origin, o.name, "no failure is described", "add a default response with application/problem+json")
		}
	}
}

func successes(p *pass) {
	for _, o := range p.operations() {
		described := false
		for _, a := range o.answers() {
			switch {
			case !a.success():
			case a.status == "204" || a.status == "205" || len(a.Content) > 0 || o.governed.Method == "HEAD":
				described = true
			case a.status == "202" || a.status == "201" && len(a.Headers) > 0:
				described = true // a place to look is an answer
			default:
				p.add(a.Origin, o.name, "the answer "+a.status+" has no content", "describe it, or answer 204")
				described = true
			}
		}
		if !described {
			p.add(o.Origin, o.name, "no success is described", "add a response 200, 201 or 204")
		}
	}
}

var (
	plainSegment = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	verb         = regexp.MustCompile(`^(get|list|create|add|update|delete|remove|fetch|set)([-_A-Z].*)?$`)
)

func pathFault(path string) string {
	if strings.HasSuffix(path, "/") && path != "/" {
		return "the path ends with a slash"
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch {
		case segment == "" || strings.ContainsAny(segment, "{("):
		case verb.MatchString(segment):
			return "the path has the verb " + segment
		case !plainSegment.MatchString(segment):
			return "the segment " + segment + " is not written in small letters with hyphens"
		}
	}
	return ""
}
