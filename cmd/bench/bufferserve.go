package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// heapOperation is the write operation of the workspace.
const heapOperation = "orders/v1/createOrder"

// heapFile names the ledger that holds so many of it.
func heapFile(depth int) string { return fmt.Sprintf("held-%d", depth) }

// gatewayOn starts a gateway on a ledger, in front of an ERP.
func (b *bufferBench) gatewayOn(ledgerURL, erp string) (*process, error) {
	var addresses [2]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(b.dir, "workspace-")
	if err != nil {
		return nil, err
	}
	const operation = `
  /%s:
    post:
      operationId: %s
      x-headrace: {call: {path: /orders}, wait: 10s, class: normal, %s}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: an answer}}`
	files := map[string]string{
		"headrace.yaml":    fmt.Sprintf("listen: {gateway: %q, admin: %q}\nstores: {ledger: %q}\nwrites: {most: 4000000, bytes: 64GiB, share: 100}\ntelemetry: {level: warn}\n", addresses[0], addresses[1], ledgerURL),
		"systems/erp.yaml": fmt.Sprintf("url: http://%s\nconnections: {max: 64}\nlimits: [{name: concurrency, capacity: 64}]\n", erp),
		"apis/orders/1.0.0/openapi.yaml": "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp, policies: {validate: {request: \"off\"}}}\npaths:" +
			fmt.Sprintf(operation, "orders", "createOrder", `lane: "$request.body#/reference", idempotency: {class: natural-key}`) +
			fmt.Sprintf(operation, "prices", "priceOrder", "safe: true") + "\n",
	}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return startWithin(2*time.Minute, addresses[0], []string{gogc}, b.headrace, "serve", dir) // it counts what the ledger holds
}

// erp starts an ERP that answers at once.
func (b *bufferBench) erp() (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(address, nil, self, "upstream", address)
}

// caller posts orders.
type caller struct {
	http  *http.Client
	count atomic.Int64
}

func newCaller() *caller {
	return &caller{http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}}
}

// post sends an order of a lane of its own, and wants one of two statuses.
func (c *caller) post(address, path, prefer string, want ...int) error {
	body := fmt.Appendf(nil, `{"reference": "P%d", "note": %q}`, c.count.Add(1), strings.Repeat("x", benchBody))
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/orders/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if prefer != "" {
		req.Header.Set("Prefer", prefer)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !slices.Contains(want, resp.StatusCode) {
		err = fmt.Errorf("answered with %d: %s", resp.StatusCode, text)
	}
	return err
}

// template is what the ledger keeps of an order that came through a gateway.
func (b *bufferBench) template() ([]byte, error) {
	file := filepath.Join(b.dir, "template.db")
	if kept, err := os.ReadFile(file + ".request"); err == nil {
		return kept, nil
	}
	nowhere, err := freeAddress()
	if err != nil {
		return nil, err
	}
	g, err := b.gatewayOn("sqlite:"+file, nowhere)
	if err != nil {
		return nil, err
	}
	err = newCaller().post(g.address, "orders", "respond-async", http.StatusAccepted)
	g.stop()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	db, err := ledger.Open(ctx, "sqlite:"+file, quiet)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	page, err := db.List(ctx, ledger.Filter{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Writes) != 1 {
		return nil, errors.New("the gateway has not kept the order")
	}
	record, err := db.Get(ctx, page.Writes[0].ID)
	if err != nil {
		return nil, err
	}
	return record.Request, os.WriteFile(file+".request", record.Request, 0o600)
}

// overhead is what the ledger adds to a write that is answered at once: the
// same call, once as a write and once as a call that changes nothing.
func (b *bufferBench) overhead() (float64, error) {
	erp, err := b.erp()
	if err != nil {
		return 0, err
	}
	defer erp.stop()
	g, err := b.gatewayOn("sqlite:"+filepath.Join(b.dir, "overhead.db"), erp.address)
	if err != nil {
		return 0, err
	}
	defer g.stop()
	c := newCaller()
	fmt.Printf("\n| the same call, sqlite | callers | calls/s | p50 ms | p99 ms |\n|---|---|---|---|---|\n")
	added := 0.0
	for _, callers := range []int{1, 16} {
		p50s := map[string][]float64{}
		rates, latencies := map[string][]float64{}, map[string][]time.Duration{}
		for round := range b.rounds + 1 {
			for _, path := range []string{"prices", "orders"} {
				perSecond, took, err := together(callers, b.each, func() error { return c.post(g.address, path, "", http.StatusCreated) })
				if err != nil {
					return 0, fmt.Errorf("%s: %w\n%s", path, err, g.log.String())
				}
				if round == 0 {
					continue // it warms up
				}
				slices.Sort(took)
				p50s[path] = append(p50s[path], ms(percentile(took, 0.5)))
				rates[path] = append(rates[path], perSecond)
				latencies[path] = append(latencies[path], took...)
			}
		}
		for _, s := range []struct{ name, path string }{{"changes nothing: no ledger", "prices"}, {"a write", "orders"}} {
			slices.Sort(latencies[s.path])
			fmt.Printf("| %s | %d | %.0f | %.2f | %.2f |\n", s.name, callers, median(rates[s.path]), median(p50s[s.path]), ms(percentile(latencies[s.path], 0.99)))
		}
		if callers == 1 {
			var differences []float64
			for i := range p50s["orders"] {
				differences = append(differences, p50s["orders"][i]-p50s["prices"][i])
			}
			added = median(differences)
		}
	}
	return added, nil
}

// memory is the most that a gateway takes in megabytes while callers write to
// it and it drains: on the ledger with the fewest held writes, and with the most.
func (b *bufferBench) memory(ctx context.Context) (few, many float64, err error) {
	if !slices.Contains(b.engines, "sqlite") || !slices.Contains(b.parts, "claims") {
		return 0, 0, errors.New("it is measured on the ledgers that the claims leave; add sqlite to -engines and claims to -parts")
	}
	fmt.Printf("\n| held at the start, sqlite | ready after s | at rest MB | most MB while writing and draining | accepted/s | drained/s |\n|---|---|---|---|---|---|\n")
	if few, err = b.peak(ctx, b.depths[0]); err != nil {
		return 0, 0, err
	}
	many, err = b.peak(ctx, b.depths[len(b.depths)-1])
	return few, many, err
}

// peak has 64 callers write for ten seconds while the gateway drains.
func (b *bufferBench) peak(ctx context.Context, held int) (float64, error) {
	url, err := b.url("sqlite", heapFile(held))
	if err != nil {
		return 0, err
	}
	erp, err := b.erp()
	if err != nil {
		return 0, err
	}
	defer erp.stop()
	before, err := depthOf(ctx, url)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	g, err := b.gatewayOn(url, erp.address)
	if err != nil {
		return 0, err
	}
	ready := time.Since(started)
	time.Sleep(2 * time.Second)
	rest := g.resident()
	c := newCaller()
	perSecond, _, err := together(64, 10*time.Second, func() error {
		return c.post(g.address, "orders", "respond-async", http.StatusAccepted, http.StatusCreated)
	})
	took := time.Since(started) - ready
	most := statusMB(g.cmd.Process.Pid, "VmHWM:")
	g.stop()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, g.log.String())
	}
	left, err := depthOf(ctx, url)
	if err != nil {
		return 0, err
	}
	drained := (float64(before) + perSecond*10 - float64(left)) / took.Seconds()
	fmt.Printf("| %d | %.1f | %.0f | %.0f | %.0f | %.0f |\n", before, ready.Seconds(), rest, most, perSecond, drained)
	return most, nil
}

// depthOf is how many writes a ledger that nobody has open holds.
func depthOf(ctx context.Context, url string) (int64, error) {
	db, err := ledger.Open(ctx, url, quiet)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	held, _ := db.Depth("erp")
	return held, nil
}
