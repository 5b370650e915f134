package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/policies/apikey"
)

func keyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Make an API key, and what consumers.yaml keeps of it",
		Long:  "Make an API key. The key itself is printed once and cannot be found out again; consumers.yaml keeps its prefix and its hash.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := apikey.New()
			fmt.Fprintf(cmd.OutOrStdout(), "key (hand it to the app, it is shown only now):\n  %s\n\nfor apps.NAME.keys in consumers.yaml:\n  - prefix: %s\n    hash: %s\n", key.Text, key.Prefix, key.Hash)
			return nil
		},
	}
}
