package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// release is what publish sends.
type release struct {
	Files      map[string][]byte `json:"files,omitempty"`
	Common     map[string][]byte `json:"common,omitempty"`
	Status     string            `json:"status"`
	Canary     *registry.Canary  `json:"canary,omitempty"`
	Exceptions []exception       `json:"exceptions,omitempty"`
}

// exception is a breaking change that is let through, and why.
type exception struct {
	Change string `json:"change"`
	Reason string `json:"reason"`
}

// exceptions reads --except ID=REASON.
type exceptions []exception

func (e *exceptions) flag(cmd *cobra.Command) {
	cmd.Flags().Func("except", "let a breaking change through: `ID=REASON`, the id as diff and the refusal print it; may be repeated", func(text string) error {
		id, reason, _ := strings.Cut(text, "=")
		if id == "" || strings.TrimSpace(reason) == "" {
			return errors.New("write ID=REASON")
		}
		*e = append(*e, exception{id, reason})
		return nil
	})
}

// publishing is the command publish.
type publishing struct {
	remote
	draft, dry   bool
	share        int
	apps         []string
	api, version string
	exceptions   exceptions
}

func publishCommand() *cobra.Command {
	p := &publishing{}
	cmd := p.reasoned(p.command(&cobra.Command{
		Use:   "publish PATH",
		Short: "Publish a version of an API: checked, compared, and live everywhere without a restart",
		Long: "Publish a version of an API. PATH is a version folder (apis/NAME/VERSION) or an OpenAPI file; a file that stands\n" +
			"elsewhere needs --api and --version. The gateway loads the version, lints it, compares it with the one that it\n" +
			"replaces, runs the mappings' tests and builds what it would serve. It refuses the version with every place that is\n" +
			"wrong. A change that breaks callers needs a new major version, or an exception with a reason. Files of the workspace's\n" +
			"common/ that the document refers to are sent with it; other files outside the folder must be there: see headrace file\n" +
			"and headrace apply.\n",
		Example: "  headrace publish --dry-run apis/orders/1.1.0\n" +
			"  headrace publish apis/orders/1.1.0 --reason \"returns, for the shops\"\n" +
			"  headrace publish apis/orders/1.2.0 --except 8cfa8875=\"nobody sends the field, see usage\"\n" +
			"  headrace publish --draft --api orders --version 2.0.0 orders.yaml",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) },
	}))
	flags := cmd.Flags()
	flags.BoolVar(&p.draft, "draft", false, "keep it as a draft that nobody is served")
	flags.BoolVar(&p.dry, "dry-run", false, "say what would happen, and do nothing")
	flags.StringVar(&p.api, "api", "", "name of the API (default: from the folder)")
	flags.StringVar(&p.version, "version", "", "semantic version (default: from the folder)")
	flags.IntVar(&p.share, "canary-share", 0, "let this percentage of the apps meet it first; publish it again without to all")
	flags.StringSliceVar(&p.apps, "canary-apps", nil, "let these apps meet it first")
	p.exceptions.flag(cmd)
	return cmd
}

func (p *publishing) run(ctx context.Context, name string) error {
	folder, err := p.locate(name)
	if err != nil {
		return err
	}
	body := release{Status: registry.Published, Exceptions: p.exceptions}
	if p.draft {
		body.Status = registry.Draft
	}
	if p.share != 0 || len(p.apps) > 0 {
		body.Canary = &registry.Canary{Share: p.share, Apps: p.apps}
	}
	if body.Files, err = folder.read(); err != nil {
		return err
	}
	if body.Common, err = folder.common(); err != nil {
		return err
	}
	where := versionPath(p.api, p.version)
	if p.dry {
		where += "?dry-run=true"
	}
	a, err := p.call(ctx, "POST", where, body)
	if err != nil || p.json {
		return cmp.Or(err, p.jsonOf(a))
	}
	return p.print(a)
}

// jsonOf prints an answer that there is.
func (r *remote) jsonOf(a answer) error {
	if a.data == nil {
		return nil
	}
	return r.printJSON(a)
}

// print says what was published, or would be.
func (p *publishing) print(a answer) error {
	var done registry.Publication
	if err := a.decode(&done); err != nil {
		return err
	}
	for _, c := range done.Changes {
		fmt.Fprintln(p.out, c)
	}
	for _, f := range done.Findings {
		fmt.Fprintf(p.out, "%s: %s: %s; %s\n", f.Position, f.Severity, f.Wrong, f.Right)
	}
	for _, e := range done.Body.Exceptions {
		fmt.Fprintf(p.out, "excepted %s: %s; %s\n", e.Change, e.Text, e.Reason)
	}
	if p.dry {
		_, err := fmt.Fprintf(p.out, "%s/%s can be published\n", p.api, p.version)
		return err
	}
	if c := done.Body.Canary; c != nil {
		fmt.Fprintf(p.out, "for %d %% of the apps, and for those named: %s\n", c.Share, strings.Join(c.Apps, " "))
	}
	_, err := fmt.Fprintf(p.out, "%s/%s is %s (revision %d, content %.12s)\n", p.api, p.version, done.Body.Status, done.Revision, done.Body.Hash)
	return err
}

func versionPath(api, version string) string {
	return "apis/" + url.PathEscape(api) + "/versions/" + url.PathEscape(version)
}

// content is what makes a version: the files of a folder, or one of them under
// another name.
type content struct {
	dir, file, as string
}

// locate finds the content at a path, and the names that the folder gives.
func (p *publishing) locate(name string) (content, error) {
	full, err := filepath.Abs(name)
	if err != nil {
		return content{}, err
	}
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, fmt.Errorf("there is no file or folder %s", name)
	} else if err != nil {
		return content{}, err
	}
	dir := full
	if !info.IsDir() {
		dir = filepath.Dir(full)
	}
	standing := filepath.Base(filepath.Dir(filepath.Dir(dir))) == workspace.APIsDir
	if standing {
		p.api, p.version = cmp.Or(p.api, filepath.Base(filepath.Dir(dir))), cmp.Or(p.version, filepath.Base(dir))
	}
	if p.api == "" || p.version == "" {
		return content{}, fmt.Errorf("%s does not stand in apis/NAME/VERSION; give --api and --version", name)
	}
	if info.IsDir() || standing {
		return content{dir: dir}, nil
	}
	return content{file: full, as: "openapi" + filepath.Ext(full)}, nil
}

// read reads the files, without hidden ones and without the lifecycle, which is the registry's.
func (c content) read() (map[string][]byte, error) {
	if c.file != "" {
		text, err := os.ReadFile(c.file)
		return map[string][]byte{c.as: text}, err
	}
	files, err := readFiles(c.dir, ".")
	delete(files, specs.LifecycleFile)
	return files, err
}

// common reads the files below common/ that the document refers to, by their
// paths in the workspace; none where the folder stands in no workspace. What is
// wrong with the document is for the gateway to say.
func (c content) common() (map[string][]byte, error) {
	apis := filepath.Dir(filepath.Dir(c.dir))
	if c.file != "" || filepath.Base(apis) != workspace.APIsDir {
		return nil, nil
	}
	root, err := os.OpenRoot(filepath.Dir(apis))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var ignored source.Problems
	_, uses := workspace.Inspect(root.FS(), path.Join(workspace.APIsDir, filepath.Base(filepath.Dir(c.dir)), filepath.Base(c.dir)), &ignored)
	files := map[string][]byte{}
	for name := range uses {
		if !strings.HasPrefix(name, registry.CommonDir+"/") {
			continue
		}
		if files[name], err = fs.ReadFile(root.FS(), name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// mostSent is what a command sends of files.
const mostSent = 64 << 20

// readFiles reads what stands below a folder's entry, without hidden files.
func readFiles(dir, below string) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, total := map[string][]byte{}, 0
	err = fs.WalkDir(root.FS(), below, func(name string, e fs.DirEntry, err error) error {
		hidden := name != "." && strings.HasPrefix(path.Base(name), ".")
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == below:
			return nil
		case err != nil:
			return err
		case e.IsDir() && hidden:
			return fs.SkipDir
		case e.IsDir(), hidden:
			return nil
		}
		text, err := fs.ReadFile(root.FS(), name)
		files[name] = text
		if total += len(text); total > mostSent {
			return fmt.Errorf("%s holds more than %s", dir, source.Size(mostSent))
		}
		return err
	})
	return files, err
}

// life are the commands that move a version on.
type life struct {
	remote
	sunset, since, successor, link string
	override                       bool
}

func deprecateCommand() *cobra.Command {
	l := &life{}
	cmd := l.reasoned(l.command(&cobra.Command{
		Use:   "deprecate API VERSION",
		Short: "Say that a version will end: callers see Deprecation, Sunset and Link headers",
		Long: "Say that the version that is served of a major will end. Callers see Deprecation, Sunset and Link headers from now\n" +
			"on, and 410 after the sunset. Saying it again changes the dates. restore takes it back.\n",
		Example: "  headrace deprecate orders 1.4.0 --sunset 2027-06-30 --successor /orders/v2 --reason \"2.0 is out\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			if l.successor != "" {
				body["successor"] = l.successor
			}
			if l.link != "" {
				body["link"] = l.link
			}
			for name, text := range map[string]string{"sunset": l.sunset, "since": l.since} {
				if text == "" {
					continue
				}
				at, err := moment(text)
				if err != nil {
					return fmt.Errorf("--%s: %w", name, err)
				}
				body[name] = at
			}
			return l.move(cmd.Context(), args, "deprecate", body)
		},
	}))
	flags := cmd.Flags()
	flags.StringVar(&l.sunset, "sunset", "", "when it ends: a date or a time as in RFC 3339")
	flags.StringVar(&l.since, "since", "", "since when it is deprecated (default: now)")
	flags.StringVar(&l.successor, "successor", "", "what to use instead: a path of the gateway or a URL")
	flags.StringVar(&l.link, "link", "", "URL of a page about the move")
	return cmd
}

func restoreCommand() *cobra.Command {
	l := &life{}
	return l.reasoned(l.command(&cobra.Command{
		Use:     "restore API VERSION",
		Short:   "Take a deprecation back",
		Example: "  headrace restore orders 1.4.0 --reason \"2.0 is late\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.move(cmd.Context(), args, "restore", map[string]any{})
		},
	}))
}

func retireCommand() *cobra.Command {
	l := &life{}
	cmd := l.reasoned(l.command(&cobra.Command{
		Use:   "retire API VERSION",
		Short: "End a deprecated version: it answers 410",
		Long: "End a deprecated version: it answers 410 with its successor. It is refused before the sunset, and while apps use the\n" +
			"version, unless --override is given with a reason.\n",
		Example: "  headrace retire orders 1.4.0 --reason \"the sunset has come\"\n" +
			"  headrace retire orders 1.4.0 --override --reason \"a leak; the last caller was told\"",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.move(cmd.Context(), args, "retire", map[string]any{"override": l.override})
		},
	}))
	cmd.Flags().BoolVar(&l.override, "override", false, "retire it though it is promised or in use; needs --reason")
	return cmd
}

func withdrawCommand() *cobra.Command {
	l := &life{}
	return l.reasoned(l.command(&cobra.Command{
		Use:     "withdraw API VERSION",
		Short:   "End a canary: its apps go back to the version that all others meet; needs --reason",
		Example: "  headrace withdraw orders 1.5.0 --reason \"totals are wrong\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.move(cmd.Context(), args, "withdraw", map[string]any{})
		},
	}))
}

func shadowCommand() *cobra.Command {
	l := &life{}
	var on, off bool
	cmd := l.reasoned(l.command(&cobra.Command{
		Use:   "shadow API VERSION",
		Short: "Try a draft on live traffic without deciding it, and say what it would have refused",
		Long: "Say what a draft would have refused of the live traffic of its major, and whose. --on begins to try it, --off ends\n" +
			"that. Callers see nothing of it.\n",
		Example: "  headrace publish --draft apis/orders/1.5.0\n  headrace shadow orders 1.5.0 --on\n  headrace shadow orders 1.5.0",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if on || off {
				return l.move(cmd.Context(), args, "shadow", map[string]any{"on": on})
			}
			return l.report(cmd.Context(), args)
		},
	}))
	cmd.Flags().BoolVar(&on, "on", false, "begin to try it")
	cmd.Flags().BoolVar(&off, "off", false, "end that")
	cmd.MarkFlagsMutuallyExclusive("on", "off")
	return cmd
}

// report says what a candidate would have refused.
func (l *life) report(ctx context.Context, args []string) error {
	a, err := l.get(ctx, versionPath(args[0], args[1])+"/shadow")
	if err != nil || l.json {
		return cmp.Or(err, l.jsonOf(a))
	}
	var found struct {
		Checked, Refused int64
		Share            float64
		Places           []struct {
			App, Operation, Pointer string
			Calls                   int64
		}
	}
	if err := a.decode(&found); err != nil {
		return err
	}
	fmt.Fprintf(l.out, "would have refused %d of %d calls (%.1f %%)\n", found.Refused, found.Checked, 100*found.Share)
	for _, p := range found.Places {
		fmt.Fprintf(l.out, "  %d from %s, at %s of %s\n", p.Calls, cmp.Or(p.App, "callers whom nobody knows"), cmp.Or(p.Pointer, "the whole"), p.Operation)
	}
	return nil
}

func (l *life) move(ctx context.Context, args []string, action string, body map[string]any) error {
	a, err := l.call(ctx, "POST", versionPath(args[0], args[1])+"/"+action, body)
	if err != nil || l.json {
		return cmp.Or(err, l.jsonOf(a))
	}
	var done registry.Item[registry.Version]
	if err := a.decode(&done); err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.out, "%s is %s (revision %d)\n", done.Name, done.Body.Status, done.Revision)
	return err
}

// moment reads a time, or the first moment of a day in UTC.
func moment(text string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is not a time; write 2027-06-30 or 2027-06-30T12:00:00Z", text)
	}
	return at, nil
}
