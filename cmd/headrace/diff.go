package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func diffCommand() *cobra.Command {
	r := &remote{}
	var output string
	cmd := r.command(&cobra.Command{
		Use:   "diff OLD NEW | DIR",
		Short: "Say what a new version of an API changes for its callers, or a workspace in the registry",
		Long: "Say what a new version of an API changes for its callers, one change a line, breaking changes first:\n" +
			"file:line:column: level: METHOD path: what changed [rule id].\n" +
			"OLD and NEW are version folders of a workspace (apis/NAME/VERSION) or OpenAPI files.\n" +
			"Exits with status 1 if there is any breaking change.\n\n" +
			"With one argument, say how a workspace differs from what the registry of a running gateway holds: what apply\n" +
			"would do, with all changes of the versions. Exits with status 1 if apply would be refused.\n",
		Example: "  headrace diff apis/orders/1.0.0 apis/orders/1.1.0\n  headrace diff .",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(output); err != nil {
				return err
			}
			if len(args) == 1 {
				r.json = r.json || output == "json"
				return diffRegistry(cmd.Context(), r, args[0])
			}
			return compare(cmd.OutOrStdout(), args[0], args[1], output)
		},
	})
	cmd.Flags().StringVar(&output, "output", "text", "text, or json for editors and CI")
	return cmd
}

func knownOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("unknown output %q; text or json", output)
	}
	return nil
}

func compare(out io.Writer, before, after, output string) error {
	was, err := contractAt(before)
	if err != nil {
		return err
	}
	is, err := contractAt(after)
	if err != nil {
		return err
	}
	changes, err := specs.Diff(was, is)
	if err != nil {
		return err
	}
	breaking := 0
	for _, c := range changes {
		if c.Level == specs.Breaking {
			breaking++
		}
	}
	if err := printChanges(out, changes, breaking, output); err != nil {
		return err
	}
	if breaking > 0 {
		return errSilent
	}
	return nil
}

func printChanges(out io.Writer, changes []specs.Change, breaking int, output string) error {
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(append([]specs.Change{}, changes...))
	}
	for _, c := range changes {
		fmt.Fprintln(out, c)
	}
	_, err := fmt.Fprintf(out, "changes: %d, breaking: %d\n", len(changes), breaking)
	return err
}

// contractAt reads a version folder or an OpenAPI file. The error is a
// *source.Error where something is wrong with the document.
func contractAt(name string) (*specs.Contract, error) {
	fsys, name, err := rooted(name)
	if err != nil {
		return nil, err
	}
	ps := &source.Problems{}
	if c := specs.LoadContract(fsys, name, ps); c != nil {
		return c, nil
	}
	return nil, &source.Error{Problems: ps.List()}
}

// rooted splits a name into the workspace and the name in it, so that
// references to files outside the folder of a version can be followed. What
// stands in no workspace has the folder above it as its root.
func rooted(name string) (fs.FS, string, error) {
	full, err := filepath.Abs(name)
	if err != nil {
		return nil, "", err
	}
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("there is no file or folder %s", name)
	}
	if err != nil {
		return nil, "", err
	}
	version := full
	if !info.IsDir() {
		version = filepath.Dir(full)
	}
	root := filepath.Dir(full)
	if apis := filepath.Dir(filepath.Dir(version)); filepath.Base(apis) == "apis" {
		root = filepath.Dir(apis)
	}
	inside, err := filepath.Rel(root, full)
	return os.DirFS(root), filepath.ToSlash(inside), err
}
