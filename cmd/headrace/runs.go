package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func runsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "Look at the runs of flows of a running gateway, and decide about them",
		Long:  "Look at the runs of flows of a running gateway, and decide about them. What is decided is kept, with who did it and why.\n",
	}
	o := newOperator(cmd, "runs")
	cmd.AddCommand(
		o.runListCommand(), o.runShowCommand(),
		o.runActCommand("retry ID", "Let a stuck run go on", "retry"),
		o.runActCommand("undo ID", "Have a run undo what it has done", "undo"),
		o.runResolveCommand(),
	)
	return cmd
}

// runLine is what commands print of a run.
type runLine struct {
	ID, Operation, App, State, Class, Correlation, Cause, Reason string
	Accepted, Settled                                            time.Time
	Steps                                                        []struct {
		Visit, State, Write, Reason string
		Status                      int
		Began, Ended                time.Time
	}
}

func (o *operator) runListCommand() *cobra.Command {
	q := url.Values{}
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runList(cmd.Context(), q) },
	}
	for name, doc := range map[string]string{
		"app": "of this app", "operation": "of this operation (API/vMAJOR/operationId)", "state": "in this state", "correlation": "with this correlation id",
		"since": "accepted at this time or later (RFC 3339)", "until": "accepted before this time (RFC 3339)",
	} {
		cmd.Flags().Func(name, "only runs "+doc, func(value string) error { q.Set(name, value); return nil })
	}
	cmd.Flags().Func("limit", "most runs (default 50)", func(value string) error { q.Set("limit", value); return nil })
	return cmd
}

func (o *operator) runList(ctx context.Context, q url.Values) error {
	data, err := o.do(ctx, "GET", "?"+q.Encode(), nil)
	if err != nil || o.json {
		return errors.Join(err, o.jsonIf(err, data))
	}
	var page struct {
		Items []runLine
		Next  string
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range page.Items {
		rows = append(rows, []string{r.ID, r.State, r.Class, r.App, r.Operation, r.Correlation, r.Accepted.Format(time.RFC3339), r.Reason})
	}
	return o.table([]string{"ID", "STATE", "CLASS", "APP", "OPERATION", "CORRELATION", "ACCEPTED", "REASON"}, rows)
}

func (o *operator) runShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a run with its steps", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := o.do(cmd.Context(), "GET", "/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			return o.printRun(data)
		},
	}
}

func (o *operator) printRun(data []byte) error {
	if o.json {
		return o.printJSON(answer{data: data})
	}
	var r runLine
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%s  %s  %s  class %s, app %s, correlation %s\n", r.ID, r.State, r.Operation, r.Class, r.App, r.Correlation)
	if r.Reason != "" {
		fmt.Fprintf(o.out, "%s: %s\n", r.Cause, r.Reason)
	}
	var rows [][]string
	for _, s := range r.Steps {
		took := ""
		if !s.Ended.IsZero() {
			took = s.Ended.Sub(s.Began).Round(time.Millisecond).String()
		}
		status := ""
		if s.Status != 0 {
			status = fmt.Sprint(s.Status)
		}
		rows = append(rows, []string{s.Began.Format("15:04:05.000"), s.Visit, s.State, status, took, strings.TrimPrefix(s.Write, "/writes/"), s.Reason})
	}
	return o.table([]string{"BEGAN", "STEP", "STATE", "STATUS", "TOOK", "WRITE", "REASON"}, rows)
}

func (o *operator) runActCommand(use, short, action string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.actOnRun(cmd.Context(), args[0], action, map[string]any{})
		},
	}
}

func (o *operator) runResolveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resolve ID completed|failed|compensated", Short: "Say how a stuck run has ended, after you have looked at its systems", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.actOnRun(cmd.Context(), args[0], "resolve", map[string]any{"state": args[1]})
		},
	}
}

func (o *operator) actOnRun(ctx context.Context, id, action string, more map[string]any) error {
	data, err := o.do(ctx, "POST", "/"+url.PathEscape(id)+"/"+action, more)
	if err != nil {
		return err
	}
	return o.printRun(data)
}

func traceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace CORRELATION-ID",
		Short: "Show a business transaction over all systems: where it stands, and where the time went",
		Long:  "Show all that the ledger knows by a correlation id as a timeline: runs of flows, their steps, and writes.\n",
		Args:  cobra.ExactArgs(1),
	}
	o := newOperator(cmd, "traces")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := o.do(cmd.Context(), "GET", "/"+url.PathEscape(args[0]), nil)
		if err != nil {
			return err
		}
		if o.json {
			return o.printJSON(answer{data: data})
		}
		return o.printTrace(data)
	}
	return cmd
}

// traceLine is what is printed of a trace.
type traceLine struct {
	Correlation, State string
	Began, Ended       time.Time
	Entries            []struct {
		Kind, Run, Step, Operation, System, State, Address, Reason string
		Status, Attempts                                           int
		Began, Sent, Ended                                         time.Time
	}
	Systems []struct {
		System           string
		Calls            int
		WaitedMs, TookMs int64
	}
}

func (o *operator) printTrace(data []byte) error {
	var t traceLine
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	span := func(from, to time.Time) string {
		if from.IsZero() || to.IsZero() {
			return ""
		}
		return to.Sub(from).Round(time.Millisecond).String()
	}
	fmt.Fprintf(o.out, "%s  %s  since %s  %s\n\n", t.Correlation, t.State, t.Began.Format(time.RFC3339), span(t.Began, t.Ended))
	var rows [][]string
	for _, e := range t.Entries {
		what := e.Kind
		if e.Run != "" && e.Kind != "run" {
			what = "  " + e.Kind
		}
		status, waited, took := "", "", span(e.Began, e.Ended)
		if e.Status != 0 {
			status = fmt.Sprint(e.Status)
		}
		if e.Kind == "write" {
			waited, took = span(e.Began, e.Sent), span(e.Sent, e.Ended)
		}
		rows = append(rows, []string{"+" + span(t.Began, e.Began), what, e.Step, e.Operation, e.System, e.State, status, waited, took, e.Reason})
	}
	if err := o.table([]string{"AT", "WHAT", "STEP", "OPERATION", "SYSTEM", "STATE", "STATUS", "WAITED", "TOOK", "REASON"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, s := range t.Systems {
		rows = append(rows, []string{s.System, fmt.Sprint(s.Calls), (time.Duration(s.WaitedMs) * time.Millisecond).String(), (time.Duration(s.TookMs) * time.Millisecond).String()})
	}
	fmt.Fprintln(o.out)
	return o.table([]string{"SYSTEM", "CALLS", "WAITED", "TOOK"}, rows)
}
