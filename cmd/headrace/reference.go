package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print the reference of all configuration keys (docs/reference.md)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parts := newParts(slog.New(slog.DiscardHandler), nil)
			defer parts.close()
			reference(cmd.OutOrStdout(), parts.kinds)
			return nil
		},
	}
}

// reference writes the reference in Markdown from the same tags that decode
// the files; a test keeps docs/reference.md true to it.
func reference(w io.Writer, kinds []gateway.Kind) {
	fmt.Fprint(w, "# Reference of all configuration keys\n\nPrinted by `headrace reference`. `headrace schema` gives the same as JSON Schema for editors.\n\n"+
		"Durations are written 250ms, 2s, 5m, 24h or 7d; sizes 512, 64KiB or 1MiB. Secrets are references:\n`${env:NAME}` or `${file:/path}`, never values.\n")
	section(w, "headrace.yaml", "The process. All keys are optional.", workspace.Config{})
	section(w, "x-headrace", "At the root of an OpenAPI document: what holds for the API as a whole, and the defaults of its operations.\nAt a path or an operation the keys from `system` on may stand again; the nearer one wins, key by key, and policies by policy.\n\n`lane`, `sequence`, `idempotency`, `confirm`, `on_failure`, `coalesce` and `batch` describe writes to the write buffer; see [writes](writes.md).", specs.APIGovernance{})
	section(w, "lifecycle.yaml", "Beside a document, optional: where its version stands. It is laid over `x-headrace` at the root, after the overlay, so that\na published document need not change when it ages. The registry writes it by itself.", specs.Lifecycle{})
	section(w, "flows.arazzo.yaml: x-headrace at a workflow", "Beside the document of an API of the layers process and experience: the workflows that answer its operations; see [flows in Arazzo](arazzo.md).", arazzo.Governance{})
	section(w, "flows.arazzo.yaml: x-headrace at a step", "", arazzo.StepGovernance{})
	section(w, "x-headrace: call (rest)", "Mappings are jq, inline or as a file mappings/NAME.jq; see [mappings](mappings.md).", system.RestCall{})
	section(w, "x-headrace: call (jsonrpc)", "", system.JSONRPCCall{})
	section(w, "systems/NAME.yaml", "A system, named after its file.", system.Settings{})
	section(w, "consumers.yaml", "Parts of the same shape may stand in `consumers/NAME.yaml` and `consumers/FOLDER/NAME.yaml`; a name stands in one of them only.", gateway.ConsumerFile{})
	fmt.Fprint(w, "\n## Policies\n\nThey run in this order, whatever the order in the file. Under `policies:` in `x-headrace`, or at a plan.\n\n| policy | at | |\n|---|---|---|\n")
	for _, k := range kinds {
		var levels []string
		if k.Levels&gateway.LevelAPI != 0 {
			levels = append(levels, "API, path, operation")
		}
		if k.Levels&gateway.LevelPlan != 0 {
			levels = append(levels, "plan")
		}
		doc := k.Doc
		if k.Default {
			doc += " On by default."
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", k.Name, strings.Join(levels, "; "), doc)
	}
	fmt.Fprint(w, "\n### Settings of the policies\n")
	for _, k := range kinds {
		section(w, "policy "+k.Name, k.Doc, k.Settings)
	}
}

func section(w io.Writer, title, intro string, settings any) {
	fmt.Fprintf(w, "\n## %s\n\n", title)
	if intro != "" {
		fmt.Fprintf(w, "%s\n\n", intro)
	}
	keys := source.Keys(settings)
	if len(keys) == 0 {
		fmt.Fprint(w, "No settings.\n")
		return
	}
	fmt.Fprint(w, "| key | type | default | |\n|---|---|---|---|\n")
	for _, k := range keys {
		def := k.Default
		switch {
		case k.Required:
			def = "required"
		case def != "":
			def = "`" + def + "`"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", k.Name, strings.ReplaceAll(k.Type, "|", "\\|"), def, strings.ReplaceAll(k.Doc, "|", "\\|"))
	}
	nestedSections(w, title, keys)
}

// intros say what holds for a whole section.
var intros = map[string]string{
	"systems/NAME.yaml: credentials":       "Each kind has its own keys. The mappings know $username and $password, besides what all mappings know.",
	"systems/NAME.yaml: credentials.login": "The dialect rest takes method, path and body; jsonrpc takes method and params.",
	"systems/NAME.yaml: breaker":           "It counts overload, failures to reach the system, timeouts and server errors, but not refusals.",
	"systems/NAME.yaml: limits":            "A limit has either a capacity, with or without a hold, or a bucket.",
	"systems/NAME.yaml: overload":          "Signs without a status look at answers of 400 or more.",
	"systems/NAME.yaml: errors":            "Signs without http look at answers of 400 or more, and at every error of the dialect jsonrpc.",
}

// nestedSections explains the structs under the keys of one that was listed.
func nestedSections(w io.Writer, title string, keys []source.Key) {
	sep := ": "
	if strings.Contains(title, ": ") {
		sep = "."
	}
	for _, k := range keys {
		if k.Nested != nil {
			section(w, title+sep+k.Name, intros[title+sep+k.Name], k.Nested)
		}
	}
}
