package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// runHeadrace runs a command line.
func runHeadrace(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestReplicas(t *testing.T) {
	redis := redistest.Run(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"headrace.yaml":    "stores: {counters: \"redis://" + redis.Address + "/1\"}\n",
		"systems/erp.yaml": "url: http://127.0.0.1:1\n", "systems/wms.yaml": "url: http://127.0.0.1:1\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client, err := counter.Dial(counter.Address{Hosts: []string{redis.Address}, DB: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// What is seen of a replica is what it last said: one that says little is there
	// for long, whatever the machine does.
	shared, err := counter.Open(client, counter.Options{Replica: "gateway-1", Beat: time.Second, Missing: 5 * time.Second, Deadline: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	list := func() (rows []replicaRow) {
		out, err := runHeadrace(t, "replicas", dir, "--output", "json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	shared.Standing("erp") // makes it known
	eventually(t, "the replica is listed", func() bool {
		rows := list()
		return len(rows) == 1 && rows[0].System == "erp" && rows[0].Replica == "gateway-1" && rows[0].Share == 1 && rows[0].State == "present"
	})
	if out, err := runHeadrace(t, "replicas", dir); err != nil || !strings.Contains(out, "erp     gateway-1  present  1.000") {
		t.Errorf("%v: %s", err, out)
	}
	for _, name := range []string{"gateway-2", "gateway-1"} {
		if out, err := runHeadrace(t, "replicas", dir, "--forget", name); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	for end := time.Now().Add(time.Minute); shared.Standing("erp").Mode != budget.ModeShared; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the counts are not shared")
		}
	}
	breaker := func() string {
		t.Helper()
		out, err := runHeadrace(t, "replicas", dir)
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.SplitN(strings.TrimSpace(out), "\n", 2)
		words := strings.Split(strings.TrimSpace(fields[1]), "  ")
		return strings.TrimSpace(words[len(words)-1])
	}
	said := []string{breaker()}
	if err := shared.Suspend(t.Context(), "erp", time.Hour); err != nil {
		t.Fatal(err)
	}
	said = append(said, breaker())
	if err := shared.Suspend(t.Context(), "erp", 0); err != nil {
		t.Fatal(err)
	}
	if err := shared.Suspend(t.Context(), "erp", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	said = append(said, breaker())
	gate := &budget.Pool{Name: "gate"}
	if d, err := shared.Admit(t.Context(), &budget.Admission{System: "erp", Lease: time.Hour, Asks: []budget.Ask{{Pool: gate, Key: "gate"}}}); err != nil || !d.Granted {
		t.Fatalf("%+v, %v", d, err)
	}
	said = append(said, breaker())
	if want := "closed/open/half-open/half-open, tries"; strings.Join(said, "/") != want {
		t.Errorf("the breaker is %s, want %s", strings.Join(said, "/"), want)
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
	if rows := list(); len(rows) != 0 {
		t.Errorf("one that said goodbye is listed: %+v", rows)
	}
	if _, err := runHeadrace(t, "replicas", dir, "--output", "xml"); err == nil {
		t.Error("an unknown output is taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "headrace.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runHeadrace(t, "replicas", dir); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("counts in memory: %v", err)
	}
	if _, err := runHeadrace(t, "replicas", t.TempDir()); err == nil {
		t.Error("a folder that is no workspace has replicas")
	}
}
