package workspace

import (
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Own is an API of the gateway itself, which every workspace serves beside its
// own ones. Callers are identified as in any of the workspace's APIs, and need
// no subscription.
type Own struct {
	// Files hold the document, in the folder Dir: apis/NAME/VERSION.
	Files fs.FS
	Dir   string
	// Layer answers the operations. Their paths stand at the root.
	Layer gateway.Layer
	// Open tells that everybody may call: the layer finds out by itself who does.
	Open bool
}

// reserve keeps the workspace's APIs away from the paths of the gateway's own.
func (b *builder) reserve(api *gateway.API) {
	for _, own := range b.options.Own {
		base := "/" + strings.Split(own.Dir, "/")[1]
		if api.Base == base || strings.HasPrefix(api.Base, base+"/") {
			b.problems.Add(api.Document.Governance.Node, fmt.Sprintf("the gateway answers %s itself", base), "set x-headrace.base to another path")
		}
	}
}

// addOwn serves an API of the gateway itself.
func (b *builder) addOwn(own Own) {
	d := b.workspace.compiled.load("own/"+own.Dir, own.Files, newIndex(own.Files), own.Dir, b.problems)
	if d == nil {
		return
	}
	api := &gateway.API{Name: d.Name, Version: d.Version, Major: "v" + versionPattern.FindStringSubmatch(d.Version)[1], Document: d}
	ways := b.waysIn()
	for _, spec := range d.Operations {
		op := &gateway.Operation{API: api, Spec: spec, Route: spec.Path, Class: specs.High, Wait: DefaultWait}
		if own.Open {
			op.Handler = b.openHandler(api, spec, own.Layer)
		} else {
			op.Handler = b.ownHandler(api, spec, ways, own.Layer)
		}
		if err := b.table.Tree.Add(spec.Method, spec.Pattern, op); err != nil {
			b.problems.Add(spec.Node, err.Error(), "") // reserve has named the one that is in the way
			continue
		}
		b.table.Operations = append(b.table.Operations, op)
	}
	b.table.APIs = append(b.table.APIs, api)
}

// wayIn is how one of the workspace's APIs identifies its callers.
type wayIn struct {
	schemes  map[string]*specs.SecurityScheme
	policies specs.Policies
}

// waysIn lists the ways to identify callers that the workspace's operations
// have, each once.
func (b *builder) waysIn() []wayIn {
	var ways []wayIn
	seen := map[string]bool{}
	identify := slices.DeleteFunc(slices.Clone(b.options.Kinds), func(k gateway.Kind) bool { return k.Stage != gateway.StageIdentify })
	for _, api := range b.apisServed() {
		var before []any
		for i, op := range api.Document.Operations {
			now := make([]any, 0, len(identify))
			for _, k := range identify {
				now = append(now, op.Governance.Policies[k.Name].YAML())
			}
			if i > 0 && slices.Equal(now, before) { // nearly all operations inherit the same
				continue
			}
			before = now
			way := wayIn{schemes: api.Document.Schemes, policies: specs.Policies{}}
			name := ""
			for _, k := range identify {
				n, ok := op.Governance.Policies[k.Name]
				if !k.Default && (!ok || specs.Off(n)) {
					continue
				}
				if ok {
					way.policies[k.Name] = n
				}
				name += fmt.Sprintf("%s %v ", k.Name, n.Position())
			}
			if len(way.policies) > 0 {
				name += api.Name + api.Major // its schemes
			}
			if !seen[name] {
				seen[name] = true
				ways = append(ways, way)
			}
		}
	}
	return ways
}

func (b *builder) apisServed() []*gateway.API {
	return slices.DeleteFunc(slices.Clone(b.table.APIs), func(a *gateway.API) bool { return a.Document.Governance.Status == "retired" })
}

// openHandler checks nothing but the body's size.
func (b *builder) openHandler(api *gateway.API, spec *specs.Operation, layer gateway.Layer) gateway.Handler {
	return layer.Bind(&gateway.Binding{API: api, Operation: spec, Consumers: b.table.Consumers, Problems: b.problems})
}

// ownHandler tries the ways in one after the other; the first that knows the
// caller counts. A caller whom nobody knows is let through as such only where
// the workspace has operations for everybody.
func (b *builder) ownHandler(api *gateway.API, spec *specs.Operation, ways []wayIn, layer gateway.Layer) gateway.Handler {
	direct := layer.Bind(&gateway.Binding{API: api, Operation: spec, Consumers: b.table.Consumers, Problems: b.problems})
	if direct == nil {
		return nil
	}
	kinds := slices.DeleteFunc(slices.Clone(b.options.Kinds), func(k gateway.Kind) bool {
		return k.Stage != gateway.StageIdentify && k.Name != "validate"
	})
	var chains []gateway.Handler
	var open gateway.Handler
	var reported source.Problems // what is wrong with the policies was found where they stand
	var challenges []string
	for _, way := range ways {
		document, operation := *spec.Document, *spec
		document.Schemes = way.schemes
		operation.Document = &document
		operation.Governance.Policies = way.policies
		binding := &gateway.Binding{API: api, Operation: &operation, Consumers: b.table.Consumers, Problems: b.problems}
		identify := slices.DeleteFunc(slices.Clone(kinds), func(k gateway.Kind) bool { return k.Stage != gateway.StageIdentify || k.Challenge == "" })
		if c := binding.Challenges(identify); c != "" && !slices.Contains(challenges, c) {
			challenges = append(challenges, c)
		}
		binding.Problems = &reported
		if len(way.policies) == 0 {
			open = gateway.Compile(binding, kinds, fixed{direct})
			continue
		}
		chains = append(chains, gateway.Compile(binding, kinds, fixed{known(direct)}))
	}
	return func(x *gateway.Exchange) (*gateway.Response, error) {
		var wrong error
		for _, chain := range chains {
			resp, err := chain(x)
			if x.App != nil || err == nil {
				return resp, err
			}
			if e := gateway.AsError(err); e != errUnknown && (e.Problem.Status != http.StatusUnauthorized) {
				return nil, err
			} else if e != errUnknown {
				wrong = err
			}
		}
		switch {
		case wrong != nil:
			return nil, wrong
		case open != nil:
			return open(x)
		}
		return nil, &gateway.Error{Problem: gateway.Unauthenticated, Detail: "no credential was given", Challenge: strings.Join(challenges, ", ")}
	}
}

// errUnknown tells that a way in has not found out who calls.
var errUnknown = &gateway.Error{Problem: gateway.Unauthenticated}

func known(next gateway.Handler) gateway.Handler {
	return func(x *gateway.Exchange) (*gateway.Response, error) {
		if x.App == nil {
			return nil, errUnknown
		}
		return next(x)
	}
}

// fixed is a layer that answers everything in the same way.
type fixed struct{ handler gateway.Handler }

func (f fixed) Bind(*gateway.Binding) gateway.Handler { return f.handler }
