package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// document is an API of two operations; the order has the shape of a real one,
// about 2 KB with 12 lines.
func document(version, name, policies, schemes string) string {
	security := ""
	for scheme := range strings.SplitSeq(schemes, ", ") {
		if scheme != "" {
			security += " " + scheme + ": [],"
		}
	}
	if security != "" {
		security = "security: [{" + strings.TrimSuffix(strings.TrimSpace(security), ",") + "}]\n"
	}
	return fmt.Sprintf(`openapi: %s
info: {title: %s, version: 1.0.0}
x-headrace:
  system: upstream
  policies:
    %s
%spaths:
  /orders/{id}:
    get:
      operationId: getOrder
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      responses: {"200": {description: the order}}
  /orders:
    post:
      operationId: createOrder
      x-headrace: {safe: true} # what the ledger costs is measured by "bench buffer"
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
      responses: {"201": {description: created}}
components:
  securitySchemes:
    apiKey: {type: apiKey, in: header, name: X-Api-Key}
    token: {type: http, scheme: bearer, bearerFormat: JWT}
  schemas:
    Order:
      type: object
      required: [reference, customer, currency, lines]
      additionalProperties: false
      properties:
        reference: {type: string, pattern: "^WEB-[0-9]{4,10}$"}
        customer: {type: string, minLength: 1, maxLength: 40}
        currency: {type: string, enum: [EUR, USD, GBP]}
        requestedOn: {type: string, format: date}
        note: {type: string, maxLength: 500}
        shipTo: {$ref: "#/components/schemas/Address"}
        lines: {type: array, minItems: 1, maxItems: 500, items: {$ref: "#/components/schemas/Line"}}
    Address:
      type: object
      required: [street, city, postalCode, country]
      properties:
        street: {type: string, maxLength: 100}
        city: {type: string, maxLength: 100}
        postalCode: {type: string, maxLength: 12}
        country: {type: string, pattern: "^[A-Z]{2}$"}
    Line:
      type: object
      required: [sku, quantity, unitPrice]
      additionalProperties: false
      properties:
        sku: {type: string, pattern: "^SKU-[0-9]{4}$"}
        description: {type: string, maxLength: 200}
        quantity: {type: integer, minimum: 1, maximum: 100000}
        unitPrice: {type: number, minimum: 0, multipleOf: 0.01}
        warehouse: {type: string, maxLength: 10}
        discount: {type: number, minimum: 0, maximum: 100}
`, version, name, policies, security)
}

// orderBody is an order of about 2 KB that keeps to the document.
func orderBody() []byte {
	var b strings.Builder
	b.WriteString(`{"reference":"WEB-100234","customer":"C0042","currency":"EUR","requestedOn":"2026-12-01","note":"Deliver to the rear gate between 8 and 12.","shipTo":{"street":"12 Canal Street","city":"Lockton","postalCode":"20042","country":"GB"},"lines":[`)
	for i := range 12 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"SKU-%04d","description":"Pump part %04d, stainless, with gasket set","quantity":%d,"unitPrice":%d.%02d,"warehouse":"WH","discount":2.5}`, i+1, i+1, i*3+1, 5+i, i*7%100)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// documentWorkspace makes a workspace of all documents in a folder, or of
// generated ones when there is no such folder.
func documentWorkspace(apis string) (dir, what string, err error) {
	dir, err = os.MkdirTemp("", "headrace-documents-")
	if err != nil {
		return "", "", err
	}
	write := func(name string, content []byte) {
		file := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(file), 0o755)
		}
		if err == nil {
			err = os.WriteFile(file, content, 0o644)
		}
	}
	write("systems/erp.yaml", []byte("dialect: rest\nurl: http://127.0.0.1:9\n"))
	files, _ := filepath.Glob(filepath.Join(apis, "*"))
	n := 0
	for _, file := range files {
		ext := filepath.Ext(file)
		if ext != ".json" && ext != ".yaml" {
			continue
		}
		f, openErr := os.Open(file)
		if openErr != nil {
			return dir, "", openErr
		}
		data, readErr := io.ReadAll(f)
		f.Close()
		if readErr != nil {
			return dir, "", readErr
		}
		name := "apis/" + strings.TrimSuffix(filepath.Base(file), ext) + "/1.0.0/"
		write(name+"openapi"+ext, data)
		overlay, overlayErr := overlayFor(data)
		if overlayErr != nil {
			return dir, "", fmt.Errorf("%s: %w", file, overlayErr)
		}
		write(name+"overlay.yaml", []byte(overlay))
		n++
	}
	if n > 0 {
		return dir, fmt.Sprintf("%d vendors' documents", n), err
	}
	for i := range 40 {
		write(fmt.Sprintf("apis/generated-%02d/1.0.0/openapi.yaml", i), []byte(generated(i)))
	}
	return dir, "40 generated documents with 1000 operations", err
}

func generated(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "openapi: 3.0.3\ninfo: {title: generated %d, version: 1.0.0}\nx-headrace: {system: erp}\npaths:\n", n)
	for i := range 25 {
		fmt.Fprintf(&b, "  /things%d('{id}')/parts:\n    get:\n      operationId: op%d\n      parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n      responses: {\"200\": {description: ok, content: {application/json: {schema: {$ref: \"#/components/schemas/S%d\"}}}}}\n", i, i, i)
	}
	b.WriteString("components:\n  schemas:\n")
	for i := range 25 {
		fmt.Fprintf(&b, "    S%d: {type: object, properties: {id: {type: string}, next: {$ref: \"#/components/schemas/S%d\"}, amount: {type: number, minimum: 0}, lines: {type: array, items: {type: object, required: [sku], properties: {sku: {type: string, maxLength: 40}, quantity: {type: integer}}}}}}\n", i, (i+1)%25)
	}
	return b.String()
}

// overlayFor governs a vendor's document: one system, and no credentials.
func overlayFor(data []byte) (string, error) {
	var doc struct {
		Security any                       `yaml:"security"`
		Paths    map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return "", err
	}
	overlay := "overlay: 1.0.0\ninfo: {title: govern, version: 1.0.0}\nactions:\n  - target: $\n    update: {x-headrace: {system: erp}}\n"
	if doc.Security != nil {
		overlay += "  - target: $.security\n    remove: true\n"
	}
	for _, item := range doc.Paths {
		for _, operation := range item {
			if o, ok := operation.(map[string]any); ok && o["security"] != nil {
				return overlay + "  - target: $.paths.*.*.security\n    remove: true\n", nil
			}
		}
	}
	return overlay, nil
}
