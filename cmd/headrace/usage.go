package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func usageCommand() *cobra.Command {
	r := &remote{}
	q := url.Values{}
	fields := false
	cmd := r.command(&cobra.Command{
		Use: "usage", Short: "Say which apps use which versions, operations and fields",
		Example: "  headrace usage --api orders --version 1.4.0\n  headrace usage --app shop --from 2027-01-01 --fields",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fields {
				q.Set("fields", "true")
			}
			all, err := r.things(cmd.Context(), "usage", q)
			if err != nil {
				return err
			}
			columns := []string{"api", "version", "operation", "app", "calls", "last"}
			if fields {
				columns = []string{"api", "version", "operation", "field", "app", "calls", "last"}
			}
			return r.printThings(all, columns...)
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
	cmd.Flags().BoolVar(&fields, "fields", false, "by the fields of requests")
	return cmd
}
