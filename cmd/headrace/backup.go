package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
)

func backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR FILE",
		Short: "Copy the writes of a workspace to a file, while its gateway runs",
		Long: "Copy the ledger of a workspace, the writes, to a file that does not exist yet, while its\n" +
			"gateway runs. The copy is whole, checked and synced; it has all that was acknowledged\n" +
			"before the command began. A ledger on Postgres is copied by Postgres's own tools; the\n" +
			"command prints how. How to restore a copy stands in docs/operating.md.",
		Example: "  headrace backup shop /backup/shop-monday.db",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return backup(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
		},
	}
}

func backup(ctx context.Context, out io.Writer, dir, file string) error {
	config, err := workspace.CheckedConfig(dir)
	if err != nil {
		return err
	}
	state, err := workspace.StateDirectory(dir)
	if err != nil {
		return fmt.Errorf("the state directory: %w; set STATE_DIRECTORY as it is set for the gateway", err)
	}
	address, err := config.Stores.Ledger.Resolve(state)
	if err != nil {
		return fmt.Errorf("stores.ledger: %w", err)
	}
	if !strings.HasPrefix(address, "sqlite:") {
		return dumpHint(address, file)
	}
	if err := ledger.Backup(ctx, address, file); err != nil {
		return fmt.Errorf("stores.ledger %s: %w", config.Stores.Ledger, err)
	}
	_, err = fmt.Fprintf(out, "%s is a copy of the ledger\n", file)
	return err
}

// dumpHint is the command that copies a ledger on Postgres, without its password.
func dumpHint(address, file string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("stores.ledger: the url of the Postgres server cannot be read")
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return fmt.Errorf("the ledger is on Postgres, which copies it while it is in use; run\n  pg_dump --format=custom --file='%s' '%s'\nwith the password in PGPASSWORD or ~/.pgpass", file, u)
}
