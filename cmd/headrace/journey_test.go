package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/headrace/headrace/policies/apikey"
)

// Whole journeys of people, by commands against a running gateway.
func TestJourneys(t *testing.T) {
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"SO-1","note":"fragile"}`)
	}))
	t.Cleanup(erp.Close)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/journey", UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			key := apikey.New()
			env.Vars = append(env.Vars, "ERP="+erp.URL, "KEY="+key.Text, "KEY_PREFIX="+key.Prefix, "KEY_HASH="+key.Hash, "STATE_DIRECTORY="+env.WorkDir+"/state", "USER=ada")
			env.Values["journey"] = &journey{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"gateway": startGateway, "fill": fill, "get": getUntil, "load": load, "keep": keep, "await": await,
		},
	})
}

// journey is what goes on beside a script.
type journey struct {
	load *loader
}

// keep puts what a pattern finds in the last output into a variable: keep NAME PATTERN.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindString(ts.ReadFile("stdout"))
	if found == "" {
		ts.Fatalf("the output has no %s", args[1])
	}
	ts.Setenv(args[0], found)
}

// fill replaces variables in files: fill FILE...
func fill(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// startGateway runs headrace serve until the script ends: gateway DIR. It sets
// GATEWAY and HEADRACE_ADMIN_URL.
func startGateway(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("headrace")
	ts.Check(err)
	cmd := exec.Command(program, "serve", ts.MkAbs(args[0]))
	cmd.Env = []string{"STATE_DIRECTORY=" + ts.Getenv("STATE_DIRECTORY"), "PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("WORK")}
	log, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = os.Stderr
	ts.Check(cmd.Start())
	var ended sync.WaitGroup
	serving := make(chan [2]string, 1)
	ended.Go(func() { follow(log, serving) })
	ts.Defer(func() {
		cmd.Process.Signal(os.Interrupt)
		ended.Wait()
		if err := cmd.Wait(); err != nil {
			ts.Logf("the gateway ended: %v", err)
		}
	})
	addresses, ok := <-serving
	if !ok {
		ts.Fatalf("the gateway did not start")
	}
	ts.Setenv("GATEWAY", "http://"+addresses[0])
	ts.Setenv("HEADRACE_ADMIN_URL", "http://"+addresses[1])
}

// follow reads a log to its end, and tells the addresses once.
func follow(log io.Reader, serving chan<- [2]string) {
	defer close(serving)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	told := false
	for lines.Scan() {
		var line struct{ Msg, Gateway, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" && !told {
			told = true
			serving <- [2]string{line.Gateway, line.Admin}
		}
	}
}

// getUntil calls the gateway until it answers a status, and prints the answer
// with its headers: get STATUS PATH; deprecated stands for 200 with Deprecation.
// A change is live a moment after it was made.
func getUntil(ts *testscript.TestScript, _ bool, args []string) {
	var last string
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		status, text, err := fetchAs(ts.Getenv("GATEWAY")+args[1], ts.Getenv("KEY"))
		ts.Check(err)
		last = text
		if fmt.Sprint(status) == args[0] || args[0] == "deprecated" && status == http.StatusOK && strings.Contains(text, "\nDeprecation: ") {
			fmt.Fprint(ts.Stdout(), text)
			return
		}
	}
	ts.Fatalf("%s never answers %s, but\n%s", args[1], args[0], last)
}

// await asks the admin API until it answers what a pattern finds: await PATH
// PATTERN. Usage is counted a moment after a call.
func await(ts *testscript.TestScript, _ bool, args []string) {
	wanted := regexp.MustCompile(args[1])
	var last []byte
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(ts.Getenv("HEADRACE_ADMIN_URL") + "/admin/v1/" + args[0])
		ts.Check(err)
		last, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if wanted.Match(last) {
			return
		}
	}
	ts.Fatalf("%s never answers %s, but\n%s", args[0], args[1], last)
}

// fetchAs calls as an app, and gives the answer as text: status, headers, body.
func fetchAs(url, key string) (int, string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var lines []string
	for name, values := range resp.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	return resp.StatusCode, fmt.Sprintf("%d\n%s\n\n%s\n", resp.StatusCode, strings.Join(lines, "\n"), body), err
}

// loader calls the gateway all the time, and counts what goes wrong.
type loader struct {
	calls, errors atomic.Int64
	first         atomic.Pointer[string]
	stop          chan struct{}
	ended         sync.WaitGroup
}

// load calls paths beside the script: load start PATH..., and load stop, which
// prints how many calls there were and fails if any was not answered 200.
func load(ts *testscript.TestScript, _ bool, args []string) {
	j := ts.Value("journey").(*journey)
	if args[0] == "stop" {
		j.load.end()
		calls, errors := j.load.calls.Load(), j.load.errors.Load()
		fmt.Fprintf(ts.Stdout(), "calls: %d, errors: %d\n", calls, errors)
		ts.Logf("calls under load: %d, errors: %d", calls, errors)
		if calls == 0 || errors > 0 {
			ts.Fatalf("%d of %d calls failed; the first: %s", errors, calls, *j.load.first.Load())
		}
		return
	}
	l := &loader{stop: make(chan struct{})}
	j.load = l
	ts.Defer(l.end)
	for _, path := range args[1:] {
		url, key := ts.Getenv("GATEWAY")+path, ts.Getenv("KEY")
		for range 2 {
			l.ended.Go(func() { l.run(url, key) })
		}
	}
}

// mostCalls bounds a loader that nobody stops.
const mostCalls = 100_000

func (l *loader) run(url, key string) {
	for l.calls.Load() < mostCalls {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
		}
		status, text, err := fetchAs(url, key)
		l.calls.Add(1)
		if err != nil {
			text = err.Error()
		}
		if err != nil || status != http.StatusOK {
			l.errors.Add(1)
			l.first.CompareAndSwap(nil, &text)
		}
	}
}

func (l *loader) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.ended.Wait()
}
