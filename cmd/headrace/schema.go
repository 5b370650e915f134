package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [config | system | consumers | governance]",
		Short: "Print the JSON Schema of a workspace file, for editors",
		Long: "Print the JSON Schema (draft 2020-12) of a workspace file:\n" +
			"config (headrace.yaml), system (systems/*.yaml), consumers (consumers.yaml),\n" +
			"governance (x-headrace in OpenAPI documents). Without a name, all of them in one object.",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"config", "system", "consumers", "governance"},
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := newParts(slog.New(slog.DiscardHandler), nil)
			defer parts.close()
			all := schemas(parts.kinds)
			var out any = all
			if len(args) == 1 {
				s, ok := all[args[0]]
				if !ok {
					return fmt.Errorf("there is no schema %q: %s", args[0], source.DidYouMean(args[0], slices.Collect(maps.Keys(all))))
				}
				out = s
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(out)
		},
	}
}

// schemas are the JSON Schemas of everything in a workspace, by name.
func schemas(kinds []gateway.Kind) map[string]map[string]any {
	governance := source.Schema(specs.APIGovernance{})
	policies := policySchema(kinds, gateway.LevelAPI)
	properties(governance)["policies"] = policies
	properties(governance)["call"] = map[string]any{
		"description": "The system's own call, in the words of its dialect.",
		"anyOf":       []any{source.Schema(system.RestCall{}), source.Schema(system.JSONRPCCall{})},
	}
	consumers := source.Schema(gateway.ConsumerFile{})
	plan := properties(consumers)["plans"].(map[string]any)["additionalProperties"].(map[string]any)
	properties(plan)["policies"] = policySchema(kinds, gateway.LevelPlan)
	all := map[string]map[string]any{
		"config":     source.Schema(workspace.Config{}),
		"system":     source.Schema(system.Settings{}),
		"consumers":  consumers,
		"governance": governance,
	}
	for name, s := range all {
		s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		s["title"] = "Headrace " + name
	}
	return all
}

func properties(s map[string]any) map[string]any { return s["properties"].(map[string]any) }

// policySchema allows the settings of every policy of a level, or off.
func policySchema(kinds []gateway.Kind, level gateway.Level) map[string]any {
	off := map[string]any{"enum": []any{"off", false}}
	byName := map[string]any{}
	for _, k := range kinds {
		if k.Levels&level == 0 {
			continue
		}
		s := source.Schema(k.Settings)
		byName[k.Name] = map[string]any{"description": k.Doc, "anyOf": []any{s, off, map[string]any{"type": "null"}}}
	}
	return map[string]any{
		"type": "object", "properties": byName, "additionalProperties": false,
		"description": "Policies by name, each with its settings; off removes an inherited one.",
	}
}
