package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// strangers are callers who may not, or not this much.
func (x *test) strangers() {
	x.title("Refusals: who is calling")
	const path = "/products/v1/products?limit=1"
	for _, c := range []struct{ name, key, problem string }{
		{"no key", "", "unauthenticated"},
		{"no key at all, only some text", "letmein", "invalid-credentials"},
		{"an unknown key", key("unknown1"), "invalid-credentials"},
		{"a known prefix with another secret", "hr_webshop1_" + strings.Repeat("x", 24), "invalid-credentials"},
		{"a key that has expired", key("kiosk000"), "invalid-credentials"},
	} {
		a := x.shop.as(c.key).get(x.ctx, path)
		_, err := a.refused(401, c.problem)
		x.that(c.name+": 401, with a challenge", all(err, truth(a.header.Get("WWW-Authenticate") != "", "there is no WWW-Authenticate")))
	}
	x.that("the key of an app that is switched off", x.shop.as(key("archive1")).get(x.ctx, path).is(403))
	x.that("the key of an app without a subscription", x.shop.as(key("kiosk001")).get(x.ctx, path).saying(403, "not-subscribed", "kiosk"))
	dock := x.shop.as(key("dockside"))
	_, err := dock.get(x.ctx, "/sales/v1/sales").refused(403, "not-subscribed")
	x.that("an app with a subscription to other APIs only", err)
	x.that("which may use those", dock.get(x.ctx, "/stock/v1/warehouses").is(200))
	x.that("the second key of an app works as the first", x.shop.as(key("webshop2")).get(x.ctx, path).is(200))
	x.throttle(path)
}

// throttle calls faster than the plan of the app allows.
func (x *test) throttle(path string) {
	trial := x.shop.as(key("trial001"))
	admitted := 0
	var last *answer
	for range 12 {
		last = trial.get(x.ctx, path)
		if last.status != 200 {
			break
		}
		admitted++
	}
	_, err := last.refused(429, "throttled")
	x.that("an app that calls too fast is told when to come back", all(err, last.patience(),
		truth(last.header.Get("RateLimit") != "" && last.header.Get("RateLimit-Policy") != "", "RateLimit is %q", last.header.Get("RateLimit")),
		truth(admitted >= 3 && admitted <= 5, "%d calls went through, a burst of 3 is allowed", admitted)))
	time.Sleep(1100 * time.Millisecond)
	x.that("and may then", trial.get(x.ctx, path).is(200))
}

// contract breaks the contract of the documents.
func (x *test) contract() {
	x.title("Refusals: what is asked")
	s := x.shop
	x.that("an unknown path is a 404", s.get(x.ctx, "/orders/v1/orders").saying(404, "not-found", ""))
	named := s.call(x.ctx, http.MethodGet, "/orders/v1/orders", nil, "X-Request-Id", "e2e-42")
	x.that("the caller's own request id comes back", same("X-Request-Id", named.header.Get("X-Request-Id"), "e2e-42"))
	wrong := s.call(x.ctx, http.MethodDelete, "/sales/v1/sales", nil)
	_, err := wrong.refused(405, "method-not-allowed")
	x.that("a wrong method is a 405 that names the right ones", all(err,
		truth(strings.Contains(wrong.header.Get("Allow"), "GET") && strings.Contains(wrong.header.Get("Allow"), "POST"), "Allow is %q", wrong.header.Get("Allow"))))
	for _, c := range []struct {
		name, path string
		places     []string
	}{
		{"a parameter out of its bounds", "/products/v1/products?limit=0", []string{"limit"}},
		{"a parameter of the wrong type", "/products/v1/products/one", []string{"productId"}},
		{"a parameter that is missing", "/invoices/v1/invoices", []string{"partyId"}},
		{"several at once, all named", "/invoices/v1/invoices?partyId=0&limit=1000&offset=-1", []string{"partyId", "limit", "offset"}},
		{"a state that does not exist", "/sales/v1/sales?state=lost", []string{"state/0"}},
		{"a date that is none", "/products/v1/products?date=tomorrow", []string{"date"}},
		{"a day that the calendar does not have", "/products/v1/products?date=2026-02-31", []string{"date"}},
		{"a parameter that does not exist", "/products/v1/products?colour=red", []string{"colour"}},
	} {
		x.that(c.name, s.get(x.ctx, c.path).violating(400, "invalid-request", c.places...))
	}
	x.bodies()
}

// bodies sends orders that are wrong in all sorts of ways.
func (x *test) bodies() {
	const path = "/sales/v1/sales"
	s := x.shop
	x.that("a body that is no JSON", s.post(x.ctx, path, `{"partyId":`).is(400))
	x.that("no body", s.post(x.ctx, path, nil).is(400))
	x.that("a body of another type", s.call(x.ctx, http.MethodPost, path, "partyId=3", "Content-Type", "application/x-www-form-urlencoded").saying(415, "unsupported-media-type", ""))
	bad := `{"partyId":"three","invoiceAddressId":2,"shipmentAddressId":2,"warehouseId":5,"reference":"","colour":"red",` +
		`"lines":[{"productId":1,"unitId":1,"quantity":0,"unitPrice":6.01,"taxIds":[1]},{"productId":1,"unitId":1,"quantity":1,"unitPrice":"6.01234","taxIds":[1,1]}]}`
	x.that("a body with many faults: each with its pointer", s.post(x.ctx, path, bad).violating(422, "invalid-body",
		"/partyId", "/reference", "/colour", "/lines/0/quantity", "/lines/0/unitPrice", "/lines/1/unitPrice", "/lines/1/taxIds/1"))
	empty := x.order("BAD-EMPTY", 1)
	empty.Lines = []newLine{}
	x.that("an order without lines", x.place(empty).violating(422, "invalid-body", "/lines"))
	x.that("an order without anything", s.post(x.ctx, path, `{}`).is(422))
	large := x.order("BAD-LARGE", 1)
	large.Comment = strings.Repeat("x", 128<<10)
	_, err := x.place(large).refused(413, "body-too-large")
	x.that("a body that is too large", err)
	_, err = s.post(x.ctx, path, strings.NewReader(`{"comment":"`+strings.Repeat("x", 128<<10)+`"}`)).refused(413, "body-too-large")
	x.that("and one whose length is not announced", err)
}

// business sends what only Tryton can refuse.
func (x *test) business() {
	x.title("Refusals: what the ERP does not do")
	s := x.shop
	x.that("an unknown product", s.get(x.ctx, "/products/v1/products/99999").is(404))
	x.that("the stock of an unknown product", s.get(x.ctx, fmt.Sprintf("/stock/v1/warehouses/%d/availability?productId=99999", x.from.ID)).is(404))
	x.that("the stock of an unknown warehouse", s.get(x.ctx, "/stock/v1/warehouses/99999/availability?productId=1").is(404))
	x.that("an unknown party", s.get(x.ctx, "/parties/v1/parties/99999").is(404))
	x.that("an unknown sale", s.get(x.ctx, "/sales/v1/sales/99999").is(404))
	x.that("an unknown sale, quoted", s.post(x.ctx, "/sales/v1/sales/99999/quote", nil).is(404))
	x.that("an unknown invoice", s.get(x.ctx, "/invoices/v1/invoices/99999").is(404))

	unknown := x.order("ERP-PRODUCT", 1)
	unknown.Lines[0].ProductID = 99999
	x.that("an order of an unknown product", x.place(unknown).saying(422, "system-refused", "99999"))
	foreign := x.order("ERP-ADDRESS", 1)
	foreign.InvoiceAddressID = x.customer.Addresses[0].ID + 1
	a := x.place(foreign)
	x.that("an order to the address of somebody else, refused in few words", all(
		a.saying(422, "system-refused", "Invoice Address"), truth(len(a.body) < 2000, "the refusal has %d bytes", len(a.body))))
	half := x.order("ERP-HALF", 1.5)
	x.that("half a piece of what is sold by the piece", x.place(half).saying(422, "system-refused", "digits"))

	var draft sale
	x.that("a draft", x.place(x.order("ERP-DRAFT", 1)).into(201, &draft))
	path := fmt.Sprintf("/sales/v1/sales/%d", draft.ID)
	x.that("cannot be confirmed", s.post(x.ctx, path+"/confirm", nil).saying(409, "conflict", "quotation"))
	still, err := x.read(draft.ID)
	x.that("and stays a draft", all(err, same("the state", still.State, "draft")))
	x.limits()
}

// limits goes beyond what is in stock, and beyond a customer's credit.
func (x *test) limits() {
	var p page[product]
	x.that("a product that is out of stock", all(x.shop.get(x.ctx, "/products/v1/products?code=SKU-0200").into(200, &p), same("found", len(p.Items), 1)))
	if len(p.Items) == 1 {
		o := x.order("ERP-STOCK", 1)
		o.Lines[0].ProductID, o.Lines[0].UnitPrice = p.Items[0].ID, p.Items[0].Price
		var s sale
		x.that("can be ordered", x.place(o).into(201, &s))
		x.that("but not quoted", x.shop.post(x.ctx, fmt.Sprintf("/sales/v1/sales/%d/quote", s.ID), nil).saying(409, "conflict", "lower than its quantity"))
	}
	var limited page[party]
	x.that("a customer with a credit limit", all(
		x.shop.get(x.ctx, "/parties/v1/parties?code=CLIMIT").into(200, &limited), same("found", len(limited.Items), 1)))
	if len(limited.Items) != 1 {
		return
	}
	c := limited.Items[0]
	x.that("of 500", truth(c.Credit.Limit != nil && *c.Credit.Limit == "500.00", "the limit is %v", c.Credit.Limit))
	o := x.order("ERP-CREDIT", 1000)
	o.PartyID, o.InvoiceAddressID, o.ShipmentAddressID = c.ID, c.Addresses[0].ID, c.Addresses[0].ID
	s, err := x.quotation(o)
	x.that("may get a quotation beyond it", err)
	x.that("but no confirmation", x.shop.post(x.ctx, fmt.Sprintf("/sales/v1/sales/%d/confirm", s.ID), nil).saying(409, "conflict", "credit limit"))
	still, err := x.read(s.ID)
	x.that("and the sale stays a quotation", all(err, same("the state", still.State, "quotation")))
}
