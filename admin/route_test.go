package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/policies/apikey"
	"github.com/headrace/headrace/specs/source"
)

// desk is the admin API on a registry and a buffer of its own.
type desk struct {
	*testing.T
	registry *registry.Registry
	ledger   *ledger.DB
	admin    *admin
	handler  http.Handler
}

var someone = ledger.By{Actor: "ada", Role: "admin", Reason: "because"}

// newDesk starts it; change may change its options before.
func newDesk(t *testing.T, change func(*Options)) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Replica: "one", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := buffer.New(buffer.Options{Ledger: db, Log: log})
	t.Cleanup(func() { b.Close(t.Context()) })
	r := registry.New(registry.Options{Ledger: db, NewKey: func() registry.Key {
		k := apikey.New()
		return registry.Key{Text: k.Text, Prefix: k.Prefix, Hash: k.Hash}
	}})
	o := (&state{table: distributor()}).options()
	o.Registry, o.Store, o.Writes, o.Runs = r, db, b.Operator, flow.New(flow.Options{Ledger: db, Buffer: b}).Operator
	if change != nil {
		change(&o)
	}
	a := newAdmin(o)
	return &desk{t, r, db, a, a.handler()}
}

// operator makes an operator, and gives its token.
func (d *desk) operator(name string, role registry.Role) string {
	d.Helper()
	_, token, err := d.registry.NewOperator(d.Context(), someone, name, registry.Operator{Role: role})
	if err != nil {
		d.Fatal(err)
	}
	return token
}

// expired makes an operator whose token has just ended.
func (d *desk) expired() string {
	d.Helper()
	for life := 50 * time.Millisecond; ; life *= 2 { // a slow machine needs longer to make it
		soon := time.Now().Add(life)
		_, token, err := d.registry.NewOperator(d.Context(), someone, "gone", registry.Operator{Role: registry.Admin, Expires: &soon})
		if err == nil {
			time.Sleep(time.Until(soon) + time.Millisecond)
			return token
		}
		if life > time.Minute {
			d.Fatal(err)
		}
	}
}

// do makes a call with a body in JSON, if there is one; header is name, value, and so on.
func (d *desk) do(method, path, token, body string, header ...string) (status int, h http.Header, text string) {
	d.Helper()
	r, err := http.NewRequest(method, "http://127.0.0.1/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.RemoteAddr = "192.0.2.1:1234"
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code, w.Header(), w.Body.String()
}

// want makes a call and compares status and parts of the answer.
func (d *desk) want(status int, part, method, path, token, body string, header ...string) (http.Header, string) {
	d.Helper()
	got, h, text := d.do(method, path, token, body, header...)
	if got != status || !strings.Contains(text, part) {
		d.Errorf("%s %s: %d %s\nwant %d with %q", method, path, got, text, status, part)
	}
	return h, text
}

// example fills the parameters of a path.
func example(path string) string {
	return strings.NewReplacer("{api}", "orders", "{version}", "1.0.0", "{organisation}", "acme", "{member}", "acme.ann", "{app}", "shop", "{product}", "desk",
		"{plan}", "gold", "{prefix}", "abcdefgh", "{credential}", "abcdefgh", "{subscription}", "shop.desk", "{operator}", "nobody", "{write}", "0123456789abcdef",
		"{path...}", "systems/erp.yaml").Replace(path)
}

// Every route is walked with every role, so that a new one cannot be forgotten.
func TestWhoMayCallWhat(t *testing.T) {
	d := newDesk(t, nil)
	tokens := map[registry.Role]string{}
	for _, role := range registry.Roles() {
		tokens[role] = d.operator("an-"+string(role), role)
	}
	expired := d.expired()
	wrong := "hra_aaaaaaaa_" + strings.Repeat("a", 40)
	a := d.admin
	if n := len(a.routes()); n < 60 {
		t.Fatalf("only %d routes", n)
	}
	for _, r := range a.routes() {
		path := example(r.path)
		for name, token := range map[string]string{"no": "", "a wrong": wrong, "an expired": expired, "a foreign": "eyJ.eyJ.x"} {
			status, h, _ := d.do(r.method, path, token, "")
			if status != 401 || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s %s with %s token: %d %v", r.method, path, name, status, h)
			}
			d.do("GET", "/status", tokens[registry.Viewer], "") // or the guard would take over
			a.guard.Right("192.0.2.1 oidc")
		}
		for role, token := range tokens {
			status, _, text := d.do(r.method, path, token, "")
			if forbidden := status == 403; forbidden == may([]registry.Role{role}, r.roles) || status == 401 || status >= 500 {
				t.Errorf("%s %s as %s: %d %s", r.method, path, role, status, text)
			}
		}
	}
}

// Nothing but the table decides, and the table is as it is meant to be.
func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role, least registry.Role
		may         bool
	}{
		{registry.Viewer, registry.Viewer, true}, {registry.RoleOperator, registry.Viewer, true}, {registry.Architect, registry.Viewer, true},
		{registry.PartnerManager, registry.Viewer, true}, {registry.Admin, registry.Viewer, true},
		{registry.Viewer, registry.RoleOperator, false}, {registry.Architect, registry.RoleOperator, false}, {registry.RoleOperator, registry.Architect, false},
		{registry.PartnerManager, registry.Architect, false}, {registry.Architect, registry.PartnerManager, false},
		{registry.Admin, registry.RoleOperator, true}, {registry.Admin, registry.Architect, true}, {registry.Admin, registry.PartnerManager, true},
		{registry.Architect, registry.Admin, false}, {registry.Bootstrap, registry.Viewer, false}, {registry.Bootstrap, registry.Admin, false},
		{"", registry.Viewer, false}, {"root", registry.Viewer, false},
	} {
		if got := may([]registry.Role{c.role}, []registry.Role{c.least}); got != c.may {
			t.Errorf("%q where %q is needed: %v", c.role, c.least, got)
		}
	}
	if may(nil, looking()) || !may([]registry.Role{registry.Viewer, registry.Architect}, designing()) {
		t.Error("several roles have the rights of each, none has none")
	}
}

// openapi.yaml and the table have the same routes, for the same roles.
func TestDescription(t *testing.T) {
	a := newDesk(t, nil).admin
	table := map[string]string{}
	for _, r := range a.routes() {
		table[r.method+" "+r.described()] = named(r.roles, " ")
	}
	var ps source.Problems
	root := source.Read(openapi, "openapi.yaml", source.DefaultLimits, &ps)
	for _, op := range a.contract.document.Operations {
		var roles []string
		for _, n := range root.At("paths", op.Path, strings.ToLower(op.Method), "x-roles").Items() {
			roles = append(roles, n.Text())
		}
		id := op.Method + " " + op.Path
		got, ok := table[id]
		delete(table, id)
		if !ok || got != strings.Join(roles, " ") {
			t.Errorf("%s is described for %v, and served for %q", id, roles, got)
		}
	}
	for id := range table {
		t.Errorf("%s is not described", id)
	}
}

func TestDocumentIsServed(t *testing.T) {
	d := newDesk(t, nil)
	_, text := d.want(200, `"/operators"`, "GET", "/openapi.json", "", "")
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	if _, ok := document.Paths["/writes/{write}/cancel"]["post"]; !ok {
		t.Errorf("%d paths", len(document.Paths))
	}
}

// docs/admin.md has the table as it is, and every refusal of the gateway stands
// in docs/problems.md.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, r := range newDesk(t, nil).admin.routes() {
		start := "| `" + r.method + " " + r.described() + "` | " + named(r.roles, ", ") + " |"
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, start) }) {
			t.Errorf("docs/admin.md has no line %q", start)
		}
	}
	if text, err = os.ReadFile("../docs/problems.md"); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../gateway/error.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Problem\{"([a-z-]+)", `).FindAllStringSubmatch(string(source), -1)
	for _, name := range names {
		if !strings.Contains(string(text), "| `"+name[1]+"` | ") {
			t.Errorf("docs/problems.md does not explain %s", name[1])
		}
	}
	if len(names) < 40 {
		t.Errorf("only %d refusals", len(names))
	}
}
