package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/policies/apikey"
)

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
	var client bool
	cmd := r.command(&cobra.Command{
		Use:   "key",
		Short: "Make an API key for consumers.yaml; or make, rotate and revoke keys of a running gateway",
		Long: "Make an API key, and what consumers.yaml keeps of it. The key itself is printed once and cannot be found out again;\n" +
			"consumers.yaml keeps its prefix and its hash. The commands below make, rotate and revoke keys of a running gateway.\n",
		Example: "  headrace key\n  headrace key new shop --label \"web shop\" --expires 2160h\n  headrace key rotate 4f7a9c2e --overlap 48h\n" +
			"  headrace key new shop --client --scopes orders:read,orders:write\n  headrace key add shop --subject CN=shop,O=Acme\n  headrace key revoke 4f7a9c2e --reason leaked",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if client {
				return printClient(cmd.OutOrStdout())
			}
			key := apikey.New()
			fmt.Fprintf(cmd.OutOrStdout(), "key (hand it to the app, it is shown only now):\n  %s\n\nfor apps.NAME.keys in consumers.yaml:\n  - prefix: %s\n    hash: %s\n", key.Text, key.Prefix, key.Hash)
			return nil
		},
	})
	cmd.Flags().BoolVar(&client, "client", false, "make a client of the gateway's token endpoint instead, for apps.NAME.oauth")
	cmd.AddCommand(keyNew(r), keyAdd(r), keyRotate(r), keyRevoke(r), keyList(r))
	return cmd
}

// newKeyText is said of a key that was made.
func newKeyText(t thing) string {
	return fmt.Sprintf("key (hand it to the app, it is shown only now):\n  %s\nprefix: %s", t.text("secret"), t.text("prefix"))
}

// newClientText is said of a client that was made.
func newClientText(t thing) string {
	return fmt.Sprintf("client_secret (hand it to the app, it is shown only now):\n  %s\nclient_id: %s", t.text("secret"), t.text("id"))
}

// keyAdd adds what somebody else has made: a client of another issuer, or a certificate.
func keyAdd(r *remote) *cobra.Command {
	given := map[string]*string{}
	cmd := r.reasoned(&cobra.Command{
		Use: "add APP", Short: "Let an app prove itself by a client certificate, or by the tokens of another issuer", Args: cobra.ExactArgs(1),
		Example: "  headrace key add shop --thumbprint sha256:5f…\n  headrace key add shop --subject CN=shop,O=Acme\n  headrace key add shop --issuer https://login.example.com --id shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"type": "certificate"}
			for name, value := range given {
				if *value != "" {
					body[name] = *value
				}
			}
			if *given["issuer"] != "" || *given["id"] != "" {
				body["type"] = "client"
			}
			return r.act(cmd.Context(), "apps/"+url.PathEscape(args[0])+"/credentials", body, func(t thing) string { return t.text("name") + " added" })
		},
	})
	for name, doc := range map[string]string{
		"label": "what people call it", "issuer": "iss of the tokens, with --id", "id": "how the issuer's tokens call the app",
		"thumbprint": "sha256: and the hexadecimal SHA-256 of the certificate", "subject": "subject of the certificate as in RFC 2253",
	} {
		given[name] = cmd.Flags().String(name, "", doc)
	}
	return cmd
}

func keyNew(r *remote) *cobra.Command {
	var label, expires string
	var client bool
	var scopes []string
	cmd := r.reasoned(&cobra.Command{
		Use: "new APP", Short: "Make a key for an app, or a client of the token endpoint; it is shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"label": label}
			at, err := lifetime(expires)
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if at != nil {
				body["expires"] = at
			}
			app := "apps/" + url.PathEscape(args[0])
			switch {
			case client:
				body["scopes"] = append([]string{}, scopes...)
				return r.act(cmd.Context(), app+"/oauth-clients", body, newClientText)
			case len(scopes) > 0:
				return errors.New("--scopes belong to --client")
			}
			return r.act(cmd.Context(), app+"/keys", body, newKeyText)
		},
	})
	cmd.Flags().BoolVar(&client, "client", false, "make a client of the gateway's token endpoint instead")
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "with --client: scopes that its tokens may have")
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
			return r.printThings(all, "name", "type", "label", "created", "expires", "revoked", "lastUsed")
		},
	}
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
