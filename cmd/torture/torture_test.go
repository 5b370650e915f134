package main

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
		limits: limits{concurrency: 12, calls: 80, window: 500 * time.Millisecond},
	}
}

// campaigns is how often an ERP may break its word until it is found out in
// every way: what the kills and the bugs hit is left to chance.
const campaigns = 6

// An ERP that breaks its word in all ways is found out, through real gateways
// that are killed: every figure that has to be zero is not. What one campaign
// has not shown is left to a longer one, which a slow machine may need.
func TestSeededBugs(t *testing.T) {
	headrace := built(t)
	bugs := map[string]string{"lost": bugLose, "doubled": bugDouble, "inverted": bugLate, "wrong": bugRefuse, "unsettled": bugGone, "over a limit": bugTight}
	for n := range campaigns {
		p := short(slices.Sorted(maps.Values(bugs))...)
		p.seed = uint64(n + 1)
		p.least, p.most, p.peace = p.least*time.Duration(n+1), p.most*time.Duration(n+1), p.peace*time.Duration(n+1)
		r, err := run(context.Background(), headrace, t.TempDir(), p)
		if err != nil {
			t.Fatal(err)
		}
		v := r.verdict
		if n == 0 && !r.bad() || r.kills != 4 || v.acknowledged == 0 {
			t.Errorf("bad: %v, %d kills, %d acknowledged writes", r.bad(), r.kills, v.acknowledged)
		}
		for way, found := range map[string]int{
			"lost": v.lost, "doubled": v.doubled, "inverted": v.inversions, "wrong": v.wrong, "unsettled": v.unsettled, "over a limit": r.violations(),
		} {
			if found > 0 {
				delete(bugs, way)
			}
		}
		if len(bugs) == 0 {
			return
		}
	}
	t.Errorf("not found: %v", bugs)
}
