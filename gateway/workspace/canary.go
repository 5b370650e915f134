package workspace

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// pair puts canary versions beside the versions of their majors that all
// others meet.
func (b *builder) pair(canaries []*gateway.API, served map[string]*gateway.API) {
	b.canaries = map[*gateway.API]*gateway.API{}
	for _, api := range canaries {
		at := api.Document.Governance.Canary.Node
		main := served[api.Name+api.Major]
		switch {
		case main == nil || main.Document.Governance.Status == "retired":
			b.problems.Add(at, fmt.Sprintf("there is no version of %s %s that the other apps could meet", api.Name, api.Major), "publish it without canary")
		case specs.Layer(api.Document.Governance.Layer) != specs.SystemLayer || specs.Layer(main.Document.Governance.Layer) != specs.SystemLayer:
			b.problems.Add(at, "a version that flows answer has no canary", "publish it without canary: runs under way go on by the flow that they began with")
		case b.canaries[main] != nil:
			b.problems.Add(at, fmt.Sprintf("%s %s is a canary of %s already", api.Name, b.canaries[main].Version, api.Major), "one at a time")
		case !later(api.Version, main.Version):
			b.problems.Add(at, fmt.Sprintf("%s does not come after %s, which the other apps meet", api.Version, main.Version), "a later minor version")
		case api.Base != main.Base:
			b.problems.Add(at, fmt.Sprintf("a canary has the base of the version beside it, %s", main.Base), "set x-headrace.base alike")
		default:
			b.canaries[main] = api
		}
	}
}

// later compares semantic versions, in numbers.
func later(a, b string) bool {
	numbers := func(version string) []int {
		var list []int
		for part := range strings.SplitSeq(version, ".") {
			n, _ := strconv.Atoi(part) // versionPattern lets nothing else through
			list = append(list, n)
		}
		return list
	}
	return slices.Compare(numbers(a), numbers(b)) > 0
}

// chooseCanaries decides which apps meet the canaries.
func (b *builder) chooseCanaries() {
	for _, main := range slices.Clone(b.table.APIs) {
		api := b.canaries[main]
		if api == nil {
			continue
		}
		c := api.Document.Governance.Canary
		for i, name := range c.Apps {
			if b.table.Consumers.Apps[name] == nil {
				b.problems.Add(c.Node.At("apps", strconv.Itoa(i)), fmt.Sprintf("there is no app %q", name), "")
			}
		}
		api.Revision += gateway.VariantMark + api.Version // its answers are not kept with those of the other
		gateway.NewCanary(api, *c, b.table.Consumers)
		b.table.APIs = append(b.table.APIs, api)
	}
}

// canary is a canary version with its operations, by method and shape of the path.
type canary struct {
	api        *gateway.API
	operations map[string]*gateway.Operation
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// shapeOf is the same for operations that answer the same requests.
func shapeOf(o *specs.Operation) string {
	return o.Method + " " + pathParameter.ReplaceAllString(o.Pattern, "{}")
}

// addCanary compiles the canary beside a version; nil when there is none. What
// the served version does not have is found by the canary's apps alone.
func (b *builder) addCanary(main *gateway.API, systems gateway.Layer) *canary {
	api := b.canaries[main]
	if api == nil {
		return nil
	}
	c := &canary{api: api, operations: map[string]*gateway.Operation{}}
	served := map[string]*specs.Operation{}
	for _, spec := range main.Document.Operations {
		served[shapeOf(spec)] = spec
	}
	b.checkPolicies(api.Document.Governance.Policies, gateway.LevelAPI)
	for _, spec := range api.Document.Operations {
		b.checkPolicies(spec.Governance.Policies, gateway.LevelAPI)
		b.checkTLS(spec)
		op := b.operation(api, spec)
		binding := &gateway.Binding{API: api, Operation: spec, Consumers: b.table.Consumers, Problems: b.problems}
		kinds := b.options.Kinds
		if same := served[shapeOf(spec)]; same != nil {
			b.checkAlike(same, spec)
			kinds = slices.DeleteFunc(slices.Clone(kinds), func(k gateway.Kind) bool { return k.Stage == gateway.StageIdentify })
		} else {
			binding.Identified = api.Canary.Only(api.Version)
		}
		op.Handler = gateway.Compile(binding, kinds, systems)
		if spec.Pattern == "" {
			continue
		}
		b.table.Operations = append(b.table.Operations, op)
		c.operations[shapeOf(spec)] = op
		if served[shapeOf(spec)] != nil {
			continue
		}
		if err := b.table.Tree.Add(spec.Method, api.Base+spec.Pattern, op); err != nil {
			b.problems.Add(spec.Node, err.Error(), "change the path or the base of one of them")
		}
	}
	return c
}

// checkAlike finds what would lead a write astray that the canary has accepted
// and the served version has to send after the canary's end.
func (b *builder) checkAlike(served, canary *specs.Operation) {
	switch {
	case served.ID != canary.ID:
		b.problems.Add(canary.Node, fmt.Sprintf("the operation is called %q in the version beside it", served.ID), "keep its operationId while it is a canary")
	case served.Pattern != canary.Pattern:
		b.problems.Add(canary.Node, fmt.Sprintf("the path is %s in the version beside it", served.Pattern), "keep the names of its parameters while it is a canary")
	}
}

// beside makes what leads an operation's callers to the canary; nil when there
// is nothing to choose.
func (c *canary) beside(main *gateway.API, spec *specs.Operation) gateway.Policy {
	if c == nil {
		return nil
	}
	op := c.operations[shapeOf(spec)]
	if op == nil {
		return nil
	}
	return c.api.Canary.Divert(main, op)
}
