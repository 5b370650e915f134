package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/specs/source"
)

func profilesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List the limit profiles of systems that Headrace knows, and explain them",
		Long: "List the limit profiles that systems name with profile: in systems/NAME.yaml.\n" +
			"Evidence is V for what was read at the vendor, S for what others tell. Adaptive\n" +
			"profiles have no published number: they follow the system's refusals.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listProfiles(cmd.OutOrStdout()) },
	}
	cmd.AddCommand(showProfileCommand(), &cobra.Command{
		Use:   "docs",
		Short: "Print the description of all profiles (docs/profiles.md)",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return profileDocs(cmd.OutOrStdout()) },
	})
	return cmd
}

func showProfileCommand() *cobra.Command {
	var facts []string
	var output string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Explain a limit profile, with the numbers that given facts come to",
		Long: "Explain a limit profile: its facts, its limits with their formulas and what they\n" +
			"come to, the signs of overload, what the system reports, how repeated writes are\n" +
			"recognised, and where all this is published.",
		Example:           "  headrace profiles show netsuite --fact tier=premium --fact suitecloud_plus=2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profiles.Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showProfile(cmd.OutOrStdout(), args[0], facts, output)
		},
	}
	cmd.Flags().StringArrayVar(&facts, "fact", nil, "a fact as name=value; may be given several times")
	cmd.Flags().StringVar(&output, "output", "text", "text, json or yaml")
	return cmd
}

func listProfiles(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tTITLE\tLIMITS\tEVIDENCE\tADAPTIVE")
	for _, name := range profiles.Names() {
		v, err := viewOf(name, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.Name, v.Title, v.names(), v.evidence(), yes(v.AdaptiveOnly))
	}
	return w.Flush()
}

// listed is how many limits a list names before it only counts them.
const listed = 8

func (v *profileView) names() string {
	if len(v.Limits) > listed {
		return fmt.Sprintf("%d", len(v.Limits))
	}
	names := make([]string, len(v.Limits))
	for i := range v.Limits {
		names[i] = v.Limits[i].Name
	}
	return strings.Join(names, ", ")
}

// evidence is every grade that some limit has, the best first.
func (v *profileView) evidence() string {
	var grades []string
	for _, grade := range []string{"V", "S", "M"} {
		if slices.ContainsFunc(v.Limits, func(l limitView) bool { return l.Evidence == grade }) {
			grades = append(grades, grade)
		}
	}
	return strings.Join(grades, ", ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func showProfile(out io.Writer, name string, facts []string, output string) error {
	v, err := viewOf(name, facts)
	if err != nil {
		return err
	}
	switch output {
	case "text":
		v.text(out)
		return nil
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		enc := yaml.NewEncoder(out)
		enc.SetIndent(2)
		return errors.Join(enc.Encode(v), enc.Close())
	}
	return fmt.Errorf("unknown output %q; text, json or yaml", output)
}

// loadProfile reads a profile for a command.
func loadProfile(name string) (*profiles.Profile, error) {
	var ps source.Problems
	p := profiles.Load(name, &ps)
	switch {
	case ps.Len() > 0:
		return nil, ps.Err()
	case p == nil:
		return nil, fmt.Errorf("there is no profile %q; %s", name, source.DidYouMean(name, profiles.Names()))
	}
	return p, nil
}
