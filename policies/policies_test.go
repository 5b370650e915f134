package policies_test

import (
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/policies"
	"github.com/headrace/headrace/specs/source"
)

func all() []gateway.Kind {
	return policies.All(policies.Options{Counters: counter.New(), Log: slog.New(slog.DiscardHandler)})
}

// TestAll: every folder is in the list under its own name, and the list has the
// order of the way of a call.
func TestAll(t *testing.T) {
	var names []string
	kinds := all()
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	folders := slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() || strings.HasSuffix(e.Name(), "test") })
	if len(folders) != len(names) {
		t.Errorf("%d folders, %d policies", len(folders), len(names))
	}
	for _, f := range folders {
		if !slices.Contains(names, f.Name()) {
			t.Errorf("the folder %s is not in the list", f.Name())
		}
		if doc, err := os.ReadFile(f.Name() + "/doc.go"); err != nil || !strings.HasPrefix(string(doc), "// Package "+f.Name()+" ") {
			t.Errorf("%s has no documentation: %v", f.Name(), err)
		}
	}
	if !slices.IsSortedFunc(kinds, func(a, b gateway.Kind) int { return int(a.Stage - b.Stage) }) {
		t.Errorf("the list is not in the order of the stages: %q", names)
	}
}

// TestDocumented: the reference and the editor's schema say something about
// every policy and every key.
func TestDocumented(t *testing.T) {
	for _, k := range all() {
		if !strings.HasSuffix(k.Doc, ".") || k.Levels == 0 || k.Settings == nil || reflect.TypeOf(k.Settings).Kind() != reflect.Struct {
			t.Errorf("%s: doc %q, levels %d, settings %T", k.Name, k.Doc, k.Levels, k.Settings)
			continue
		}
		if s := source.Schema(k.Settings); s["type"] != "object" {
			t.Errorf("%s: the schema of the settings is %v", k.Name, s)
		}
		for _, key := range source.Keys(k.Settings) {
			if !strings.HasSuffix(key.Doc, ".") {
				t.Errorf("%s: the key %s has the doc %q", k.Name, key.Name, key.Doc)
			}
		}
	}
}
