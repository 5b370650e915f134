package specs

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

// vendors gives the vendors' documents beside the repository as workspaces of
// one API each; the test is skipped where they are absent.
func vendors(t testing.TB) map[string]fstest.MapFS {
	files, _ := filepath.Glob("../../shared/apis/*")
	workspaces := map[string]fstest.MapFS{}
	for _, file := range files {
		ext := filepath.Ext(file)
		if ext != ".json" && ext != ".yaml" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ext)
		workspaces[name] = fstest.MapFS{path.Join("apis", name, "1.0.0", "openapi"): {Data: data}}
	}
	if len(workspaces) == 0 {
		t.Skip("the vendors' documents are not there")
	}
	return workspaces
}

func TestVendorsDocumentsLoad(t *testing.T) {
	workspaces := vendors(t)
	least := map[string]int{"sap-sales-order": 150, "business-central": 320, "xero-accounting": 230, "xero-webhooks": 0, "adyen-management": 130}
	documents := map[string]*Document{}
	for name, fsys := range workspaces {
		var ps source.Problems
		documents[name] = Load(fsys, "apis/"+name+"/1.0.0", &ps)
		if err := ps.Err(); err != nil {
			t.Fatalf("%s:\n%s", name, err)
		}
	}
	for name, d := range documents {
		if len(d.Operations) < least[name] {
			t.Errorf("%s has %d operations, want at least %d", name, len(d.Operations), least[name])
		}
		reach(t, d)
	}
}

// reach finds every operation of a document by a request to it.
func reach(t *testing.T, d *Document) {
	var tree Tree[*Operation]
	for _, o := range d.Operations {
		if err := tree.Add(o.Method, "/base"+o.Pattern, o); err != nil {
			t.Errorf("%s: %v", o.ID, err)
		}
	}
	for _, o := range d.Operations {
		path := brace.ReplaceAllStringFunc("/base"+o.Pattern, func(param string) string {
			switch {
			case strings.HasSuffix(param, "|uuid}"):
				return "0d2f4ab1-22ee-4f51-9d5e-0123456789ab"
			case strings.HasSuffix(param, "|integer}"):
				return "4711"
			}
			return "a%2Fb%27%27c"
		})
		if m := tree.Match(o.Method, path); m.Value != o {
			t.Errorf("%s: %s %s leads to %v", d.Name, o.Method, path, m)
		}
	}
}
