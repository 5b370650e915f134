package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// books tell how often what a reference stands for is in Tryton's database.
type books map[string]entry

// entry counts the sales of a reference, their invoices, and those of them that
// are posted and have a number.
type entry struct{ sales, invoices, posted int }

// books reads the sales with a prefix. An invoice belongs to a sale by its
// lines, which name those of the sale as their origin.
func (t *tryton) books(ctx context.Context, prefix string) (books, error) {
	out, err := t.sql(ctx, `select s.reference, count(distinct s.id), count(distinct i.id),
		count(distinct i.id) filter (where i.state in ('posted', 'paid') and i.number is not null)
		from sale_sale s left join sale_line l on l.sale = s.id
		left join account_invoice_line o on o.origin = 'sale.line,' || l.id left join account_invoice i on i.id = o.invoice
		where s.reference like '`+prefix+`-%' group by s.reference`)
	if err != nil {
		return nil, err
	}
	b := books{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		var e entry
		if len(fields) != 4 {
			return nil, fmt.Errorf("a row is %q", line)
		}
		if _, err := fmt.Sscan(strings.Join(fields[1:], " "), &e.sales, &e.invoices, &e.posted); err != nil {
			return nil, fmt.Errorf("a row is %q: %w", line, err)
		}
		b[fields[0]] = e
	}
	return b, nil
}

// rests waits until Tryton has worked off what callers have left behind: it
// answers, and nothing is under way in its database.
func (t *tryton) rests(ctx context.Context) error {
	return until(ctx, 10*time.Minute, func() error {
		a, err := t.newAuditor(ctx)
		if err != nil {
			return err
		}
		if _, err := a.sales(ctx, "none"); err != nil {
			return err
		}
		n, err := t.sql(ctx, "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()")
		return all(err, same("transactions under way", n, "0"))
	})
}
