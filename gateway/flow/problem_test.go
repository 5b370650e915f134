package flow_test

import (
	"strings"
	"testing"
)

// What could not be served is refused when the table is built.
func TestProblems(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct{ file, from, to, says string }{
		{"apis/booking/1.0.0/openapi.yaml", "x-headrace: {flow: book}", "x-headrace: {class: high}", "nothing says which workflow answers"},
		{"apis/booking/1.0.0/openapi.yaml", "flow: book}", "flow: bok}", "bok"},
		{"apis/orders/1.0.0/openapi.yaml", "operationId: createOrder", "operationId: makeOrder", "createOrder"},
	} {
		kept := w.files[c.file].Data
		w.files[c.file].Data = []byte(strings.Replace(string(kept), c.from, c.to, 1))
		w.refuses(c.says)
		w.files[c.file].Data = kept
	}
	flows := w.files["apis/booking/1.0.0/flows.arazzo.yaml"]
	delete(w.files, "apis/booking/1.0.0/flows.arazzo.yaml")
	w.refuses("is answered by flows, and apis/booking/1.0.0/flows.arazzo.yaml cannot be read")
	w.files["apis/booking/1.0.0/flows.arazzo.yaml"] = flows

	w.files["apis/booking/1.1.0/flows.arazzo.yaml"] = flows
	api := *w.files["apis/booking/1.0.0/openapi.yaml"]
	api.Data = []byte(strings.Replace(string(api.Data), "layer: process,", "layer: process, canary: {share: 10},", 1))
	w.files["apis/booking/1.1.0/openapi.yaml"] = &api
	w.refuses("a version that flows answer has no canary")
}
