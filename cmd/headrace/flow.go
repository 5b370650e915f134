package main

import "github.com/spf13/cobra"

func flowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "flow", Short: "Look at the flows of process and experience APIs"}
	cmd.AddCommand(flowGraphCommand(), flowTestCommand())
	return cmd
}
