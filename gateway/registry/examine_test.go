package registry

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// A finding of lint that is an error stops a version; a warning is told.
func TestLintStopsAVersion(t *testing.T) {
	w := newWorld(t)
	w.erp()
	severity := Fatal
	w.options.Lint = func(at Place) ([]Finding, error) {
		return []Finding{{Problem: source.Problem{Position: source.Position{File: at.Dir + "/openapi.yaml", Line: 2}, Wrong: "no owner"}, Rule: "api-owner", Severity: severity}}, nil
	}
	w.r = New(w.options)
	release := Release{API: "orders", Version: "1.0.0", Files: document("list")}
	_, err := w.r.Publish(w.ctx, by, release)
	w.faulty(err, "apis/orders/1.0.0/openapi.yaml:2:0: no owner")
	p, err := w.r.TryPublish(w.ctx, by, release)
	w.faulty(err, "no owner")
	if len(p.Findings) != 1 {
		t.Errorf("findings %v", p.Findings)
	}
	severity = "warning"
	p, err = w.r.Publish(w.ctx, by, release)
	w.ok(err)
	if len(p.Findings) != 1 || p.Findings[0].Rule != "api-owner" {
		t.Errorf("findings %v", p.Findings)
	}
}

// The mappings' tests run before a version, a mapping or a whole workspace goes live.
func TestMappingsAreTested(t *testing.T) {
	w := newWorld(t)
	w.erp()
	runs := 0
	w.options.Test = func(files fs.FS) []source.Problem {
		runs++
		text, err := fs.ReadFile(files, "mappings/order.jq")
		if err != nil || string(text) == "." {
			return nil
		}
		return []source.Problem{{Position: source.Position{File: "mappings/order_test.yaml", Line: 1}, Wrong: "the test fails"}}
	}
	w.r = New(w.options)
	_, err := w.r.PutFile(w.ctx, by, "mappings/order.jq", []byte("{"), ledger.Any)
	w.faulty(err, "the test fails")
	_, err = w.r.PutFile(w.ctx, by, "mappings/order.jq", []byte("."), ledger.Any)
	w.ok(err)
	w.publish("1.0.0", "list")
	plan, err := w.r.Plan(w.ctx, by, Files{FS: fstest.MapFS{"mappings/order.jq": {Data: []byte("{")}}})
	w.ok(err)
	if len(plan.Problems) != 1 || plan.Problems[0].Wrong != "the test fails" {
		t.Errorf("problems %v", plan.Problems)
	}
	runs = 0
	several := fstest.MapFS{"mappings/order.jq": {Data: []byte(".")}}
	for _, version := range []string{"1.1.0", "1.2.0", "2.0.0"} {
		several["apis/orders/"+version+"/openapi.yaml"] = &fstest.MapFile{Data: document("list")["openapi.yaml"]}
	}
	if plan, err = w.r.Plan(w.ctx, by, Files{FS: several}); err != nil || plan.Refused() || len(plan.Steps) != 4 || runs != 1 {
		t.Errorf("%v %v, after %d runs of the tests", plan, err, runs)
	}
	w.write("mappings/order.jq", "{") // the directory's files count, too
	_, err = w.r.DeleteFile(w.ctx, by, "mappings/order.jq", ledger.Any)
	w.faulty(err, "the test fails")
	_, err = w.r.Publish(w.ctx, by, Release{API: "orders", Version: "2.0.0", Files: document("list")})
	w.faulty(err, "order.jq") // stands in both
}
