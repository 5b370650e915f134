package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/policies/apikey"
)

func keyCommand() *cobra.Command {
	var client bool
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make an API key, and what consumers.yaml keeps of it",
		Long:  "Make an API key. The key itself is printed once and cannot be found out again; consumers.yaml keeps its prefix and its hash.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if client {
				return printClient(cmd.OutOrStdout())
			}
			key := apikey.New()
			fmt.Fprintf(cmd.OutOrStdout(), "key (hand it to the app, it is shown only now):\n  %s\n\nfor apps.NAME.keys in consumers.yaml:\n  - prefix: %s\n    hash: %s\n", key.Text, key.Prefix, key.Hash)
			return nil
		},
	}
	cmd.Flags().BoolVar(&client, "client", false, "make a client of the gateway's token endpoint instead")
	return cmd
}

// printClient makes a client of the token endpoint, with 256 bits of secret.
func printClient(out io.Writer) error {
	var id [9]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	text := "hrs_" + base64.RawURLEncoding.EncodeToString(secret[:])
	_, err := fmt.Fprintf(out, "client_secret (hand it to the app, it is shown only now):\n  %s\n\nfor apps.NAME.oauth in consumers.yaml:\n  - id: %s\n    hash: sha256:%x\n",
		text, fmt.Sprintf("hrc_%x", id), sha256.Sum256([]byte(text)))
	return err
}
