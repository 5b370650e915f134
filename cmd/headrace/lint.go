package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/lint"
	"github.com/headrace/headrace/specs/source"
)

func lintCommand() *cobra.Command {
	var output string
	var rules bool
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Say what makes APIs hard to use, to govern or to change",
		Long: "Say what makes APIs hard to use, to govern or to change, one finding a line:\n" +
			"file:line:column: severity: METHOD path: what is wrong; what would be right [rule].\n" +
			"PATH is a workspace, a version folder of one (apis/NAME/VERSION) or an OpenAPI file. lint.rules in the\n" +
			"workspace's headrace.yaml sets severities. Exits with status 1 if there is any error.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if rules {
				return printRules(cmd.OutOrStdout())
			}
			if len(args) == 0 {
				return errors.New("name a workspace, a version folder or an OpenAPI file; or --rules")
			}
			return lintAll(cmd.OutOrStdout(), args, output)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text, or json for editors and CI")
	cmd.Flags().BoolVar(&rules, "rules", false, "print the rules as Markdown: what they look for, why, and what is good and bad")
	return cmd
}

func lintAll(out io.Writer, paths []string, output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("unknown output %q; text or json", output)
	}
	findings := []lint.Finding{}
	for _, p := range paths {
		found, err := lintPath(p)
		if err != nil {
			return err
		}
		findings = append(findings, found...)
	}
	faults := 0
	for _, f := range findings {
		if f.Severity == lint.Error {
			faults++
		}
	}
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintln(out, f)
		}
		fmt.Fprintf(out, "errors: %d, warnings: %d\n", faults, len(findings)-faults)
	}
	if faults > 0 {
		return errSilent
	}
	return nil
}

// lintPath looks at the documents at a path, by the settings of its workspace.
func lintPath(name string) ([]lint.Finding, error) {
	fsys, inside, err := rooted(name)
	if err != nil {
		return nil, err
	}
	if inside != "." {
		if sub, err := fs.Sub(fsys, inside); err == nil && folder(sub, workspace.APIsDir) {
			fsys, inside = sub, "."
		}
	}
	ps := &source.Problems{}
	settings := lintSettings(fsys, ps)
	var findings []lint.Finding
	for _, document := range documents(fsys, inside) {
		if c := specs.LoadContract(fsys, document, ps); c != nil {
			findings = append(findings, lint.Check(c, settings)...)
		}
	}
	if ps.Len() > 0 {
		return nil, &source.Error{Problems: ps.List()}
	}
	return findings, nil
}

// lintSettings are those of the workspace's headrace.yaml, if it has one.
func lintSettings(fsys fs.FS, ps *source.Problems) lint.Settings {
	var c workspace.Config
	if _, err := fs.Stat(fsys, workspace.ConfigFile); err == nil {
		source.Decode(source.Read(fsys, workspace.ConfigFile, source.DefaultLimits, ps), &c, ps)
		c.Lint.Verify(ps)
	}
	return c.Lint
}

// documents lists the version folders below a workspace, or the path itself.
func documents(fsys fs.FS, inside string) []string {
	if inside != "." {
		return []string{inside}
	}
	versions, _ := fs.Glob(fsys, path.Join(workspace.APIsDir, "*", "*"))
	var list []string
	for _, v := range versions {
		if folder(fsys, v) && !strings.HasPrefix(filepath.Base(v), ".") {
			list = append(list, v)
		}
	}
	return list
}

func folder(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// printRules writes docs/lint.md.
func printRules(out io.Writer) error {
	w := &strings.Builder{}
	fmt.Fprint(w, "# Lint rules\n\nWhat `headrace lint` looks for in API documents. Errors stop a version from being published; warnings stop nothing.\n"+
		"A workspace changes severities in `headrace.yaml`:\n\n```yaml\nlint:\n  rules:\n    property-naming: off\n    api-domain: error\n```\n\nThis page is written by `headrace lint --rules`.\n")
	for _, r := range lint.Rules() {
		fmt.Fprintf(w, "\n## %s\n\n%s (%s)\n\n%s\n\nBad:\n\n```yaml\n%s```\n\nGood:\n\n```yaml\n%s```\n", r.Name, r.Summary, r.Severity, r.Why, r.Bad, r.Good)
	}
	_, err := io.WriteString(out, w.String())
	return err
}
