package portal

import (
	"net/http"
	"net/url"
	"strings"
)

// openapiJSON and openapiYAML give the published document.
func (p *Portal) openapiJSON(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	root, err := p.document(a)
	if err != nil {
		return err
	}
	return c.download(a, "openapi.json", "application/json", root.json())
}

func (p *Portal) openapiYAML(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	root, err := p.document(a)
	if err != nil {
		return err
	}
	data, err := root.yaml()
	if err != nil {
		return err
	}
	return c.download(a, "openapi.yaml", "application/yaml", data)
}

// postman gives a collection of all operations (Postman collection format v2.1).
func (p *Portal) postman(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	collection, err := p.collection(a)
	if err != nil {
		return err
	}
	return c.download(a, "postman.json", "application/json", collection.json())
}

// download answers a file; it is named after the API.
func (c *call) download(a *api, name, kind string, data []byte) error {
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+a.Name+"-"+a.Version+"-"+name+`"`)
	return c.Blob(http.StatusOK, kind, data)
}

// collection makes the collection: the address and the key are its variables.
func (p *Portal) collection(a *api) (*node, error) {
	items := &node{kind: array}
	for _, o := range a.Operations {
		k, err := p.contract(o)
		if err != nil {
			return nil, err
		}
		items.items = append(items.items, k.postman())
	}
	return objectNode(
		"info", objectNode("name", a.Title+" "+a.Version, "description", a.Description, "schema", "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"),
		"item", items,
		"variable", arrayNode(objectNode("key", "baseUrl", "value", p.options.Gateway), objectNode("key", "apiKey", "value", ""), objectNode("key", "token", "value", "")),
	), nil
}

func (k *contract) postman() *node {
	r := k.request("{{baseUrl}}", "{{apiKey}}")
	headers := &node{kind: array}
	for _, h := range r.Headers {
		h.Value = strings.ReplaceAll(h.Value, tokenPlaceholder, "{{token}}")
		if h.Name == "Idempotency-Key" {
			h.Value = `"{{$guid}}"`
		}
		headers.items = append(headers.items, objectNode("key", h.Name, "value", h.Value))
	}
	var body *node
	if r.Text != "" {
		body = objectNode("mode", "raw", "raw", r.Text, "options", objectNode("raw", objectNode("language", map[bool]string{true: "json", false: "text"}[r.Body != nil])))
	}
	return objectNode("name", k.Name(), "request", objectNode(
		"method", k.Method, "description", k.Summary, "header", headers, "url", k.postmanURL(), "body", body))
}

// postmanURL has the parameters of the path as Postman's own, and all those of the
// query, of which only the required ones are on.
func (k *contract) postmanURL() *node {
	path := k.Route()
	variables, query := &node{kind: array}, &node{kind: array}
	for _, place := range k.Params {
		for _, p := range place.List {
			switch place.In {
			case "path":
				path = strings.ReplaceAll(path, "{"+p.Name+"}", ":"+p.Name)
				variables.items = append(variables.items, objectNode("key", p.Name, "value", p.Example))
			case "query":
				one := objectNode("key", p.Name, "value", p.Example)
				if !p.Required {
					one.set("disabled", &node{text: "true"})
				}
				query.items = append(query.items, one)
			}
		}
	}
	if kind, in, name := k.scheme(); kind == "key" && in == "query" {
		query.items = append(query.items, objectNode("key", name, "value", "{{apiKey}}"))
	}
	parts := &node{kind: array}
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		parts.items = append(parts.items, textNode(unescapePath(part)))
	}
	raw := "{{baseUrl}}" + path
	var pairs []string
	for _, q := range query.items {
		if q.get("disabled") == nil {
			pairs = append(pairs, url.QueryEscape(q.get("key").str())+"="+q.get("value").str())
		}
	}
	if len(pairs) > 0 {
		raw += "?" + strings.Join(pairs, "&")
	}
	return objectNode("raw", raw, "host", arrayNode(textNode("{{baseUrl}}")), "path", parts, "query", query, "variable", variables)
}
