package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

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
