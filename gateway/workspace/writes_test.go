package workspace

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

func TestLedgerAddress(t *testing.T) {
	t.Setenv("LEDGER_PASSWORD", "p@ss/word")
	for text, want := range map[string]string{
		"sqlite:headrace.db":                                    "sqlite:/state/headrace.db",
		"sqlite:/var/lib/h.db":                                  "sqlite:/var/lib/h.db",
		"postgres://db/headrace":                                "postgres://db/headrace",
		"postgres://h:${env:LEDGER_PASSWORD}@db:5433/headrace":  "postgres://h:p%40ss%2Fword@db:5433/headrace",
		"postgres:///headrace?host=/run/postgresql&sslmode=off": "postgres:///headrace?host=/run/postgresql&sslmode=off",
	} {
		var l Ledger
		if err := l.parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := l.Resolve("/state"); err != nil || got != want || l.String() != text {
			t.Errorf("%s became %s (%v)", text, got, err)
		}
	}
	for _, text := range []string{
		"", "sqlite:", "sqlite:a?mode=memory", "mysql://db/x", "postgres://", "postgres://h:secret@db/x", "postgres://db/x?password=secret",
		"postgres://h:${secret}@db/x",
	} {
		var ps source.Problems
		config := "stores: {ledger: '" + text + "'}\n"
		var c Config
		source.Decode(source.Parse("headrace.yaml", []byte(config), source.DefaultLimits, &ps), &c, &ps)
		if err := ps.Err(); err == nil || strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "=secret") || !strings.Contains(err.Error(), "headrace.yaml:1:18") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLedgerPasswordIsMissing(t *testing.T) {
	var ps source.Problems
	var c Config
	source.Decode(source.Parse("headrace.yaml", []byte("stores: {ledger: 'postgres://h:${env:NOT_SET_ANYWHERE}@db/x'}\n"), source.DefaultLimits, &ps), &c, &ps)
	c.check(&ps)
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), "NOT_SET_ANYWHERE is not set") {
		t.Errorf("%v", err)
	}
}

func TestStateDirectory(t *testing.T) {
	dir := t.TempDir()
	if got, err := StateDirectory(dir); err != nil || got != filepath.Join(dir, ".headrace") {
		t.Errorf("%s %v", got, err)
	}
	if _, err := StateDirectory(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("it makes a workspace")
	}
	t.Setenv("STATE_DIRECTORY", filepath.Join(dir, "a", "b"))
	if got, err := StateDirectory(dir); err != nil || got != filepath.Join(dir, "a", "b") {
		t.Errorf("%s %v", got, err)
	}
}
