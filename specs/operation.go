package specs

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Document is a loaded, governed and compiled OpenAPI document. It is
// immutable and safe for concurrent use.
type Document struct {
	// Name and Version are the names of the folders: apis/Name/Version.
	Name, Version string
	// Title and Description come from the document's info.
	Title, Description string
	// Guide says in Markdown how the API is meant to be used; empty without guide.md.
	Guide      string
	Governance APIGovernance
	// Operations are sorted by path, then method. Webhooks are not among them.
	Operations []*Operation
	// Schemes are the document's security schemes by name.
	Schemes map[string]*SecurityScheme
	// Root is the skeleton of the document with its overlay applied: its info,
	// its x-headrace, its security schemes, and its operations without their
	// parameters, bodies and responses.
	Root source.Node

	public []byte
}

// Operation finds an operation by its operationId; nil when there is none.
func (d *Document) Operation(id string) *Operation {
	for _, o := range d.Operations {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// Operation is a method and path of a document, compiled.
type Operation struct {
	Document *Document
	// ID is the operationId, or "METHOD path" where the document gives none.
	ID           string
	Method, Path string
	// Pattern is Path as a Tree takes it. They differ where only the types of
	// parameters tell two paths apart: /contacts/{id|uuid}, /contacts/{number}.
	// It is empty where something is wrong with the path, which was reported.
	Pattern    string
	Summary    string
	Deprecated bool
	// Governance has the defaults of the path and the root merged in.
	Governance OperationGovernance
	// Security holds the alternatives, one of which a caller must meet. It is
	// nil when the document says nothing, and empty when it says that
	// everybody may call.
	Security []Requirement
	// SecurityNode is where Security stands: at the operation, or at the root.
	SecurityNode source.Node
	// Node is where the operation stands.
	Node source.Node

	request   *requestChecker
	responses *responseChecker
}

// Safe tells whether the operation changes nothing: by its method, or because
// its governance says so.
func (o *Operation) Safe() bool {
	if o.Governance.Safe != nil {
		return *o.Governance.Safe
	}
	return o.Method == "GET" || o.Method == "HEAD" || o.Method == "OPTIONS" || o.Method == "TRACE"
}

// Requirement is a set of security schemes that a caller must meet together.
type Requirement []SchemeUse

// SchemeUse is a security scheme and the scopes it has to carry.
type SchemeUse struct {
	Scheme *SecurityScheme
	Scopes []string
}

// SecurityScheme is how callers prove who they are, in the words of OpenAPI.
type SecurityScheme struct {
	Name string
	// Type is apiKey, http, mutualTLS, oauth2 or openIdConnect.
	Type string
	// In and Param say where an API key stands: header, query or cookie, and its name.
	In, Param string
	// HTTPScheme is the lower-case scheme of type http, for example bearer.
	HTTPScheme string
	// Bit identifies the scheme inside its document, for sets of schemes.
	Bit uint32
	// Node is where the scheme stands.
	Node source.Node
}

// Alike tells whether a scheme of another version is the same one: what meets
// the one meets the other.
func (s *SecurityScheme) Alike(o *SecurityScheme) bool {
	return s.Name == o.Name && s.Type == o.Type && s.In == o.In && s.Param == o.Param && s.HTTPScheme == o.HTTPScheme
}

// Param is a path parameter of a request, percent-decoded.
type Param struct {
	Name, Value string
}

// Params are the path parameters of a request, in the order of the path.
type Params []Param

// Get is the value of a parameter; empty when there is none.
func (ps Params) Get(name string) string {
	for _, p := range ps {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Violation is one fault of a request or response against its contract.
type Violation struct {
	// In is path, query, header, cookie or body; status for the status of a response.
	In string `json:"in"`
	// Name is the parameter; empty for the body.
	Name string `json:"name,omitempty"`
	// Pointer is a JSON pointer into the body or the parameter's value.
	Pointer string `json:"pointer,omitempty"`
	// Detail says what is wrong and what would be right. It never repeats the value.
	Detail string `json:"detail"`
}

// String gives the violation on one line.
func (v Violation) String() string {
	return strings.TrimSpace(v.In+" "+v.Name) + v.Pointer + ": " + v.Detail
}

// ParameterIn tells where a declared parameter stands: path, header or query.
func (o *Operation) ParameterIn(name string) string {
	switch {
	case strings.Contains(o.Path, "{"+name+"}"):
		return "path"
	case o.request != nil && slices.ContainsFunc(o.request.header, func(p *paramChecker) bool { return strings.EqualFold(p.name, name) }):
		return "header"
	}
	return "query"
}
