package portal

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies"
	"github.com/headrace/headrace/specs/source"
)

// shelf is a portal on a real listener, in front of a workspace.
type shelf struct {
	*testing.T
	*Portal
	server *httptest.Server
	log    *bytes.Buffer
}

// fixed serves one table.
type fixed struct{ table *gateway.Table }

func (f fixed) Table() *gateway.Table { return f.table }

// nothing answers no call; the tables of these tests are looked at only.
type nothing struct{}

func (nothing) Bind(*gateway.Binding) gateway.Handler {
	return func(*gateway.Exchange) (*gateway.Response, error) { return nil, io.EOF }
}
func (nothing) CheckUse(*source.Problems) {}
func (nothing) Close()                    {}

// tableOf builds the table of a workspace.
func tableOf(t testing.TB, files map[string]string, own ...workspace.Own) *gateway.Table {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tableAt(t, dir, own...)
}

func tableAt(t testing.TB, dir string, own ...workspace.Own) *gateway.Table {
	t.Helper()
	loaded, err := workspace.Read(dir, workspace.Options{
		Kinds:   policies.All(policies.Options{Counters: counter.New()}),
		Own:     own,
		Systems: func(fs.FS, map[string]source.Node, *source.Problems) workspace.SystemLayer { return nothing{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loaded.Table.Close)
	return loaded.Table
}

// newShelf starts a portal; change may change its options before.
func newShelf(t *testing.T, table *gateway.Table, change func(*Options)) *shelf {
	t.Helper()
	s := &shelf{T: t, log: &bytes.Buffer{}}
	o := Options{URL: "http://127.0.0.1", Title: "Shelf", Gateway: "https://api.example.com", Tables: fixed{table}, Log: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&o)
	}
	p, err := newPortal(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Portal, s.server = p, httptest.NewServer(p.handler())
	t.Cleanup(s.server.Close)
	return s
}

// open gets a page, and does not follow redirects; header is name, value, and so on.
func (s *shelf) open(path string, header ...string) (*http.Response, string) {
	s.Helper()
	return s.do("GET", path, nil, header...)
}

func (s *shelf) do(method, path string, form url.Values, header ...string) (*http.Response, string) {
	s.Helper()
	r, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp, string(body)
}

// shows opens a page, which must have all parts.
func (s *shelf) shows(path string, parts ...string) string {
	s.Helper()
	resp, body := s.open(path)
	if resp.StatusCode != 200 {
		s.Errorf("%s: %d", path, resp.StatusCode)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			s.Errorf("%s lacks %q:\n%s", path, part, body)
		}
	}
	return body
}
