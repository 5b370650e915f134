package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/policies/apikey"
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

// lifetime reads the expiry of a key or a token: a time, or a duration from now.
func lifetime(text string) (any, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(d).UTC(), nil
	}
	return moment(text)
}

// keyCommand makes keys here, for files, and there, for apps of the registry.
func keyCommand() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{
		Use:   "key",
		Short: "Make an API key for consumers.yaml; or make, rotate and revoke keys of a running gateway",
		Long: "Make an API key, and what consumers.yaml keeps of it. The key itself is printed once and cannot be found out again;\n" +
			"consumers.yaml keeps its prefix and its hash. The commands below make, rotate and revoke keys of a running gateway.\n",
		Example: "  headrace key\n  headrace key new shop --label \"web shop\" --expires 2160h\n  headrace key rotate 4f7a9c2e --overlap 48h\n  headrace key revoke 4f7a9c2e --reason leaked",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := apikey.New()
			fmt.Fprintf(cmd.OutOrStdout(), "key (hand it to the app, it is shown only now):\n  %s\n\nfor apps.NAME.keys in consumers.yaml:\n  - prefix: %s\n    hash: %s\n", key.Text, key.Prefix, key.Hash)
			return nil
		},
	})
	cmd.AddCommand(keyNew(r), keyRotate(r), keyRevoke(r), keyList(r))
	return cmd
}

// newKeyText is said of a key that was made.
func newKeyText(t thing) string {
	return fmt.Sprintf("key (hand it to the app, it is shown only now):\n  %s\nprefix: %s", t.text("secret"), t.text("prefix"))
}

func keyNew(r *remote) *cobra.Command {
	var label, expires string
	cmd := r.reasoned(&cobra.Command{
		Use: "new APP", Short: "Make a key for an app; it is shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"label": label}
			at, err := lifetime(expires)
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if at != nil {
				body["expires"] = at
			}
			return r.act(cmd.Context(), "apps/"+url.PathEscape(args[0])+"/keys", body, newKeyText)
		},
	})
	cmd.Flags().StringVar(&label, "label", "", "what people call it")
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends: a date, a time, or a duration from now")
	return cmd
}

func keyRotate(r *remote) *cobra.Command {
	var overlap, expires string
	cmd := r.reasoned(&cobra.Command{
		Use: "rotate PREFIX", Short: "Make a key that takes the place of another one, which works on for the overlap", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"overlap": overlap}
			at, err := lifetime(expires)
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if at != nil {
				body["expires"] = at
			}
			return r.act(cmd.Context(), "keys/"+url.PathEscape(args[0])+"/rotate", body, newKeyText)
		},
	})
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key works on; 0s ends it at once")
	cmd.Flags().StringVar(&expires, "expires", "", "when the new one ends: a date, a time, or a duration from now")
	return cmd
}

func keyRevoke(r *remote) *cobra.Command {
	return r.reasoned(&cobra.Command{
		Use: "revoke NAME", Short: "End a key, client or certificate at once and for good; needs --reason",
		Long: "End a credential at once and for good: a key by its prefix, another one by its name. Needs --reason.", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := r.call(cmd.Context(), "DELETE", "credentials/"+url.PathEscape(args[0]), nil, "If-Match", "*"); err != nil {
				return err
			}
			_, err := fmt.Fprintf(r.out, "%s is revoked\n", args[0])
			return err
		},
	})
}

func keyList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list APP", Short: "List the credentials of an app", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := r.things(cmd.Context(), "apps/"+url.PathEscape(args[0])+"/credentials", url.Values{})
			if err != nil {
				return err
			}
			return r.printThings(all, "name", "type", "label", "created", "expires", "revoked")
		},
	}
}

func operatorCommand() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{
		Use: "operator", Short: "List, add and remove those who may use the admin API",
		Example: "  headrace operator add ci --role architect --expires 2160h\n  headrace operator delete ci --reason \"moved to OIDC\"",
	})
	var role, expires string
	add := r.reasoned(&cobra.Command{
		Use: "add NAME", Short: "Add an operator; the token is shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0], "role": role}
			at, err := lifetime(expires)
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if at != nil {
				body["expires"] = at
			}
			return r.act(cmd.Context(), "operators", body, func(t thing) string {
				return "token (it is shown only now):\n  " + t.text("secret")
			})
		},
	})
	add.Flags().StringVar(&role, "role", "viewer", "viewer, operator, architect, partner-manager or admin")
	add.Flags().StringVar(&expires, "expires", "", "when the token ends: a date, a time, or a duration from now")
	cmd.AddCommand(add, &cobra.Command{
		Use: "list", Short: "List operators", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := r.things(cmd.Context(), "operators", url.Values{})
			if err != nil {
				return err
			}
			return r.printThings(all, "name", "role", "expires")
		},
	}, r.reasoned(&cobra.Command{
		Use: "delete NAME", Short: "Remove an operator at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.remove(cmd.Context(), "operators/"+url.PathEscape(args[0]), args[0])
		},
	}))
	return cmd
}

// fileCommand keeps the files that belong to no version.
func fileCommand() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{
		Use: "file", Short: "List, show, put and delete systems, mappings and common files of the registry",
		Example: "  headrace file put systems/erp.yaml workspace/systems/erp.yaml\n  headrace file list",
	})
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the files of the registry", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := r.things(cmd.Context(), "files", url.Values{})
			if err != nil {
				return err
			}
			return r.printThings(all, "name", "size", "changed")
		},
	}, &cobra.Command{
		Use: "show PATH", Short: "Print a file", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := r.get(cmd.Context(), "files/"+args[0])
			if err != nil {
				return err
			}
			_, err = r.out.Write(a.data)
			return err
		},
	}, r.reasoned(&cobra.Command{
		Use: "put PATH FILE", Short: "Put FILE to PATH, for example systems/erp.yaml", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return r.putFile(cmd.Context(), args[0], args[1]) },
	}), r.reasoned(&cobra.Command{
		Use: "delete PATH", Short: "Delete a file", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.remove(cmd.Context(), "files/"+args[0], args[0])
		},
	}))
	return cmd
}

func (r *remote) putFile(ctx context.Context, name, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	match := []string{"If-None-Match", "*"}
	have, err := r.get(ctx, "files/"+name)
	switch {
	case err == nil:
		match = []string{"If-Match", have.etag}
	case !missing(err):
		return err
	}
	if _, err := r.call(ctx, "PUT", "files/"+name, raw(text), match...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "%s put\n", name)
	return err
}

func auditCommand() *cobra.Command {
	r := &remote{}
	cmd := r.command(&cobra.Command{
		Use: "audit", Short: "List who changed what and why; verify that nothing of it was changed",
		Example: "  headrace audit list --actor ada\n  headrace audit verify",
	})
	q := url.Values{}
	most := 100
	list := &cobra.Command{
		Use: "list", Short: "List actions, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Set("limit", fmt.Sprint(most))
			a, err := r.get(cmd.Context(), "audit?"+q.Encode())
			if err != nil || r.json {
				return cmp.Or(err, r.jsonOf(a))
			}
			var page struct{ Items []thing }
			if err := a.decode(&page); err != nil {
				return err
			}
			return r.printThings(page.Items, "number", "at", "actor", "role", "action", "target", "revision", "reason")
		},
	}
	for name, doc := range map[string]string{"actor": "only actions of this actor", "action": "only this action", "kind": "only actions on things of this kind", "target": "only actions on this: KIND/NAME"} {
		list.Flags().Func(name, doc, func(v string) error { q.Set(name, v); return nil })
	}
	list.Flags().IntVar(&most, "limit", most, "how many at most")
	head := map[string]any{}
	verify := &cobra.Command{
		Use: "verify", Short: "Verify the chain of the audit; exits with status 1 if a row was edited, removed or inserted",
		Long: "Verify the chain of the audit. Exits with status 1 if a row was edited, removed or inserted. Keep the head that it\n" +
			"prints elsewhere: with --last and --hash of an earlier head it also finds a chain that was made anew as a whole.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.verify(cmd.Context(), head) },
	}
	verify.Flags().Func("last", "row of an earlier head, with --hash", func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		head["last"] = n
		return err
	})
	verify.Flags().Func("hash", "hash of an earlier head, with --last", func(v string) error { head["hash"] = v; return nil })
	verify.MarkFlagsRequiredTogether("last", "hash")
	cmd.AddCommand(list, verify)
	return cmd
}

func (r *remote) verify(ctx context.Context, head map[string]any) error {
	a, err := r.call(ctx, "POST", "audit/verify", head)
	if err != nil {
		return err
	}
	if r.json {
		if err := r.printJSON(a); err != nil {
			return err
		}
	}
	var verdict struct {
		Whole               bool
		First, Last, Broken int64
		Hash, Wrong         string
	}
	if err := a.decode(&verdict); err != nil {
		return err
	}
	if !verdict.Whole {
		return fmt.Errorf("the audit was changed: row %d %s", verdict.Broken, verdict.Wrong)
	}
	if !r.json {
		fmt.Fprintf(r.out, "the audit is whole: rows %d to %d, head %s\n", verdict.First, verdict.Last, verdict.Hash)
	}
	return nil
}

func usageCommand() *cobra.Command {
	r := &remote{}
	q := url.Values{}
	cmd := r.command(&cobra.Command{
		Use: "usage", Short: "Say which apps use which versions, operations and fields",
		Example: "  headrace usage --api orders --version 1.4.0\n  headrace usage --app shop --from 2027-01-01",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := r.things(cmd.Context(), "usage", q)
			if err != nil {
				return err
			}
			return r.printThings(all, "api", "version", "operation", "field", "app", "calls", "last")
		},
	})
	for name, doc := range map[string]string{"api": "of this API", "version": "of this version", "app": "of this app", "operation": "of this operation"} {
		cmd.Flags().Func(name, "only "+doc, func(v string) error { q.Set(name, v); return nil })
	}
	for name, doc := range map[string]string{"from": "from this time on", "to": "before this time"} {
		cmd.Flags().Func(name, doc+": a date or a time", func(v string) error {
			at, err := moment(v)
			q.Set(name, at.UTC().Format(time.RFC3339))
			return err
		})
	}
	return cmd
}
