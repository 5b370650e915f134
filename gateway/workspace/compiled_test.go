package workspace

import (
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

const shared = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, policies: {subscription: {}}}
paths:
  /orders:
    get:
      operationId: list
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "../../../common/order.yaml#/Order"}}}}}
`

func sharedWorkspace() fstest.MapFS {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"systems/erp.yaml": "url: http://127.0.0.1:9", "common/order.yaml": "Order: {type: object}\n",
		"apis/orders/1.0.0/openapi.yaml": shared, "apis/stock/1.0.0/openapi.yaml": strings.Replace(strings.Replace(document, "PATH", "stock", 1), "system: erp", "system: erp, policies: {subscription: {}}", 1),
		"consumers/acme.yaml":       "organisations: {acme: {}}\n",
		"consumers/apps/shop.yaml":  "apps: {shop: {organisation: acme}}\n",
		"consumers/plans/gold.yaml": "plans: {gold: {policies: {throttle: {rate: 5}}}}\n",
		"consumers/desk.yaml":       "products: {desk: {apis: [orders/v1, stock/v1]}}\nsubscriptions: [{app: shop, product: desk, plan: gold}]\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

type rate struct {
	Rate int `yaml:"rate" check:"required"`
}

// counted are options whose policies count how often they are compiled.
func counted(compiles *int) Options {
	o := options(nil)
	o.Compiled = &Compiled{}
	pass := func(next gateway.Handler) gateway.Handler {
		*compiles++
		return next
	}
	o.Kinds = []gateway.Kind{
		gateway.Define(gateway.Kind{Name: "subscription", Stage: gateway.StageSubscription, Levels: gateway.LevelAPI, Doc: "s"}, func(*gateway.Binding, struct{}) gateway.Policy { return pass }),
		gateway.Define(gateway.Kind{Name: "throttle", Stage: gateway.StageThrottle, Levels: gateway.LevelPlan, Doc: "t"}, func(*gateway.Binding, rate) gateway.Policy { return pass }),
	}
	return o
}

func build(files fs.FS, o Options) (*gateway.Table, error) {
	var ps source.Problems
	w := load(files, nil, o.Compiled, &ps)
	table, _ := Build(w, o, &ps)
	if err := ps.Err(); err != nil {
		return table, err
	}
	o.Compiled.prove(table)
	return table, nil
}

func documents(t *gateway.Table) map[string]*specs.Document {
	list := map[string]*specs.Document{}
	for _, api := range t.APIs {
		list[api.Name] = api.Document
	}
	return list
}

// Only what has changed is compiled: a document when one of the files that it
// is made of has, chains when their document or their plans have.
func TestOnlyChangesAreCompiled(t *testing.T) {
	compiles := 0
	o := counted(&compiles)
	files := sharedWorkspace()
	before, err := build(files, o)
	if err != nil {
		t.Fatal(err)
	}
	if compiles != 4 {
		t.Fatalf("%d policies were compiled", compiles)
	}
	for _, c := range []struct {
		what, file, text string
		anew             string // whose document is a new one
		compiles         int
	}{
		{"nothing", "headrace.yaml", "{}", "", 0},
		{"an app", "consumers/apps/shop.yaml", "apps: {shop: {organisation: acme, title: Shop}}\n", "", 0},
		{"another app", "consumers/apps/new.yaml", "apps: {new: {organisation: acme}}\n", "", 0},
		{"a plan", "consumers/plans/gold.yaml", "plans: {gold: {policies: {throttle: {rate: 6}}}}\n", "", 4},
		{"an unused plan", "consumers/plans/free.yaml", "plans: {free: {policies: {throttle: {rate: 1}}}}\n", "", 0},
		{"a plan that is used now", "consumers/new.yaml", "subscriptions: [{app: new, product: desk, plan: free}]\n", "", 6},
		{"a document", "apis/stock/1.0.0/openapi.yaml", string(files["apis/stock/1.0.0/openapi.yaml"].Data) + "# again\n", "stock", 3},
		{"a file that a document refers to", "common/order.yaml", "Order: {type: array}\n", "orders", 3},
		{"an overlay that comes", "apis/orders/1.0.0/overlay.yaml", "overlay: 1.0.0\ninfo: {title: t, version: 1.0.0}\nactions: [{target: $.info, update: {title: Sales}}]\n", "orders", 3},
		{"a lifecycle that comes", "apis/orders/1.0.0/lifecycle.yaml", "status: published\n", "orders", 3},
		{"a file that nobody uses", "common/other.yaml", "x: 1\n", "", 0},
	} {
		files[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		compiles = 0
		table, err := build(files, o)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if compiles != c.compiles {
			t.Errorf("%s: %d policies were compiled, want %d", c.what, compiles, c.compiles)
		}
		old, now := documents(before), documents(table)
		for name := range now {
			if (old[name] == now[name]) != (name != c.anew) {
				t.Errorf("%s: the document of %s is a new one: %v", c.what, name, old[name] != now[name])
			}
		}
		before = table
	}
	// What was not compiled is when the first request comes.
	compiles = 0
	table, err := build(files, o)
	if err != nil || compiles != 0 {
		t.Fatal(compiles, err)
	}
	for range 2 {
		table.Operations[0].Handler(&gateway.Exchange{}) //nolint:errcheck // nothing answers
	}
	if compiles != 3 {
		t.Errorf("a first request has %d policies compiled", compiles)
	}
}

// A fault is found in every table that it is in, and what was right before is
// no excuse.
func TestFaultsAreFoundAgain(t *testing.T) {
	compiles := 0
	o := counted(&compiles)
	files := sharedWorkspace()
	if _, err := build(files, o); err != nil {
		t.Fatal(err)
	}
	for file, c := range map[string]struct{ text, wrong string }{
		"consumers/plans/gold.yaml":      {"plans: {gold: {policies: {throttle: {}}}}\n", `consumers/plans/gold.yaml:1:37: plans.gold.policies.throttle: the key "rate" is missing`},
		"consumers/acme.yaml":            {"organisations: {acme: }\n", `nothing stands under "acme"`},
		"consumers/more.yaml":            {"organisations: {acme: {}}\n", `consumers/more.yaml:1:23: organisations.acme: "acme" stands at consumers/acme.yaml:1:23 already`},
		"consumers/apps/shop.txt":        {"", "is not read"},
		"apis/orders/1.0.0/openapi.yaml": {strings.Replace(shared, "subscription: {}", "subscribe: {}", 1), `there is no policy "subscribe"`},
		"common/order.yaml":              {"Orders: {type: object}\n", "apis/orders/1.0.0/openapi.yaml:8"},
	} {
		faulty := maps.Clone(files)
		faulty[file] = &fstest.MapFile{Data: []byte(c.text)}
		for range 2 {
			if _, err := build(faulty, o); err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %s", file, err, c.wrong)
			}
		}
	}
	if _, err := build(files, o); err != nil {
		t.Errorf("what was right is not any more: %v", err)
	}
}

// What is no longer there is forgotten after a while.
func TestCompiledForgets(t *testing.T) {
	compiles := 0
	o := counted(&compiles)
	files := sharedWorkspace()
	if _, err := build(files, o); err != nil {
		t.Fatal(err)
	}
	delete(files, "apis/stock/1.0.0/openapi.yaml")
	files["consumers/desk.yaml"] = &fstest.MapFile{Data: []byte("products: {desk: {apis: [orders/v1]}}\n")}
	for range keptRounds + 2 {
		if _, err := build(files, o); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.Compiled.kept["apis/stock/1.0.0"]) != 0 || len(o.Compiled.kept["apis/orders/1.0.0"]) != 1 || len(o.Compiled.sound) != 1 {
		t.Errorf("kept %v, sound %d", slog.Any("", o.Compiled.kept), len(o.Compiled.sound))
	}
}
