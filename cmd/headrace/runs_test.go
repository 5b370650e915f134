package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const fulfilAPI = `openapi: 3.0.3
info: {title: Fulfilment, version: 1.0.0}
x-headrace: {layer: process}
paths:
  /changes/{id}:
    post:
      operationId: change
      x-headrace: {flow: change}
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: changed, content: {application/json: {schema: {type: object}}}}}
`

const fulfilFlow = `arazzo: 1.0.1
info: {title: Fulfilment, version: 1.0.0}
sourceDescriptions: [{name: orders, url: "headrace:orders/v1", type: openapi}]
workflows:
  - workflowId: change
    inputs: {type: object, required: [id], properties: {id: {type: string}}}
    steps:
      - stepId: read
        operationId: $sourceDescriptions.orders.getOrder
        parameters: [{name: id, in: path, value: $inputs.id}]
      - stepId: first
        operationId: $sourceDescriptions.orders.putOrder
        parameters: [{name: id, in: path, value: $inputs.id}]
        requestBody: {contentType: application/json, payload: {round: 1}}
        x-headrace:
          compensation:
            operationId: $sourceDescriptions.orders.putOrder
            parameters: [{name: id, in: path, value: "undone-{$inputs.id}"}]
            requestBody: {contentType: application/json, payload: {round: 0}}
      - stepId: second
        operationId: $sourceDescriptions.orders.putOrder
        parameters: [{name: id, in: path, value: "second-{$inputs.id}"}]
        requestBody: {contentType: application/json, payload: {round: 2}}
    outputs: {id: $inputs.id}
`

const fulfilTests = `tests:
  - name: all goes well
    operation: change
    path: {id: "7"}
    answers:
      orders/v1/getOrder: {body: {}}
      orders/v1/putOrder: {body: {}}
    want: {state: completed, body: {id: "7"}, writes: [orders/v1/putOrder, orders/v1/putOrder]}
`

// Operators see runs of a served workspace, decide about them, and see the whole transaction.
func TestRunsCommand(t *testing.T) {
	var refused atomic.Bool
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		if refused.Load() && !strings.Contains(r.URL.Path, "/one/7") {
			w.WriteHeader(409)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{}`)
	}, "admin: {}\n")
	b.write(t, "apis/fulfilment/1.0.0/openapi.yaml", fulfilAPI)
	b.write(t, "apis/fulfilment/1.0.0/flows.arazzo.yaml", fulfilFlow)
	b.write(t, "apis/fulfilment/1.0.0/flows_test.yaml", fulfilTests)
	change := func(prefer string) *http.Response {
		r, err := http.NewRequest("POST", b.gateway+"/fulfilment/v1/changes/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Prefer", prefer)
		r.Header.Set("X-Correlation-Id", "c-"+prefer[5:])
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	var done *http.Response
	eventually(t, "the flow is served", func() bool { done = change("wait=9"); return done.StatusCode == 200 })
	id := done.Header.Get("Headrace-Run")
	command := func(wants string, args ...string) {
		t.Helper()
		out, err := run(t, append(args, "--server", b.admin)...)
		if err != nil || !strings.Contains(out, wants) {
			t.Errorf("%v: %v\n%s\nwithout %q", args, err, out, wants)
		}
	}
	command(id, "runs", "list", "--state", "completed", "--operation", "fulfilment/v1/change")
	command("second#1", "runs", "show", id)
	command("c-9  completed", "trace", "c-9")
	command(`"system": "erp"`, "trace", "c-9", "--json")

	refused.Store(true)
	resp := change("wait=8")
	stuck := resp.Header.Get("Headrace-Run")
	eventually(t, "the run is stuck", func() bool {
		out, err := run(t, "runs", "show", stuck, "--server", b.admin)
		return err == nil && strings.Contains(out, "stuck") && strings.Contains(out, "cannot be undone")
	})
	command("c-8  stuck", "trace", "c-8")
	if out, err := run(t, "runs", "retry", stuck, "--server", b.admin); err == nil {
		t.Errorf("retried without a reason: %s", out)
	}
	refused.Store(false)
	command(stuck, "runs", "retry", stuck, "--reason", "the ERP takes it now")
	eventually(t, "the run is undone", func() bool {
		out, err := run(t, "runs", "list", "--state", "compensated", "--server", b.admin)
		return err == nil && strings.Contains(out, stuck)
	})
	if out, err := run(t, "runs", "resolve", stuck, "failed", "--reason", "x", "--server", b.admin); err == nil {
		t.Errorf("resolved although it is over: %s", out)
	}
	if _, text := fetch(t, b.admin+"/metrics"); !strings.Contains(text, `headrace_runs_ended_total{`) || !strings.Contains(text, `state="compensated"`) {
		t.Error("the metrics say nothing of the runs")
	}

	out, err := run(t, "flow", "test", b.dir)
	if err != nil || !strings.Contains(out, "1 passed, 0 failed") {
		t.Errorf("%v %s", err, out)
	}
	b.write(t, "apis/fulfilment/1.0.0/flows_test.yaml", strings.Replace(fulfilTests, "state: completed", "state: failed", 1))
	if out, err = run(t, "flow", "test", b.dir); err == nil || !strings.Contains(out, "FAIL  fulfilment/v1: all goes well") {
		t.Errorf("%v %s", err, out)
	}
}
