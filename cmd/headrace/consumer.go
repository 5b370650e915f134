package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/specs/source"
)

// noun is a sort of things that are listed, shown, put and deleted by name.
type noun struct {
	word, many, route, parent string
	columns                   []string
	example                   string
}

// nouns are the consumers and what they buy.
func nouns() []noun {
	return []noun{
		{"org", "organisations", "organisations", "", []string{"title"}, "  headrace org put acme --set title=\"Acme Trading\"\n  headrace org list"},
		{"member", "members of organisations", "members", "organisation", []string{"organisation", "email", "role", "status"}, "  headrace member put acme.ada --set organisation=acme --set email=ada@example.com --set role=owner"},
		{"app", "apps", "apps", "organisation", []string{"organisation", "title", "disabled"}, "  headrace app put shop --set organisation=acme\n  headrace app put shop --set disabled=true --reason \"the key leaked\""},
		{"product", "products", "products", "", []string{"title", "apis"}, "  headrace product put desk --set apis='[orders/v1, stock/v1]'"},
		{"plan", "plans", "plans", "", []string{"title", "class", "products"}, "  headrace plan put gold plans/gold.yaml\n  headrace plan put gold --set policies.throttle.rate=100/s"},
	}
}

func nounCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, n := range nouns() {
		all = append(all, n.command())
	}
	return all
}

func (n noun) command() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{Use: n.word, Short: "List, show, put and delete " + n.many + " of a running gateway", Example: n.example})
	cmd.AddCommand(n.list(r), n.show(r), n.put(r), n.delete(r))
	return cmd
}

// thing is a thing as the admin API answers it: a body under its name.
type thing map[string]any

// text gives a field of the thing, or of its body.
func (t thing) text(field string) string {
	v, ok := t[field]
	if body, nested := t["body"].(map[string]any); nested && !ok {
		v = body[field]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		var words []string
		for _, w := range v {
			words = append(words, fmt.Sprint(w))
		}
		return strings.Join(words, " ")
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// things lists all pages of a route.
func (r *remote) things(ctx context.Context, route string, q url.Values) ([]thing, error) {
	var all []thing
	for {
		a, err := r.get(ctx, route+"?"+q.Encode())
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []thing
			Next  string
		}
		if err := a.decode(&page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

// printThings prints a table with a column for each field.
func (r *remote) printThings(all []thing, fields ...string) error {
	if r.json {
		text, err := json.Marshal(append([]thing{}, all...))
		return cmp.Or(err, r.printJSON(answer{data: text}))
	}
	var head []string
	for _, f := range fields {
		head = append(head, strings.ToUpper(f))
	}
	var rows [][]string
	for _, t := range all {
		var row []string
		for _, f := range fields {
			row = append(row, t.text(f))
		}
		rows = append(rows, row)
	}
	return r.table(head, rows)
}

func (n noun) list(r *remote) *cobra.Command {
	q := url.Values{}
	cmd := &cobra.Command{
		Use: "list", Short: "List " + n.many, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := r.things(cmd.Context(), n.route, q)
			if err != nil {
				return err
			}
			return r.printThings(all, append([]string{"name"}, n.columns...)...)
		},
	}
	if n.parent != "" {
		cmd.Flags().Func(n.parent, "only those of this "+n.parent, func(v string) error { q.Set(n.parent, v); return nil })
	}
	return cmd
}

func (n noun) show(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one as the admin API has it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := r.get(cmd.Context(), n.path(args[0]))
			if err != nil {
				return err
			}
			return r.printJSON(a)
		},
	}
}

func (n noun) path(name string) string { return n.route + "/" + url.PathEscape(name) }

func (n noun) put(r *remote) *cobra.Command {
	var set []string
	cmd := r.reasoned(&cobra.Command{
		Use:   "put NAME [FILE]",
		Short: "Make one, or change it",
		Long: "Make one, or change it. FILE has the whole body in YAML or JSON (- is the standard input); --set KEY=VALUE sets one\n" +
			"field of it, or of what is there when there is no FILE. What somebody else changed meanwhile is not overwritten.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return n.change(cmd.Context(), r, cmd.InOrStdin(), args, set)
		},
	})
	cmd.Flags().StringArrayVar(&set, "set", nil, "`KEY=VALUE`: a field, with dots for fields below; VALUE as in YAML; may be repeated")
	return cmd
}

func (n noun) change(ctx context.Context, r *remote, in io.Reader, args, set []string) error {
	name := args[0]
	have, err := r.get(ctx, n.path(name))
	known := err == nil
	if err != nil && !missing(err) {
		return err
	}
	body := map[string]any{}
	switch {
	case len(args) == 2:
		if body, err = bodyOf(in, args[1]); err != nil {
			return err
		}
	case len(set) == 0:
		return errors.New("name a FILE, or say --set KEY=VALUE")
	case known:
		var t struct{ Body map[string]any }
		if err := have.decode(&t); err != nil {
			return err
		}
		body = t.Body
		delete(body, "origin") // says how it came in, and is not ours to say
	}
	for _, s := range set {
		if err := setField(body, s); err != nil {
			return err
		}
	}
	match := []string{"If-None-Match", "*"}
	if known {
		match = []string{"If-Match", have.etag}
	}
	if _, err := r.call(ctx, "PUT", n.path(name), body, match...); err != nil {
		return err
	}
	done := "made"
	if known {
		done = "changed"
	}
	_, err = fmt.Fprintf(r.out, "%s %s %s\n", n.word, name, done)
	return err
}

// bodyOf reads a mapping in YAML or JSON.
func bodyOf(in io.Reader, file string) (map[string]any, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(in, 1<<20))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	return parseBody(file, text)
}

func parseBody(name string, text []byte) (map[string]any, error) {
	ps := &source.Problems{}
	n := source.Parse(name, text, source.DefaultLimits, ps)
	if ps.Len() == 0 && n.Kind() != source.Map {
		ps.AddFile(name, "is no mapping", "write KEY: VALUE")
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	body := map[string]any{}
	return body, json.Unmarshal(n.AppendJSON(nil), &body)
}

// setField sets KEY=VALUE in a body.
func setField(body map[string]any, text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("--set %s: write KEY=VALUE", text)
	}
	parsed, err := parseBody("--set "+key, []byte("v: "+value))
	if err != nil {
		return err
	}
	names := strings.Split(key, ".")
	for _, name := range names[:len(names)-1] {
		below, ok := body[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			body[name] = below
		}
		body = below
	}
	body[names[len(names)-1]] = parsed["v"]
	return nil
}

func (n noun) delete(r *remote) *cobra.Command {
	return r.reasoned(&cobra.Command{
		Use: "delete NAME", Short: "Delete one", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.remove(cmd.Context(), n.path(args[0]), args[0])
		},
	})
}

// remove deletes a thing as it is now.
func (r *remote) remove(ctx context.Context, path, name string) error {
	have, err := r.get(ctx, path)
	if err != nil {
		return err
	}
	if _, err := r.call(ctx, "DELETE", path, nil, "If-Match", have.etag); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "%s deleted\n", name)
	return err
}
