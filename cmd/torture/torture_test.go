package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
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
		limits: limits{concurrency: 24, calls: 150, window: 500 * time.Millisecond},
	}
}

// campaigns is how often an ERP may break its word until it is found out in
// every way: what the kills and the bugs hit is left to chance.
const campaigns = 6

// An ERP that breaks its word in all ways at once is found out, through real
// gateways that are killed: every figure that has to be zero is not.
func TestSeededBugs(t *testing.T) {
	headrace := built(t)
	found := map[string]bool{"lost": false, "doubled": false, "inverted": false, "wrong": false, "unsettled": false, "over a limit": false}
	for seed := range campaigns {
		p := short(bugLose, bugDouble, bugLate, bugRefuse, bugTight, bugGone)
		p.seed = uint64(seed + 1)
		r, err := run(context.Background(), headrace, t.TempDir(), p)
		if err != nil {
			t.Fatal(err)
		}
		v := r.verdict
		if !r.bad() || r.kills != 4 || v.acknowledged == 0 {
			t.Errorf("bad: %v, %d kills, %d acknowledged writes", r.bad(), r.kills, v.acknowledged)
		}
		all := true
		for way, n := range map[string]int{
			"lost": v.lost, "doubled": v.doubled, "inverted": v.inversions, "wrong": v.wrong, "unsettled": v.unsettled, "over a limit": r.violations(),
		} {
			found[way] = found[way] || n > 0
			all = all && found[way]
		}
		if all {
			return
		}
	}
	t.Errorf("not everything was found: %v", found)
}
