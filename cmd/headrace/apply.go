package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// proposed are files as plan and apply send them.
type proposed struct {
	Files      map[string][]byte `json:"files"`
	Exceptions []exception       `json:"exceptions,omitempty"`
	// Revision is the plan's, when it is applied.
	Revision *int64 `json:"revision,omitempty"`
}

// applying is the command apply.
type applying struct {
	remote
	yes        bool
	exceptions exceptions
	in         io.Reader
}

func applyCommand() *cobra.Command {
	p := &applying{}
	cmd := p.reasoned(p.command(&cobra.Command{
		Use:   "apply DIR",
		Short: "Make the registry say what the files of a workspace say: all or nothing",
		Long: "Make the registry of a running gateway say what the files of a workspace say: its API versions, systems, mappings,\n" +
			"common files and consumers; headrace.yaml belongs to a process and is left aside. The plan is shown first, and\n" +
			"applied after it was agreed to, all or nothing. When the registry has changed since, nothing is done.\n" +
			"What came in by apply and is gone from the files is deleted; what came in by other ways stays.\n" +
			"Exits with status 1 when the plan is refused, or not agreed to.\n",
		Example: "  headrace apply .\n  headrace apply . --yes --reason \"$(git log -1 --format=%s)\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.in = cmd.InOrStdin()
			return p.run(cmd.Context(), args[0])
		},
	}))
	cmd.Flags().BoolVar(&p.yes, "yes", false, "apply the plan without asking")
	p.exceptions.flag(cmd)
	return cmd
}

// filesOf reads what the registry keeps of a workspace.
func filesOf(dir string) (map[string][]byte, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, cmp.Or(err, fmt.Errorf("%s is not a folder", dir))
	}
	all := map[string][]byte{}
	for _, below := range []string{workspace.APIsDir, workspace.SystemsDir, workspace.MappingsDir, registry.CommonDir, workspace.ConsumersDir, workspace.ConsumersFile} {
		files, err := readFiles(dir, below)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is no workspace: it has none of apis, systems, mappings, common, consumers and consumers.yaml", dir)
	}
	return all, nil
}

// plan asks what the files would change.
func (r *remote) plan(ctx context.Context, body proposed) (answer, *registry.Proposal, error) {
	a, err := r.call(ctx, "POST", "plan", body)
	if err != nil {
		return a, nil, err
	}
	p := &registry.Proposal{}
	return a, p, a.decode(p)
}

func (p *applying) run(ctx context.Context, dir string) error {
	files, err := filesOf(dir)
	if err != nil {
		return err
	}
	body := proposed{Files: files, Exceptions: p.exceptions}
	_, plan, err := p.plan(ctx, body)
	if err != nil {
		return err
	}
	if !p.json {
		printPlan(p.out, plan, false)
	}
	switch {
	case plan.Refused():
		return cmp.Or(problemsOf(plan), errSilent)
	case len(plan.Steps) == 0:
		return nil
	}
	if !p.yes {
		if err := p.ask(); err != nil {
			return err
		}
	}
	body.Revision = &plan.Revision
	a, err := p.call(ctx, "POST", "apply", body)
	if err != nil || p.json {
		return cmp.Or(err, p.jsonOf(a))
	}
	_, err = fmt.Fprintln(p.out, "applied")
	return err
}

// ask lets only a plain yes through.
func (p *applying) ask() error {
	fmt.Fprint(p.out, "Apply this plan? Only yes is taken for it: ")
	line, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != "yes" {
		fmt.Fprintln(p.out)
		return errors.New("nothing was applied; --yes applies without asking")
	}
	return nil
}

// problemsOf are those of the files; nil when there are none.
func problemsOf(plan *registry.Proposal) error {
	if len(plan.Problems) == 0 {
		return nil
	}
	return &source.Error{Problems: plan.Problems}
}

// signs stand before the steps of a plan.
func signOf(s registry.Proposed) string {
	switch {
	case s.Refused:
		return "!"
	case s.Action == "create", s.Action == "publish", s.Action == "draft":
		return "+"
	case s.Action == "delete", s.Action == "retire":
		return "-"
	}
	return "~"
}

// printPlan shows what would be done. all shows compatible changes, too.
func printPlan(out io.Writer, plan *registry.Proposal, all bool) {
	if len(plan.Steps) == 0 && len(plan.Problems) == 0 {
		fmt.Fprintf(out, "nothing to do: the registry says what the files say (revision %d)\n", plan.Revision)
		return
	}
	count := map[string]int{}
	for _, s := range plan.Steps {
		sign := signOf(s)
		count[sign]++
		fmt.Fprintf(out, "%s %s\n", sign, s)
		for _, c := range s.Changes {
			if all || c.Level == registry.Breaking {
				fmt.Fprintf(out, "%s\n", c)
			}
		}
	}
	fmt.Fprintf(out, "plan of revision %d: %d to add, %d to change, %d to remove", plan.Revision, count["+"], count["~"], count["-"])
	if plan.Refused() {
		fmt.Fprintf(out, "; refused: %d, problems: %d", count["!"], len(plan.Problems))
	}
	fmt.Fprintln(out)
}

// diffRegistry says how a workspace differs from what the running registry holds.
func diffRegistry(ctx context.Context, r *remote, dir string) error {
	files, err := filesOf(dir)
	if err != nil {
		return err
	}
	a, plan, err := r.plan(ctx, proposed{Files: files})
	if err != nil {
		return err
	}
	if r.json {
		if err := r.printJSON(a); err != nil {
			return err
		}
	} else {
		printPlan(r.out, plan, true)
	}
	if plan.Refused() {
		return cmp.Or(problemsOf(plan), errSilent)
	}
	return nil
}
