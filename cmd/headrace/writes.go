package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// operator is the admin API as the commands about writes, runs and traces see it.
type operator struct {
	remote
	below string // what they are about, below /admin/v1
}

// newOperator gives a command the flags of an operator.
func newOperator(cmd *cobra.Command, below string) *operator {
	o := &operator{below: below}
	o.command(cmd).PersistentFlags().StringVar(&o.reason, "reason", "", "why, for the audit and the timeline")
	return o
}

func writesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "writes",
		Short: "Look at the writes of a running gateway, and decide about them",
		Long:  "Look at the writes of a running gateway, and decide about them. What is decided is kept, with who did it and why.\n",
	}
	o := newOperator(cmd, "writes")
	cmd.AddCommand(
		o.listCommand(), o.exportCommand(), o.showCommand(), o.explainCommand(),
		o.oneCommand("cancel ID", "Take back a write that has not been sent", "cancel"),
		o.oneCommand("retry ID", "Send a held write now, or a dead one again", "retry"),
		o.oneCommand("discard ID", "Give up a dead write; its lanes go on", "discard"),
		o.resolveCommand(), o.editCommand(), o.groupsCommand(), o.pauseCommand("pause", "Stop the writes of a system, or of one of its keys"),
		o.pauseCommand("resume", "Let the writes of a system or key go on"), o.pausesCommand(), o.auditCommand(),
	)
	return cmd
}

// do makes a call about what the commands are about.
func (o *operator) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	a, err := o.call(ctx, method, o.below+path, body)
	return a.data, err
}

// writeLine is what commands print of a write.
type writeLine struct {
	ID, System, App, Operation, State, Class, Reason, Group string
	Keys                                                    []string
	Accepted                                                time.Time
	Attempts                                                int
	NeedsAttention                                          bool
	Why                                                     []string
	Steps                                                   []struct {
		At                            time.Time
		State, Reason, Actor, Replica string
		Status                        int
	}
}

func (w *writeLine) state() string {
	if w.NeedsAttention {
		return w.State + "!"
	}
	return w.State
}

// filterFlags are what a list can be restricted by.
func filterFlags(cmd *cobra.Command, q url.Values) {
	for name, doc := range map[string]string{
		"system": "of this system", "app": "of this app", "operation": "of this operation (API/vMAJOR/operationId)", "state": "in this state",
		"key": "of this business key (NAME=VALUE)", "correlation": "with this correlation id", "group": "dead ones of this cause",
		"since": "accepted at this time or later (RFC 3339)", "until": "accepted before this time (RFC 3339)", "age": "accepted longer ago than this, for example 10m",
	} {
		cmd.Flags().Func(name, "only writes "+doc, func(value string) error { q.Set(name, value); return nil })
	}
	for name, doc := range map[string]string{"dead": "only writes that need a decision", "oldest": "the oldest first"} {
		cmd.Flags().BoolFunc(name, doc, func(value string) error { q.Set(name, value); return nil })
	}
}

func (o *operator) listCommand() *cobra.Command {
	q := url.Values{}
	cmd := &cobra.Command{
		Use: "list", Short: "List writes, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.list(cmd.Context(), q) },
	}
	filterFlags(cmd, q)
	cmd.Flags().Func("limit", "most writes (default 50)", func(value string) error { q.Set("limit", value); return nil })
	return cmd
}

func (o *operator) list(ctx context.Context, q url.Values) error {
	data, err := o.do(ctx, "GET", "?"+q.Encode(), nil)
	if err != nil || o.json {
		return errors.Join(err, o.jsonIf(err, data))
	}
	var page struct {
		Items []writeLine
		Next  string
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return err
	}
	var rows [][]string
	for _, w := range page.Items {
		rows = append(rows, []string{w.ID, w.state(), w.Class, w.System, w.App, w.Operation, strings.Join(w.Keys, " "), w.Accepted.Format(time.RFC3339), w.Reason})
	}
	if err := o.table([]string{"ID", "STATE", "CLASS", "SYSTEM", "APP", "OPERATION", "KEYS", "ACCEPTED", "REASON"}, rows); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintln(o.out, "there are more; raise --limit, or see headrace writes export")
	}
	return nil
}

func (o *operator) jsonIf(err error, data []byte) error {
	if err != nil {
		return nil
	}
	return o.printJSON(answer{data: data})
}

func (o *operator) exportCommand() *cobra.Command {
	q := url.Values{}
	cmd := &cobra.Command{
		Use: "export", Short: "Print writes whole, with requests, outcomes and timelines, one JSON a line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			resp, err := o.open(cmd.Context(), "GET", "writes/export?"+q.Encode(), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(o.out, resp.Body)
			return err
		},
	}
	filterFlags(cmd, q)
	return cmd
}

func (o *operator) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print a write whole, as JSON", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := o.do(cmd.Context(), "GET", "/"+url.PathEscape(args[0]), nil)
			return errors.Join(err, o.jsonIf(err, data))
		},
	}
}

func (o *operator) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain ID", Short: "Say why a write stands where it does", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := o.do(cmd.Context(), "GET", "/"+url.PathEscape(args[0])+"/explain", nil)
			if err != nil || o.json {
				return errors.Join(err, o.jsonIf(err, data))
			}
			var w writeLine
			if err := json.Unmarshal(data, &w); err != nil {
				return err
			}
			fmt.Fprintf(o.out, "%s %s, %s of the app %q, class %s, accepted %s\n", w.ID, w.state(), w.Operation, w.App, w.Class, w.Accepted.Format(time.RFC3339))
			for _, why := range w.Why {
				fmt.Fprintln(o.out, "  "+why)
			}
			for _, s := range w.Steps {
				fmt.Fprintln(o.out, strings.TrimRight(fmt.Sprintf("  %s  %-10s %s %s", s.At.Format(time.RFC3339Nano), s.State, s.Reason, s.Actor), " "))
			}
			return nil
		},
	}
}

// did prints what became of a write that something was done to.
func (o *operator) did(data []byte, err error) error {
	if err != nil || o.json {
		return errors.Join(err, o.jsonIf(err, data))
	}
	var w writeLine
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "%s is %s\n", w.ID, w.state())
	return err
}

func (o *operator) oneCommand(use, short, action string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.did(o.do(cmd.Context(), "POST", "/"+url.PathEscape(args[0])+"/"+action, map[string]any{}))
		},
	}
}

func (o *operator) resolveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resolve ID delivered|refused|held", Short: "Say what became of a doubtful write", Args: cobra.ExactArgs(2),
		Long: "Say what became of a doubtful write: delivered (it was done), refused (it was not, and shall not be)\n" +
			"or held (it was not, and is sent again).",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.did(o.do(cmd.Context(), "POST", "/"+url.PathEscape(args[0])+"/resolve", map[string]any{"state": args[1]}))
		},
	}
}

func (o *operator) editCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "edit ID --body FILE", Short: "Send a changed body in the place of a held or dead write", Args: cobra.ExactArgs(1),
		Long: "Send a changed body in the place of a held or dead write. It is checked against the API's document;\n" +
			"both bodies are kept, each with the other's id.",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readBody(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			return o.did(o.do(cmd.Context(), "POST", "/"+url.PathEscape(args[0])+"/edit", map[string]any{"body": data}))
		},
	}
	cmd.Flags().StringVar(&file, "body", "", "file of the new body; - for standard input")
	if err := cmd.MarkFlagRequired("body"); err != nil {
		panic(err) // the flag stands above
	}
	return cmd
}

// readBody reads a body: JSON as it is, anything else as a text.
func readBody(in io.Reader, file string) (json.RawMessage, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	if json.Valid(data) {
		return data, nil
	}
	return json.Marshal(string(data))
}

func (o *operator) groupsCommand() *cobra.Command {
	var system string
	cmd := &cobra.Command{
		Use: "groups", Short: "List dead writes by cause; retry or discard a whole group", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.groups(cmd.Context(), system) },
	}
	cmd.Flags().StringVar(&system, "system", "", "only of this system")
	for action, short := range map[string]string{"retry": "Send all dead writes of a group again, in class low", "discard": "Give up all dead writes of a group"} {
		var class string
		sub := &cobra.Command{
			Use: action + " SYSTEM OPERATION GROUP", Short: short, Args: cobra.ExactArgs(3),
			RunE: func(cmd *cobra.Command, args []string) error {
				body := map[string]any{"system": args[0], "operation": args[1], "group": args[2]}
				if class != "" {
					body["class"] = class
				}
				data, err := o.do(cmd.Context(), "POST", "/groups/"+action, body)
				return errors.Join(err, o.jsonIf(err, data))
			},
		}
		if action == "retry" {
			sub.Flags().StringVar(&class, "class", "", "class to send them in (default low)")
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

func (o *operator) groups(ctx context.Context, system string) error {
	data, err := o.do(ctx, "GET", "/groups?system="+url.QueryEscape(system), nil)
	if err != nil || o.json {
		return errors.Join(err, o.jsonIf(err, data))
	}
	var list struct {
		Items []struct {
			System, Operation, Group, Example string
			Writes                            int64
			Oldest, Newest                    time.Time
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	var rows [][]string
	for _, g := range list.Items {
		rows = append(rows, []string{fmt.Sprint(g.Writes), g.System, g.Operation, g.Group, g.Oldest.Format(time.RFC3339), g.Newest.Format(time.RFC3339), g.Example})
	}
	return o.table([]string{"WRITES", "SYSTEM", "OPERATION", "GROUP", "OLDEST", "NEWEST", "EXAMPLE"}, rows)
}

func (o *operator) pauseCommand(action, short string) *cobra.Command {
	return &cobra.Command{
		Use: action + " SYSTEM [KEY]", Short: short, Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"system": args[0]}
			if len(args) == 2 {
				body["key"] = args[1]
			}
			data, err := o.do(cmd.Context(), "POST", "/pauses/"+action, body)
			return o.printPauses(data, err)
		},
	}
}

func (o *operator) pausesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pauses", Short: "List what is paused", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := o.do(cmd.Context(), "GET", "/pauses", nil)
			return o.printPauses(data, err)
		},
	}
}

func (o *operator) printPauses(data []byte, err error) error {
	if err != nil || o.json {
		return errors.Join(err, o.jsonIf(err, data))
	}
	var list struct {
		Items []struct {
			System, Key, Actor, Reason string
			Since                      time.Time
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	var rows [][]string
	for _, p := range list.Items {
		rows = append(rows, []string{p.System, p.Key, p.Since.Format(time.RFC3339), p.Actor, p.Reason})
	}
	return o.table([]string{"SYSTEM", "KEY", "SINCE", "ACTOR", "REASON"}, rows)
}

func (o *operator) auditCommand() *cobra.Command {
	return &cobra.Command{
		Use: "audit", Short: "List what operators did, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := o.do(cmd.Context(), "GET", "/audit", nil)
			if err != nil || o.json {
				return errors.Join(err, o.jsonIf(err, data))
			}
			var list struct {
				Items []struct {
					At                            time.Time
					Actor, Reason, Action, Target string
				}
			}
			if err := json.Unmarshal(data, &list); err != nil {
				return err
			}
			var rows [][]string
			for _, a := range list.Items {
				rows = append(rows, []string{a.At.Format(time.RFC3339), a.Actor, a.Action, a.Target, a.Reason})
			}
			return o.table([]string{"AT", "ACTOR", "ACTION", "TARGET", "REASON"}, rows)
		},
	}
}
