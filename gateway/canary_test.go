package gateway

import (
	"fmt"
	"testing"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// A share chooses about its part of the apps, the same ones each time, and keeps
// them when it grows.
func TestCanaryShare(t *testing.T) {
	file := ConsumerFile{Apps: map[string]*App{}}
	const apps = 2000
	for i := range apps {
		file.Apps[fmt.Sprintf("app-%d", i)] = &App{}
	}
	var ps source.Problems
	c := NewConsumers(&file, nil, &ps)
	choose := func(share int, named ...string) map[string]bool {
		api := &API{Name: "orders", Major: "v1", Version: "1.1.0"}
		NewCanary(api, specs.Canary{Share: share, Apps: named}, c)
		picked := map[string]bool{}
		for name, app := range c.Apps {
			if api.Canary.Picks(app) {
				picked[name] = true
			}
		}
		if api.Canary.Picks(nil) {
			t.Error("callers whom nobody knows are chosen")
		}
		if got := api.Key(&specs.Operation{ID: "list"}); got != "orders/v1/list@1.1.0" {
			t.Error(got)
		}
		return picked
	}
	before := choose(0)
	for _, share := range []int{1, 10, 50, 99, 100} {
		now := choose(share)
		for name := range before {
			if !now[name] {
				t.Fatalf("%s is no longer chosen by %d %%", name, share)
			}
		}
		if n := len(now) * 100 / apps; n < share-5 || n > share+5 {
			t.Errorf("%d %% chose %d apps", share, len(now))
		}
		before = now
	}
	if got := choose(0, "app-7"); len(got) != 1 || !got["app-7"] {
		t.Error(got)
	}
}
