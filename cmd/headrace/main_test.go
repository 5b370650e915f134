package main

import (
	"flag"
	"os"
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

// docs/reference.md is what the program prints.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/reference.md"
	if *update {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := root()
		cmd.SetArgs([]string{"reference"})
		cmd.SetOut(f)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Files: []string{"testdata/reference.txtar"}, Setup: func(env *testscript.Env) error {
		want, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(env.WorkDir+"/want", want, 0o644)
	}})
}
