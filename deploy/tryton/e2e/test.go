package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"time"
)

// test is the state of a run: both sides, and what the consumer has learnt.
type test struct {
	checks
	only bool // the storm
	// begin is for how long callers of the storm begin sales through Headrace, so
	// that a slow machine has fewer of them instead of a run without end.
	begin    time.Duration
	ctx      context.Context
	tryton   *tryton
	headrace *headrace
	auditor  *clerk
	shop     *caller

	// What the shop needs for a sale, as it was read from the APIs.
	part, other product
	from        warehouse
	customer    party
	// once tells for each reference of a sale whether it was acknowledged
	// (true: it must exist once) or refused (false: it must not exist).
	once map[string]bool
	// doubtful are references whose fate the caller was not told: at most once.
	doubtful []string
	// buyers are the customers of the storm.
	buyers []party
	// stormLost and stormDoubled count sales of the storm through Headrace.
	stormLost, stormDoubled int
	// orders counts those that prove a recovery.
	orders int
}

// everything is the list of what is tried, in order. Later parts build on the
// catalogue; what disturbs comes last.
func (x *test) everything() {
	x.workspace()
	x.catalogue()
	if x.failed > 0 {
		return // without it nothing else can work
	}
	if x.only {
		x.storm()
		x.audit()
		return
	}
	for _, part := range []func(){
		x.trade, x.strangers, x.contract, x.business, x.crowd, x.changes,
		x.lostSession, x.noDatabase, x.noAnswer, x.noServer, x.storm, x.audit, x.end,
	} {
		if x.ctx.Err() != nil {
			return
		}
		part()
	}
}

// workspace has headrace look at the workspace before it is used.
func (x *test) workspace() {
	x.title("The workspace")
	x.that("headrace check finds no problem", x.headrace.command("check"))
	x.that("the tests of its mappings pass", x.headrace.command("test"))
}

// order is a sale of the two parts that the catalogue gave, to its customer.
func (x *test) order(reference string, quantity float64) newSale {
	return x.orderOf(x.customer, reference, quantity)
}

func (x *test) orderOf(customer party, reference string, quantity float64) newSale {
	line := func(p product, quantity float64) newLine {
		l := newLine{ProductID: p.ID, UnitID: p.Unit.ID, Quantity: quantity, UnitPrice: p.Price, TaxIDs: []int{}}
		for _, tax := range p.Taxes {
			l.TaxIDs = append(l.TaxIDs, tax.ID)
		}
		return l
	}
	return newSale{
		PartyID: customer.ID, InvoiceAddressID: customer.Addresses[0].ID, ShipmentAddressID: customer.Addresses[0].ID,
		WarehouseID: x.from.ID, PaymentTermID: customer.PaymentTerm.ID, Reference: reference,
		Lines: []newLine{line(x.part, quantity), line(x.other, 1)},
	}
}

// place sends an order and remembers what it was told.
func (x *test) place(o newSale, headers ...string) *answer {
	a := x.shop.call(x.ctx, http.MethodPost, "/sales/v1/sales", o, headers...)
	switch {
	case a.status == 201 || a.status == 202:
		x.once[o.Reference] = true
	case a.status == 0 || a.status >= 500 && a.status != 503:
		x.doubtful = append(x.doubtful, o.Reference)
	default:
		x.once[o.Reference] = x.once[o.Reference] || false
	}
	return a
}

// quotation places an order and takes it to a quotation.
func (x *test) quotation(o newSale) (sale, error) {
	var s sale
	if err := x.place(o).into(201, &s); err != nil {
		return s, err
	}
	err := x.shop.post(x.ctx, fmt.Sprintf("/sales/v1/sales/%d/quote", s.ID), nil).into(200, &s)
	return s, err
}

// audit asks Tryton itself: every acknowledged sale once, no refused one, no
// doubtful one twice.
func (x *test) audit() {
	x.title("The books: what Tryton has, asked directly")
	lost, doubled, phantom := 0, 0, 0
	for _, reference := range slices.Sorted(maps.Keys(x.once)) {
		n, err := x.auditor.sales(x.ctx, reference)
		if err != nil {
			x.that("counting "+reference, err)
			return
		}
		switch {
		case n > 1:
			doubled++
		case x.once[reference] && n == 0:
			lost++
		case !x.once[reference] && n == 1:
			phantom++
		}
	}
	for _, reference := range x.doubtful {
		n, err := x.auditor.sales(x.ctx, reference)
		if x.that("a doubtful sale exists at most once: "+reference, all(err, truth(n <= 1, "it exists %d times", n))); n > 1 {
			doubled++
		}
	}
	x.that(fmt.Sprintf("each of %d sales exists as often as its caller was told", len(x.once)),
		truth(lost+doubled+phantom == 0, "lost %d, doubled %d, refused and there all the same %d", lost, doubled, phantom))
	x.figure("tryton-lost", lost+x.stormLost, "sales")
	x.figure("tryton-doubled", doubled+x.stormDoubled, "sales")
}

// end stops Headrace as an operator would and looks at what it has said.
func (x *test) end() {
	x.title("The end")
	answered, err := x.headrace.metric("headrace_requests_total")
	x.that("the metrics have counted the calls", all(err, truth(answered > 100, "they say %d", answered)))
	x.that("SIGTERM ends headrace cleanly", x.headrace.stop())
	x.that("the log holds no secret and no panic", x.secrets())
}

// decimal reads an amount; ok is false when it is none.
func decimal(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return new(big.Rat)
	}
	return r
}

// apart tells whether two amounts differ by exactly this much.
func apart(what, after, before, by string) error {
	difference := new(big.Rat).Sub(decimal(after), decimal(before))
	return truth(difference.Cmp(decimal(by)) == 0, "%s went from %s to %s, should have changed by %s", what, before, after, by)
}

// secrets looks for what must not stand in a log.
func (x *test) secrets() error {
	log := []byte(x.headrace.log.String())
	var errs []error
	for _, secret := range []string{x.tryton.facts["TRYTON_PASSWORD"], key("webshop1"), "OnlyForTests", "panic:", "goroutine "} {
		errs = append(errs, truth(!holds(log, secret), "it says %q", secret))
	}
	return all(errs...)
}

func holds(text []byte, part string) bool {
	return part != "" && bytes.Contains(text, []byte(part))
}

func milliseconds(d time.Duration) int64 { return d.Milliseconds() }
