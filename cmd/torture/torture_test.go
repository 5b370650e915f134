package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The campaigns start this program again as the ERP.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "erp" {
		if err := serveERP(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// built is the gateway, as it stands in the tree.
func built(t *testing.T) string {
	t.Helper()
	headrace := filepath.Join(t.TempDir(), "headrace")
	if out, err := exec.Command("go", "build", "-o", headrace, "../headrace").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return headrace
}

func short(bugs ...string) plan {
	return plan{
		engine: "sqlite", counters: "memory", replicas: 1, kills: 4, least: time.Second, most: 2 * time.Second,
		writers: 16, orders: 6, pause: 100 * time.Millisecond, peace: time.Second, drain: 10 * time.Second, seed: 1, bugs: bugs,
		limits: limits{concurrency: 12, calls: 150, window: 500 * time.Millisecond},
	}
}

// An ERP that breaks its word in all ways at once is found out, through real
// gateways that are killed: every figure that has to be zero is not.
func TestSeededBugs(t *testing.T) {
	headrace := built(t)
	r, err := run(context.Background(), headrace, t.TempDir(), short(bugLose, bugDouble, bugLate, bugRefuse, bugTight, bugGone))
	if err != nil {
		t.Fatal(err)
	}
	v := r.verdict
	t.Logf("%s until the gateways had ended", r.stopped)
	if v.lost == 0 || v.doubled == 0 || v.inversions == 0 || v.wrong == 0 || v.unsettled == 0 || r.violations() == 0 {
		t.Errorf("not everything was found: lost %d, doubled %d, inverted %d, wrong %d, unsettled %d, violations %d\n%s",
			v.lost, v.doubled, v.inversions, v.wrong, v.unsettled, r.violations(), strings.Join(v.examples, "\n"))
	}
	if !r.bad() {
		t.Error("the run does not count as bad")
	}
	if r.kills != 4 || v.acknowledged == 0 {
		t.Errorf("%d kills, %d acknowledged writes", r.kills, v.acknowledged)
	}
}
