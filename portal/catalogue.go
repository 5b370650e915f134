package portal

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// catalogue is what partners may find: made once of each table.
type catalogue struct {
	table *gateway.Table
	// apis are sorted by title, then by major version, the newest first.
	apis     []*api
	byPath   map[string]*api // NAME/vMAJOR
	domains  []string
	products []*product // sorted by title
	index    *index
}

// api is a major version of an API for partners.
type api struct {
	Name, Major, Version string
	Title, Summary       string
	Description          string // Markdown
	Guide                string // Markdown; empty when there is none
	Domain, Owner, Layer string
	Base                 string // path at the gateway
	Operations           []*operation
	Products             []*product
	Others               []*api // the other majors, the newest first
	End                  end

	document *specs.Document
	bySlug   map[string]*operation
	// own tells of an API of the gateway itself, which calls no system. It has no
	// policies: callers are known there as they are at lender's API; nil for none.
	own    bool
	lender *operation
}

// writes is the gateway's own API of what became of writes.
const writes = "writes"

// end says when a version ends; zero while that is not known.
type end struct {
	Since, Sunset   time.Time
	Successor, Link string
	retired         bool
}

// Path is where the API stands in the portal.
func (a *api) Path() string { return "/apis/" + a.Name + "/" + a.Major }

// Status is published, deprecated or retired, as of now.
func (a *api) Status() string {
	now := time.Now()
	switch {
	case a.End.retired, !a.End.Sunset.IsZero() && !now.Before(a.End.Sunset):
		return "retired"
	case !a.End.Since.IsZero():
		return "deprecated"
	}
	return "published"
}

// operation is an operation for partners, before its contract is looked at.
type operation struct {
	API *api
	// Slug names it in addresses.
	Slug                string
	ID, Method, Path    string
	Summary             string
	Deprecated, Changes bool // Changes: it changes something

	spec *specs.Operation
	wait time.Duration
}

// Route is the path at the gateway, with its parameters in braces.
func (o *operation) Route() string { return o.API.Base + o.Path }

// Page is where the operation stands in the portal.
func (o *operation) Page() string { return o.API.Path() + "/reference/" + o.Slug }

// Name is what people call it.
func (o *operation) Name() string { return cmp.Or(strings.TrimSuffix(o.Summary, "."), o.ID) }

// product is a bundle of APIs with the plans that it is offered on.
type product struct {
	Name, Title string
	APIs        []*api
	Plans       []*plan
}

// plan is a set of limits, in words.
type plan struct {
	Name, Title              string
	Class                    string // empty: each operation's own
	Rate, Quota, Concurrency string // empty: none
}

// catalogues keeps the one of the table that is served.
type catalogues struct {
	now      atomic.Pointer[catalogue]
	building sync.Mutex
	known    map[*specs.Document]*terms // guarded by building
}

// of makes the catalogue of a table, or gives the one that was made.
func (cs *catalogues) of(t *gateway.Table) *catalogue {
	if c := cs.now.Load(); c != nil && c.table == t {
		return c
	}
	cs.building.Lock()
	defer cs.building.Unlock()
	if c := cs.now.Load(); c != nil && c.table == t {
		return c
	}
	c := newCatalogue(t)
	cs.known = c.search(cs.known)
	cs.now.Store(c)
	return c
}

func newCatalogue(t *gateway.Table) *catalogue {
	c := &catalogue{table: t, byPath: map[string]*api{}}
	waits := map[*specs.Operation]time.Duration{}
	for _, o := range t.Operations {
		waits[o.Spec] = o.Wait
	}
	for _, served := range t.APIs {
		if served.Canary != nil || served.Document == nil {
			continue // not for everybody yet
		}
		a := newAPI(served, waits)
		c.apis = append(c.apis, a)
		c.byPath[a.Name+"/"+a.Major] = a
	}
	slices.SortFunc(c.apis, func(a, b *api) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)), cmp.Compare(a.Name, b.Name), cmp.Compare(b.number(), a.number()))
	})
	majors, domains := map[string][]*api{}, map[string]bool{}
	for _, a := range c.apis {
		majors[a.Name] = append(majors[a.Name], a)
		domains[a.Domain] = true
	}
	for _, a := range c.apis {
		a.Others = slices.DeleteFunc(slices.Clone(majors[a.Name]), func(o *api) bool { return o == a })
	}
	c.lend()
	delete(domains, "")
	c.domains = slices.Sorted(maps.Keys(domains))
	c.addProducts(t.Consumers)
	return c
}

// lend tells the gateway's own API of writes how its callers are known elsewhere.
func (c *catalogue) lend() {
	own := c.byPath[writes+"/v1"]
	if own == nil || !own.own {
		return
	}
	for _, a := range c.apis {
		for _, o := range a.Operations {
			if kind, _, _ := o.scheme(); kind != "" && own.lender == nil && !a.own {
				own.lender = o
			}
		}
	}
}

func (a *api) number() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(a.Major, "v"))
	return n
}

func newAPI(served *gateway.API, waits map[*specs.Operation]time.Duration) *api {
	d := served.Document
	g := d.Governance
	a := &api{
		Name: served.Name, Major: served.Major, Version: served.Version, Title: cmp.Or(d.Title, served.Name),
		Summary: firstSentence(d.Description), Description: d.Description, Guide: d.Guide,
		Domain: g.Domain, Owner: g.Owner, Layer: g.Layer, Base: served.Base, End: endOf(&g), document: d, bySlug: map[string]*operation{},
		own: served.Base == "" && g.System == "" && len(g.Policies) == 0,
	}
	for _, spec := range d.Operations {
		o := &operation{
			API: a, ID: spec.ID, Method: spec.Method, Path: spec.Path, Summary: spec.Summary, Deprecated: spec.Deprecated, Changes: !a.own && !spec.Safe(),
			spec: spec, wait: waits[spec],
		}
		o.Slug = slug(spec.ID)
		for i := 2; a.bySlug[o.Slug] != nil; i++ {
			o.Slug = slug(spec.ID) + "-" + strconv.Itoa(i)
		}
		a.bySlug[o.Slug] = o
		a.Operations = append(a.Operations, o)
	}
	return a
}

// slug makes a name for addresses: letters, digits, - and _.
func slug(id string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, id)
	return cmp.Or(strings.Trim(s, "-"), "operation")
}

// endOf reads when a version ends, from its lifecycle.
func endOf(g *specs.APIGovernance) end {
	e := end{retired: g.Status == "retired"}
	settings, ok := g.Policies["deprecate"]
	if ok && !specs.Off(settings) {
		e.Since, e.Sunset = day(settings.Get("since").Text()), day(settings.Get("sunset").Text())
		e.Successor, e.Link = settings.Get("successor").Text(), settings.Get("link").Text()
	}
	if g.Status == "deprecated" && e.Since.IsZero() {
		e.Since = time.Unix(0, 0)
	}
	return e
}

// day reads a date as the policy deprecate takes it; zero for anything else.
func day(text string) time.Time {
	var d gateway.Date
	if text == "" || d.UnmarshalText([]byte(text)) != nil {
		return time.Time{}
	}
	return d.Time()
}

func (c *catalogue) addProducts(consumers *gateway.Consumers) {
	if consumers == nil {
		return
	}
	for name, p := range consumers.Products {
		made := &product{Name: name, Title: cmp.Or(p.Title, name)}
		for _, key := range p.APIs {
			if a := c.byPath[key]; a != nil {
				made.APIs = append(made.APIs, a)
			}
		}
		for _, l := range consumers.Plans {
			if len(l.Products) == 0 || slices.Contains(l.Products, name) {
				made.Plans = append(made.Plans, newPlan(l))
			}
		}
		slices.SortFunc(made.Plans, func(a, b *plan) int { return cmp.Compare(a.Title, b.Title) })
		c.products = append(c.products, made)
	}
	slices.SortFunc(c.products, func(a, b *product) int { return cmp.Compare(a.Title, b.Title) })
	for _, p := range c.products {
		for _, a := range p.APIs {
			a.Products = append(a.Products, p)
		}
	}
}

func newPlan(l *gateway.Plan) *plan {
	p := &plan{Name: l.Name, Title: cmp.Or(l.Title, l.Name)}
	if l.Class != nil {
		p.Class = l.Class.String()
	}
	p.Rate, p.Quota, p.Concurrency = rateText(l.Policies), quotaText(l.Policies), concurrencyText(l.Policies)
	return p
}

// product finds a product by its name; nil when there is none.
func (c *catalogue) product(name string) *product {
	for _, p := range c.products {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// catalogue is what the visitor may find.
func (c *call) catalogue() *catalogue { return c.portal.catalogues.of(c.table) }

// api finds the API of the page's address.
func (c *call) api() (*api, error) {
	a := c.catalogue().byPath[c.Param("api")+"/"+c.Param("major")]
	if a == nil {
		return nil, c.missing()
	}
	return a, nil
}

// operation finds the operation of the page's address.
func (c *call) operation() (*operation, error) {
	a, err := c.api()
	if err != nil {
		return nil, err
	}
	o := a.bySlug[c.Param("operation")]
	if o == nil {
		return nil, c.missing()
	}
	return o, nil
}

// home is the first page.
func (p *Portal) home(c *call) error {
	k := c.catalogue()
	type domain struct {
		Name string
		APIs []*api
	}
	data := struct {
		APIs, Operations int
		Domains          []domain
		Products         []*product
		Sandbox          bool
	}{APIs: len(k.apis), Products: k.products, Sandbox: p.options.Sandbox != ""}
	for _, a := range k.apis {
		data.Operations += len(a.Operations)
	}
	for _, name := range k.domains {
		d := domain{Name: name}
		for _, a := range k.apis {
			if a.Domain == name {
				d.APIs = append(d.APIs, a)
			}
		}
		data.Domains = append(data.Domains, d)
	}
	return c.page("home", "", data)
}

// pageLength is how many APIs a page of the catalogue shows.
const pageLength = 48

// filters are what the catalogue is narrowed to.
type filters struct {
	Domain, Layer, Status, Product string
	Domains, Layers, Statuses      []string
}

func (f *filters) takes(a *api) bool {
	return (f.Domain == "" || a.Domain == f.Domain) && (f.Layer == "" || a.Layer == f.Layer) && (f.Status == "" || a.Status() == f.Status)
}

// apis is the catalogue.
func (p *Portal) apis(c *call) error {
	k := c.catalogue()
	f := filters{
		Domain: c.QueryParam("domain"), Layer: c.QueryParam("layer"), Status: c.QueryParam("status"), Domains: k.domains,
		Layers:   []string{string(specs.SystemLayer), string(specs.ProcessLayer), string(specs.ExperienceLayer)},
		Statuses: []string{"published", "deprecated", "retired"},
	}
	var found []*api
	for _, a := range k.apis {
		if f.takes(a) {
			found = append(found, a)
		}
	}
	pages := max(1, (len(found)+pageLength-1)/pageLength)
	n, _ := strconv.Atoi(c.QueryParam("page"))
	n = min(max(n, 1), pages)
	shown := found[(n-1)*pageLength : min(n*pageLength, len(found))]
	type group struct {
		Domain string
		APIs   []*api
	}
	var groups []group
	slices.SortStableFunc(shown, func(a, b *api) int { return cmp.Compare(cmp.Or(a.Domain, "~"), cmp.Or(b.Domain, "~")) })
	for _, a := range shown {
		if len(groups) == 0 || groups[len(groups)-1].Domain != a.Domain {
			groups = append(groups, group{Domain: a.Domain})
		}
		last := &groups[len(groups)-1]
		last.APIs = append(last.APIs, a)
	}
	return c.page("apis", "Catalogue", struct {
		Filters            filters
		Groups             []group
		Found, Page, Pages int
		Earlier, Later     string
	}{f, groups, len(found), n, pages, f.link(n - 1), f.link(n + 1)})
}

// productList shows all products with their plans.
func (p *Portal) productList(c *call) error {
	return c.page("products", "Products and plans", c.catalogue().products)
}

func (p *Portal) productPage(c *call) error {
	product := c.catalogue().product(c.Param("product"))
	if product == nil {
		return c.missing()
	}
	return c.page("product", product.Title, product)
}
