package ledger_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/gateway/ledger/ledgertest"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// used tells whether server has been started.
var used atomic.Bool

// server is the Postgres server of all tests of the package, started when the
// first one needs it. Nothing here cuts its power, so it need not sync.
var server = sync.OnceValues(func() (*postgrestest.Server, error) { return postgrestest.Start("fsync=off") })

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		child()
		return
	}
	code := m.Run()
	if used.Load() {
		if s, err := server(); err == nil {
			s.Stop()
		}
	}
	os.Exit(code)
}

func sqlite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db") }

func postgres(t testing.TB) string {
	t.Helper()
	used.Store(true)
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return s.Database(t)
}

func TestSQLite(t *testing.T) { ledgertest.Conform(t, ledgertest.Engine{New: sqlite}) }

func TestPostgres(t *testing.T) {
	ledgertest.Conform(t, ledgertest.Engine{New: postgres, Copy: copyPostgres, Shared: true})
}

// copyPostgres goes by docs/operating.md.
func copyPostgres(t testing.TB, url string) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	to, err := s.Copy(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(to, "INSERT INTO meta (name, value) VALUES ('copied', '')"); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSimulateSQLite(t *testing.T) { ledgertest.Simulate(t, ledgertest.Engine{New: sqlite}) }

func TestSimulatePostgres(t *testing.T) {
	ledgertest.Simulate(t, ledgertest.Engine{New: postgres, Shared: true})
}
