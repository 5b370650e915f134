package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/policies/apikey"
)

// run executes a command as the shell would.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// Operators see and decide about the writes of a running gateway.
func TestWritesCommand(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(503)
			return
		}
		w.WriteHeader(204)
	}, "admin: {}\n")
	put := func(id string) string {
		r, err := http.NewRequest("PUT", b.gateway+"/orders/v1/orders/"+id, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Prefer", "respond-async")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 202 {
			t.Fatalf("answered %d", resp.StatusCode)
		}
		return strings.TrimPrefix(resp.Header.Get("Location"), "/writes/")
	}
	first, second := put("1"), put("2")
	command := func(wants string, args ...string) {
		t.Helper()
		out, err := run(t, append([]string{"writes", "--server", b.admin, "--actor", "ann"}, args...)...)
		if err != nil || !strings.Contains(out, wants) {
			t.Errorf("%v: %v\n%s\nwithout %q", args, err, out, wants)
		}
	}
	command("erp", "pause", "erp", "--reason", "inventory")
	eventually(t, "both are back from the system", func() bool {
		out, err := run(t, "writes", "--server", b.admin, "list", "--system", "erp", "--state", "held")
		return err == nil && strings.Contains(out, first) && strings.Contains(out, second)
	})
	command("the system erp is paused", "explain", second)
	eventually(t, "the second is held", func() bool {
		out, err := run(t, "writes", "--server", b.admin, "--actor", "ann", "cancel", second)
		return err == nil && strings.Contains(out, second+" is cancelled")
	})
	if _, err := run(t, "writes", "--server", b.admin, "cancel", second); err == nil || !strings.Contains(err.Error(), "the write is cancelled") {
		t.Errorf("cancelled twice: %v", err)
	}
	away.Store(false)
	command("SYSTEM", "resume", "erp")
	eventually(t, "the first is delivered", func() bool {
		_, body := fetch(t, b.gateway+"/writes/"+first)
		return strings.Contains(body, `"state":"delivered"`)
	})
	command("cancel", "audit")
	command("WRITES", "groups")
	out, err := run(t, "writes", "--server", b.admin, "export", "--state", "delivered")
	var line struct {
		ID      string
		Request struct{ Method string }
	}
	if err != nil || json.Unmarshal([]byte(out), &line) != nil || line.ID != first || line.Request.Method != "PUT" {
		t.Errorf("exported %v %s", err, out)
	}
	if _, err := run(t, "writes", "--server", b.admin, "list", "--state", "lost"); err == nil || !strings.Contains(err.Error(), `there is no state "lost"`) {
		t.Errorf("a wrong state: %v", err)
	}
}

// A write that is with the system when the server is asked to stop is settled
// by the system's answer, and goes on where it stood after the start.
func TestRestart(t *testing.T) {
	var calls atomic.Int32
	reached, answer := make(chan struct{}), make(chan struct{})
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			w.WriteHeader(204)
			return
		}
		close(reached)
		<-answer
		w.WriteHeader(503)
	}, "")
	r, err := http.NewRequest("PUT", b.gateway+"/orders/v1/orders/1", strings.NewReader(`{}`))
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
	<-reached
	b.stop()
	close(answer)
	if err := <-b.ended; err != nil {
		t.Fatal(err)
	}
	b.ended <- nil // for who waits at the end of the test
	b.start(t)
	var body string
	eventually(t, "it is delivered", func() bool {
		_, body = fetch(t, b.gateway+resp.Header.Get("Location"))
		return strings.Contains(body, `"state":"delivered"`)
	})
	if strings.Contains(body, "doubtful") || calls.Load() != 2 {
		t.Errorf("%d calls, %s", calls.Load(), body)
	}
}

// What was spent of a budget before a restart is still spent after it.
func TestRestartRemembersWhatWasSpent(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	b.stop()
	b.ended <- <-b.ended
	b.write(t, "systems/erp.yaml", "url: "+b.erp+"\nlimits: [{name: hour, capacity: 3, hold: 1h}]\n")
	b.start(t)
	for range 2 {
		if status, _ := fetch(t, b.gateway+"/orders/v1/orders/7"); status != 200 {
			t.Fatalf("answered %d", status)
		}
	}
	b.stop()
	b.ended <- <-b.ended
	b.start(t)
	first, _ := fetch(t, b.gateway+"/orders/v1/orders/7")
	second, body := fetch(t, b.gateway+"/orders/v1/orders/7")
	if first != 200 || second != 503 || !strings.Contains(body, "hour") {
		t.Errorf("answered %d, then %d %s", first, second, body)
	}
}

// Whoever may call any of the workspace's APIs is known at /writes, in the
// same way; nobody else is.
func TestWritesKnowTheirCallers(t *testing.T) {
	key := apikey.New()
	b := serveWorkspace(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "")
	b.write(t, "consumers.yaml", "organisations: {acme: {}}\napps:\n  shop:\n    organisation: acme\n    keys: [{prefix: "+key.Prefix+", hash: '"+key.Hash+"'}]\n")
	b.write(t, "apis/orders/1.0.0/openapi.yaml", strings.Replace(fmt.Sprintf(openDocument, "one"), "x-headrace: {system: erp,",
		"security: [{key: []}]\ncomponents: {securitySchemes: {key: {type: apiKey, in: query, name: key}}}\nx-headrace: {policies: {apikey: {}}, system: erp,", 1))
	eventually(t, "the key is asked for", func() bool {
		status, _ := fetch(t, b.gateway+"/writes")
		resp, err := http.Get(b.gateway + "/writes/0000000000000000")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return status == 401 && resp.StatusCode == 401 && strings.Contains(resp.Header.Get("WWW-Authenticate"), "ApiKey")
	})
	if status, body := fetch(t, b.gateway+"/writes?key="+key.Text); status != 200 || body != "{\"items\":[]}\n" {
		t.Errorf("answered %d %s", status, body)
	}
	if status, body := fetch(t, b.gateway+"/writes?key=hr_unknown1_x"); status != 401 || !strings.Contains(body, "invalid-credentials") {
		t.Errorf("answered %d %s", status, body)
	}
	if status, body := fetch(t, b.gateway+"/writes?key="+key.Text+"&limit=0"); status != 400 || !strings.Contains(body, "invalid-request") {
		t.Errorf("answered %d %s", status, body)
	}
}
