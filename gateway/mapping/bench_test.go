package mapping

import (
	"bytes"
	"fmt"
	"testing"
)

// order2KB is an order of about two kilobytes.
func order2KB() []byte {
	var b bytes.Buffer
	b.WriteString(`{"orderId":"WEB-1001","customer":{"id":3,"name":"Northwater Trading","email":"orders@northwater.example"},"currency":"EUR","lines":[`)
	for i := range 12 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"line":%d,"sku":"SKU-%04d","description":"Pump part %04d, stainless steel, with seal","quantity":%d,"unit":"u","unitPrice":%d.10,"taxes":[1]}`, i+1, i, i, i+1, i)
	}
	b.WriteString(`],"note":"please ring the bell"}`)
	return b.Bytes()
}

const toERP = `[[{
  party: .customer.id, reference: .orderId, comment: .note,
  lines: [["create", [.lines[] | {
    type: "line", product: .sku, unit: .unit, quantity,
    unit_price: {__class__: "Decimal", decimal: (.unitPrice | tostring)},
    taxes: [["add", .taxes]]
  }]]]
}], $session]`

// BenchmarkOrder maps an order of 2 KB, from bytes to bytes.
func BenchmarkOrder(b *testing.B) {
	data := order2KB()
	session := decode(b, `{"company":1,"employee":1,"language":"en","groups":[1,2,3]}`)
	for name, text := range map[string]string{"identity": ".", "to-erp": toERP, "one-field": ".orderId"} {
		m := compile(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				value, err := Decode(data)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.JSON(b.Context(), Input{Value: value, Session: session}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("decode-alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkParameter runs the sort of mapping that stands in query and headers.
func BenchmarkParameter(b *testing.B) {
	m := compile(b, `$request.query.limit // 50`)
	request := decode(b, `{"query":{"limit":"20"},"path":{},"headers":{}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Text(b.Context(), Input{Request: request}); err != nil {
			b.Fatal(err)
		}
	}
}
