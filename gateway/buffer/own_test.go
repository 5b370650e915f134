package buffer_test

import (
	"strings"
	"testing"
)

// The path of the status resource belongs to the gateway.
func TestPathIsTaken(t *testing.T) {
	w := newWorld(t, nil)
	w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(document, "{system: erp,", "{base: /writes, system: erp,", 1))
	w.refuses("the gateway answers /writes itself")
}

// A class that the system's dialect cannot keep is refused where it stands.
func TestKeyWithoutHeader(t *testing.T) {
	w := newWorld(t, nil)
	w.files["systems/erp.yaml"].Data = append([]byte("dialect: jsonrpc\n"), w.files["systems/erp.yaml"].Data...)
	w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(`openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, call: {method: common.db}}
paths:
  /keyed:
    post:
      operationId: keyed
      x-headrace: {idempotency: {class: header, header: X-Once}}
      responses: {default: {description: any}}
`)
	w.refuses("dialect has no header for the key")
}
