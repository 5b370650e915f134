package specs

import (
	"path"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/source"
)

// LifecycleFile says beside a document where its version stands, so that the
// document itself need not change when the version ages.
const LifecycleFile = "lifecycle.yaml"

// Lifecycle is the shape of lifecycle.yaml. It is laid over x-headrace at the
// document's root, after the overlay.
type Lifecycle struct {
	Status string `yaml:"status" check:"required" enum:"draft,published,deprecated,retired" doc:"Lifecycle state. Drafts are checked but not served; retired versions answer 410."`
	// Deprecate is the settings of the policy deprecate.
	Deprecate source.Node `yaml:"deprecate" doc:"Settings of the policy deprecate: since, sunset, successor and link."`
	Shadow    bool        `yaml:"shadow" doc:"Of a draft: it is tried on the traffic of the version that is served, and decides nothing."`
	Canary    *Canary     `yaml:"canary" doc:"Of a minor version that is published: who meets it before all others do."`
	Node      source.Node `yaml:",node"`
}

// lifecycle lays lifecycle.yaml over the document, if there is one. It is false
// when that cannot be read.
func (l *loader) lifecycle(dir string) bool {
	name := one(l.fsys, dir, "a lifecycle", []string{LifecycleFile}, l.ps)
	if name == "" {
		return true
	}
	n := source.Read(l.fsys, path.Join(dir, name), documentLimits, l.ps)
	if !n.Exists() {
		return false
	}
	var life Lifecycle
	before := l.ps.Len()
	source.Decode(n, &life, l.ps)
	if l.ps.Len() > before {
		return false
	}
	governance := under("status", n.Get("status").YAML())
	for _, key := range []string{"shadow", "canary"} {
		if value := n.Get(key); value.Exists() {
			governance.Content = append(governance.Content, nameNode(key), value.YAML())
		}
	}
	if life.Deprecate.Exists() {
		governance.Content = append(governance.Content, nameNode("policies"), under("deprecate", life.Deprecate.YAML()))
	}
	e := editor{root: source.Clone(l.root.YAML()), grafts: l.grafts, ps: l.ps, file: n.File(), left: documentLimits.Nodes - count(l.root.YAML())}
	e.merge(e.root, under(Extension, governance))
	l.root = source.Wrap(l.root.File(), e.root).WithGrafts(l.grafts)
	return true
}

func nameNode(name string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}
}

func under(name string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{nameNode(name), value}}
}
