package main

import (
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

func flowTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR",
		Short: "Run the tests that stand beside the flows of a workspace",
		Long: "Run the tests of apis/NAME/VERSION/flows_test.yaml against flows.arazzo.yaml, with the answers of the systems that they name.\n" +
			"Nothing is kept, and no system is called. Exits with status 1 if one fails.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return testFlows(cmd.OutOrStdout(), args[0]) },
	}
}

func testFlows(out io.Writer, dir string) error {
	parts := newParts(slog.New(slog.DiscardHandler), ownOf(workspace.ReadConfig(dir)))
	defer parts.close()
	loaded, err := workspace.Read(dir, parts.options())
	if err != nil {
		return err
	}
	defer loaded.Table.Close()
	set, ok := loaded.Systems.(layer)
	if !ok {
		return errors.New("the workspace has no flows")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	parts.flows.Use(*set.flows)
	var ps source.Problems
	results := (*set.flows).RunTests(root.FS(), &ps)
	if err := ps.Err(); err != nil {
		return err
	}
	t := tested{out: out}
	for _, r := range results {
		t.say(r.API, r.Test, r.Position, r.Failure)
	}
	return t.end()
}
