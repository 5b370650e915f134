package specs

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/headrace/headrace/specs/schema"
)

const benchPaths = `{"/orders/{channel}": {post: {parameters: [
    {name: channel, in: path, required: true, schema: {type: string}},
    {name: dryRun, in: query, schema: {type: boolean}}, {name: expand, in: query, schema: {type: string}},
    {name: Idempotency-Key, in: header, schema: {type: string, maxLength: 80}}],
  requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}},
  responses: {"201": {description: ok}}}}}`

const benchComponents = `{schemas: {
Order: {type: object, additionalProperties: false, required: [orderNumber, customer, currency, orderDate, lines, shipTo], properties: {
  id: {type: string, format: uuid, readOnly: true}, orderNumber: {type: string, pattern: "^SO-[0-9]{4,10}$", maxLength: 20},
  customer: {$ref: "#/components/schemas/Customer"}, currency: {type: string, enum: [EUR, USD, GBP, CHF, SEK, NOK, DKK, PLN]},
  orderDate: {type: string, format: date}, requestedAt: {type: string, format: date-time}, priority: {type: integer, minimum: 1, maximum: 9},
  channel: {type: string, enum: [web, edi, phone, portal]}, shipTo: {$ref: "#/components/schemas/Address"}, billTo: {$ref: "#/components/schemas/Address"},
  lines: {type: array, minItems: 1, maxItems: 500, items: {$ref: "#/components/schemas/Line"}},
  notes: {type: string, maxLength: 2000}, tags: {type: array, items: {type: string, maxLength: 30}, uniqueItems: true}}},
Customer: {type: object, required: [id, name], properties: {id: {type: string, minLength: 1, maxLength: 32}, name: {type: string, minLength: 1, maxLength: 200},
  email: {type: string, format: email}, vatId: {type: string, pattern: "^[A-Z]{2}[0-9A-Z]{2,12}$"}}},
Address: {type: object, required: [name, street, city, country], properties: {name: {type: string, maxLength: 100}, street: {type: string, maxLength: 200},
  street2: {type: string, maxLength: 200}, city: {type: string, maxLength: 100}, postalCode: {type: string, maxLength: 12}, country: {type: string, pattern: "^[A-Z]{2}$"}, phone: {type: string}}},
Line: {type: object, additionalProperties: false, required: [sku, quantity, unitPrice], properties: {lineNumber: {type: integer, minimum: 1}, sku: {type: string, pattern: "^[A-Z0-9-]{3,40}$"},
  description: {type: string, maxLength: 400}, quantity: {type: number, minimum: 0.001, multipleOf: 0.001}, unit: {type: string, enum: [EA, KG, M, BOX]},
  unitPrice: {type: number, minimum: 0, multipleOf: 0.01}, discount: {type: number, minimum: 0, maximum: 100}, taxCode: {type: string}, requestedDate: {type: string, format: date}}}
}}`

// benchOrder is an order of 2 KB.
const benchOrder = `{
  "orderNumber": "SO-2026114477",
  "customer": {"id": "C-100234", "name": "Müller & Söhne Großhandel GmbH", "email": "einkauf@mueller-soehne.example", "vatId": "DE123456789"},
  "currency": "EUR", "orderDate": "2026-11-23", "requestedAt": "2026-11-23T09:42:00+01:00", "priority": 3, "channel": "edi",
  "shipTo": {"name": "Lager Nord", "street": "Hafenstraße 12", "street2": "Tor 4", "city": "Hamburg", "postalCode": "20457", "country": "DE", "phone": "+49 40 1234567"},
  "billTo": {"name": "Müller & Söhne Großhandel GmbH", "street": "Marktplatz 1", "city": "Lübeck", "postalCode": "23552", "country": "DE"},
  "lines": [
    {"lineNumber": 1, "sku": "PUMP-CR-15-3", "description": "Multistage centrifugal pump, 15 m3/h", "quantity": 2, "unit": "EA", "unitPrice": 1249.50, "discount": 5, "taxCode": "V19", "requestedDate": "2026-12-01"},
    {"lineNumber": 2, "sku": "SEAL-EPDM-48", "description": "Seal kit EPDM 48 mm", "quantity": 10, "unit": "EA", "unitPrice": 18.99, "discount": 0, "taxCode": "V19", "requestedDate": "2026-12-01"},
    {"lineNumber": 3, "sku": "CABLE-H07RN-5G4", "description": "Rubber cable 5G4, per metre", "quantity": 125.5, "unit": "M", "unitPrice": 7.45, "discount": 12.5, "taxCode": "V19", "requestedDate": "2026-12-03"},
    {"lineNumber": 4, "sku": "VALVE-DN50", "description": "Gate valve DN50 \"PN16\"", "quantity": 4, "unit": "EA", "unitPrice": 86.00, "taxCode": "V19"},
    {"lineNumber": 5, "sku": "GREASE-LT2-1KG", "description": "Bearing grease", "quantity": 6.25, "unit": "KG", "unitPrice": 14.90, "taxCode": "V19"},
    {"lineNumber": 6, "sku": "FILTER-200", "description": "Strainer insert 200 um", "quantity": 12, "unit": "BOX", "unitPrice": 31.20, "discount": 2.5, "taxCode": "V19"}
  ],
  "notes": "Please deliver between 7 and 11 o'clock; call the gate half an hour before.",
  "tags": ["spare-parts", "hamburg", "framework-2026"]
}`

func benchRequest() *http.Request {
	r := httptest.NewRequest("POST", "http://x.example/orders/edi?dryRun=true", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324")
	r.ContentLength = int64(len(benchOrder))
	return r
}

func benchCheck(b *testing.B, version string, opts CheckOptions) {
	o := checkDoc(b, version, benchPaths, benchComponents).Operations[0]
	r, params, body := benchRequest(), Params{{"channel", "edi"}}, []byte(benchOrder)
	if got := faultText(o.CheckRequest(r, params, body, CheckOptions{})); got != "" {
		b.Fatal(got)
	}
	b.ReportAllocs()
	for b.Loop() {
		o.CheckRequest(r, params, body, opts)
	}
}

func BenchmarkCheckRequest30(b *testing.B) { benchCheck(b, "3.0.3", CheckOptions{}) }
func BenchmarkCheckRequest31(b *testing.B) { benchCheck(b, "3.1.0", CheckOptions{}) }

// The same, and the fields of the request are noted.
func BenchmarkCheckSeen31(b *testing.B) {
	benchCheck(b, "3.1.0", CheckOptions{Seen: new(schema.Seen)})
}

// What the library does by itself with the same request.
func benchLibrary(b *testing.B, version string) {
	public, err := checkDoc(b, version, benchPaths, benchComponents).Public()
	if err != nil {
		b.Fatal(err)
	}
	api, err := openapi3.NewLoader().LoadFromData(public)
	if err != nil {
		b.Fatal(err)
	}
	router, err := legacy.NewRouter(api)
	if err != nil {
		b.Fatal(err)
	}
	route, params, err := router.FindRoute(benchRequest())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := benchRequest()
		r.Body = readCloser{bytes.NewReader([]byte(benchOrder))}
		if err := openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}); err != nil {
			b.Fatal(err)
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func BenchmarkLibrary30(b *testing.B) { benchLibrary(b, "3.0.3") }
func BenchmarkLibrary31(b *testing.B) { benchLibrary(b, "3.1.0") }
