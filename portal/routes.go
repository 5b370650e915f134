package portal

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// who may use a route, at least. Beyond that, handlers compare each object with
// the visitor's organisation.
type who int

const (
	anyone    who = iota
	signedIn      // anybody with an account
	member        // of the organisation whose things the page shows, in any role
	developer     // a member who may change apps and credentials
	owner         // a member who may change the organisation
	manager       // a partner manager of ours
)

// route is one of the portal. A new one is a line in the table below; tests walk it.
type route struct {
	method string
	// path has its parameters in braces: /apis/{api}/{major}.
	path    string
	who     who
	handler func(*Portal, *call) error
	// body is how long a request may be, in bytes; shortBody when 0.
	body int64
}

const (
	shortBody = 64 << 10
	longBody  = 2 << 20
)

// routes is the table: what there is, and for whom.
func (p *Portal) routes() []route {
	return slices.Concat(p.docRoutes(), p.peopleRoutes(), p.eventRoutes())
}

// docRoutes are the catalogue and what is written about each API.
func (p *Portal) docRoutes() []route {
	return []route{
		{"GET", "/", anyone, (*Portal).home, 0},
		{"POST", "/theme", anyone, (*Portal).setTheme, 0},
		{"GET", "/apis", anyone, (*Portal).apis, 0},
		{"GET", "/search", anyone, (*Portal).searchPage, 0},
		{"GET", "/apis/{api}/{major}", anyone, (*Portal).apiOverview, 0},
		{"GET", "/apis/{api}/{major}/reference", anyone, (*Portal).referenceIndex, 0},
		{"GET", "/apis/{api}/{major}/reference/{operation}", anyone, (*Portal).referencePage, 0},
		{"GET", "/apis/{api}/{major}/guide", anyone, (*Portal).guidePage, 0},
		{"GET", "/apis/{api}/{major}/openapi.json", anyone, (*Portal).openapiJSON, 0},
		{"GET", "/apis/{api}/{major}/openapi.yaml", anyone, (*Portal).openapiYAML, 0},
		{"GET", "/apis/{api}/{major}/postman.json", anyone, (*Portal).postman, 0},
		{"GET", "/apis/{api}/{major}/changes", anyone, (*Portal).changesPage, 0},
		{"GET", "/try/{api}/{major}/{operation}", anyone, (*Portal).tryForm, 0},
		{"POST", "/try/{api}/{major}/{operation}", anyone, (*Portal).tryCall, longBody},
		{"POST", "/try/{api}/{major}/{operation}/write", anyone, (*Portal).tryWrite, 0},
		{"GET", "/products", anyone, (*Portal).productList, 0},
		{"GET", "/products/{product}", anyone, (*Portal).productPage, 0},
	}
}

// peopleRoutes are accounts, organisations, apps, subscriptions and credentials.
func (p *Portal) peopleRoutes() []route {
	return []route{}
}

// eventRoutes are what happens: usage, writes, webhooks, notices, status.
func (p *Portal) eventRoutes() []route {
	return []route{
		{"GET", "/status", anyone, (*Portal).status, 0},
		{"GET", "/usage", member, (*Portal).usage, 0},
		{"GET", "/usage.csv", member, (*Portal).usageFile, 0},
		{"GET", "/apps/{app}/usage", member, (*Portal).usage, 0},
		{"GET", "/apps/{app}/usage.csv", member, (*Portal).usageFile, 0},
		{"GET", "/writes", member, (*Portal).writes, 0},
		{"GET", "/apps/{app}/writes", member, (*Portal).writes, 0},
		{"GET", "/writes/{id}", member, (*Portal).write, 0},
		{"POST", "/writes/{id}/fix", developer, (*Portal).fixWrite, longBody},
		{"POST", "/writes/{id}/cancel", developer, (*Portal).takeBack, 0},
		{"POST", "/writes/{id}/leave", developer, (*Portal).giveUp, 0},
		{"GET", "/webhooks", member, (*Portal).webhooks, 0},
		{"POST", "/webhooks", developer, (*Portal).addWebhook, 0},
		{"GET", "/webhooks/{id}", member, (*Portal).webhook, 0},
		{"POST", "/webhooks/{id}", developer, (*Portal).changeWebhook, 0},
		{"POST", "/webhooks/{id}/turn", developer, (*Portal).turnWebhook, 0},
		{"POST", "/webhooks/{id}/rotate", developer, (*Portal).rotateWebhook, 0},
		{"POST", "/webhooks/{id}/test", developer, (*Portal).testWebhook, 0},
		{"POST", "/webhooks/{id}/delete", developer, (*Portal).deleteWebhook, 0},
		{"GET", "/webhooks/{id}/deliveries/{number}", member, (*Portal).delivery, 0},
		{"POST", "/webhooks/{id}/deliveries/{number}/again", developer, (*Portal).redeliver, 0},
		{"GET", "/notices", signedIn, (*Portal).notices, 0},
		{"POST", "/notices/mail", signedIn, (*Portal).wantMail, 0},
		{"POST", "/notices", manager, (*Portal).announce, 0},
		{"POST", "/notices/{id}/withdraw", manager, (*Portal).withdraw, 0},
	}
}

// mount lets the application answer everything.
func (p *Portal) mount(e *echo.Echo) {
	e.Use(p.identify, p.protect)
	both := []string{"GET", "HEAD"}
	e.Match(both, assetRoot+"*", p.assets.serve)
	e.Match(both, "/favicon.ico", p.assets.icon)
	for _, r := range p.routes() {
		handler := p.serve(r)
		e.Add(r.method, echoPath(r.path), handler)
		if r.method == "GET" {
			e.Add("HEAD", echoPath(r.path), handler)
		}
	}
}

// echoPath puts a path into echo's words: {name} is :name, {name...} is *.
func echoPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch name := strings.Trim(part, "{}"); {
		case name == part:
		case strings.HasSuffix(name, "..."):
			parts[i] = "*"
		default:
			parts[i] = ":" + name
		}
	}
	return strings.Join(parts, "/")
}
