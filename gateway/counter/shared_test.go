package counter

import (
	"flag"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Most tests here wait for a server of their own, so more of them run beside each
// other than there are processors, unless the command line says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}

// Fields that have places are read by their variable's name alone: anything else
// would be read as nil.
func TestScriptsNameTheirPlaces(t *testing.T) {
	if got := putPlaces("s.b + as.b + (s.bb) .. s.a", "s", []string{"a", "b"}); got != "s[2] + as.b + (s.bb) .. s[1]" {
		t.Errorf("it has become %q", got)
	}
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := luaFiles.ReadFile("lua/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bad := regexp.MustCompile(`\]\.\w+|\)\.\w+`).Find(text); bad != nil {
			t.Errorf("%s: name the variable of %s", f.Name(), bad)
		}
	}
}

// soon waits for what takes a moment, or much longer where the machine is busy.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it never came to this: %s", what)
}

func awaitMode(t testing.TB, s *Shared, mode string) {
	t.Helper()
	soon(t, mode, func() bool { return s.Standing("erp").Mode == mode })
}

// It takes the longest, so it comes first.
func TestSharedModel(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two := open(t, clientOf(r.Address), patient("one")), open(t, clientOf(r.Address), patient("two"))
	warm(one, "erp")
	warm(two, "erp")
	budgettest.Model(t, 20, one, two)
}

func TestSharedAdmits(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	s := open(t, clientOf(r.Address), patient("one"))
	warm(s, "erp")
	pool := &budget.Pool{Name: "window", Capacity: 2000, Hold: 300 * time.Millisecond}
	call := func(u budget.Units) *budget.Admission {
		return &budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: pool, Key: "window", Units: u}}, Lease: time.Minute}
	}
	granted := func(a *budget.Admission) bool {
		t.Helper()
		d, err := s.Admit(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return d.Granted
	}
	for range 3 {
		first, second := call(1000), call(1000)
		if !granted(first) || !granted(second) || granted(call(1)) {
			t.Fatal("not two calls were admitted")
		}
		since := time.Now()
		for _, a := range []*budget.Admission{first, second} {
			if err := s.Settle(t.Context(), a, budget.Settlement{}); err != nil {
				t.Fatal(err)
			}
		}
		whole := call(2000)
		whole.Probe = true
		soon(t, "room", func() bool { return granted(whole) })
		if took := time.Since(since); took < pool.Hold {
			t.Errorf("there was room again after %s", took)
		}
	}
}
