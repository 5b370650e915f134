package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

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
