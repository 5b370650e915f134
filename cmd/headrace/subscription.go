package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

// act makes a call that answers a thing, and says what has become of it.
func (r *remote) act(ctx context.Context, path string, body any, say func(thing) string) error {
	a, err := r.call(ctx, "POST", path, body)
	if err != nil || r.json {
		return cmp.Or(err, r.jsonOf(a))
	}
	var t thing
	if err := a.decode(&t); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.out, say(t))
	return err
}

func subscriptionCommand() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{
		Use: "subscription", Short: "Ask for apps' subscriptions to products, and decide about them",
		Example: "  headrace subscription request shop desk gold\n  headrace subscription approve shop.desk\n  headrace subscription suspend shop.desk --reason \"unpaid\"",
	})
	state := func(t thing) string { return t.text("name") + " is " + t.text("status") + " on " + t.text("plan") }
	q := url.Values{}
	list := &cobra.Command{
		Use: "list", Short: "List subscriptions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := r.things(cmd.Context(), "subscriptions", q)
			if err != nil {
				return err
			}
			return r.printThings(all, "name", "status", "app", "product", "plan")
		},
	}
	list.Flags().Func("app", "only those of this app", func(v string) error { q.Set("app", v); return nil })
	cmd.AddCommand(list, &cobra.Command{
		Use: "show NAME", Short: "Show a subscription, with all that was decided", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := r.get(cmd.Context(), "subscriptions/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			return r.printJSON(a)
		},
	}, r.reasoned(&cobra.Command{
		Use: "request APP PRODUCT PLAN", Short: "Ask for a product on a plan, for an app", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.act(cmd.Context(), "subscriptions", map[string]string{"app": args[0], "product": args[1], "plan": args[2]}, state)
		},
	}), r.reasoned(&cobra.Command{
		Use: "plan NAME PLAN", Short: "Put a subscription on another plan", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.act(cmd.Context(), "subscriptions/"+url.PathEscape(args[0])+"/plan", map[string]string{"plan": args[1]}, state)
		},
	}))
	for _, d := range [][2]string{
		{"approve", "Let the app's calls through"}, {"reject", "Refuse a requested subscription; needs --reason"},
		{"suspend", "Refuse the app's calls until it is resumed; needs --reason"}, {"resume", "Let the calls through again"}, {"end", "End a subscription"},
	} {
		cmd.AddCommand(r.reasoned(&cobra.Command{
			Use: d[0] + " NAME", Short: d[1], Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.act(cmd.Context(), "subscriptions/"+url.PathEscape(args[0])+"/"+d[0], map[string]string{}, state)
			},
		}))
	}
	return cmd
}
