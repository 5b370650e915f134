// Command headrace is the gateway and everything around it in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // quotas and calendar windows work where the system has no time zones

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/specs/source"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := root().ExecuteContext(ctx); err != nil {
		report(err)
		os.Exit(1)
	}
}

// report prints an error for people. Problems stand alone, one a line, as
// editors expect them.
func report(err error) {
	var problems *source.Error
	if errors.As(err, &problems) {
		fmt.Fprintln(os.Stderr, problems.Error())
		return
	}
	var refusal *refused
	if errors.As(err, &refusal) {
		fmt.Fprintln(os.Stderr, "headrace:", refusal.Error())
		return
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(os.Stderr, "headrace:", err)
	}
}

// errSilent ends a command with status 1 after it has said everything itself.
var errSilent = errors.New("failed")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "headrace",
		Short:         "API management gateway that leads traffic to ERP systems at the rate they can take",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(serveCommand(), demoCommand(), checkCommand(), lintCommand(), diffCommand(), testCommand(), schemaCommand(), referenceCommand(), simCommand(), keyCommand(), profilesCommand(), replicasCommand(), writesCommand(), runsCommand(), traceCommand(), backupCommand())
	cmd.AddCommand(publishCommand(), deprecateCommand(), restoreCommand(), retireCommand(), withdrawCommand(), shadowCommand(), listCommand(), showCommand(), exportCommand(), applyCommand(),
		fileCommand(), subscriptionCommand(), operatorCommand(), auditCommand(), usageCommand(), flowCommand())
	cmd.AddCommand(nounCommands()...)
	strict(cmd.Commands())
	return cmd
}

// strict has commands that only hold others refuse names that none of them has.
// Their help is no success: a script would take a key for revoked that is not.
func strict(list []*cobra.Command) {
	for _, cmd := range list {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return nil
				}
				return fmt.Errorf("unknown command %q for %q; %s --help lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
			}
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		strict(cmd.Commands())
	}
}

// version is the module's version, or the revision that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
