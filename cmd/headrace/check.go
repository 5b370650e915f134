package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

func checkCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Report everything that is wrong with a workspace",
		Long: "Report everything that is wrong with a workspace, sorted, one problem a line:\n" +
			"file:line:column: path: what is wrong; what would be right.\n" +
			"Exits with status 1 if there is any problem.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return check(cmd.OutOrStdout(), args[0], output)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text, or json for editors and CI")
	return cmd
}

func check(out io.Writer, dir, output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("unknown output %q; text or json", output)
	}
	parts := newParts(slog.New(slog.DiscardHandler), ownOf(workspace.ReadConfig(dir)))
	defer parts.close()
	loaded, err := workspace.Read(dir, parts.options())
	var found *source.Error
	if err != nil && !errors.As(err, &found) {
		return err
	}
	if found == nil {
		found = &source.Error{Problems: []source.Problem{}}
		defer loaded.Table.Close()
	}
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(found.Problems); err != nil {
			return err
		}
	} else {
		for _, p := range found.Problems {
			fmt.Fprintln(out, p)
		}
	}
	if n := len(found.Problems); n > 0 {
		return errSilent
	}
	if output == "text" {
		w, operations := loaded.Workspace, 0
		for _, d := range w.Documents {
			operations += len(d.Operations)
		}
		fmt.Fprintf(out, "no problems (API versions: %d, operations: %d, systems: %d)\n", len(w.Documents), operations, len(w.Systems))
		explainRepeats(out, loaded)
	}
	return nil
}

// explainRepeats says of which writes a profile knows what a second sending does.
func explainRepeats(out io.Writer, loaded *workspace.Loaded) {
	set, ok := loaded.Systems.(layer)
	if !ok {
		return
	}
	for _, r := range set.System().Recognitions() {
		if r.Profile == "" {
			continue
		}
		text := "the request itself names what it makes: after a lost answer it is sent again"
		if r.Class == "header" {
			text = "after a lost answer it is sent again under its " + r.Header
			if r.TTL > 0 {
				text += " for " + span(r.TTL) + "; then "
				if set.System().CanConfirm(r.Operation) {
					text += "the system is asked"
				} else {
					text += "a person decides, unless the operation has confirm"
				}
			}
		} else if r.Class != "natural-key" {
			text = "after a lost answer a person decides, unless the operation says how the system can tell"
		}
		fmt.Fprintf(out, "%s: %s (profile %s)\n", r.Operation, text, r.Profile)
	}
}
