package specs

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

func TestLifecycle(t *testing.T) {
	const document = "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp, status: published}\npaths:\n  /orders:\n    get: {operationId: list, responses: {\"200\": {description: ok}}}\n"
	load := func(life string) (*Document, *source.Problems) {
		files := fstest.MapFS{"apis/orders/1.0.0/openapi.yaml": {Data: []byte(document)}}
		if life != "" {
			files["apis/orders/1.0.0/lifecycle.yaml"] = &fstest.MapFile{Data: []byte(life)}
		}
		var ps source.Problems
		return Load(files, "apis/orders/1.0.0", &ps), &ps
	}
	d, ps := load("status: deprecated\ndeprecate: {since: 2027-01-01, sunset: 2027-12-31}\n")
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	settings := d.Operations[0].Governance.Policies["deprecate"]
	if d.Governance.Status != "deprecated" || settings.Get("sunset").Text() != "2027-12-31" || d.Operations[0].Governance.System != "erp" {
		t.Errorf("status %q, deprecate %v", d.Governance.Status, settings)
	}
	if at := settings.Get("since").Position(); at.File != "apis/orders/1.0.0/lifecycle.yaml" || at.Line != 2 {
		t.Errorf("the settings stand at %v", at)
	}
	if d, ps := load(""); ps.Len() > 0 || d.Governance.Status != "published" {
		t.Errorf("without the file: %v %v", d.Governance.Status, ps.Err())
	}
	for life, wrong := range map[string]string{
		"status: gone\n":                      `lifecycle.yaml:1:9: status: "gone" is not known here`,
		"deprecate: {since: 2027-01-01}\n":    `the key "status" is missing`,
		"status: retired\nsunset: tomorrow\n": `unknown key "sunset"`,
		"{":                                   "lifecycle.yaml",
	} {
		if _, ps := load(life); ps.Err() == nil || !strings.Contains(ps.Err().Error(), wrong) {
			t.Errorf("%q: %v, want %s", life, ps.Err(), wrong)
		}
	}
}
