package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/specs/source"
)

// docs/profiles.md is what the program prints.
func TestProfileDocsAreCurrent(t *testing.T) {
	const file = "../../docs/profiles.md"
	var got bytes.Buffer
	if err := profileDocs(&got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is not what headrace profiles docs prints; run go run ./cmd/headrace profiles docs > docs/profiles.md", file)
	}
}

// Each profile serves a system of a workspace, with its default facts and with
// each word of each fact.
func TestProfilesServe(t *testing.T) {
	for _, name := range profiles.Names() {
		var ps source.Problems
		p := profiles.Load(name, &ps)
		if err := ps.Err(); err != nil {
			t.Fatal(err)
		}
		facts := []string{"{}"}
		for fact, kind := range p.Facts {
			for _, word := range kind.Enum {
				facts = append(facts, fmt.Sprintf("{%s: %s}", fact, word))
			}
		}
		for _, given := range facts {
			t.Run(name+given, func(t *testing.T) { serves(t, name, given) })
		}
	}
}

func serves(t *testing.T, profile, facts string) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"systems/erp.yaml": "profile: " + profile + "\nurl: https://erp.example.com\nfacts: " + facts + "\n",
		"apis/orders/1.0.0/openapi.yaml": `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp}
paths:
  /orders:
    get:
      operationId: listOrders
      x-headrace: {policies: {}}
      responses: {"200": {description: ok}}
`,
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := check(&out, dir, "text"); err != nil || !strings.Contains(out.String(), "no problems") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
