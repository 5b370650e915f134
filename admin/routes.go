package admin

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway/registry"
)

// root is where the admin API stands.
const root = "/admin/v1"

// route is one of the admin API. All of them are described in openapi.yaml, and
// requests are checked against that before a handler sees them. A new one is a
// line in the table here, its description there, and a line in docs/admin.md;
// tests name what is missing.
type route struct {
	method string
	// path is below root, as in openapi.yaml. A parameter that ends in ... takes
	// the rest of the path; openapi.yaml has it without the dots.
	path string
	// roles are the least ones, any of which is enough.
	roles []registry.Role
	// body is how long a request may be, in bytes; shortBody when 0.
	body   int64
	handle func(*call) error
}

const (
	shortBody = 64 << 10
	longBody  = 16 << 20
)

// Who may call a route, at least.
func looking() []registry.Role    { return []registry.Role{registry.Viewer} }
func operating() []registry.Role  { return []registry.Role{registry.RoleOperator} }
func designing() []registry.Role  { return []registry.Role{registry.Architect} }
func partnering() []registry.Role { return []registry.Role{registry.PartnerManager} }
func governing() []registry.Role  { return []registry.Role{registry.Admin} }
func first() []registry.Role      { return []registry.Role{registry.Admin, registry.Bootstrap} }

// applying are those who may apply a workspace, each what they may change singly.
func applying() []registry.Role { return []registry.Role{registry.Architect, registry.PartnerManager} }

// changing are those who may change things of a kind.
func changing(kind string) []registry.Role {
	switch kind {
	case registry.KindOrganisation, registry.KindMember, registry.KindApp, registry.KindCredential, registry.KindSubscription:
		return partnering()
	}
	return designing()
}

// routes is the table of the admin API: what there is, and for whom.
func (a *admin) routes() []route {
	list := []route{
		{"GET", "/openapi.json", looking(), 0, a.document},
		{"GET", "/status", looking(), 0, a.status},
		{"GET", "/apis", looking(), 0, a.apis},
		{"GET", "/operations", looking(), 0, a.operations},
		{"GET", "/systems", looking(), 0, a.systems},
		{"GET", "/problems", looking(), 0, a.problems},
	}
	if a.options.Writes != nil {
		list = append(list, a.writeRoutes()...)
	}
	if a.options.Runs != nil {
		list = append(list, a.runRoutes()...)
	}
	if a.options.Registry != nil {
		list = append(list, a.controlRoutes()...)
	}
	return list
}

// writeRoutes are those of the write buffer.
func (a *admin) writeRoutes() []route {
	list := []route{
		{"POST", "/writes/{write}/edit", operating(), longBody, a.writes},
	}
	for _, path := range []string{"", "/{write}", "/{write}/explain", "/groups", "/pauses", "/audit", "/export"} {
		list = append(list, route{"GET", "/writes" + path, looking(), 0, a.writes})
	}
	for _, path := range []string{"/{write}/cancel", "/{write}/retry", "/{write}/discard", "/{write}/resolve", "/groups/retry", "/groups/discard", "/pauses/pause", "/pauses/resume"} {
		list = append(list, route{"POST", "/writes" + path, operating(), 0, a.writes})
	}
	return list
}

// runRoutes are those of the runs of flows.
func (a *admin) runRoutes() []route {
	return []route{
		{"GET", "/runs", looking(), 0, a.runs},
		{"GET", "/runs/{run}", looking(), 0, a.runs},
		{"POST", "/runs/{run}/retry", operating(), 0, a.runs},
		{"POST", "/runs/{run}/undo", operating(), 0, a.runs},
		{"POST", "/runs/{run}/resolve", operating(), 0, a.runs},
		{"GET", "/traces/{correlation}", looking(), 0, a.runs},
	}
}

// controlRoutes are those of the control plane.
func (a *admin) controlRoutes() []route {
	subscription := "/subscriptions/{subscription}"
	return slices.Concat(
		[]route{{"GET", "/revisions", looking(), 0, a.revisions}},
		a.versionRoutes(),
		a.applyRoutes(),
		a.usageRoutes(),
		nounRoutes[registry.Organisation](a, registry.KindOrganisation, "organisations"),
		nounRoutes[registry.Member](a, registry.KindMember, "members"),
		nounRoutes[registry.App](a, registry.KindApp, "apps"),
		nounRoutes[registry.Product](a, registry.KindProduct, "products"),
		nounRoutes[registry.Plan](a, registry.KindPlan, "plans"),
		[]route{
			{"GET", "/apps/{app}/credentials", looking(), 0, a.credentials},
			{"POST", "/apps/{app}/credentials", partnering(), 0, a.addCredential},
			{"POST", "/apps/{app}/keys", partnering(), 0, a.newKey},
			{"POST", "/apps/{app}/oauth-clients", partnering(), 0, a.newClient},
			{"POST", "/keys/{prefix}/rotate", partnering(), 0, a.rotateKey},
			{"GET", "/credentials/{credential}", looking(), 0, a.credential},
			{"DELETE", "/credentials/{credential}", partnering(), 0, a.revokeCredential},
			{"GET", "/subscriptions", looking(), 0, a.subscriptions},
			{"POST", "/subscriptions", partnering(), 0, a.subscribe},
			{"GET", subscription, looking(), 0, a.subscription},
			{"POST", subscription + "/approve", partnering(), 0, a.decide(registry.Approved)},
			{"POST", subscription + "/reject", partnering(), 0, a.decide(registry.Rejected)},
			{"POST", subscription + "/suspend", partnering(), 0, a.decide(registry.Suspended)},
			{"POST", subscription + "/resume", partnering(), 0, a.decide(registry.Approved)},
			{"POST", subscription + "/end", partnering(), 0, a.decide(registry.Ended)},
			{"POST", subscription + "/plan", partnering(), 0, a.changePlan},
			{"GET", "/operators", governing(), 0, a.operators},
			{"POST", "/operators", first(), 0, a.addOperator},
			{"GET", "/operators/{operator}", governing(), 0, a.operator},
			{"DELETE", "/operators/{operator}", governing(), 0, a.endOperator},
			{"POST", "/operators/{operator}/renew", governing(), 0, a.renewOperator},
			{"GET", "/audit", looking(), 0, a.audit},
			{"POST", "/audit/verify", governing(), 0, a.verifyAudit},
		},
	)
}

// mount lets the application answer everything.
func (a *admin) mount(e *echo.Echo) {
	e.Use(a.identify, a.protect)
	both := []string{"GET", "HEAD"}
	e.Match(both, "/healthz", a.healthz)
	e.Match(both, "/readyz", a.readyz)
	e.GET("/metrics", a.metrics)
	e.GET("/", a.overview)
	for _, r := range a.routes() {
		e.Add(r.method, root+echoPath(r.path), a.serve(r))
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

// described is the path as openapi.yaml has it.
func (r *route) described() string { return strings.ReplaceAll(r.path, "...}", "}") }
