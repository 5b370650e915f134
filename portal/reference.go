package portal

import (
	"cmp"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/specs"
)

// documents keeps published documents that were looked at lately.
type documents struct {
	mu   sync.Mutex
	kept []keptDocument // the latest at the end
}

type keptDocument struct {
	document *specs.Document
	base     string
	root     *node
}

// mostDocuments bounds the memory for documents that are read.
const mostDocuments = 64

// document is the published document of an API. It must not be changed.
func (p *Portal) document(a *api) (*node, error) {
	ds := &p.documents
	ds.mu.Lock()
	for i, k := range ds.kept {
		if k.document == a.document && k.base == a.Base {
			ds.kept = append(slices.Delete(ds.kept, i, i+1), k)
			ds.mu.Unlock()
			return k.root, nil
		}
	}
	ds.mu.Unlock()
	root, err := published(a.document, p.options.Gateway, a.Base)
	if err != nil {
		return nil, err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if len(ds.kept) >= mostDocuments {
		ds.kept = slices.Delete(ds.kept, 0, 1)
	}
	ds.kept = append(ds.kept, keptDocument{a.document, a.Base, root})
	return root, nil
}

// reader reads an operation of a published document for people.
type reader struct {
	root     *node
	markdown *markdown
	open     []*node // schemas that an example is being made of, to end recursion
}

// contract is an operation as its page shows it.
type contract struct {
	*operation
	Description template.HTML
	Params      []params
	Body        *body
	Answers     []answer
	Facts       []fact
	Access      []string
}

// params are the parameters of one place.
type params struct {
	In   string // path, query, header, cookie
	List []param
}

type param struct {
	Name        string
	In          string
	Type        string
	Rules       []string
	Required    bool
	Deprecated  bool
	Description template.HTML
	Example     string
	Given       bool // the document itself has the example
}

// body is what a request holds.
type body struct {
	Required    bool
	Description template.HTML
	Media       []media
}

// media is content of one type.
type media struct {
	Type    string
	Rows    []row
	Example string // empty: none can be shown
}

// answer is one of the answers that a document declares.
type answer struct {
	Status      string // 200, 4XX, default
	Description template.HTML
	Headers     []param
	Media       []media
}

// Good tells of the answers of calls that went well.
func (a answer) Good() bool { return strings.HasPrefix(a.Status, "2") }

// keysLast is how long a key stands for its request where nobody has said so.
const keysLast = 24 * time.Hour

// contract reads an operation.
func (p *Portal) contract(o *operation) (*contract, error) {
	root, err := p.document(o.API)
	if err != nil {
		return nil, err
	}
	r := &reader{root: root, markdown: p.markdown}
	item := resolve(root, root.at("paths", o.Path))
	n := item.get(strings.ToLower(o.Method))
	keys := p.options.Keys
	if keys == 0 {
		keys = keysLast
	}
	c := &contract{operation: o, Description: p.markdown.html(n.get("description").str(), 3), Facts: o.facts(keys), Access: o.access()}
	c.Params = r.params(item, n)
	if b := resolve(root, n.get("requestBody")); b != nil {
		c.Body = &body{Required: b.get("required").is("true"), Description: p.markdown.html(b.get("description").str(), 4), Media: r.media(b.get("content"), true)}
	}
	n.get("responses").members(func(status string, a *node) {
		a = resolve(root, a)
		made := answer{Status: status, Description: p.markdown.html(a.get("description").str(), 4), Media: r.media(a.get("content"), false)}
		a.get("headers").members(func(name string, h *node) {
			made.Headers = append(made.Headers, r.param(name, "header", resolve(root, h)))
		})
		c.Answers = append(c.Answers, made)
	})
	slices.SortStableFunc(c.Answers, func(a, b answer) int { return cmp.Compare(a.Status, b.Status) })
	return c, nil
}

// params lists the parameters of a path and its operation, by place.
func (r *reader) params(item, operation *node) []params {
	places := []params{{In: "path"}, {In: "query"}, {In: "header"}, {In: "cookie"}}
	seen := map[string]bool{}
	for _, list := range [][]*node{operation.get("parameters").list(), item.get("parameters").list()} {
		for _, n := range list {
			n = resolve(r.root, n)
			name, in := n.get("name").str(), n.get("in").str()
			if seen[in+" "+name] {
				continue // the operation's own comes first
			}
			seen[in+" "+name] = true
			for i := range places {
				if places[i].In == in {
					places[i].List = append(places[i].List, r.param(name, in, n))
				}
			}
		}
	}
	return slices.DeleteFunc(places, func(p params) bool { return len(p.List) == 0 })
}

func (r *reader) param(name, in string, n *node) param {
	schema := n.get("schema")
	if schema == nil {
		if content := n.get("content"); content != nil && len(content.items) > 0 {
			schema = content.items[0].get("schema")
		}
	}
	s := &schemas{root: r.root, markdown: r.markdown}
	plain := resolve(r.root, schema)
	p := param{
		Name: name, In: in, Type: s.typeOf(schema), Rules: s.rules(plain), Required: n.get("required").is("true") || in == "path",
		Deprecated: n.get("deprecated").is("true"), Description: r.markdown.html(cmp.Or(n.get("description").str(), plain.get("description").str()), 5),
	}
	given := n.get("example")
	if given == nil {
		n.get("examples").members(func(_ string, e *node) {
			if given == nil {
				given = resolve(r.root, e).get("value")
			}
		})
	}
	p.Given = given != nil
	if given == nil {
		given = r.example(schema, true)
	}
	if given != nil && (given.kind == text || given.kind == literal && given.text != "null") {
		p.Example = given.text
	} else if one := first(given.list()); one != nil && (one.kind == text || one.kind == literal) {
		p.Example = one.text
	}
	return p
}

// media shows contents, JSON first.
func (r *reader) media(content *node, write bool) []media {
	var list []media
	content.members(func(kind string, n *node) {
		n = resolve(r.root, n)
		m := media{Type: kind, Rows: r.rows(n.get("schema"))}
		if e := r.mediaExample(n, write); e != nil {
			if m.Example = string(e.json()); e.kind == text && !strings.Contains(kind, "json") {
				m.Example = e.text
			}
		}
		list = append(list, m)
	})
	slices.SortStableFunc(list, func(a, b media) int {
		return cmp.Compare(map[bool]int{false: 1}[strings.Contains(a.Type, "json")], map[bool]int{false: 1}[strings.Contains(b.Type, "json")])
	})
	return list
}

func (r *reader) mediaExample(n *node, write bool) *node {
	if e := n.get("example"); e != nil {
		return e
	}
	var given *node
	n.get("examples").members(func(_ string, e *node) {
		if given == nil {
			given = resolve(r.root, e).get("value")
		}
	})
	if given != nil || n.get("schema") == nil {
		return given
	}
	return r.example(n.get("schema"), write)
}

// scheme is the way that samples prove who calls: the first that the document
// offers, else what the policies of the operation take.
func (o *operation) scheme() (kind, in, name string) {
	if o.API.own {
		if o.API.lender == nil {
			return "", "", ""
		}
		return o.API.lender.scheme()
	}
	for _, alternative := range o.spec.Security {
		for _, use := range alternative {
			switch s := use.Scheme; s.Type {
			case "apiKey":
				return "key", s.In, s.Param
			case "mutualTLS":
				return "certificate", "", ""
			case "http", "oauth2", "openIdConnect":
				return "token", "header", "Authorization"
			}
		}
	}
	if o.spec.Security != nil && len(o.spec.Security) == 0 {
		return "", "", ""
	}
	if n, ok := settings(o.spec.Governance.Policies, "apikey"); ok {
		return "key", cmp.Or(n.Get("in").Text(), "header"), cmp.Or(n.Get("name").Text(), "X-Api-Key")
	}
	if _, ok := settings(o.spec.Governance.Policies, "jwt"); ok {
		return "token", "header", "Authorization"
	}
	if _, ok := settings(o.spec.Governance.Policies, "mtls"); ok {
		return "certificate", "", ""
	}
	return "", "", ""
}

// access says how callers prove who they are.
func (o *operation) access() []string {
	switch {
	case o.API.own && o.API.Name == writes:
		return []string{"the same as at the API that you wrote to"}
	case o.API.own:
		return []string{"as the description says"}
	}
	if len(o.spec.Security) == 0 {
		if kind, in, name := o.scheme(); kind == "key" {
			return []string{"an API key in the " + place(in) + " " + name}
		} else if kind == "" {
			return []string{"nothing: everybody may call"}
		}
	}
	var list []string
	for _, alternative := range o.spec.Security {
		var parts []string
		for _, use := range alternative {
			var text string
			switch s := use.Scheme; s.Type {
			case "apiKey":
				text = "an API key in the " + place(s.In) + " " + s.Param
			case "mutualTLS":
				text = "a client certificate"
			case "oauth2", "openIdConnect":
				text = "a token in the header Authorization: Bearer TOKEN"
			default:
				text = "the header Authorization with the scheme " + s.HTTPScheme
			}
			if len(use.Scopes) > 0 {
				text += " with the scopes " + strings.Join(use.Scopes, ", ")
			}
			parts = append(parts, text)
		}
		list = append(list, cmp.Or(strings.Join(parts, " and "), "nothing: everybody may call"))
	}
	return list
}

func place(in string) string {
	if in == "query" {
		return "query parameter"
	}
	return in
}

// apiPage is what all pages of an API show around their own.
type apiPage struct {
	*api
	Tab  string
	Page any
}

// apiFrame puts a page of an API together.
func (c *call) apiFrame(a *api, tab string, page any) *apiPage { return &apiPage{a, tab, page} }

// apiOverview tells what an API is for, who answers for it and what it costs.
func (p *Portal) apiOverview(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	var access []string
	for _, o := range a.Operations {
		for _, text := range o.access() {
			if !slices.Contains(access, text) {
				access = append(access, text)
			}
		}
	}
	return c.page("api", a.Title, c.apiFrame(a, "overview", struct {
		Description template.HTML
		Gateway     string
		Access      []string
	}{p.markdown.html(a.Description, 3), p.options.Gateway, access}))
}

// referenceIndex lists the operations of an API by path.
func (p *Portal) referenceIndex(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	return c.page("reference", "Reference of "+a.Title, c.apiFrame(a, "reference", nil))
}

// referencePage explains an operation.
func (p *Portal) referencePage(c *call) error {
	o, err := c.operation()
	if err != nil {
		return err
	}
	k, err := p.contract(o)
	if err != nil {
		return err
	}
	lang := c.language()
	return c.page("operation", o.Name()+" · "+o.API.Title, c.apiFrame(o.API, "reference", struct {
		*contract
		Sample    string
		Language  string
		Languages []language
		CanTry    bool
	}{k, k.sample(p.options.Gateway, lang), lang, languages(), p.options.Sandbox != ""}))
}

// guidePage shows the guide of an API.
func (p *Portal) guidePage(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	if a.Guide == "" {
		return c.missing()
	}
	return c.page("guide", "Guide to "+a.Title, c.apiFrame(a, "guide", p.markdown.html(a.Guide, 2)))
}
