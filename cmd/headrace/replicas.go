package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/workspace"
)

func replicasCommand() *cobra.Command {
	var forget, output string
	cmd := &cobra.Command{
		Use:   "replicas DIR",
		Short: "List who shares the counts of the systems in Redis, or give up one that is gone",
		Long: "List the replicas of each system of a workspace, as the Redis of stores.counters\n" +
			"knows them: present, missing (it may be going on alone by its share), awaited (it has\n" +
			"not come back since the counts were lost) or gone (what it may have sent is waited for).\n" +
			"The share of a missing replica is left free for it until stores.alone is over. --forget\n" +
			"gives it to the others as soon as what it may have sent is over. Do so only when\n" +
			"its process has surely ended. The breaker is that of the system, for all replicas:\n" +
			"closed, open, or half-open while one of them tries whether the system works again.",
		Example: "  headrace replicas shop --forget gateway-2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("unknown output %q; text or json", output)
			}
			systems, err := systemNames(args[0])
			if err != nil {
				return err
			}
			stores := workspace.ReadConfig(args[0]).Stores
			if stores.Counters.InMemory() {
				return errors.New("this workspace keeps its counts in memory; only stores.counters with Redis has replicas")
			}
			client, err := dialCounters(stores.Counters)
			if err != nil {
				return err
			}
			defer client.Close()
			if forget != "" {
				return forgetReplica(cmd.Context(), cmd.OutOrStdout(), client, systems, forget)
			}
			return listReplicas(cmd.Context(), cmd.OutOrStdout(), client, systems, output)
		},
	}
	cmd.Flags().StringVar(&forget, "forget", "", "name of a replica that is gone for good")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

// systemNames are the systems of a workspace, whatever else is wrong with it.
func systemNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, workspace.SystemsDir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// replicaRow is a replica of a system as it is listed; times are in seconds.
type replicaRow struct {
	System  string  `json:"system"`
	Replica string  `json:"replica"`
	State   string  `json:"state"`
	Share   float64 `json:"share"`
	Beat    float64 `json:"last_beat_seconds"`
	Kept    float64 `json:"share_kept_seconds"`
	// Breaker is that of the system: closed, open or half-open; Tries tells that this
	// replica tries whether the system works again.
	Breaker string `json:"breaker"`
	Tries   bool   `json:"tries,omitempty"`
}

// breakerOf is the state of a breaker that has suspended a system so.
func breakerOf(s budget.Suspension) string {
	switch {
	case s.For > 0:
		return "open"
	case s.Trial:
		return "half-open"
	}
	return "closed"
}

func listReplicas(ctx context.Context, out io.Writer, client counter.Client, systems []string, output string) error {
	rows := []replicaRow{}
	for _, name := range systems {
		replicas, err := counter.Replicas(ctx, client, name)
		if err != nil {
			return err
		}
		for _, r := range replicas {
			rows = append(rows, replicaRow{name, r.Name, string(r.State), r.Share, r.Beat.Seconds(), r.Kept.Seconds(), breakerOf(r.Suspension), r.Suspension.Mine})
		}
	}
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SYSTEM\tREPLICA\tSTATE\tSHARE\tLAST BEAT\tSHARE KEPT FOR\tBREAKER")
	seconds := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
	}
	for _, r := range rows {
		kept := "-"
		if r.Kept > 0 {
			kept = seconds(r.Kept).String()
		}
		breaker := r.Breaker
		if r.Tries {
			breaker += ", tries"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s ago\t%s\t%s\n", r.System, r.Replica, r.State, r.Share, seconds(r.Beat), kept, breaker)
	}
	return w.Flush()
}

// forgetReplica gives a replica up for all systems that know it. If it is there
// for one of them, it is not gone, and nothing is said of the others.
func forgetReplica(ctx context.Context, out io.Writer, client counter.Client, systems []string, name string) error {
	found := false
	for _, system := range systems {
		err := counter.Forget(ctx, client, system, name)
		switch {
		case errors.Is(err, counter.ErrNoReplica):
			continue
		case errors.Is(err, counter.ErrPresent):
			return fmt.Errorf("%s is there and shares the counts of %s; only a replica that is missing can be forgotten", name, system)
		case err != nil:
			return err
		}
		found = true
		fmt.Fprintf(out, "%s: %s is forgotten; its share is free as soon as what it may have sent is over\n", system, name)
	}
	if !found {
		return fmt.Errorf("no missing replica is called %s; headrace replicas DIR lists them", name)
	}
	return nil
}
