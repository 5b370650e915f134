package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func flowGraphCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "graph PATH [WORKFLOW]",
		Short: "Draw a workflow as SVG",
		Long: "Draw a workflow as SVG: its steps from top to bottom, those that run side by side in one row, where actions lead on\n" +
			"the right, and what undoes a step on the left. PATH is an Arazzo document, a version folder (apis/NAME/VERSION) or a\n" +
			"workspace. A document that stands in a workspace is drawn with the operations that its steps call; what is wrong with\n" +
			"them is headrace check's to say. One drawing goes to the standard output, several go to a folder.",
		Example: "  headrace flow graph apis/fulfilment/1.0.0 placeOrder > place-order.svg\n" +
			"  headrace flow graph . --out drawings",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted := ""
			if len(args) == 2 {
				wanted = args[1]
			}
			return drawFlows(cmd.OutOrStdout(), args[0], wanted, folder)
		},
	}
	cmd.Flags().StringVar(&folder, "out", "", "folder for the drawings, one file API-WORKFLOW.svg each; it is made where it is missing")
	return cmd
}

// drawing is a workflow with the name of its file.
type drawing struct {
	name string
	flow *arazzo.Workflow
}

func drawFlows(out io.Writer, at, wanted, folder string) error {
	documents, err := flowDocuments(at)
	if err != nil {
		return err
	}
	var drawings []drawing
	var names []string
	for _, d := range documents {
		for _, w := range d.Workflows {
			names = append(names, w.ID)
			if wanted == "" || wanted == w.ID {
				drawings = append(drawings, drawing{strings.TrimPrefix(apiName(d.File)+"-"+w.ID, "-"), w})
			}
		}
	}
	switch {
	case len(documents) == 0:
		return fmt.Errorf("%s has no %s", at, arazzo.FileName)
	case len(drawings) == 0:
		return fmt.Errorf("there is no workflow %q: %s", wanted, source.DidYouMean(wanted, names))
	case folder != "":
		return writeDrawings(drawings, folder)
	case len(drawings) > 1:
		return fmt.Errorf("there are several workflows: name one of %s, or a folder with --out", strings.Join(names, ", "))
	}
	return arazzo.Draw(out, drawings[0].flow)
}

// apiName is the API that a document stands beside; empty when it stands alone.
func apiName(file string) string {
	parts := strings.Split(file, "/")
	if len(parts) == 4 && parts[0] == workspace.APIsDir {
		return parts[1]
	}
	return ""
}

func writeDrawings(drawings []drawing, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, d := range drawings {
		var b bytes.Buffer
		if err := arazzo.Draw(&b, d.flow); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, d.name+".svg"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// flowDocuments parses the documents at a path. Those of a workspace are linked
// to its APIs as far as these are sound.
func flowDocuments(at string) ([]*arazzo.Document, error) {
	root, name, err := flowRoot(at)
	if err != nil {
		return nil, err
	}
	files := os.DirFS(root)
	var ps source.Problems
	if name != "" && apiName(name) == "" {
		d := arazzo.Parse(files, name, &ps)
		return []*arazzo.Document{d}, ps.Err()
	}
	found, err := fs.Glob(files, path.Join(workspace.APIsDir, "*", "*", arazzo.FileName))
	if err != nil {
		return nil, err
	}
	var documents []*arazzo.Document
	linker := &arazzo.Linker{APIs: readAPIs(files)}
	for _, file := range found {
		if name != "" && file != name {
			continue
		}
		d := arazzo.Parse(files, file, &ps)
		if d == nil {
			continue
		}
		documents = append(documents, d)
		var ignored source.Problems // headrace check says them
		if own := specs.Load(files, path.Dir(file), &ignored); own != nil {
			linker.Link(arazzo.API{Name: own.Name, Major: major(own.Version), Document: own, Flows: d}, &ignored)
		}
	}
	return documents, ps.Err()
}

// readAPIs reads the APIs that flows may call, the newest version of each major
// that is not a draft.
func readAPIs(files fs.FS) []arazzo.API {
	var ignored source.Problems
	var apis []arazzo.API
	for _, d := range workspace.Load(files, &ignored).Documents {
		if d.Governance.Status != "draft" {
			apis = append(apis, arazzo.API{Name: d.Name, Major: major(d.Version), Document: d})
		}
	}
	return apis
}

func major(version string) string {
	number, _, _ := strings.Cut(version, ".")
	return "v" + number
}

// flowRoot finds the workspace of a path, and the document's name in it; the
// name is empty for a workspace as a whole.
func flowRoot(at string) (root, name string, err error) {
	info, err := os.Stat(at)
	if err != nil {
		return "", "", err
	}
	at, err = filepath.Abs(at)
	if err != nil {
		return "", "", err
	}
	if info.IsDir() {
		if beside, err := os.Stat(filepath.Join(at, arazzo.FileName)); err != nil || beside.IsDir() {
			return at, "", nil
		}
		at = filepath.Join(at, arazzo.FileName)
	}
	parts := strings.Split(filepath.ToSlash(at), "/")
	if n := len(parts); n > 4 && parts[n-4] == workspace.APIsDir && parts[n-1] == arazzo.FileName {
		return strings.Join(parts[:n-4], "/"), strings.Join(parts[n-4:], "/"), nil
	}
	return filepath.Dir(at), filepath.Base(at), nil
}
