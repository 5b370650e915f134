package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

func testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR",
		Short: "Run the tests that stand beside the mappings of a workspace",
		Long:  "Run the tests of mappings/NAME_test.yaml against mappings/NAME.jq. Exits with status 1 if one fails.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTests(cmd.OutOrStdout(), args[0])
		},
	}
}

func runTests(out io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var ps source.Problems
	results := mapping.RunTests(root.FS(), mapping.Limits{}, &ps)
	if err := ps.Err(); err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Failure == "" {
			fmt.Fprintf(out, "ok    %s: %s\n", r.Mapping, r.Test)
			continue
		}
		failed++
		fmt.Fprintf(out, "FAIL  %s: %s\n      %s: %s\n", r.Mapping, r.Test, r.Position, r.Failure)
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", len(results)-failed, failed)
	if failed > 0 {
		return errSilent
	}
	return nil
}
