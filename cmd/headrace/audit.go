package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

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
