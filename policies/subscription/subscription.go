package subscription

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Settings are empty: consumers.yaml says who is subscribed to what.
type Settings struct{}

// Kind describes the policy; identify are the kinds that identify callers. It
// keeps no state.
func Kind(identify []gateway.Kind) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "subscription", Stage: gateway.StageSubscription, Levels: gateway.LevelAPI,
		Doc: "Lets apps through that hold an approved subscription to a product with this API, and gives the call its plan and class.",
	}, func(b *gateway.Binding, _ Settings) gateway.Policy { return compile(b, identify) })
}

type policy struct {
	consumers *gateway.Consumers
	api       *gateway.API
	// open tells that the document lets everybody call.
	open bool
	// absent is the refusal of apps without any subscription.
	absent    string
	challenge string
	next      gateway.Handler
}

func compile(b *gateway.Binding, identify []gateway.Kind) gateway.Policy {
	p := &policy{consumers: b.Consumers, api: b.API, open: open(b.Operation), absent: absent(b), challenge: b.Challenges(identify)}
	if !p.open && !slices.ContainsFunc(identify, b.Has) {
		b.Problems.Add(b.Settings, "the subscription cannot be found out: no policy identifies the caller", "configure one of "+names(identify))
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

func names(kinds []gateway.Kind) string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.Name)
	}
	return strings.Join(list, ", ")
}

func open(o *specs.Operation) bool {
	return o.Security != nil && (len(o.Security) == 0 || slices.ContainsFunc(o.Security, func(r specs.Requirement) bool { return len(r) == 0 }))
}

func absent(b *gateway.Binding) string {
	var products []string
	for name, p := range b.Consumers.Products {
		if slices.Contains(p.APIs, b.Realm()) {
			products = append(products, name)
		}
	}
	if len(products) == 0 {
		return fmt.Sprintf("is not subscribed to %s, and no product contains it", b.Realm())
	}
	slices.Sort(products)
	return fmt.Sprintf("is not subscribed to %s; subscribe it to %s", b.Realm(), strings.Join(products, " or "))
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	if x.App == nil {
		if p.open {
			return p.next(x)
		}
		return nil, &gateway.Error{Problem: gateway.Unauthenticated, Detail: "the operation is for subscribed apps, and no credential was given", Challenge: p.challenge}
	}
	s := p.consumers.Subscription(x.App, p.api)
	if s == nil || s.Status != "approved" {
		if p.open {
			return p.next(x)
		}
		return nil, &gateway.Error{Problem: gateway.NotSubscribed, Detail: p.refusal(x.App, s)}
	}
	x.Subscription = s
	if s.Plan.Class != nil {
		x.Class = *s.Plan.Class
	}
	return p.next(x)
}

func (p *policy) refusal(app *gateway.App, s *gateway.Subscription) string {
	if s == nil {
		return fmt.Sprintf("the app %q %s", app.Name, p.absent)
	}
	state := map[string]string{
		"requested": "has not been approved yet",
		"rejected":  "was rejected",
		"suspended": "is suspended",
		"ended":     "has ended",
	}[s.Status]
	return fmt.Sprintf("the subscription of the app %q to %s on the plan %s %s; ask the API's owner", app.Name, s.ProductName, s.PlanName, state)
}
