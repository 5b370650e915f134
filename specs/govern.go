package specs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/source"
)

// governRoot reads x-headrace at the root.
func (l *loader) governRoot() {
	g := &l.document.Governance
	n := l.extension(l.root)
	source.Decode(n, g, l.ps)
	g.levels = levels(n)
	if !n.Exists() {
		g.Node = l.root
	}
	l.checkSafe(g.OperationGovernance)
	l.ownFlow(&g.OperationGovernance)
	if n.Get("base").Exists() {
		if err := checkBase(g.Base); err != nil {
			l.ps.Add(n.Get("base"), err.Error(), "for example /orders/v1")
		}
	}
}

func checkBase(base string) error {
	switch t, err := parseTemplate(base); {
	case err != nil:
		return err
	case len(t.names) > 0:
		return fmt.Errorf("a base has no parameters")
	case strings.HasSuffix(base, "/"):
		return fmt.Errorf("a base does not end with /")
	case strings.ContainsAny(base, "%") || strings.Contains(base, "//"):
		return fmt.Errorf("a base is written plainly")
	}
	return nil
}

// ownFlow reports a flow that is meant for several operations: each has its own.
func (l *loader) ownFlow(g *OperationGovernance) {
	if g.Flow != nil {
		l.ps.Add(g.Node.At("flow"), "a flow answers one operation", "write it at the operation")
		g.Flow = nil
	}
}

// extension is x-headrace at a node where it may stand.
func (l *loader) extension(holder source.Node) source.Node {
	if key := holder.Key(Extension); key.Exists() {
		l.placed[key.YAML()] = true
	}
	return holder.Get(Extension)
}

func levels(n source.Node) []source.Node {
	if !n.Exists() {
		return nil
	}
	return []source.Node{n}
}

// govern reads x-headrace at a path or operation, with what it inherits.
func (l *loader) govern(holder source.Node, above OperationGovernance) (own, merged OperationGovernance) {
	n := l.extension(holder)
	source.Decode(n, &own, l.ps)
	own.levels = levels(n)
	if !n.Exists() {
		own.Node = holder
	}
	l.checkSafe(own)
	return own, own.inherit(above)
}

func (l *loader) governOperation(o *Operation, above OperationGovernance) {
	own, merged := l.govern(o.Node, above)
	o.Governance = merged
	l.checkFlow(o)
	if !o.Safe() {
		return
	}
	if own.Safe == nil && len(own.levels) > 0 {
		for _, key := range writeKeys {
			if n := own.Node.Get(key); n.Exists() {
				l.ps.Add(n, fmt.Sprintf("%s is for writes, and this operation only reads", key), "remove it, or write safe: false if the operation changes something")
			}
		}
	}
	g := &o.Governance
	g.Lane, g.Sequence, g.Idempotency, g.Confirm, g.OnFailure, g.Coalesce, g.Batch = nil, "", nil, nil, "", "", nil
}

// systemKeys are for operations that a system answers.
var systemKeys = []string{"system", "call", "cost", "confirm", "batch"}

// checkFlow finds operations that two things would answer.
func (l *loader) checkFlow(o *Operation) {
	g := o.Governance
	switch Layer(l.document.Governance.Layer) {
	case SystemLayer:
		if g.Flow != nil {
			l.ps.Add(g.At("flow"), "operations of the system layer are answered by a system, and not by a flow", "write layer: process, or remove flow")
		}
	case ProcessLayer, ExperienceLayer:
		for _, key := range systemKeys {
			if g.Says(key) {
				l.ps.Add(g.At(key), fmt.Sprintf("%s is for operations that a system answers, and a flow answers this one", key), "remove it; the operations that the flow calls say it")
			}
		}
	}
}

// writeKeys mean something for writes only. A read does not inherit them.
var writeKeys = []string{"lane", "sequence", "idempotency", "confirm", "on_failure", "coalesce", "batch"}

// checkSafe reports keys that safe: true beside them contradicts.
func (l *loader) checkSafe(g OperationGovernance) {
	if g.Safe == nil || !*g.Safe {
		return
	}
	for _, key := range writeKeys {
		if n := g.Node.Get(key); n.Exists() {
			l.ps.Add(n, fmt.Sprintf("%s and safe: true contradict each other", key), "a safe operation writes nothing: keep one of them")
		}
	}
}

// checkGovernance finds combinations that cannot work, once all operations are known.
func (l *loader) checkGovernance(o *Operation) {
	g := o.Governance
	if len(g.Lane) == 0 {
		for key, set := range map[string]bool{"sequence": g.Sequence != "", "coalesce": g.Coalesce != ""} {
			if set {
				l.ps.Add(g.At(key), key+" needs a lane", "say which writes it orders, for example lane: $request.body#/orderId")
			}
		}
	}
	for i, text := range g.Lane {
		at := g.At("lane")
		if items := at.Items(); i < len(items) {
			at = items[i]
		}
		l.checkExpression(o, at, text)
	}
	if g.Sequence != "" {
		l.checkExpression(o, g.At("sequence"), g.Sequence)
	}
	l.checkIdempotency(g)
	l.checkConfirm(o)
	l.checkBatch(o)
}

func (l *loader) checkIdempotency(g OperationGovernance) {
	i, at := g.Idempotency, g.At("idempotency")
	switch {
	case i == nil:
	case i.Class == "header" && i.Header == "":
		l.ps.Add(at.At("class"), "class header needs the system's header", "write header: and its name, for example Idempotency-Key")
	case i.Class != "header" && i.Header != "":
		l.ps.Add(at.At("header"), "header has no effect without class: header", "write class: header, or remove it")
	case i.Header != "" && !token(i.Header):
		l.ps.Add(at.At("header"), fmt.Sprintf("%q is not the name of a header", i.Header), "")
	case i.Class == "confirm" && g.Confirm == nil:
		l.ps.Add(at.At("class"), "class confirm needs confirm", "name the read that tells whether a write arrived")
	}
}

// checkConfirm looks at the read that a confirm names and at what it is given.
func (l *loader) checkConfirm(o *Operation) {
	c := o.Governance.Confirm
	if c == nil || c.Operation == "" {
		return
	}
	read := l.document.Operation(c.Operation)
	switch {
	case read == nil:
		var reads []string
		for _, other := range l.document.Operations {
			if other.Safe() {
				reads = append(reads, other.ID)
			}
		}
		l.ps.Add(c.Node.At("operation"), fmt.Sprintf("there is no operation %q", c.Operation), source.DidYouMean(c.Operation, reads))
		return
	case !read.Safe():
		l.ps.Add(c.Node.At("operation"), fmt.Sprintf("%s is not a read", c.Operation), "confirm by an operation that changes nothing")
		return
	}
	declared := l.parameters(read)
	for _, f := range c.Node.Get("with").Fields() {
		if f.Value.Kind() == source.String {
			l.checkExpression(o, f.Value, f.Value.Text())
		}
		if !slices.ContainsFunc(declared, func(p parameter) bool { return p.name == f.Name }) {
			l.ps.Add(f.Key, fmt.Sprintf("%s has no parameter %q", c.Operation, f.Name), source.DidYouMean(f.Name, names(declared, "")))
		}
	}
	for _, p := range declared {
		if _, given := c.With[p.name]; !given && p.required {
			l.ps.Add(c.Node.At("with"), fmt.Sprintf("%s needs the %s parameter %q", c.Operation, p.in, p.name), "give it a runtime expression over the write")
		}
	}
}

// checkExpression parses a runtime expression and looks for what it refers to.
func (l *loader) checkExpression(o *Operation, at source.Node, text string) {
	e, err := ParseExpression(text)
	if err != nil {
		l.ps.Add(at, fmt.Sprintf("%q is not a runtime expression", text), err.Error())
		return
	}
	switch e.In {
	case "path", "query":
		known := names(l.parameters(o), e.In)
		if !slices.Contains(known, e.Name) {
			l.ps.Add(at, fmt.Sprintf("%s has no %s parameter %q", o.ID, e.In, e.Name), source.DidYouMean(e.Name, known))
		}
	case "body":
		if !o.Node.Get("requestBody").Exists() {
			l.ps.Add(at, o.ID+" has no request body", "")
		}
	}
}

// parameter is a declared parameter of an operation.
type parameter struct {
	name, in string
	required bool
	// kind is the name of the kind of path parameter that its schema asks for,
	// empty for any.
	kind string
	node source.Node
}

// parameters are those of an operation and of its path.
func (l *loader) parameters(o *Operation) []parameter {
	var list []parameter
	for _, n := range []source.Node{o.Node, l.root.Get("paths").Get(o.Path)} {
		for _, item := range n.Get("parameters").Items() {
			p := l.follow(item)
			list = append(list, parameter{
				name: p.Get("name").Text(), in: p.Get("in").Text(), node: item, kind: parameterKind(l.follow(p.Get("schema"))),
				required: p.Get("in").Text() == "path" || strings.EqualFold(p.Get("required").Text(), "true"),
			})
		}
	}
	return list
}

func parameterKind(schema source.Node) string {
	switch {
	case schema.Get("type").Text() == "integer":
		return "integer"
	case schema.Get("format").Text() == "uuid":
		return "uuid"
	}
	return ""
}

// names lists the parameters that stand in a place; everywhere if it is empty.
func names(parameters []parameter, in string) []string {
	var list []string
	for _, p := range parameters {
		if in == "" || p.in == in {
			list = append(list, p.name)
		}
	}
	return list
}

// checkPath compares the parameters in a path with those that are declared.
func (l *loader) checkPath(o *Operation, t template) {
	declared := l.parameters(o)
	known := names(declared, "path")
	for _, name := range t.names {
		if !slices.Contains(known, name) {
			l.ps.Add(o.Node, fmt.Sprintf("the path parameter {%s} is not declared", name), "declare it in parameters, with in: path")
		}
	}
	for _, p := range declared {
		if p.in == "path" && !slices.Contains(t.names, p.name) {
			l.ps.Add(p.node, fmt.Sprintf("the path has no {%s}", p.name), source.DidYouMean(p.name, t.names))
		}
	}
}

// misplaced reports every x-headrace that stands where nobody reads it.
func (l *loader) misplaced() {
	for _, f := range l.root.Get("components").Get("pathItems").Fields() {
		l.extension(f.Value)
		for _, method := range methods {
			l.extension(f.Value.Get(method))
		}
	}
	if l.astray(l.root.YAML()) {
		l.reportAstray(l.root)
	}
}

// astray tells whether something is to be reported at all, without spelling
// out every path.
func (l *loader) astray(y *yaml.Node) bool {
	y = resolved(y)
	for i, child := range y.Content {
		isKey := y.Kind == yaml.MappingNode && i%2 == 0
		if isKey && child.Value == Extension && !l.placed[child] || !isKey && l.astray(child) {
			return true
		}
	}
	return false
}

func (l *loader) reportAstray(n source.Node) {
	for _, f := range n.Fields() {
		switch {
		case f.Name != Extension:
			l.reportAstray(f.Value)
		case !l.placed[f.Key.YAML()]:
			l.ps.Add(f.Key, Extension+" means nothing here", "it stands at the root, at a path or at an operation")
		}
	}
	for _, item := range n.Items() {
		l.reportAstray(item)
	}
}
