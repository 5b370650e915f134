package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium with one tab, which counts what it does.
type browser struct {
	ctx    context.Context
	close  func()
	axe    string
	shots  string
	only   string
	clicks int

	firstCall   time.Duration // from the sign-up to the first call that was answered
	firstClicks int

	pages    []string
	pictures int
	findings []string
	wide     []string

	mu           sync.Mutex
	weight       int64 // of the page that is being loaded, as it came over the wire
	heaviest     int64
	heaviestPage string
}

func openBrowser(ctx context.Context, axe, shots, only string) (*browser, error) {
	data, err := os.MkdirTemp("", "headrace-chromium-")
	if err != nil {
		return nil, err
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(data), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true), chromedp.WindowSize(1280, 900))
	alloc, endAlloc := chromedp.NewExecAllocator(ctx, flags...)
	tab, endTab := chromedp.NewContext(alloc)
	b := &browser{ctx: tab, axe: axe, shots: shots, only: only, close: func() { endTab(); endAlloc(); os.RemoveAll(data) }}
	if shots != "" {
		if err := errors.Join(os.RemoveAll(shots), os.MkdirAll(shots, 0o755)); err != nil {
			return nil, err
		}
	}
	chromedp.ListenTarget(tab, func(event any) {
		if e, ok := event.(*network.EventLoadingFinished); ok {
			b.mu.Lock()
			b.weight += int64(e.EncodedDataLength)
			b.mu.Unlock()
		}
	})
	if err := chromedp.Run(tab); err != nil { // the browser lives as long as the context of its first run
		return nil, err
	}
	return b, b.do(network.Enable(), emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
}

// patience bounds each step of the browser.
const patience = 60 * time.Second

func (b *browser) do(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

// open goes to a page of the portal.
func (b *browser) open(path string) error {
	if err := b.do(chromedp.Navigate(portalURL+path), chromedp.WaitReady("main")); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// fill writes into the field of a name.
func (b *browser) fill(name, value string) error {
	set := fmt.Sprintf(`(() => { const f = document.querySelector('main [name=%q]'); if (!f) return false; f.value = %s; f.dispatchEvent(new Event('input', {bubbles: true})); return true })()`, name, quoted(value))
	found := false
	if err := b.do(chromedp.Evaluate(set, &found)); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is no field %s on %s", name, b.where())
	}
	return nil
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// press clicks the button or link with a text, and waits for the page that follows.
func (b *browser) press(text string) error {
	b.clicks++
	click := fmt.Sprintf(`(() => { const t = ['main button', 'main a', 'nav a'].flatMap(s => [...document.querySelectorAll(s)]).find(e => e.textContent.trim() === %s && e.offsetParent !== null); if (!t) return false; window.before = true; t.click(); return true })()`, quoted(text))
	found := false
	if err := b.do(chromedp.Evaluate(click, &found)); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is nothing called %q on %s: %s", text, b.where(), b.text())
	}
	// The next document does not know what this one was told.
	return until(b.ctx, func() error {
		gone := false
		err := b.do(chromedp.Evaluate(`!window.before && document.readyState === 'complete'`, &gone))
		if err == nil && !gone {
			err = fmt.Errorf("nothing follows %q on %s", text, b.where())
		}
		return err
	})
}

func (b *browser) where() (at string) {
	b.do(chromedp.Location(&at)) //nolint:errcheck // for a text alone
	return strings.TrimPrefix(at, portalURL)
}

// text is what the page says.
func (b *browser) text() (text string) {
	b.do(chromedp.Evaluate(`document.querySelector('main').innerText`, &text)) //nolint:errcheck // for a text alone
	return text
}

// says waits until the page that is loaded again and again says something.
func (b *browser) says(path string, words ...string) error {
	return until(b.ctx, func() error {
		if err := b.open(path); err != nil {
			return err
		}
		return b.shows(words...)
	})
}

// shows expects the page to say something.
func (b *browser) shows(words ...string) error {
	text := b.text()
	for _, w := range words {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			return fmt.Errorf("%s does not say %q, but: %s", b.where(), w, text)
		}
	}
	return nil
}

// look looks at a page in both themes and two widths. The first load is weighed.
func (b *browser) look(name, path string) error {
	if !strings.Contains(name, b.only) {
		return nil
	}
	b.pages = append(b.pages, name)
	if err := b.weigh(name, path); err != nil {
		return err
	}
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1280} {
			err := b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, false),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme},
					// So that axe does not measure colours half way from one theme to the other.
					{Name: "prefers-reduced-motion", Value: "reduce"}}))
			if err == nil && path != "" {
				err = b.open(path)
			}
			if err == nil {
				err = b.examine(name, theme, width)
			}
			if err != nil {
				return fmt.Errorf("%s, %s, %d: %w", name, theme, width, err)
			}
		}
	}
	return b.do(emulation.SetDeviceMetricsOverride(1280, 900, 1, false), emulation.SetEmulatedMedia())
}

// weigh loads a page with an empty cache; a page that only a form leads to is
// not loaded again.
func (b *browser) weigh(name, path string) error {
	if path == "" {
		return nil
	}
	if err := b.do(network.ClearBrowserCache()); err != nil {
		return err
	}
	b.mu.Lock()
	b.weight = 0
	b.mu.Unlock()
	if err := b.open(path); err != nil {
		return err
	}
	if err := b.do(chromedp.Sleep(300 * time.Millisecond)); err != nil { // what scripts fetch
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.weight > b.heaviest {
		b.heaviest, b.heaviestPage = b.weight, name
	}
	return nil
}

// examine runs axe and takes a picture.
func (b *browser) examine(name, theme string, width int64) error {
	var found string
	run := `axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target.join(' ')).join(', '))))`
	var scroll, client int64
	err := b.do(chromedp.Evaluate(b.axe, nil), chromedp.Evaluate(run, &found, chromedp.EvalAsValue, awaited),
		chromedp.Evaluate(`document.documentElement.scrollWidth`, &scroll), chromedp.Evaluate(`document.documentElement.clientWidth`, &client))
	if err != nil {
		return err
	}
	var list []string
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		return err
	}
	for _, f := range list {
		b.findings = append(b.findings, fmt.Sprintf("%s, %s, %d: %s", name, theme, width, f))
	}
	if scroll > client {
		b.wide = append(b.wide, fmt.Sprintf("%s at %d (%d)", name, width, scroll))
	}
	if b.shots == "" {
		return nil
	}
	var picture []byte
	if err := b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
		if err != nil {
			return err
		}
		picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
			WithClip(&page.Viewport{Width: float64(width), Height: min(size.Height, 6000), Scale: 1}).Do(ctx)
		return err
	})); err != nil {
		return err
	}
	b.pictures++
	return os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%s-%d.png", name, theme, width)), picture, 0o644)
}

// awaited waits for a promise.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
