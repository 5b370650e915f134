package portal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/registry"
)

// annals is a history that is known by heart.
type annals struct{ asked int }

func (*annals) Releases(_ context.Context, api string) ([]Release, error) {
	if api != "orders" {
		return nil, errors.New("another API")
	}
	return []Release{{"2.0.0", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}, {"1.1.0", time.Time{}}, {"1.0.0", time.Time{}}}, nil
}

func (a *annals) Changes(_ context.Context, _, from, to string) ([]registry.Change, error) {
	a.asked++
	switch from + " " + to {
	case "1.1.0 2.0.0":
		return []registry.Change{
			{Level: "compatible", Where: "GET /orders", Text: "added `page`"},
			{Level: registry.Breaking, Where: "PUT /orders/{id}", Text: "`quantity` became required", Reason: "callers without it fail"},
		}, nil
	case "1.0.0 1.1.0":
		return nil, nil
	}
	return []registry.Change{{Level: "risky", Text: "from " + from + " to " + to}}, nil
}

func TestChanges(t *testing.T) {
	history := &annals{}
	s := newShelf(t, tableOf(t, pond()), func(o *Options) { o.History = history })
	body := s.shows("/apis/orders/v2/changes", "2.0.0", "after 1.1.0, 1 November 2026", "2 changes", "1 breaking", "<code>quantity</code> became required.", "Callers without it fail.", "/apis/orders/v2/reference/placeOrder")
	if strings.Index(body, "became required") > strings.Index(body, "Added <code>page</code>") {
		t.Error("what breaks does not come first")
	}
	if strings.Contains(body, "Nothing has changed") {
		t.Error("the changes of another major are shown")
	}
	s.shows("/apis/orders/v1/changes", "1.1.0", "after 1.0.0", "Nothing has changed for callers.")
	asked := history.asked
	s.shows("/apis/orders/v2/changes")
	if history.asked != asked {
		t.Error("versions are compared again for the same table")
	}
	s.shows("/apis/orders/v2/changes?from=1.0.0&to=2.0.0", "From 1.0.0 to 2.0.0.", "All changes", `<option selected>1.0.0</option>`)
	for _, query := range []string{"?from=9.0.0&to=2.0.0", "?from=2.0.0&to=2.0.0", "?from=../x&to=2.0.0"} {
		s.shows("/apis/orders/v2/changes"+query, "after 1.1.0")
	}
	none := newShelf(t, tableOf(t, pond()), nil)
	none.shows("/apis/orders/v2/changes", "2.0.0 is the first version.")
}

// What a change means to an app comes from what the app has really done.
func TestWhatChangesMeanToAnApp(t *testing.T) {
	app := appUse{title: "Web shop", calls: map[string]int64{"placeOrder": 812}, sends: map[string][]string{"placeOrder": {"/customer/id", "/quantity"}}}
	place, list := &operation{ID: "placeOrder"}, &operation{ID: "listOrders"}
	for _, c := range []struct {
		change change
		want   string
	}{
		{change{Operation: place, Change: registry.Change{Text: "`quantity` became required"}}, "Web shop has called this 812 times in the last 30 days, and sends quantity"},
		{change{Operation: place, Change: registry.Change{Text: "removed `note`"}}, "Web shop has called this 812 times in the last 30 days"},
		{change{Operation: list, Change: registry.Change{Text: "`quantity`"}}, ""},
		{change{Change: registry.Change{Text: "`quantity`"}}, ""},
	} {
		if got := app.meets(&c.change); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	s := step{}.with([]registry.Change{{Where: "PUT /o", Level: registry.Breaking}}, &api{Operations: []*operation{{ID: "placeOrder", Method: "PUT", Path: "/o"}}}, []appUse{app})
	if s.Yours != 1 || s.Breaking != 1 || len(s.Changes[0].Yours) != 1 {
		t.Errorf("%+v", s)
	}
}
