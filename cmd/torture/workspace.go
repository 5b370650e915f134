package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// limits are those of the ERP.
type limits struct {
	concurrency, calls int
	window             time.Duration
}

// share is what each of several gateways may use that do not share their counts.
func (l limits) share(of int) limits {
	return limits{max(1, l.concurrency/of), max(1, l.calls/of), l.window}
}

// callTimeout is how long the gateways wait for an answer.
const callTimeout = 2 * time.Second

// scarcity is how many calls of the ERP's limit stand for one that a write of the
// operation batch may use, so that such writes wait and are packed.
const scarcity = 40

// gatewaySettings are what a workspace is made of.
type gatewaySettings struct {
	listen, admin    string
	ledger, counters string
	replica          string
	erp              string // its address
	limits           limits
}

// writeWorkspace makes the directory that a gateway serves: one API with an
// operation for each idempotency class, and the ERP.
func writeWorkspace(dir string, g gatewaySettings) error {
	hash := sha256.Sum256([]byte(apiKey))
	files := map[string]string{
		"headrace.yaml": fmt.Sprintf("listen: {gateway: %q, admin: %q}\nstores: {ledger: %q, counters: %q, replica: %s}\ntelemetry: {level: warn}\n",
			g.listen, g.admin, g.ledger, g.counters, g.replica),
		"systems/erp.yaml": fmt.Sprintf(`url: http://%s
timeout: %s
connections: {max: 32}
breaker: {open: 1s}
overload:
  - {status: 429}
  - {status: 400, json: .error.code?, match: SSS_REQUEST_LIMIT_EXCEEDED, retry_after: 500ms}
limits:
  - {name: concurrency, capacity: %d}
  - {name: window, capacity: %d, hold: %s}
  - {name: scarce, capacity: %d, hold: %s, operations: [batch, batches]}
`, g.erp, callTimeout, g.limits.concurrency, g.limits.calls, g.limits.window, max(1, g.limits.calls/scarcity), g.limits.window),
		"consumers.yaml": fmt.Sprintf(`organisations: {tortured: {}}
apps:
  tortured:
    organisation: tortured
    keys: [{prefix: tortured, hash: "sha256:%x"}]
products: {all: {apis: [torture/v1]}}
plans: {all: {}}
subscriptions: [{app: tortured, product: all, plan: all}]
`, hash),
		"apis/torture/1.0.0/openapi.yaml": document(),
	}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// document is the API's contract.
func document() string {
	var paths strings.Builder
	for _, o := range []struct{ operation, path, method, parameters, class, idempotency, more string }{
		{byHeader, "/header", "post", "", "critical", "class: header, header: Idempotency-Key", ""},
		{byNature, "/natural-key/{id}", "put", "parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n      ", "high", "class: natural-key", ""},
		{byConfirm, "/confirm", "post", "", "normal", "class: confirm", `, confirm: {operation: find, with: {ref: "$request.body#/id"}, when: .found}`},
		{byNothing, "/none", "post", "", "low", "class: none", ""},
		{byBatch, "/batch", "post", "", "normal", "class: confirm", `, confirm: {operation: find, with: {ref: "$request.body#/id"}, when: .found}, batch: {operation: batches, size: 20, request: "{parts: map(.body)}", results: .results}`},
	} {
		fmt.Fprintf(&paths, `  %s:
    %s:
      operationId: %s
      x-headrace: {class: %s, wait: 10s, lane: ["$request.body#/order", "$request.body#/customer", "$request.body#/location"], on_failure: continue, idempotency: {key: required, %s}%s}
      %srequestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: an answer}}
`, o.path, o.method, o.operation, o.class, o.idempotency, o.more, o.parameters)
	}
	return `openapi: 3.0.3
info: {title: Torture, version: 1.0.0}
security: [{apiKey: []}]
x-headrace: {system: erp, policies: {apikey: {}, subscription: {}}}
paths:
  /find:
    get:
      operationId: find
      parameters: [{name: ref, in: query, required: true, schema: {type: string}}]
      responses: {default: {description: whether it was done}}
  /batches:
    post:
      operationId: batches
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: a result for each part}}
` + paths.String() + `components:
  securitySchemes:
    apiKey: {type: apiKey, in: header, name: X-Api-Key}
`
}
