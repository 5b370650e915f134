package subscription

import (
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

const consumers = `
organisations: {acme: {}}
apps:
  gold: {organisation: acme}
  plain: {organisation: acme}
  asked: {organisation: acme}
  turned-down: {organisation: acme}
  late: {organisation: acme}
  gone: {organisation: acme}
  again: {organisation: acme}
  elsewhere: {organisation: acme}
  nowhere: {organisation: acme}
products:
  trade: {apis: orders/v1}
  retail: {apis: [orders/v1]}
  bare: {apis: []}
plans:
  gold: {class: critical}
  plain: {}
subscriptions:
  - {app: gold, product: trade, plan: gold}
  - {app: plain, product: trade, plan: plain, status: approved}
  - {app: asked, product: trade, plan: plain, status: requested}
  - {app: turned-down, product: trade, plan: plain, status: rejected}
  - {app: late, product: trade, plan: gold, status: suspended}
  - {app: gone, product: trade, plan: plain, status: ended}
  - {app: again, product: trade, plan: plain, status: ended}
  - {app: again, product: trade, plan: gold, status: approved}
  - {app: elsewhere, product: bare, plan: gold}
`

// caller believes the header App.
func caller() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "caller", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI, Challenge: "Test"},
		func(b *gateway.Binding, _ struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					if app := b.Consumers.Apps[x.Request.Header.Get("App")]; app != nil {
						if err := x.Recognise(app, 0, nil); err != nil {
							return nil, err
						}
					}
					return next(x)
				}
			}
		})
}

func kinds() []gateway.Kind {
	identify := []gateway.Kind{caller()}
	return append(identify, Kind(identify))
}

const policies = "{caller: {}, subscription: {}}"

func TestSubscription(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: policies, Consumers: consumers})
	for _, c := range []struct {
		app    string
		status int
		class  specs.Class
		plan   string
		detail string
	}{
		{"gold", 200, specs.Critical, "gold", ""},
		{"plain", 200, specs.Normal, "plain", ""},
		{"again", 200, specs.Critical, "gold", ""},
		{"asked", 403, 0, "", `the subscription of the app "asked" to trade on the plan plain has not been approved yet; ask the API's owner`},
		{"turned-down", 403, 0, "", `the subscription of the app "turned-down" to trade on the plan plain was rejected; ask the API's owner`},
		{"late", 403, 0, "", `the subscription of the app "late" to trade on the plan gold is suspended; ask the API's owner`},
		{"gone", 403, 0, "", `the subscription of the app "gone" to trade on the plan plain has ended; ask the API's owner`},
		{"elsewhere", 403, 0, "", `the app "elsewhere" is not subscribed to orders/v1; subscribe it to retail or trade`},
		{"nowhere", 403, 0, "", `the app "nowhere" is not subscribed to orders/v1; subscribe it to retail or trade`},
		{"", 401, 0, "", "the operation is for subscribed apps, and no credential was given"},
	} {
		a := s.Get(t, "/orders", "App", c.app)
		if a.Status != c.status || a.Detail != c.detail || (a.Seen != nil) != (c.status == 200) {
			t.Errorf("%s: %d %q", c.app, a.Status, a.Detail)
			continue
		}
		switch {
		case c.status == 403 && a.Problem != "not-subscribed":
			t.Errorf("%s: problem %q", c.app, a.Problem)
		case c.status == 401 && (a.Problem != "unauthenticated" || a.Header.Get("WWW-Authenticate") != `Test realm="orders/v1"`):
			t.Errorf("%s: problem %q %v", c.app, a.Problem, a.Header)
		case c.status == 200 && (a.Seen.Class != c.class || a.Seen.Plan != c.plan):
			t.Errorf("%s: class %s, plan %q", c.app, a.Seen.Class, a.Seen.Plan)
		}
	}
}

// What everybody may call is open to those without a subscription, too.
func TestOpen(t *testing.T) {
	schemes := map[string]*specs.SecurityScheme{"key": {Type: "apiKey"}}
	for _, security := range [][]map[string][]string{{}, {{"key": nil}, {}}} {
		s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: policies, Consumers: consumers, Schemes: schemes, Security: security})
		for app, plan := range map[string]string{"": "", "late": "", "nowhere": "", "gold": "gold"} {
			if a := s.Get(t, "/orders", "App", app); a.Status != 200 || a.Seen.Plan != plan {
				t.Errorf("%q: %d %s", app, a.Status, a.Detail)
			}
		}
	}
}

func TestNoProduct(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: policies, Consumers: "{organisations: {acme: {}}, apps: {shop: {organisation: acme}}}"})
	a := s.Get(t, "/orders", "App", "shop")
	if want := `the app "shop" is not subscribed to orders/v1, and no product contains it`; a.Status != 403 || a.Detail != want {
		t.Errorf("%d %q", a.Status, a.Detail)
	}
}

func TestProblems(t *testing.T) {
	const nobody = "subscription: the subscription cannot be found out: no policy identifies the caller; configure one of caller"
	for _, c := range []struct {
		policies string
		security []map[string][]string
		want     []string
	}{
		{policies, nil, nil},
		{"{subscription: {}}", nil, []string{nobody}},
		{"{caller: off, subscription: {}}", nil, []string{nobody}},
		{"{subscription: {}}", []map[string][]string{}, nil},
		{"{caller: {}, subscription: {plan: gold}}", nil, []string{`subscription.plan: unknown key "plan"; none is defined`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: kinds(), Policies: c.policies, Consumers: consumers, Security: c.security})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.policies, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
