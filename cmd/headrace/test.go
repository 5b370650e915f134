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
	t := tested{out: out}
	for _, r := range results {
		t.say(r.Mapping, r.Test, r.Position, r.Failure)
	}
	return t.end()
}

// tested prints what tests of a workspace came to, and counts.
type tested struct {
	out            io.Writer
	passed, failed int
}

// say prints a test of something; failure is empty when all is well.
func (t *tested) say(what, test string, at source.Position, failure string) {
	if failure == "" {
		t.passed++
		fmt.Fprintf(t.out, "ok    %s: %s\n", what, test)
		return
	}
	t.failed++
	fmt.Fprintf(t.out, "FAIL  %s: %s\n      %s: %s\n", what, test, at, failure)
}

// end prints how many there were; errSilent when one has failed.
func (t *tested) end() error {
	fmt.Fprintf(t.out, "%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		return errSilent
	}
	return nil
}
