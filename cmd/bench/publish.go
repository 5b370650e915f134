package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// publishBench publishes to several replicas on one Postgres while calls go
// through all of them.
type publishBench struct {
	headrace, documents             string
	apis, operations, publishes     int
	replicas, rate, trials, keyApps int
	quiet                           time.Duration

	site    *site
	key     string
	minors  map[int]int // the last minor of each API
	figures []string
}

func publishMain(args []string) error {
	b := &publishBench{minors: map[int]int{}}
	f := flag.NewFlagSet("publish", flag.ExitOnError)
	f.StringVar(&b.headrace, "headrace", "bin/headrace", "the binary to measure")
	f.StringVar(&b.documents, "documents", "../shared/apis", "folder of vendors' OpenAPI documents to publish; left out when it is absent")
	f.IntVar(&b.apis, "apis", 200, "APIs that are published first")
	f.IntVar(&b.operations, "operations", 50, "operations of each")
	f.IntVar(&b.publishes, "publishes", 100, "compatible minor versions that are published in a row under traffic")
	f.IntVar(&b.replicas, "replicas", 3, "gateways on the one ledger")
	f.IntVar(&b.rate, "rate", 300, "calls a second through all replicas together")
	f.IntVar(&b.trials, "trials", 10, "keys that are revoked, and plans that are changed")
	f.IntVar(&b.keyApps, "apps", 100, "apps with a key and a subscription")
	f.DurationVar(&b.quiet, "quiet", 20*time.Second, "time of quiet traffic, before and after the publishes")
	f.Parse(args)
	return b.run()
}

func (b *publishBench) run() error {
	if b.apis < 1 || b.publishes < 1 || b.rate < 1 || b.trials < 1 || b.replicas < 1 || b.operations < 2 || b.keyApps < b.trials+2 {
		return errors.New("at least one of each, two operations, and two apps more than trials")
	}
	var err error
	if b.site, err = newSite(b.headrace, b.replicas); err != nil {
		return err
	}
	defer b.site.close()
	var failures []error
	for _, part := range []struct {
		name    string
		measure func() error
	}{{"tables", b.tables}, {"publishes", b.publishing}, {"revocation", b.revocation}, {"documents", b.vendors}} {
		began := time.Now()
		if err := part.measure(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", part.name, err))
			if part.name == "tables" { // there is nothing to go on with
				break
			}
		}
		fmt.Printf("\n%s took %.0f s\n", part.name, time.Since(began).Seconds())
	}
	fmt.Printf("\n%s\n", strings.Join(b.figures, "\n"))
	return errors.Join(failures...)
}

func (b *publishBench) figure(format string, args ...any) {
	b.figures = append(b.figures, fmt.Sprintf("figure: "+format, args...))
}

// contract is an API of so many operations, half of them writes of an order.
func (b *publishBench) contract(api, minor int) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, `openapi: 3.0.3
info: {title: Things %d, version: 1.%d.0, description: "One of many APIs, as large as those of an ERP."}
x-headrace: {system: upstream, policies: {apikey: {}, subscription: {}, throttle: {rate: 100000/s, burst: 100000}}}
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}
  schemas:
    Address: {type: object, required: [street, city], properties: {street: {type: string, maxLength: 100}, city: {type: string, maxLength: 60}, zip: {type: string, pattern: "^[0-9A-Z -]{3,10}$"}, country: {type: string, minLength: 2, maxLength: 2}}}
    Line: {type: object, required: [sku, quantity], properties: {sku: {type: string}, quantity: {type: integer, minimum: 1}, price: {type: number}, note: {type: string}}}
    Order: {type: object, required: [id, lines], properties: {id: {type: string}, customer: {type: string}, shipTo: {$ref: "#/components/schemas/Address"}, billTo: {$ref: "#/components/schemas/Address"}, lines: {type: array, items: {$ref: "#/components/schemas/Line"}}`, api, minor)
	for i := range minor { // what is new is optional: compatible
		fmt.Fprintf(&text, ", extra%d: {type: string}", i+1)
	}
	text.WriteString("}}\npaths:\n")
	for i := range b.operations / 2 {
		fmt.Fprintf(&text, `  /things%d/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: get%d
      parameters: [{name: limit, in: query, schema: {type: integer, maximum: 100}}]
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}
    put:
      operationId: put%d
      x-headrace: {idempotency: {class: header, header: Idempotency-Key}, lane: $request.path.id}
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
      responses: {"200": {description: ok}}
`, i, i, i)
	}
	return []byte(text.String())
}

// workspace is everything that is published first.
func (b *publishBench) workspace() map[string][]byte {
	files := map[string][]byte{
		"systems/upstream.yaml": fmt.Appendf(nil, "dialect: rest\nurl: http://%s\nconnections: {max: 64}\nlimits: [{name: concurrency, capacity: 1000}]\n", b.site.upstream.address),
	}
	var apis, apps, subscriptions []string
	for i := range b.apis {
		files[fmt.Sprintf("apis/things%d/1.0.0/openapi.yaml", i)] = b.contract(i, 0)
		apis = append(apis, fmt.Sprintf("things%d/v1", i))
	}
	for i := range b.keyApps {
		apps = append(apps, fmt.Sprintf("app%d: {organisation: acme}", i))
		subscriptions = append(subscriptions, fmt.Sprintf("{app: app%d, product: all, plan: gold}", i))
	}
	files["consumers.yaml"] = fmt.Appendf(nil, "organisations: {acme: {}}\napps: {%s}\nproducts: {all: {apis: [%s]}}\n"+
		"plans:\n  gold: {class: high, policies: {throttle: {rate: 100000/s, burst: 100000}}}\n  spent: {policies: {quota: {limit: 1, per: day}}}\nsubscriptions: [%s]\n",
		strings.Join(apps, ", "), strings.Join(apis, ", "), strings.Join(subscriptions, ", "))
	return files
}

// tables publishes all APIs at once, and starts a replica again on what is there.
func (b *publishBench) tables() error {
	before := b.site.memory()
	began := time.Now()
	if err := b.site.apply(b.workspace()); err != nil {
		return err
	}
	applied := time.Since(began)
	if err := b.site.settled(); err != nil {
		return err
	}
	live := time.Since(began)
	var err error
	if b.key, _, err = b.site.newKey("app0"); err != nil {
		return err
	}
	if err := b.site.settled(); err != nil {
		return err
	}
	changed, err := b.took()
	if err != nil {
		return err
	}
	after := b.site.memory()
	// Alone on the machine, and with nothing remembered: the others are idle.
	last := b.site.replicas[len(b.site.replicas)-1]
	last.stop()
	began = time.Now()
	if err := b.site.start(last); err != nil {
		return err
	}
	started := time.Since(began)
	at, err := b.site.standing(last)
	if err != nil {
		return err
	}
	cold := float64(at.Reload.TookMillis) / 1000
	fmt.Printf("## %d APIs with %d operations each, %d replicas\n\n", b.apis, b.operations, b.replicas)
	fmt.Println("| | s |\n|---|---|")
	fmt.Printf("| plan and apply of everything, until it is answered | %.2f |\n", applied.Seconds())
	fmt.Printf("| … until all replicas serve it | %.2f |\n", live.Seconds())
	fmt.Printf("| table of %d operations, by a process that has just started | %.2f |\n", at.Operations, cold)
	fmt.Printf("| … from the start of the process until it accepts calls | %.2f |\n", started.Seconds())
	fmt.Printf("| table after one new key, the slowest replica | %.3f |\n\n", changed)
	fmt.Println("| memory, MB | " + strings.Join(b.names(), " | ") + " |\n|---|" + strings.Repeat("---|", b.replicas))
	fmt.Println("| before |" + columns(before))
	fmt.Println("| with everything published |" + columns(after))
	fmt.Println("| the last one started again |" + columns(b.site.memory()))
	b.figure("table-build-seconds %.2f s", cold)
	b.figure("table-rebuild-ms %.0f ms", changed*1000)
	b.figure("table-mb %.0f MB", slices.Max(after))
	return nil
}

func (b *publishBench) names() []string {
	var list []string
	for _, r := range b.site.replicas {
		list = append(list, r.name)
	}
	return list
}

func columns(values []float64) string {
	text := ""
	for _, v := range values {
		text += fmt.Sprintf(" %.0f |", v)
	}
	return text
}

// took is the longest that a replica's last table took, in seconds.
func (b *publishBench) took() (float64, error) {
	most := 0.0
	for _, r := range b.site.replicas {
		at, err := b.site.standing(r)
		if err != nil {
			return 0, err
		}
		most = max(most, float64(at.Reload.TookMillis)/1000)
	}
	return most, nil
}

// requests are reads of many operations of many APIs.
func (b *publishBench) requests() [][]byte {
	var list [][]byte
	for i := range min(b.apis, 100) {
		path := fmt.Sprintf("/things%d/v1/things%d/4711", i, i%b.operations/2)
		list = append(list, request("GET", path, nil, "X-Api-Key: "+b.key))
	}
	return list
}

// calm is what quiet traffic meets.
func (b *publishBench) calm() crossed {
	t := begin(b.site.addresses(), b.requests(), b.rate)
	time.Sleep(b.quiet)
	return t.end()
}

// publishing publishes compatible minors in a row, through the replicas in
// turn, while calls go through all of them.
func (b *publishBench) publishing() error {
	first := begin(b.site.addresses(), b.requests(), b.rate) // all chains are compiled when they are first called
	time.Sleep(2 * time.Second)
	first.end()
	before := b.calm()
	memory := b.site.memory()
	used, err := b.site.cpu()
	if err != nil {
		return err
	}
	calls := begin(b.site.addresses(), b.requests(), b.rate)
	began := time.Now()
	var each []time.Duration
	for n := range b.publishes {
		if err = b.publish(n); err != nil {
			break
		}
		each = append(each, time.Since(began)-sum(each))
	}
	if err == nil {
		err = b.site.settled()
	}
	took := time.Since(began)
	during := calls.end()
	if err != nil {
		return err
	}
	spent, err := b.site.cpu()
	if err != nil {
		return err
	}
	slices.Sort(each)
	after := b.calm()
	quiet := max(before.ms(0.99), 0.01)
	if after.calls > 0 {
		quiet = max((before.ms(0.99)+after.ms(0.99))/2, 0.01)
	}
	ratio := during.ms(0.99) / quiet
	fmt.Printf("\n## %d publishes in a row under %d calls a second\n\n", b.publishes, b.rate)
	fmt.Println("| | calls | errors | p50 ms | p95 ms | p99 ms | most ms |\n|---|---|---|---|---|---|---|")
	fmt.Println(before.row("quiet, before"))
	fmt.Println(during.row("while versions are published"))
	fmt.Println(after.row("quiet, after"))
	fmt.Printf("\n%d publishes in %.1f s: %.0f ms each in the middle, %.0f ms at p99; %.0f ms of CPU each, of all replicas, with the calls\n", b.publishes, took.Seconds(),
		percentile(each, 0.5).Seconds()*1000, percentile(each, 0.99).Seconds()*1000, (spent-used).Seconds()*1000/float64(b.publishes))
	fmt.Println("\n| memory, MB | " + strings.Join(b.names(), " | ") + " |\n|---|" + strings.Repeat("---|", b.replicas))
	fmt.Println("| before the publishes |" + columns(memory))
	fmt.Println("| after them |" + columns(b.site.memory()))
	b.figure("publish-errors %d calls", during.errors)
	b.figure("publish-p99-ratio %.2f x", ratio)
	b.figure("publish-p99-ms %.2f ms", during.ms(0.99))
	b.figure("publish-ms %.0f ms", percentile(each, 0.5).Seconds()*1000)
	b.figure("publish-cpu-ms %.0f ms", (spent-used).Seconds()*1000/float64(b.publishes))
	if during.errors > 0 {
		return fmt.Errorf("%d calls failed while versions were published, for example %s", during.errors, during.example)
	}
	return nil
}

func sum(list []time.Duration) time.Duration {
	var all time.Duration
	for _, d := range list {
		all += d
	}
	return all
}

// publish publishes the next minor of an API, at one of the replicas.
func (b *publishBench) publish(n int) error {
	api := n % b.apis
	b.minors[api]++
	body := map[string]any{"status": "published", "files": map[string][]byte{"openapi.yaml": b.contract(api, b.minors[api])}}
	return b.site.call(b.site.replicas[n%b.replicas], "POST", fmt.Sprintf("apis/things%d/versions/1.%d.0", api, b.minors[api]), body, nil)
}

// within is how soon all replicas have to refuse a revoked key. A changed plan
// needs a table, whose time depends on the machine.
const within = time.Second

// revocation takes keys and plans back at one replica, and waits for the
// refusal at each.
func (b *publishBench) revocation() error {
	var revoked, replanned []time.Duration
	for n := range b.trials {
		took, err := b.revoke(n)
		if err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		revoked = append(revoked, took)
		if took, err = b.replan(n); err != nil {
			return fmt.Errorf("a plan: %w", err)
		}
		replanned = append(replanned, took)
	}
	slices.Sort(revoked)
	slices.Sort(replanned)
	fmt.Printf("\n## From the admin API's answer at one replica to the first refused call at the last of %d\n\n", b.replicas)
	fmt.Println("| | times | median s | most s |\n|---|---|---|---|")
	fmt.Printf("| a key is revoked: 401 | %d | %.3f | %.3f |\n", len(revoked), percentile(revoked, 0.5).Seconds(), percentile(revoked, 1).Seconds())
	fmt.Printf("| a subscription goes to a plan without room: 429 | %d | %.3f | %.3f |\n", len(replanned), percentile(replanned, 0.5).Seconds(), percentile(replanned, 1).Seconds())
	b.figure("revocation-seconds %.3f s", percentile(revoked, 1).Seconds())
	b.figure("plan-change-seconds %.3f s", percentile(replanned, 1).Seconds())
	if most := percentile(revoked, 1); most > within {
		return fmt.Errorf("a replica took a revoked key for %.3f s", most.Seconds())
	}
	return nil
}

// revoke makes a key, uses it everywhere, and revokes it.
func (b *publishBench) revoke(n int) (time.Duration, error) {
	key, name, err := b.site.newKey("app1")
	if err != nil {
		return 0, err
	}
	call := request("GET", "/things0/v1/things0/4711", nil, "X-Api-Key: "+key)
	if err := b.everywhere(call, 200); err != nil {
		return 0, err
	}
	return b.untilRefused(call, 401, func(at *siteReplica) error {
		return b.site.call(at, "DELETE", "credentials/"+name, nil, nil)
	}, n)
}

// replan moves the subscription of an app to a plan that lets one call a day through.
func (b *publishBench) replan(n int) (time.Duration, error) {
	app := fmt.Sprintf("app%d", 2+n%(b.keyApps-2))
	key, _, err := b.site.newKey(app)
	if err != nil {
		return 0, err
	}
	call := request("GET", "/things0/v1/things0/4711", nil, "X-Api-Key: "+key)
	if err := b.everywhere(call, 200); err != nil {
		return 0, err
	}
	return b.untilRefused(call, 429, func(at *siteReplica) error {
		return b.site.call(at, "POST", "subscriptions/"+app+".all/plan", map[string]any{"plan": "spent"}, nil)
	}, n)
}

// everywhere waits until a call has a status at every replica.
func (b *publishBench) everywhere(call []byte, want int) error {
	for _, address := range b.site.addresses() {
		if _, err := refusedWithin(time.Minute, address, call, want); err != nil {
			return err
		}
	}
	return nil
}

// untilRefused changes something at one replica, and tells how long after the
// answer the last replica refused a call for the first time.
func (b *publishBench) untilRefused(call []byte, want int, change func(*siteReplica) error, n int) (time.Duration, error) {
	type heard struct {
		at  time.Time
		err error
	}
	answers := make(chan heard, b.replicas)
	for _, address := range b.site.addresses() {
		go func() {
			at, err := refusedWithin(time.Minute, address, call, want)
			answers <- heard{at, err}
		}()
	}
	err := change(b.site.replicas[n%b.replicas])
	changed := time.Now()
	var most time.Duration
	for range b.replicas {
		h := <-answers
		err = errors.Join(err, h.err)
		most = max(most, h.at.Sub(changed))
	}
	return most, err
}

// vendors publishes the documents of a folder, with small overlays.
func (b *publishBench) vendors() error {
	var names []string
	for _, ext := range []string{"*.json", "*.yaml"} {
		found, err := filepath.Glob(filepath.Join(b.documents, ext))
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		fmt.Printf("\n## Vendors' documents\n\nthere are none in %s: nothing was published\n", b.documents)
		return nil
	}
	slices.Sort(names)
	fmt.Print("\n## Vendors' documents, with overlays of a few lines\n\n| document | KB | operations | until it is answered s | until all replicas serve it s | memory of the publishing replica MB |\n|---|---|---|---|---|---|\n")
	most := time.Duration(0)
	for _, name := range names {
		took, err := b.vendor(name)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		most = max(most, took)
	}
	b.figure("vendor-publish-seconds %.2f s", most.Seconds())
	return nil
}

// vendor publishes one document.
func (b *publishBench) vendor(name string) (time.Duration, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	overlay, err := overlayFor(text)
	if err != nil {
		return 0, err
	}
	first := b.site.replicas[0]
	before, err := b.site.standing(first)
	if err != nil {
		return 0, err
	}
	base, ext := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)), filepath.Ext(name)
	body := map[string]any{"status": "published", "files": map[string][]byte{
		"openapi" + ext: text, "overlay.yaml": []byte(strings.ReplaceAll(overlay, "{system: erp}", "{system: upstream}")),
	}}
	began := time.Now()
	if err := b.site.call(first, "POST", "apis/"+base+"/versions/1.0.0", body, nil); err != nil {
		return 0, err
	}
	answered := time.Since(began)
	if err := b.site.settled(); err != nil {
		return 0, err
	}
	live := time.Since(began)
	now, err := b.site.standing(first)
	if err != nil {
		return 0, err
	}
	fmt.Printf("| %s | %d | %d | %.2f | %.2f | %.0f |\n", filepath.Base(name), len(text)/1024, now.Operations-before.Operations, answered.Seconds(), live.Seconds(), first.resident())
	return live, nil
}
