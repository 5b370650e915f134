package arazzo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// drawn draws a workflow, and reads the drawing as XML.
func drawn(t *testing.T, w *Workflow) string {
	t.Helper()
	var out bytes.Buffer
	if err := Draw(&out, w); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(out.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in:\n%s", err, out.String())
		}
	}
	return out.String()
}

func TestDraw(t *testing.T) {
	apis, _ := sound(t)
	d := apis["fulfilment"].Flows
	svg := drawn(t, d.Workflow("placeOrder"))
	for _, want := range []string{
		">credit</text>", "orders/v1 GET /credit/{customer}", "retry 3× after 500ms", "undone by orders/v1 DELETE /orders/{id}", "undone by stock/v1 DELETE /reservations",
		"writes · optional · low", "✓ done", "end: order, reservation, status", "Steps: credit, then book, then reserve, then note", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
	if strings.Contains(svg, ">release</text>") {
		t.Error("a step that only compensates stands in the sequence")
	}
	if svg := drawn(t, d.Workflow("availability")); !strings.Contains(svg, "Steps: here beside order, then place") {
		t.Errorf("reads do not stand side by side: %s", svg)
	}
}

// TestDrawingInDocs: docs/flow.svg is what headrace flow graph prints for
// testdata/landscape/apis/fulfilment/1.0.0 and placeOrder.
func TestDrawingInDocs(t *testing.T) {
	apis, _ := sound(t)
	want, err := os.ReadFile("../../../docs/flow.svg")
	if err != nil {
		t.Fatal(err)
	}
	if drawn(t, apis["fulfilment"].Flows.Workflow("placeOrder")) != string(want) {
		t.Error("docs/flow.svg is not current: draw it anew with headrace flow graph")
	}
}

func TestDrawEverything(t *testing.T) {
	for _, name := range []string{"every-1.0.arazzo.yaml", "every-1.1.arazzo.json"} {
		for _, w := range document(t, name).Workflows {
			drawn(t, w)
		}
	}
	d, ps := parse(strings.NewReplacer("operationId: first", "operationId: first\n        description: \"a < b & \\\"c\\\" \\u0001\"", "workflowId: main", "workflowId: main\n    summary: <script>alert(1)</script>").Replace(small))
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	if svg := drawn(t, d.Workflow("main")); strings.Contains(svg, "<script") {
		t.Error("text of the document is markup in the drawing")
	}
}
