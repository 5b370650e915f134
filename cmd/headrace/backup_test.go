package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/gateway/ledger"
)

// erpOrders is a system that knows its orders; the answers of those that are
// put while it hangs are not given.
type erpOrders struct {
	mu    sync.Mutex
	puts  map[string]int
	asked map[string]int
	hangs bool
	over  chan struct{}
}

func (e *erpOrders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	e.mu.Lock()
	hangs := e.hangs
	if r.Method == http.MethodPut {
		e.puts[id]++
	} else {
		e.asked[id]++
	}
	known := e.puts[id] > 0
	e.mu.Unlock()
	if r.Method == http.MethodPut && hangs {
		<-e.over
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"known": %t}`, known)
}

func (e *erpOrders) counts(id string) (puts, asked int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.puts[id], e.asked[id]
}

// putAsync puts an order and returns the write's id.
func (b *bench) putAsync(t *testing.T, id string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, b.gateway+"/orders/v1/orders/"+id, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "respond-async")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	return strings.TrimPrefix(resp.Header.Get("Location"), "/writes/")
}

// confirmed asks for a write before it is sent a second time.
const confirmed = `
    put:
      x-headrace: {idempotency: {class: confirm}, timeout: 1s, confirm: {operation: getOrder, with: {id: $request.path.id}, when: .known}}`

// A copy is taken while writes are held, sent and delivered. The gateway that
// starts on it sends nothing of it a second time without having asked.
func TestBackup(t *testing.T) {
	erp := &erpOrders{puts: map[string]int{}, asked: map[string]int{}, over: make(chan struct{})}
	document := strings.Replace(fmt.Sprintf(openDocument, "one"), "\n    put:", confirmed, 1)
	first := serveWorkspace(t, erp.ServeHTTP, "")
	first.write(t, "apis/orders/1.0.0/openapi.yaml", document)
	eventually(t, "the operation confirms", func() bool {
		_, body := fetch(t, first.admin+"/admin/v1/status")
		return strings.Contains(body, `"attempts":2`)
	})
	delivered := first.putAsync(t, "delivered")
	eventually(t, "the first is delivered", func() bool {
		_, body := fetch(t, first.gateway+"/writes/"+delivered)
		return strings.Contains(body, `"state":"delivered"`)
	})
	erp.mu.Lock()
	erp.hangs = true
	erp.mu.Unlock()
	sending := first.putAsync(t, "sending")
	eventually(t, "the second is at the system", func() bool { puts, _ := erp.counts("sending"); return puts == 1 })
	if _, err := run(t, "writes", "--server", first.admin, "pause", "erp"); err != nil {
		t.Fatal(err)
	}
	held := first.putAsync(t, "held")

	file := filepath.Join(t.TempDir(), "copy.db")
	if out, err := run(t, "backup", first.dir, file); err != nil || !strings.Contains(out, file) {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := run(t, "backup", first.dir, file); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Fatalf("an older copy was overwritten: %v", err)
	}
	close(erp.over)
	wholeCopy(t, file)
	for _, secret := range []string{file, filepath.Join(first.dir, ".headrace/headrace.db"), filepath.Join(first.dir, ".headrace/headrace.db-wal")} {
		if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v, %v", secret, info, err)
		}
	}

	second := &bench{dir: t.TempDir(), log: &gatewaytest.Log{}}
	for _, name := range []string{"headrace.yaml", "systems/erp.yaml", "apis/orders/1.0.0/openapi.yaml"} {
		text, err := os.ReadFile(filepath.Join(first.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		second.write(t, name, string(text))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second.write(t, ".headrace/headrace.db", string(text))
	second.start(t)
	if _, err := run(t, "writes", "--server", second.admin, "resume", "erp"); err != nil {
		t.Fatal(err)
	}
	for id, write := range map[string]string{"sending": sending, "held": held} {
		delivered := false // it is asked for when the lost request must be over
		for began := time.Now(); !delivered && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
			_, body := fetch(t, second.gateway+"/writes/"+write)
			delivered = strings.Contains(body, `"state":"delivered"`)
		}
		if !delivered {
			t.Fatalf("%s is not delivered", id)
		}
		if puts, asked := erp.counts(id); puts != 1 || asked == 0 {
			t.Errorf("%s was put %d times, and asked for %d times", id, puts, asked)
		}
	}
	if puts, _ := erp.counts("delivered"); puts != 1 {
		t.Errorf("what was delivered before the copy was put %d times", puts)
	}
}

// wholeCopy opens a copy by itself and looks at every page of it.
func wholeCopy(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("the copy is not whole: %v %s", err, verdict)
	}
}

// A ledger that takes no writes is seen by load balancers and by metrics.
func TestReadinessKnowsTheLedger(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	if status, body := fetch(t, b.admin+"/readyz"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if err := b.server.parts.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.server.parts.ledger.Err(); err != ledger.ErrClosed {
		t.Fatal(err)
	}
	if status, body := fetch(t, b.admin+"/readyz"); status != 503 || !strings.Contains(body, "the ledger takes no writes") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := fetch(t, b.admin+"/readyz?for=reads"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if _, body := fetch(t, b.admin+"/metrics"); !strings.Contains(body, "headrace_ledger_accepting") || strings.Contains(body, "headrace_ledger_accepting{otel_scope_name=\"github.com/headrace/headrace\"} 1") {
		t.Error("the metrics do not tell")
	}
	if status, body := fetch(t, b.gateway+"/orders/v1/orders/7"); status != 200 {
		t.Errorf("a read: %d %s", status, body)
	}
}
