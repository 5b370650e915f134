package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/headrace/headrace/gateway/sim"
)

func simCommand() *cobra.Command {
	var listen string
	var o sim.Options
	long := "Run a simulator of a system, with its vendor's limits, error bodies and headers.\nPOST /_sim/faults makes it misbehave, GET /_sim/report tells what it saw.\n\nKinds:\n"
	for _, k := range sim.Kinds() {
		long += fmt.Sprintf("  %-10s %s\n", k.Name, k.Doc)
	}
	cmd := &cobra.Command{
		Use:   "sim KIND",
		Short: "Run a simulator of an ERP system with its limits",
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, ctx := errgroup.WithContext(cmd.Context())
			if err := simulate(ctx, g, args[0], listen, o); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s on http://%s, report at http://%s/_sim/report\n", args[0], listen, listen)
			return g.Wait()
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9101", "address to listen on")
	cmd.Flags().DurationVar(&o.Latency, "latency", 0, "time that a call takes (default: the kind's own)")
	cmd.Flags().DurationVar(&o.Jitter, "jitter", 0, "what is added to it at random")
	cmd.Flags().IntVar(&o.Concurrency, "concurrency", 0, "calls at once (default: the kind's own)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "makes data and jitter differ")
	return cmd
}
