package portal

import (
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs"
)

// published is a document as partners get it: what specs leaves of it, without
// extensions, comments and the addresses of systems, and with the gateway's own.
func published(d *specs.Document, gateway, base string) (*node, error) {
	data, err := d.Public()
	if err != nil {
		return nil, err
	}
	root, err := parseNode(data)
	if err != nil {
		return nil, err
	}
	clean(root, plainMember)
	server := objectNode("url", gateway+base)
	fresh := &node{kind: object}
	root.members(func(name string, value *node) {
		if name == "paths" {
			fresh.set("servers", arrayNode(server))
		}
		fresh.set(name, value)
	})
	fresh.set("servers", arrayNode(server))
	return fresh, nil
}

// inside says what the names in an object are.
type inside uint8

const (
	plainMember inside = iota // keywords, among which extensions stand
	named                     // names that somebody has chosen: of properties, schemas, media types…
)

// What stands below these keywords. An object below a keyword of chosen has names
// that mean nothing; anything below one of values is data.
var (
	chosen = []string{"properties", "patternProperties", "dependentSchemas", "dependentRequired", "$defs", "definitions", "schemas", "responses", "parameters",
		"requestBodies", "headers", "securitySchemes", "links", "callbacks", "pathItems", "content", "encoding", "variables", "mapping", "scopes", "webhooks", "examples"}
	values = []string{"example", "default", "enum", "const", "value"}
)

// clean takes away what is not for partners, at every depth.
func clean(n *node, in inside) {
	switch n.kind {
	case array:
		for _, item := range n.items {
			clean(item, plainMember)
		}
		return
	case object:
	default:
		return
	}
	var names []string
	var items []*node
	for i, name := range n.names {
		if in == plainMember && secretMember(name) {
			continue
		}
		names, items = append(names, name), append(items, n.items[i])
	}
	n.names, n.items = names, items
	for i, name := range n.names {
		switch {
		case in == named:
			clean(n.items[i], plainMember)
		case slices.Contains(values, name), name == "examples" && n.items[i].kind == array:
			// data is the caller's own
		case slices.Contains(chosen, name):
			clean(n.items[i], named)
		default:
			clean(n.items[i], plainMember)
		}
	}
}

// secretMember tells of keywords that say how something is done here, or where.
func secretMember(name string) bool {
	return strings.HasPrefix(name, "x-") || name == "servers" || name == "server" || name == "$comment"
}

// unescapePath decodes a part of a path; what cannot be decoded stays as it is.
func unescapePath(part string) string {
	if plain, err := url.PathUnescape(part); err == nil {
		return plain
	}
	return part
}
