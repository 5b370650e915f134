package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"headrace": main})
}

// Every broken workspace gives exactly the problems that stand in its file.
func TestCheck(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/check", UpdateScripts: *update})
}

// The commands as people and CI use them.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/commands", UpdateScripts: *update})
}

// docs/reference.md and docs/lint.md are what the program prints.
func TestReferenceIsCurrent(t *testing.T) {
	pages := map[string][]string{"reference.md": {"reference"}, "lint.md": {"lint", "--rules"}}
	for page, args := range pages {
		if *update {
			rewrite(t, "../../docs/"+page, args)
		}
	}
	testscript.Run(t, testscript.Params{Files: []string{"testdata/reference.txtar"}, Setup: func(env *testscript.Env) error {
		for page := range pages {
			want, err := os.ReadFile("../../docs/" + page)
			if err != nil {
				return err
			}
			if err := os.WriteFile(env.WorkDir+"/"+page, want, 0o644); err != nil {
				return err
			}
		}
		return nil
	}})
}

// rewrite puts into a file what a command prints.
func rewrite(t *testing.T, file string, args []string) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(f)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
}

// The demo keeps the rules that it is meant to show.
func TestDemoHasNoLintErrors(t *testing.T) {
	var out strings.Builder
	if err := lintAll(&out, []string{"../../deploy/demo/workspace"}, "text"); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}
