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
	kinds := simKinds()
	cmd := &cobra.Command{
		Use:   "sim [KIND]",
		Short: "Run a simulator of an ERP system with its limits",
		Long: "Run a simulator of a system, with its vendor's limits, error bodies and headers; without a kind, list the kinds.\n" +
			"POST /_sim/faults makes it misbehave, GET /_sim/report tells what it saw, POST /_sim/mark begins to measure.\n\n" + kinds,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprint(cmd.OutOrStdout(), kinds)
				return nil
			}
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
	cmd.Flags().IntVar(&o.Requests, "requests", 0, "calls (or size of the bucket) within the kind's main window (default: the kind's own)")
	cmd.Flags().DurationVar(&o.Window, "window", 0, "the main window (default: the kind's own)")
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "calls or points a second, where the kind has a rate (default: the kind's own)")
	cmd.Flags().Float64Var(&o.Scale, "scale", 1, "divides windows, holds and waits of the vendor, and multiplies its rates")
	cmd.Flags().Float64Var(&o.Foreign, "foreign", 0, "calls a second that do not pass a gateway; places held, where a kind limits only what is under way at once")
	cmd.Flags().IntVar(&o.Overshoot, "overshoot", 0, "calls that a lenient limit lets in above its number (netsuite)")
	cmd.Flags().IntVar(&o.Nodes, "nodes", 0, "servers with limits of their own (dataverse, sap-api-management, sap-business-one; default 1)")
	cmd.Flags().IntVar(&o.Sessions, "sessions", 0, "sessions that may be open (acumatica; default 10)")
	cmd.Flags().DurationVar(&o.Age, "age", 0, "after which a call counts as long (salesforce, sage-intacct; default: the kind's own)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "makes data and jitter differ")
	return cmd
}

// simKinds lists the kinds, one a line.
func simKinds() string {
	text := "Kinds:\n"
	for _, k := range sim.Kinds() {
		text += fmt.Sprintf("  %-20s %s\n", k.Name, k.Doc)
	}
	return text
}
