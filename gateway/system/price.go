package system

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// prices are what the calls of an operation cost where that is not the same for
// every call of a limit. The zero value leaves all to the limits.
type prices struct {
	// fixed are costs that stand in the operation.
	fixed []budget.Cost
	// asked are worked out from the request, before it is sent.
	asked []price
	// metered are known when the call has ended, and guessed before.
	metered []meter
	// looks tells that some meter reads answers, counts that one counts their bytes.
	looks, counts bool
	// says tells that the operation itself says what a limit by duration would measure.
	says bool
}

// price is a cost that a mapping works out.
type price struct {
	pool    string
	mapping *mapping.Mapping
	charge  *budget.Charge // nil for one of the operation's own
}

// meter is a cost that is measured.
type meter struct {
	pool   string
	charge *budget.Charge
	answer *mapping.Mapping // nil for bytes and durations
	// guesses tells that the cost is estimated by what calls did cost lately;
	// otherwise the request said it.
	guesses bool
	usual   *usual
}

// usual is what calls of an operation came to lately, in a meter's own measure:
// nanoseconds, bytes of answers, or units. It is for estimates only, so that a
// lost update does no harm.
type usual struct{ bits atomic.Uint64 }

func (u *usual) get() (amount float64, ok bool) {
	bits := u.bits.Load()
	return math.Float64frombits(bits), bits != 0
}

func (u *usual) note(amount float64) {
	if old, ok := u.get(); ok {
		amount = old + (amount-old)/8
	}
	u.bits.Store(math.Float64bits(max(amount, math.SmallestNonzeroFloat64)))
}

// charged is a limit whose cost is more than a number, compiled.
type charged struct {
	limit           *budget.Limit
	pool            string
	charge          *budget.Charge
	request, answer *mapping.Mapping
}

// charges compiles the costs of a system's limits.
func (b *builder) charges(s *system) []charged {
	var all []charged
	for i := range s.settings.Limits {
		l := &s.settings.Limits[i]
		if l.Cost == nil || l.Cost.By == "calls" {
			continue
		}
		all = append(all, charged{
			limit: l, pool: l.Name, charge: l.Cost,
			request: b.library.Get(mapping.Source{Node: l.Cost.Request}, b.problems),
			answer:  b.library.Get(mapping.Source{Node: l.Cost.Answer}, b.problems),
		})
	}
	return all
}

// prices puts together what calls of a kind cost. Where the operation says itself
// what it costs, only what the limit reads from the answer is left to do.
func (s *system) prices(t budget.Target, own specs.Costs) prices {
	var p prices
	for _, c := range s.charges {
		if !c.limit.Applies(t) {
			continue
		}
		_, said := own[c.pool]
		if said && c.answer == nil {
			p.says = p.says || c.charge.By == "duration"
			continue
		}
		if c.request != nil && !said {
			p.asked = append(p.asked, price{pool: c.pool, mapping: c.request, charge: c.charge})
		}
		if c.charge.By == "duration" || c.charge.By == "bytes" || c.answer != nil {
			p.metered = append(p.metered, meter{
				pool: c.pool, charge: c.charge, answer: c.answer, guesses: c.request == nil && !said, usual: s.fleet.usual(s.name, t.Operation, c.pool),
			})
			p.looks = p.looks || c.answer != nil
			p.counts = p.counts || c.charge.By == "bytes"
		}
	}
	return p
}

// targetOf is what a call looks like to the system's limits.
func targetOf(name string, c interface{ place() (method, path string) }) budget.Target {
	method, path := c.place()
	return budget.Target{Operation: name, Method: method, Path: path}
}

// ownPrices are those of a call that the gateway makes on its own behalf.
func (s *system) ownPrices(name string, p plain) *prices {
	own := s.prices(targetOf(name, p), nil)
	own.asked = nil // there is no caller's request
	return &own
}

// costs compiles what a call of an operation costs.
func (b *builder) costs(o *operation, g *specs.OperationGovernance) {
	if o.call != nil { // or it is reported already
		o.prices = o.system.prices(targetOf(o.id, o.call), g.Cost)
	}
	pools := poolNames(o.system.settings.Limits)
	for _, pool := range slices.Sorted(maps.Keys(g.Cost)) {
		at := g.At("cost").At(pool)
		if !slices.Contains(pools, pool) {
			b.problems.Add(at, fmt.Sprintf("%s has no limit %q", o.system.name, pool), source.DidYouMean(pool, pools))
			continue
		}
		text := g.Cost[pool]
		if units, err := strconv.ParseFloat(text, 64); err == nil {
			if !(units >= 0 && units <= 1e12) {
				b.problems.Add(at, fmt.Sprintf("a call cannot cost %s", text), "from 0 to 1e12")
			} else if most := o.system.settings.Limits[slices.Index(pools, pool)].Most(); units > most {
				b.problems.Add(at, fmt.Sprintf("a call of this cost is never admitted: the limit %q has room for %g", pool, most), "")
			}
			o.prices.fixed = append(o.prices.fixed, budget.Cost{Pool: pool, Units: units})
			continue
		}
		if m := b.library.Get(mapping.Source{Node: at}, b.problems); m != nil {
			o.prices.asked = append(o.prices.asked, price{pool: pool, mapping: m})
		}
	}
}

func (p *prices) needBody() bool {
	return slices.ContainsFunc(p.asked, func(a price) bool { return a.mapping.NeedsBody() })
}

// before works out what a request costs as far as the request says it. Where a
// limit's own expression finds nothing in it, the limit's estimate holds; an
// operation's own must give a number.
func (p *prices) before(ctx context.Context, r *Request) ([]budget.Cost, *gateway.Error) {
	if len(p.asked) == 0 {
		return p.fixed, nil
	}
	costs := slices.Clone(p.fixed)
	for i := range p.asked {
		a := &p.asked[i]
		units, err := a.of(ctx, r)
		switch {
		case err == nil:
			costs = append(costs, budget.Cost{Pool: a.pool, Units: units})
		case a.charge == nil:
			return nil, err
		case err.Problem.Name == gateway.CallerLeft.Name:
			return nil, err
		}
	}
	return costs, nil
}

func (a *price) of(ctx context.Context, r *Request) (float64, *gateway.Error) {
	in, err := r.input(a.mapping, nil)
	if err != nil {
		return 0, gateway.AsError(err)
	}
	value, err := a.mapping.Value(ctx, in)
	if err != nil {
		return 0, mappingFailed(err, gateway.InvalidBody)
	}
	units, ok := mapping.Float(value)
	if !ok || units < 0 {
		return 0, mappingFailed(&mapping.Error{Mapping: a.mapping.Name, Cause: fmt.Errorf("it gives no cost")}, gateway.InvalidBody)
	}
	if a.charge != nil {
		units = a.charge.Units(units)
	}
	return units, nil
}

// guess adds what a call is taken for in the meters that only its end will tell.
func (p *prices) guess(costs []budget.Cost, out *outgoing) []budget.Cost {
	if len(p.metered) == 0 {
		return costs
	}
	costs = slices.Clone(costs)
	for i := range p.metered {
		m := &p.metered[i]
		if !m.guesses {
			continue
		}
		amount, known := m.usual.get()
		if !known {
			amount = m.charge.Estimate
		}
		if m.charge.By == "bytes" {
			// What is known of it is the answer alone.
			sent := float64(out.size())
			if known {
				amount += sent
			} else {
				amount = max(amount, sent)
			}
		}
		costs = append(costs, budget.Cost{Pool: m.pool, Units: m.charge.Units(amount)})
	}
	return costs
}

// measured is what a call has to be charged for when it has ended.
type measured struct {
	sent, received int64 // bytes of request and answer
	took           time.Duration
	answer         *mapping.Input // what the answer holds; nil where it was not read
	// ordinary tells that the call was carried out or refused in an ordinary
	// way, so that it says something of those to come.
	ordinary bool
}

// after works out what a call did cost. said is what its request had said; what
// is measured comes before it.
func (p *prices) after(ctx context.Context, said []budget.Cost, e *measured) []budget.Cost {
	if len(p.metered) == 0 && !p.says {
		return nil
	}
	costs := make([]budget.Cost, 0, len(p.metered)+len(said))
	for i := range p.metered {
		m := &p.metered[i]
		var amount, usual float64
		switch {
		case m.answer != nil:
			if e.answer == nil {
				continue // what was estimated stays
			}
			value, err := m.answer.Value(ctx, *e.answer)
			if amount = measure(value); err != nil || amount == nothing {
				continue
			}
			usual = amount
		case m.charge.By == "bytes":
			amount, usual = float64(e.sent+e.received), float64(e.received)
		default:
			amount, usual = float64(e.took), float64(e.took)
		}
		if e.ordinary {
			m.usual.note(usual)
		}
		costs = append(costs, budget.Cost{Pool: m.pool, Units: m.charge.Units(amount)})
	}
	return append(costs, said...)
}

// size is the length of a request's body in bytes.
func (o *outgoing) size() int64 {
	if o.upload != nil {
		return max(o.upload.length, 0)
	}
	return int64(len(o.body))
}

// held is the memory that the bodies of a call take while it waits: the caller's,
// and the one that was made of it where that is another.
func (o *outgoing) held(body []byte) int {
	n := len(body)
	if len(o.body) > 0 && (n == 0 || &o.body[0] != &body[0]) {
		n += len(o.body)
	}
	return n
}
