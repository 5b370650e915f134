package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/gateway/sim"
	"github.com/headrace/headrace/specs/source"
)

// rig is what one trial runs on: a simulator, a Redis, and two gateways.
type rig struct {
	trial    trial
	dir      string
	sim      *process
	redis    *process
	gateways [2]*process
}

// callTimeout is the systems' timeout: short, so that leases run out within a run.
const callTimeout = 2 * time.Second

func newRig(headrace string, t trial, foreign bool) (*rig, error) {
	r := &rig{trial: t}
	var err error
	if r.dir, err = os.MkdirTemp("", "headrace-budget-"); err != nil {
		return nil, err
	}
	if err := r.start(headrace, foreign); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) close() {
	for _, p := range []*process{r.gateways[0], r.gateways[1], r.sim, r.redis} {
		if p != nil {
			p.stop()
		}
	}
	os.RemoveAll(r.dir)
}

func (r *rig) start(headrace string, foreign bool) error {
	var addresses [6]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	_, port, _ := strings.Cut(addresses[0], ":")
	var err error
	if r.redis, err = start(addresses[0], nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.dir); err != nil {
		return fmt.Errorf("redis-server (Debian's package redis-server): %w", err)
	}
	t := &r.trial
	args := append([]string{"sim", t.profile, "--listen", addresses[1], "--scale", number(t.scale), "--latency", t.latency.String(), "--jitter", t.jitter.String()}, doubleDashed(t.options)...)
	if foreign {
		args = append(args, "--foreign", t.foreign)
	}
	if r.sim, err = start(addresses[1], []string{gogc}, headrace, args...); err != nil {
		return err
	}
	for i := range r.gateways {
		listen, admin := addresses[2+2*i], addresses[3+2*i]
		dir := filepath.Join(r.dir, fmt.Sprintf("gateway-%d", i+1))
		if err := r.workspace(dir, listen, admin, addresses[0], addresses[1], i+1); err != nil {
			return err
		}
		if r.gateways[i], err = start(listen, []string{gogc}, headrace, "serve", dir); err != nil {
			return err
		}
	}
	return nil
}

func doubleDashed(options []string) []string {
	var flags []string
	for _, o := range options {
		flags = append(flags, "-"+o)
	}
	return flags
}

// workspace writes what a gateway serves: one API with an operation for each
// class, and the system with its profile.
func (r *rig) workspace(dir, listen, admin, redis, simulator string, replica int) error {
	t := &r.trial
	limits, err := t.overrides()
	if err != nil {
		return err
	}
	facts := ""
	if t.facts != "" {
		facts = "facts: " + t.facts + "\n"
	}
	files := map[string]string{
		"headrace.yaml": fmt.Sprintf("listen: {gateway: %q, admin: %q}\nstores: {counters: \"redis://%s\", replica: gateway-%d}\ntelemetry: {level: warn}\n", listen, admin, redis, replica),
		"systems/erp.yaml": fmt.Sprintf("url: http://%s\nprofile: %s\n%stimeout: %s\nconnections: {max: 512}\nbreaker: {off: true}\n%s",
			simulator, t.profile, facts, callTimeout, limits),
		"apis/items/1.0.0/openapi.yaml": t.document(),
	}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) document() string {
	var paths strings.Builder
	body, cost := "", ""
	if t.body != "" {
		body = ", requestBody: {content: {application/json: {schema: {type: object}}}}"
	}
	if t.cost != "" {
		cost = strings.TrimSuffix(strings.TrimPrefix(t.cost, "x-headrace: {"), "}") + ", "
	}
	for _, c := range classes {
		fmt.Fprintf(&paths, "  /%s:\n    %s: {operationId: %s%s, x-headrace: {%sclass: %s, wait: %s, safe: true, call: {path: %q}}, responses: {default: {description: an answer}}}\n",
			c.name, strings.ToLower(t.method), c.name, body, cost, c.name, c.wait, t.path)
	}
	return "openapi: 3.0.3\ninfo: {title: Items, version: 1.0.0}\nx-headrace: {system: erp, policies: {validate: \"off\"}}\npaths:\n" + paths.String()
}

// overrides scales what the profile says in time, and puts the trial's numbers in.
func (t *trial) overrides() (string, error) {
	var ps source.Problems
	p := profiles.Load(t.profile, &ps)
	if err := ps.Err(); err != nil || p == nil {
		return "", fmt.Errorf("the profile %s: %w", t.profile, err)
	}
	var list strings.Builder
	for _, n := range p.System.Get("limits").Items() {
		name := n.Get("name").Text()
		var keys []string
		if t.scale != 1 {
			keys = scaled(n, t.scale)
		}
		if extra, ok := t.limits[name]; ok && extra != "" {
			key, _, _ := strings.Cut(extra, ":")
			keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasPrefix(k, key+":") })
			keys = append(keys, extra)
		}
		if len(keys) > 0 {
			fmt.Fprintf(&list, "  - {name: %q, %s}\n", name, strings.Join(keys, ", "))
		}
	}
	text := ""
	if list.Len() > 0 {
		text = "limits:\n" + list.String()
	}
	return text + t.pauses(p.System.Get("overload")), nil
}

// pauses are the profile's signs of overload, with pauses on the faster clock.
func (t *trial) pauses(signs source.Node) string {
	if t.scale == 1 || !signs.Exists() {
		return ""
	}
	text := string(signs.AppendJSON(nil))
	for _, n := range signs.Items() {
		if after := n.Get("retry_after").Text(); after != "" {
			text = strings.ReplaceAll(text, `"retry_after":"`+after+`"`, `"retry_after":"`+faster(after, t.scale)+`"`)
		}
	}
	return "overload: " + text + "\n"
}

// scaled are the keys of a limit that speak of time, for a clock that runs
// faster. A window that is long enough for a pace of its own keeps it.
func scaled(n source.Node, by float64) []string {
	var keys []string
	paced := func(window string) {
		var d source.Duration
		if err := d.UnmarshalText([]byte(window)); err == nil && d.Std() >= 10*time.Second && d.Std().Seconds()/by >= 1 && !n.Get("pace").Exists() && enforced(n) {
			keys = append(keys, "pace: 10%")
		}
	}
	if hold := n.Get("hold"); hold.Exists() {
		keys = append(keys, "hold: "+faster(hold.Text(), by))
		paced(hold.Text())
	}
	if every := n.Get("calendar").Get("every"); every.Exists() {
		keys = append(keys, fmt.Sprintf("calendar: {every: %s, slack: 5ms}", faster(every.Text(), by)))
		paced(every.Text())
	}
	if b := n.Get("bucket"); b.Exists() {
		refill := b.Get("refill").Text()
		at := strings.LastIndexByte(refill, '/')
		per := refill[at+1:]
		if per[0] < '0' || per[0] > '9' {
			per = "1" + per
		}
		keys = append(keys, fmt.Sprintf("bucket: {size: %q, refill: \"%s/%s\"}", b.Get("size").Text(), refill[:at], faster(per, by)))
	}
	if n.Get("cost").Get("by").Text() == "duration" {
		keys = append(keys, fmt.Sprintf("capacity: \"(%s) / %s\"", n.Get("capacity").Text(), number(by)))
	}
	return keys
}

func enforced(n source.Node) bool {
	text := n.Get("enforcement").Text()
	return text != "billed" && text != "advisory"
}

// faster is a duration on the faster clock, in whole microseconds.
func faster(text string, by float64) string {
	var d source.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return text
	}
	return strconv.FormatInt(int64(math.Round(float64(d.Std().Microseconds())/by)), 10) + "us"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// report asks the simulator for what it saw.
func (r *rig) report() (sim.Report, error) {
	var report sim.Report
	resp, err := http.Get("http://" + r.sim.address + "/_sim/report")
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	return report, json.NewDecoder(resp.Body).Decode(&report)
}

// mark has the simulator measure from now on.
func (r *rig) mark() error {
	resp, err := http.Post("http://"+r.sim.address+"/_sim/mark", "", nil)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// trialResult is what came out.
type trialResult struct {
	trial      trial
	violations int
	binding    string
	// utilisation is the use of the binding limit over capacity ÷ (window +
	// median latency), bare that over capacity ÷ window.
	utilisation, bare float64
	perSecond         float64
	criticalWait      time.Duration
	shares            []float64
	raw               string
}

// The times of a trial: until the limits are in their steady state, and for measuring.
const (
	warmUp  = 5 * time.Second
	measure = 12 * time.Second
	// settleLost is until the gateways go by their safe share after Redis was
	// killed: they notice, wait until all replicas have, and until every call that
	// was under way has surely ended, and its hold after it.
	settleLost = 24 * time.Second
)

// try runs one trial through one case.
func (b *budgetBench) try(t trial, c budgetCase) (*trialResult, error) {
	r, err := newRig(b.headrace, t, c.name == "foreign")
	if err != nil {
		return nil, err
	}
	defer r.close()
	m := newMixed([]string{r.gateways[0].address, r.gateways[1].address}, t.method, "/items/v1/{class}", t.body)
	if err := r.ready(m); err != nil {
		return nil, err
	}
	m.start(t.rate)
	time.Sleep(warmUp)
	if err := r.halfway(c, m); err != nil {
		m.end()
		return nil, err
	}
	if err := r.mark(); err != nil {
		m.end()
		return nil, err
	}
	m.clear()
	time.Sleep(measure)
	report, err := r.report()
	tallies := m.read()
	m.end()
	if err != nil {
		return nil, err
	}
	return r.result(report, tallies)
}

// ready waits until both gateways have a call admitted: when they share their
// counts, and all replicas know how long calls may take.
func (r *rig) ready(m *mixed) error {
	var answer string
	for i := range r.gateways {
		for attempt := 0; ; attempt++ {
			var status int
			if status, answer = m.send(0, i); status >= 200 && status < 300 {
				break
			}
			if attempt == 10 {
				return fmt.Errorf("gateway %d admits nothing: %d %s\n%s", i+1, status, answer, r.gateways[i].log.String())
			}
		}
	}
	return nil
}

// halfway does what the case says, and waits until the limits are steady again.
func (r *rig) halfway(c budgetCase, m *mixed) error {
	switch c.name {
	case "redis-lost":
		r.redis.cmd.Process.Signal(syscall.SIGKILL)
		time.Sleep(settleLost)
	case "gateway-lost":
		m.down[1].Store(true)
		r.gateways[1].cmd.Process.Signal(syscall.SIGKILL)
		time.Sleep(settleLost)
	}
	return nil
}

func (r *rig) result(report sim.Report, tallies []tally) (*trialResult, error) {
	raw, _ := json.Marshal(report)
	res := &trialResult{trial: r.trial, violations: report.Violations, raw: string(raw)}
	admitted := 0
	for i, t := range tallies {
		if t.failed > 0 {
			return nil, fmt.Errorf("%d calls of class %s failed, for example with %s", t.failed, classes[i].name, t.example)
		}
		admitted += t.admitted
	}
	if admitted == 0 {
		return nil, fmt.Errorf("no call was admitted: %s\n%s", raw, r.gateways[0].log.String())
	}
	median := report.Mark.MedianMS / 1000
	for _, l := range report.Limits {
		if l.Billed || l.Window > measure.Seconds() {
			continue // a long window may take a burst; it binds no run as short as this
		}
		use := l.Mark.Utilisation
		if l.Window > 0 {
			use *= (l.Window + median) / l.Window
		}
		if use > res.utilisation {
			res.binding, res.utilisation, res.bare = l.Name, use, l.Mark.Utilisation
		}
	}
	for _, t := range tallies {
		res.shares = append(res.shares, float64(t.admitted)/float64(max(1, t.offered)))
	}
	res.perSecond = float64(admitted) / report.Mark.Seconds
	latencies := slices.Sorted(slices.Values(tallies[0].latencies))
	res.criticalWait = max(0, percentile(latencies, 0.99)-time.Duration(report.Mark.MedianMS*float64(time.Millisecond)))
	return res, nil
}
