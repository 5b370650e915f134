package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// desks sell straight at Tryton, as programs do that were written without a
// gateway and with care: they give up an answer after their patience, and call
// again after a pause.
type desks struct {
	clerks []*clerk
	next   atomic.Int64
}

// tries is how often a call is made before its sale is given up.
const tries = 3

// newDesks logs in the users that the company has for its gateway.
func newDesks(ctx context.Context, t *tryton) (*desks, error) {
	d := &desks{}
	for n := 1; n <= 8; n++ {
		user := "gateway"
		if n > 1 {
			user = fmt.Sprintf("gateway%d", n)
		}
		c, err := t.newClerk(ctx, user, 30*time.Second)
		if err != nil {
			return nil, err
		}
		c.client.Timeout = patience
		d.clerks = append(d.clerks, c)
	}
	return d, nil
}

func (d *desks) sell(ctx context.Context, o newSale) error {
	c := d.clerks[int(d.next.Add(1))%len(d.clerks)]
	ids, err := c.place(ctx, o)
	if err != nil {
		return err
	}
	for _, step := range []string{"quote", "confirm"} {
		if err := c.persist(ctx, nil, "model.sale.sale."+step, ids); err != nil {
			return err
		}
	}
	invoices, err := c.invoices(ctx, ids)
	if err != nil {
		return err
	}
	return c.persist(ctx, nil, "model.account.invoice.post", invoices)
}

// place creates a sale. Before it tries again it looks for what a lost call has
// done. That is no proof: the call may still stand in line at Tryton.
func (c *clerk) place(ctx context.Context, o newSale) (ids []int, err error) {
	for i := range tries {
		if i > 0 {
			backOff(ctx, i)
			if ids, err = c.find(ctx, o.Reference); err != nil || len(ids) > 0 {
				return ids, err
			}
		}
		if err = c.call(ctx, &ids, "model.sale.sale.create", []any{c.values(o)}, c.context); err == nil || refusedForGood(err) {
			break
		}
	}
	return ids, err
}

func (c *clerk) find(ctx context.Context, reference string) (ids []int, err error) {
	err = c.persist(ctx, &ids, "model.sale.sale.search", []any{[]any{"reference", "=", reference}}, 0, 1, nil)
	return ids, err
}

// refusedForGood tells that Tryton has refused for good.
func refusedForGood(err error) bool { return strings.Contains(err.Error(), `"UserError"`) }

// backOff waits before the next try: about a second, and twice as long each time.
func backOff(ctx context.Context, tried int) {
	most := time.Second << (tried - 1)
	pause(ctx, most/2+rand.N(most/2))
}

// invoices are those of a confirmed sale, which has them once it is processed.
func (c *clerk) invoices(ctx context.Context, ids []int) ([]int, error) {
	for i := range tries {
		var rows []struct {
			State    string `json:"state"`
			Invoices []int  `json:"invoices"`
		}
		if err := c.persist(ctx, &rows, "model.sale.sale.read", ids, []string{"state", "invoices"}); err != nil {
			return nil, err
		}
		if len(rows) == 1 && len(rows[0].Invoices) > 0 {
			return rows[0].Invoices, nil
		}
		if i == tries-2 {
			if err := c.persist(ctx, nil, "model.sale.sale.process", ids); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("the sale has no invoice")
}

// persist calls, and calls again after a pause that doubles, unless Tryton has
// refused for good.
func (c *clerk) persist(ctx context.Context, result any, method string, params ...any) error {
	if result == nil {
		result = new(any)
	}
	var err error
	for i := range tries {
		if i > 0 {
			backOff(ctx, i)
		}
		err = c.call(ctx, result, method, append(params[:len(params):len(params)], c.context)...)
		if err == nil || ctx.Err() != nil || refusedForGood(err) {
			return err
		}
	}
	return err
}

// values are a sale in Tryton's words.
func (c *clerk) values(o newSale) map[string]any {
	lines := []any{}
	for _, l := range o.Lines {
		lines = append(lines, map[string]any{
			"type": "line", "product": l.ProductID, "unit": l.UnitID, "quantity": l.Quantity,
			"unit_price": map[string]string{"__class__": "Decimal", "decimal": l.UnitPrice}, "taxes": []any{[]any{"add", l.TaxIDs}},
		})
	}
	return map[string]any{
		"party": o.PartyID, "invoice_address": o.InvoiceAddressID, "shipment_address": o.ShipmentAddressID, "warehouse": o.WarehouseID,
		"payment_term": o.PaymentTermID, "reference": o.Reference, "lines": []any{[]any{"create", lines}},
	}
}
