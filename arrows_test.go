package headrace_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/headrace/headrace"

// owners are the only folders that may import something, with what is below them.
var owners = map[string][]string{
	"github.com/getkin/kin-openapi":   {"specs"},
	"github.com/oasdiff/oasdiff":      {"specs"},
	"github.com/redis/go-redis":       {"gateway/counter"},
	"modernc.org/sqlite":              {"gateway/ledger"},
	"github.com/jackc/pgx":            {"gateway/ledger"},
	"github.com/pressly/goose":        {"gateway/ledger"},
	"database/sql":                    {"gateway/ledger", "cmd/bench"}, // the bench has a bare loop beside the ledger
	"github.com/labstack/echo":        {"admin", "portal"},
	"github.com/spf13/cobra":          {"cmd"},
	"github.com/chromedp/chromedp":    {"deploy/portal"},
	"cel.dev/cel-go":                  {"gateway/budget"},
	"github.com/alexedwards/argon2id": {"portal"},
	"github.com/go-webauthn/webauthn": {"portal"},
	"github.com/pquerna/otp":          {"portal"},
	"github.com/wneessen/go-mail":     {"portal"},
	"github.com/coreos/go-oidc":       {"portal"},
}

// siblings are the arrows between packages below gateway.
var siblings = map[string][]string{
	"gateway/flow":            {"gateway/buffer", "gateway/flow/arazzo", "gateway/ledger", "gateway/mapping"},
	"gateway/flow/arazzo":     {"gateway/mapping"},
	"gateway/buffer":          {"gateway/budget", "gateway/ledger", "gateway/system"},
	"gateway/registry":        {"gateway/ledger", "gateway/workspace"},
	"gateway/usage":           {"gateway/ledger"},
	"gateway/event":           {"gateway/ledger"},
	"gateway/system":          {"gateway/budget", "gateway/budget/profiles", "gateway/mapping"},
	"gateway/counter":         {"gateway/budget"},
	"gateway/budget/profiles": {"gateway/budget"},
}

// controlled is the control plane, which the admin API and the portal are the
// doors to.
var controlled = []string{"gateway/registry", "gateway/ledger", "gateway/usage"}

// partnered is what the portal shows partners beyond that: their writes, and the
// way of events to them.
var partnered = []string{"gateway/buffer", "gateway/event"}

// wrongArrow says why a package must not import another; it is empty when it
// may. from is a folder of the module, to an import path. test is set for the
// files of tests, which may use what stands in for the outside.
func wrongArrow(from, to string, test bool) string {
	for owned, folders := range owners {
		if owned == "database/sql" && test && within(from, "cmd") {
			continue // tests look into the ledger's file from outside
		}
		if within(to, owned) && !slices.ContainsFunc(folders, func(f string) bool { return within(from, f) }) {
			return "only " + strings.Join(folders, " and ") + " may import it"
		}
	}
	to, ok := strings.CutPrefix(to, module+"/")
	test = test || support(from) || instrument(from)
	switch {
	case !ok || from == to:
		return ""
	case within(to, "cmd"):
		return "nothing imports cmd"
	case support(to) && !test:
		return "only tests import what supports tests"
	case support(to) || within(from, "cmd"):
		return ""
	}
	return wrongInside(from, to, test)
}

// wrongInside knows the arrows between the layers of the module.
func wrongInside(from, to string, test bool) string {
	top, _, below := strings.Cut(from, "/")
	switch top {
	case "specs":
		switch {
		case from == "specs/lint":
			if within(to, "specs") {
				return ""
			}
			return "specs/lint stands on specs"
		case from == "specs" && to == "specs/lint":
			return "specs/lint stands on specs"
		}
		if from == "specs" && within(to, "specs") || below && from != "specs/source" && to == "specs/source" {
			return ""
		}
		return "specs stands on nothing but its own parts, and they on specs/source"
	case "gateway":
		switch {
		case within(to, "specs"), slices.Contains(siblings[from], to), test && within(to, "gateway"):
			return ""
		case within(from, "gateway/ledger"):
			return "the ledger stands on specs alone"
		case below && to == "gateway":
			return ""
		case below:
			return "the parts of gateway stand on gateway and specs, and not on each other"
		}
		return "gateway stands on specs alone"
	case "policies":
		switch {
		case within(to, "specs"), to == "gateway", !below && within(to, "policies"), test && within(to, "gateway"):
			return ""
		}
		return "policies stand on gateway and specs, and import neither each other nor stores"
	case "admin", "portal":
		if within(to, "specs") || to == "gateway" || slices.Contains(controlled, to) || top == "portal" && slices.Contains(partnered, to) || test && (within(to, "gateway") || within(to, "policies")) {
			return ""
		}
		return top + " stands on gateway, specs and the control plane"
	case "deploy":
		return "what is deployed is data"
	}
	return "the folder has no place in the house"
}

// within tells whether an import path or folder is another one or below it.
// Major versions (pgx/v5) are below.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// support tells of packages that are there for tests: countertest, policytest.
func support(folder string) bool {
	return strings.HasSuffix(path.Base(folder), "test")
}

// instrument tells of programs that measure and torment the product: they
// stand on what tests stand on.
func instrument(folder string) bool { return folder == "cmd/bench" || folder == "cmd/torture" }

func TestWrongArrows(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test     bool
		wrong    string // part of the reason; empty: right
	}{
		{"cmd/headrace", module + "/gateway/system", false, ""},
		{"cmd/headrace", module + "/cmd/bench", false, "nothing imports cmd"},
		{"admin", module + "/cmd/headrace", true, "nothing imports cmd"},
		{"cmd/torture", module + "/gateway/ledger/postgrestest", false, ""},
		{"cmd/headrace", module + "/gateway/ledger/postgrestest", false, "only tests"},
		{"gateway", module + "/specs/source", false, ""},
		{"gateway", module + "/gateway/budget", false, "specs alone"},
		{"gateway", module + "/policies/throttle", false, "specs alone"},
		{"gateway/budget", module + "/gateway", false, ""},
		{"gateway/budget", module + "/specs", false, ""},
		{"gateway/system", module + "/gateway/budget", false, ""},
		{"gateway/system", module + "/gateway/mapping", false, ""},
		{"gateway/system", module + "/gateway/budget/profiles", false, ""},
		{"gateway/budget", module + "/gateway/budget/profiles", false, "not on each other"},
		{"gateway/budget", module + "/gateway/system", false, "not on each other"},
		{"gateway/system", module + "/gateway/counter", false, "not on each other"},
		{"gateway/system", module + "/gateway/sim", true, ""},
		{"gateway/workspace", module + "/policies", false, "not on each other"},
		{"policies/throttle", module + "/gateway", false, ""},
		{"policies/throttle", module + "/specs/source", false, ""},
		{"policies/throttle", module + "/policies/quota", false, "neither each other"},
		{"policies/throttle", module + "/policies/quota", true, "neither each other"},
		{"policies/throttle", module + "/policies", false, "neither each other"},
		{"policies/throttle", module + "/gateway/counter", false, "nor stores"},
		{"policies/throttle", module + "/gateway/counter", true, ""},
		{"policies/throttle", module + "/gateway/gatewaytest", true, ""},
		{"policies/throttle", module + "/gateway/gatewaytest", false, "only tests"},
		{"policies", module + "/policies/throttle", false, ""},
		{"policies", module + "/gateway/counter", false, "nor stores"},
		{"policies", module + "/gateway/counter", true, ""},
		{"admin", module + "/gateway", false, ""},
		{"admin", module + "/gateway/registry", false, ""},
		{"admin", module + "/gateway/ledger", false, ""},
		{"admin", module + "/gateway/buffer", false, "admin stands on"},
		{"admin", module + "/policies/jwt", false, "admin stands on"},
		{"portal", module + "/gateway/ledger", false, ""},
		{"portal", module + "/gateway/buffer", false, ""},
		{"portal", module + "/gateway/system", false, "portal stands on"},
		{"portal", module + "/policies/jwt", false, "portal stands on"},
		{"portal", module + "/admin", false, "portal stands on"},
		{"admin", module + "/gateway/telemetry", false, "admin stands on"},
		{"admin", module + "/portal", false, "admin stands on"},
		{"specs", module + "/specs/schema", false, ""},
		{"specs", module + "/gateway", true, "nothing but its own parts"},
		{"specs/schema", module + "/specs/source", false, ""},
		{"specs/schema", module + "/specs", false, "they on specs/source"},
		{"specs/lint", module + "/specs", false, ""},
		{"specs/lint", module + "/gateway", false, "specs/lint stands on specs"},
		{"specs", module + "/specs/lint", false, "specs/lint stands on specs"},
		{"specs/source", module + "/specs/schema", false, "they on specs/source"},
		{"deploy/demo", module + "/gateway", false, "is data"},
		{"util", module + "/gateway", false, "no place"},
		{"specs", "github.com/getkin/kin-openapi/openapi3", false, ""},
		{"specs/schema", "github.com/getkin/kin-openapi/openapi3", false, ""},
		{"gateway", "github.com/getkin/kin-openapi/openapi3", false, "only specs"},
		{"policies/validate", "github.com/getkin/kin-openapi/openapi3", true, "only specs"},
		{"gateway/counter", "github.com/redis/go-redis/v9", false, ""},
		{"gateway/budget", "github.com/redis/go-redis/v9", false, "only gateway/counter"},
		{"cmd/headrace", "github.com/redis/go-redis/v9", false, "only gateway/counter"},
		{"gateway/ledger", "github.com/jackc/pgx/v5", false, ""},
		{"gateway/buffer", "github.com/jackc/pgx/v5/pgxpool", false, "only gateway/ledger"},
		{"gateway/buffer", "modernc.org/sqlite", true, "only gateway/ledger"},
		{"cmd/headrace", "github.com/pressly/goose/v3", false, "only gateway/ledger"},
		{"gateway/ledger", module + "/specs", false, ""},
		{"gateway/ledger", module + "/gateway", false, "stands on specs alone"},
		{"gateway/ledger", module + "/gateway/budget", false, "stands on specs alone"},
		{"gateway/ledger/ledgertest", module + "/gateway/ledger", false, ""},
		{"gateway/buffer", "database/sql", false, "only gateway/ledger"},
		{"cmd/headrace", "database/sql", false, "only gateway/ledger"},
		{"gateway/buffer", module + "/gateway/ledger", false, ""},
		{"gateway/buffer", module + "/gateway/budget", false, ""},
		{"gateway/ledger", module + "/gateway/buffer", false, "specs alone"},
		{"gateway/flow", module + "/gateway/flow/arazzo", false, ""},
		{"gateway/flow/arazzo", module + "/gateway/mapping", false, ""},
		{"gateway/flow/arazzo", module + "/gateway", false, ""},
		{"gateway/flow/arazzo", module + "/gateway/flow", false, "not on each other"},
		{"gateway/flow/arazzo", module + "/gateway/ledger", false, "not on each other"},
		{"gateway/workspace", module + "/gateway/flow/arazzo", false, "not on each other"},
		{"gateway/registry", module + "/gateway/ledger", false, ""},
		{"gateway/registry", module + "/gateway/workspace", false, ""},
		{"gateway/registry", module + "/policies/apikey", false, "stand on gateway and specs"},
		{"gateway/workspace", module + "/gateway/registry", false, "not on each other"},
		{"gateway/ledger", module + "/gateway/registry", false, "specs alone"},
		{"gateway/counter", "net/http", false, ""},
		{"policies/jwt", "github.com/golang-jwt/jwt/v5", false, ""},
	} {
		got := wrongArrow(c.from, c.to, c.test)
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s → %s (test %v): %q, want %q", c.from, c.to, c.test, got, c.wrong)
		}
	}
}

// state says why a declaration of a package is not allowed: init registers
// behind everybody's back, and locks and counters at package level are state
// that all users of a package share.
func state(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.Name == "init" {
			return "there is no init: return what is there, and let cmd put it together"
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if sel, ok := typeOf(v).(*ast.SelectorExpr); ok && d.Tok == token.VAR {
				pkg, _ := sel.X.(*ast.Ident)
				if pkg != nil && (pkg.Name == "atomic" || pkg.Name == "sync" && sel.Sel.Name != "Pool") {
					return fmt.Sprintf("%s is global state: put it into a type", v.Names[0].Name)
				}
			}
		}
	}
	return ""
}

// typeOf is the type of a variable as far as it is written down.
func typeOf(v *ast.ValueSpec) ast.Expr {
	typ := v.Type
	if typ == nil && len(v.Values) == 1 {
		value := v.Values[0]
		if u, ok := value.(*ast.UnaryExpr); ok {
			value = u.X
		}
		if c, ok := value.(*ast.CompositeLit); ok {
			typ = c.Type
		}
	}
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if i, ok := typ.(*ast.IndexExpr); ok { // atomic.Pointer[T]
		typ = i.X
	}
	return typ
}

func TestState(t *testing.T) {
	for source, wrong := range map[string]string{
		"func init() {}":                          "no init",
		"func (t T) init() {}":                    "",
		"func initial() {}":                       "",
		"var mu sync.Mutex":                       "mu is global state",
		"var once = &sync.Once{}":                 "once is global state",
		"var table atomic.Pointer[T]":             "table is global state",
		"var n, m atomic.Int64":                   "n is global state",
		"var pool = sync.Pool{New: nil}":          "",
		"var known = map[string]int{\"a\": 1}":    "",
		"type T struct { mu sync.Mutex }":         "",
		"func f() { var mu sync.Mutex; _ = &mu }": "",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := state(f.Decls[0]); (got == "") != (wrong == "") || !strings.Contains(got, wrong) {
			t.Errorf("%s: %q, want %q", source, got, wrong)
		}
	}
}

// TestArrows reads the imports and declarations of every file.
func TestArrows(t *testing.T) {
	files, kin := 0, 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		from, test := filepath.ToSlash(filepath.Dir(name)), strings.HasSuffix(name, "_test.go")
		for _, i := range f.Imports {
			to, _ := strconv.Unquote(i.Path.Value)
			if why := wrongArrow(from, to, test); why != "" {
				t.Errorf("%s: imports %s: %s", set.Position(i.Pos()), to, why)
			}
			if strings.HasPrefix(to, "github.com/getkin/kin-openapi") {
				kin++
			}
		}
		for _, decl := range f.Decls {
			if why := state(decl); why != "" && !test && !support(from) {
				t.Errorf("%s: %s", set.Position(decl.Pos()), why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 || kin == 0 {
		t.Errorf("only %d files were read, %d of them with an OpenAPI model", files, kin)
	}
}
