package flow_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

const bookingTests = `tests:
  - name: a booking writes in order
    operation: book
    app: shop
    body: {orderId: o1, customer: c1, sku: A1}
    answers: &well
      orders/v1/getCredit: {body: {limit: 5}}
      stock/v1/getStock: {body: {available: 3}}
      stock/v1/reserve: {status: 201, body: {number: 1}}
      orders/v1/createOrder: {status: 201, body: {number: 42}}
      stock/v1/startWave: {status: 201, body: {number: 2}}
    want: {state: completed, status: 201, body: {booked: 42, left: 2}, writes: [stock/v1/reserve, orders/v1/createOrder, stock/v1/startWave]}
  - name: without stock nothing is written
    operation: book
    body: {orderId: o1, customer: c1, sku: A1}
    answers:
      orders/v1/getCredit: {body: {limit: 5}}
      stock/v1/getStock: {body: {available: 0}}
    want: {state: failed, status: 422, writes: []}
  - name: a refused wave has the booking undone, also in the second attempt
    operation: book
    body: {orderId: o1, customer: c1, sku: A1}
    answers:
      orders/v1/getCredit: {body: {limit: 5}}
      stock/v1/getStock: {body: {available: 3}}
      stock/v1/reserve: {status: 201, body: {number: 1}}
      orders/v1/createOrder: {status: 201, body: {number: 42}}
      stock/v1/startWave: {status: 409, body: {}}
      orders/v1/cancelOrder: [{status: 500, body: {}}, {status: 201, body: {}}]
      stock/v1/release: {status: 201, body: {}}
    want:
      state: compensated
      writes: [stock/v1/reserve, orders/v1/createOrder, stock/v1/startWave, orders/v1/cancelOrder, orders/v1/cancelOrder, stock/v1/release]
  - name: one system down
    operation: availability
    path: {sku: A1}
    answers:
      stock/v1/getStock: {status: 503}
      orders/v1/getCredit: {body: {available: 4}}
    want: {state: completed, status: 200, body: {wms: unknown, erp: 4}}
`

// Flows are tested against simulated answers, without a system or a ledger.
func TestTests(t *testing.T) {
	w := newWorld(t, nil)
	run := func(text string) ([]string, error) {
		var ps source.Problems
		var failures []string
		for _, r := range w.set.RunTests(fstest.MapFS{"apis/booking/1.0.0/flows_test.yaml": {Data: []byte(text)}}, &ps) {
			failures = append(failures, r.Failure)
		}
		return failures, ps.Err()
	}
	failures, err := run(bookingTests)
	if err != nil || len(failures) != 4 || strings.Join(failures, "") != "" {
		t.Errorf("%v %q", err, failures)
	}
	for _, c := range []struct{ from, to, says string }{
		{"left: 2}", "left: 3}", `want {"booked":42,"left":3}`},
		{"state: failed, status: 422", "state: failed, status: 400", "answered 422, want 400"},
		{"state: compensated", "state: completed", "it is compensated, want completed"},
		{"writes: []", "writes: [stock/v1/reserve]", "it wrote ; want stock/v1/reserve"},
	} {
		failures, err := run(strings.Replace(bookingTests, c.from, c.to, 1))
		if all := strings.Join(failures, ""); err != nil || !strings.Contains(all, c.says) {
			t.Errorf("%v %q, want %q", err, all, c.says)
		}
	}
	for _, c := range []struct{ from, to, says string }{
		{"operation: availability", "operation: nothing", "no workflow answers"},
		{"orders/v1/cancelOrder:", "orders/v1/cancelOrders:", "cancelOrder"},
		{"name: one", "nam: one", "nam"},
	} {
		if _, err := run(strings.Replace(bookingTests, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
	w.did(w.wms)
}
