package main

import (
	"fmt"
	"net/url"
	"time"
)

// catalogue reads what an order needs, as a shop would.
func (x *test) catalogue() {
	x.title("Reading: products, parties, stock")
	var parties page[party]
	x.that("a party is found by its code", x.shop.get(x.ctx, "/parties/v1/parties?code=C0001").into(200, &parties))
	if x.that("it is the one party with this code", same("the number of parties", len(parties.Items), 1)) {
		x.customer = parties.Items[0]
	}
	x.that("it has an address, a payment term and no credit limit", all(
		same("the code", x.customer.Code, "C0001"),
		truth(len(x.customer.Addresses) == 1 && x.customer.Addresses[0].CountryCode == "ZZ", "the addresses are %+v", x.customer.Addresses),
		same("the payment term", x.customer.PaymentTerm.Name, "30 days"),
		truth(x.customer.Credit.Limit == nil, "there is a credit limit")))

	var products page[product]
	query := url.Values{"code": {"SKU-0001", "SKU-0002"}, "customerId": {fmt.Sprint(x.customer.ID)}, "quantity": {"5"}, "date": {time.Now().Format(time.DateOnly)}}
	x.that("products are found by their codes, with the customer's price", x.shop.get(x.ctx, "/products/v1/products?"+query.Encode()).into(200, &products))
	if x.that("there are the two", same("the number of products", len(products.Items), 2)) {
		x.part, x.other = products.Items[0], products.Items[1]
	}
	x.that("with price, unit and taxes", all(
		same("the code", x.part.Code, "SKU-0001"), same("the price", x.part.Price, "6.01"), same("the list price", x.part.ListPrice, "6.01"),
		same("the other price", x.other.Price, "7.02"), same("the unit", x.part.Unit.Symbol, "u"),
		truth(len(x.part.Taxes) == 1 && x.part.Taxes[0].Rate == "0.2", "the taxes are %+v", x.part.Taxes)))
	var one product
	x.that("one product is read by its identifier", all(
		x.shop.get(x.ctx, fmt.Sprintf("/products/v1/products/%d", x.part.ID)).into(200, &one), same("the code", one.Code, "SKU-0001")))
	x.that("a search finds by part of the name and takes % as it is", x.search())
	x.that("pages follow each other to the end", x.pages())

	var warehouses page[warehouse]
	x.that("the warehouses are listed", x.shop.get(x.ctx, "/stock/v1/warehouses").into(200, &warehouses))
	for _, w := range warehouses.Items {
		if w.Code == "WH" {
			x.from = w
		}
	}
	stock, err := x.stock()
	x.that("the stock of the parts is there", all(err, truth(len(stock.Items) == 2 && stock.Items[0].OnHand == 1e6, "the stock is %+v", stock)))
}

func (x *test) search() error {
	var found, none page[product]
	return all(
		x.shop.get(x.ctx, "/products/v1/products?search=PART+0200").into(200, &found),
		truth(len(found.Items) == 1 && found.Items[0].Code == "SKU-0200", "found %+v", found.Items),
		x.shop.get(x.ctx, "/products/v1/products?search=p%25t").into(200, &none),
		same("products with % in their names", len(none.Items), 0))
}

// pages reads all products page by page: 200, each once, in order.
func (x *test) pages() error {
	last, n := "", 0
	for offset := 0; ; {
		var p page[product]
		if err := x.shop.get(x.ctx, fmt.Sprintf("/products/v1/products?limit=90&offset=%d", offset)).into(200, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if item.Code <= last {
				return fmt.Errorf("%s came after %s", item.Code, last)
			}
			last = item.Code
			n++
		}
		if p.NextOffset == nil {
			return same("the number of products", n, 200)
		}
		offset = *p.NextOffset
	}
}

func (x *test) stock() (availability, error) {
	var a availability
	err := x.shop.get(x.ctx, fmt.Sprintf("/stock/v1/warehouses/%d/availability?productId=%d&productId=%d", x.from.ID, x.part.ID, x.other.ID)).into(200, &a)
	return a, err
}

func (x *test) read(id int) (sale, error) {
	var s sale
	err := x.shop.get(x.ctx, fmt.Sprintf("/sales/v1/sales/%d", id)).into(200, &s)
	return s, err
}

// trade takes one order from placing to the posted invoice.
func (x *test) trade() {
	x.title("Trading: a sale from draft to invoice")
	before, err := x.stock()
	x.that("the stock before", err)
	const reference = "WEB-1001"
	started := time.Now()
	var s sale
	placed := x.place(x.order(reference, 3))
	x.that("a sale is placed", placed.into(201, &s))
	x.that("as a draft with the right totals, tax included", all(
		same("the state", s.State, "draft"), same("the reference", s.Reference, reference), same("the currency", s.Currency, "EUR"),
		same("the untaxed amount", s.UntaxedAmount, "25.05"), same("the tax", s.TaxAmount, "5.01"), same("the total", s.TotalAmount, "30.06"),
		same("the number of lines", len(s.Lines), 2), truth(s.Number == nil, "it has a number")))
	path := fmt.Sprintf("/sales/v1/sales/%d", s.ID)
	x.that("it is quoted", x.shop.post(x.ctx, path+"/quote", nil).into(200, &s))
	x.that("and has a number now", all(same("the state", s.State, "quotation"), truth(s.Number != nil && *s.Number != "", "there is no number")))
	x.that("it is confirmed", x.shop.post(x.ctx, path+"/confirm", nil).into(200, &s))
	x.that("and is confirmed or already processed", truth(s.State == "confirmed" || s.State == "processing", "the state is %s", s.State))
	x.that("it is processed", until(x.ctx, 10*time.Second, func() (err error) {
		s, err = x.read(s.ID)
		return all(err, same("the state", s.State, "processing"))
	}))
	x.figure("sale-roundtrip-ms", milliseconds(time.Since(started)), "ms")
	x.that("with a delivery and an invoice", all(
		same("the total", s.TotalAmount, "30.06"), same("the shipment state", s.ShipmentState, "waiting"),
		same("deliveries", len(s.ShipmentIDs), 1), same("invoices", len(s.InvoiceIDs), 1)))
	x.that("a step that was taken already may be repeated", x.shop.post(x.ctx, path+"/confirm", nil).into(200, &s))
	x.that("processing again changes nothing", all(x.shop.post(x.ctx, path+"/process", nil).into(200, &s), same("invoices", len(s.InvoiceIDs), 1)))
	x.that("a step backwards is a conflict", x.shop.post(x.ctx, path+"/quote", nil).saying(409, "conflict", "quotation"))

	var found page[saleHead]
	x.that("the sale is found by its reference", all(
		x.shop.get(x.ctx, "/sales/v1/sales?state=processing&reference="+reference).into(200, &found),
		truth(len(found.Items) == 1 && found.Items[0].ID == s.ID, "found %+v", found.Items)))
	after, err := x.stock()
	if x.that("the stock after", all(err, same("products", len(after.Items), 2))) {
		x.that("the forecast fell by what was sold, the stock did not", all(
			same("the forecast", after.Items[0].Forecast, before.Items[0].Forecast-3),
			same("the other forecast", after.Items[1].Forecast, before.Items[1].Forecast-1),
			same("the stock", after.Items[0].OnHand, before.Items[0].OnHand)))
	}
	x.invoice(s)
}

// invoice posts the invoice of a sale and looks at the customer's account.
func (x *test) invoice(s sale) {
	account := fmt.Sprintf("/parties/v1/parties/%d", x.customer.ID)
	var list page[invoiceHead]
	x.that("the invoices of the party are listed", x.shop.get(x.ctx, fmt.Sprintf("/invoices/v1/invoices?partyId=%d", x.customer.ID)).into(200, &list))
	if !x.that("with a draft for the sale", all(truth(len(list.Items) == 1, "there are %d", len(list.Items)))) {
		return
	}
	x.that("of the right amount", all(
		same("the state", list.Items[0].State, "draft"), same("the total", list.Items[0].TotalAmount, "30.06"),
		truth(len(list.Items[0].SaleIDs) == 1 && list.Items[0].SaleIDs[0] == s.ID, "the sales are %v", list.Items[0].SaleIDs)))
	var i invoice
	path := fmt.Sprintf("/invoices/v1/invoices/%d", list.Items[0].ID)
	x.that("the invoice is read", all(x.shop.get(x.ctx, path).into(200, &i), same("lines", len(i.Lines), 2)))
	x.that("it is posted", x.shop.post(x.ctx, path+"/post", nil).into(200, &i))
	x.that("with a number, a due date after the term of the party and the whole amount to pay", all(
		same("the state", i.State, "posted"), truth(i.Number != nil, "there is no number"),
		inThirtyDays(i), same("to pay", i.AmountToPay, "30.06")))
	number := i.Number
	x.that("posting again gives no other number", all(
		x.shop.post(x.ctx, path+"/post", nil).into(200, &i), truth(i.Number != nil && number != nil && *i.Number == *number, "the number is another")))
	var p party
	x.that("the customer's account has grown by it", all(
		x.shop.get(x.ctx, account).into(200, &p), apart("the credit used", p.Credit.Used, x.customer.Credit.Used, "30.06")))
}

// inThirtyDays checks that an invoice is due after the payment term of the party.
func inThirtyDays(i invoice) error {
	if i.Date == nil || i.DueDate == nil {
		return fmt.Errorf("the date or the due date is missing")
	}
	date, err := time.Parse(time.DateOnly, *i.Date)
	return all(err, same("the due date", *i.DueDate, date.AddDate(0, 0, 30).Format(time.DateOnly)))
}
