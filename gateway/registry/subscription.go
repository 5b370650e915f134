package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// Subscription is an app's use of a product on a plan. Its name is APP.PRODUCT.
type Subscription struct {
	App     string `json:"app" yaml:"app" check:"required" doc:"The app."`
	Product string `json:"product" yaml:"product" check:"required" doc:"The product."`
	Plan    string `json:"plan" yaml:"plan" check:"required" doc:"The plan."`
	Status  string `json:"status" yaml:"status" enum:"requested,approved,rejected,suspended,ended" default:"requested" doc:"Only approved subscriptions let calls through."`
	// Steps are how it came there, the oldest first.
	Steps []Step `json:"steps,omitempty" yaml:"steps" doc:"How it came there."`
	From  `yaml:",inline"`
}

// Step is a decision about a subscription.
type Step struct {
	Status string    `json:"status" yaml:"status"`
	Plan   string    `json:"plan" yaml:"plan"`
	At     time.Time `json:"at" yaml:"at"`
	By     string    `json:"by" yaml:"by"`
	Reason string    `json:"reason,omitempty" yaml:"reason"`
}

// The states of a subscription.
const (
	Requested = "requested"
	Approved  = "approved"
	Rejected  = "rejected"
	Suspended = "suspended"
	Ended     = "ended"
)

// ways are where a subscription may go from each state.
func ways(from string) []string {
	return map[string][]string{
		Requested: {Approved, Rejected, Ended},
		Approved:  {Suspended, Ended},
		Suspended: {Approved, Ended},
		Rejected:  {Requested},
		Ended:     {Requested},
	}[from]
}

// mostSteps and longestSteps (in bytes of JSON) bound what is remembered in the
// thing itself; the audit has all.
const (
	mostSteps    = 50
	longestSteps = 64 << 10
)

// step notes a decision, and forgets the oldest ones when there are too many.
func (s *Subscription) step(next Step) {
	s.Steps = append(slices.Clip(s.Steps), next)
	s.Steps = s.Steps[max(0, len(s.Steps)-mostSteps):]
	for len(s.Steps) > 1 {
		if text, err := encode(s.Steps); err != nil || len(text) <= longestSteps {
			return
		}
		s.Steps = s.Steps[1:]
	}
}

func (s *Subscription) parent() string { return s.App }

func (s *Subscription) check(name string, n source.Node, ps *source.Problems) {
	if name != SubscriptionName(s.App, s.Product) {
		ps.Add(n, fmt.Sprintf("%q is not the name of this subscription", name), SubscriptionName(s.App, s.Product))
	}
}

// SubscriptionName is what an app's subscription to a product is called.
func SubscriptionName(app, product string) string { return app + "." + product }

// Subscribe asks for a product on a plan, for an app. One that was rejected or
// has ended may be asked for again.
func (r *Registry) Subscribe(ctx context.Context, by ledger.By, app, product, plan string) (Item[Subscription], error) {
	return r.subscription(ctx, by, r.change, SubscriptionName(app, product), ledger.Any, func(d *ledger.Draft, s *Subscription, known bool) error {
		if _, err := d.Get(KindApp, app); err != nil {
			return err
		}
		if known && !slices.Contains(ways(s.Status), Requested) {
			return refuse(State, "", "the app %q is subscribed to %q already: %s", app, product, s.Status)
		}
		s.App, s.Product, s.Plan, s.Status = app, product, plan, Requested
		return nil
	})
}

// Decide moves a subscription to another state: approved, rejected, suspended
// or ended. Rejecting and suspending need a reason.
func (r *Registry) Decide(ctx context.Context, by ledger.By, name, status string, m ledger.Match) (Item[Subscription], error) {
	if by.Reason == "" && (status == Rejected || status == Suspended) {
		return Item[Subscription]{}, refuse(NoReason, "say why", "the subscription %q would be %s without a reason", name, status)
	}
	change := r.change
	if status == Suspended || status == Ended {
		change = r.atOnce // what takes access away must work in any case
	}
	return r.subscription(ctx, by, change, name, m, func(_ *ledger.Draft, s *Subscription, known bool) error {
		switch {
		case !known:
			return refuse(NotFound, "", "there is no subscription %q", name)
		case !slices.Contains(ways(s.Status), status) || status == Requested:
			return refuse(State, "from there it may become "+strings.Join(ways(s.Status), " or "), "the subscription %q is %s and cannot become %s", name, s.Status, status)
		}
		s.Status = status
		return nil
	})
}

// ChangePlan puts a subscription on another plan.
func (r *Registry) ChangePlan(ctx context.Context, by ledger.By, name, plan string, m ledger.Match) (Item[Subscription], error) {
	return r.subscription(ctx, by, r.change, name, m, func(_ *ledger.Draft, s *Subscription, known bool) error {
		switch {
		case !known:
			return refuse(NotFound, "", "there is no subscription %q", name)
		case s.Status == Ended || s.Status == Rejected:
			return refuse(State, "ask for it again", "the subscription %q is %s", name, s.Status)
		}
		s.Plan = plan
		return nil
	})
}

// changing is how a change is made.
type changing func(context.Context, ledger.By, func(*ledger.Draft) error) (int64, error)

func (r *Registry) subscription(ctx context.Context, by ledger.By, change changing, name string, m ledger.Match, fn func(d *ledger.Draft, s *Subscription, known bool) error) (Item[Subscription], error) {
	var last *ledger.Draft
	_, err := change(ctx, by, func(d *ledger.Draft) error {
		last = d
		var s Subscription
		e, err := d.Get(KindSubscription, name)
		known := err == nil
		if known {
			i, err := item[Subscription](&e)
			if err != nil {
				return err
			}
			s = i.Body
		}
		before := s
		if err := fn(d, &s, known); err != nil {
			return err
		}
		if before.Status != s.Status || before.Plan != s.Plan {
			s.step(Step{Status: s.Status, Plan: s.Plan, At: d.Now, By: by.Actor, Reason: by.Reason})
		}
		return putSubscription(d, &s, m)
	})
	if err != nil {
		return Item[Subscription]{}, err
	}
	return settled[Subscription](last, KindSubscription, name)
}

func putSubscription(d *ledger.Draft, s *Subscription, m ledger.Match) error {
	text, err := encode(s)
	if err != nil {
		return err
	}
	return keep(d, ledger.Entry{Kind: KindSubscription, Name: SubscriptionName(s.App, s.Product), Parent: s.App, Body: text}, m)
}
