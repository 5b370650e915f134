package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chromedp/chromedp"
)

// walk is the journey of a partner, with the partner manager in between.
func walk(ctx context.Context, d *demo, b *browser) error {
	w := &walker{ctx: ctx, demo: d, b: b}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"before anybody is signed in", w.visit}, {"the manager signs up", w.manager}, {"a partner signs up", w.signUp}, {"an app, a subscription and a key", w.app}, {"try it", w.try},
		{"usage", w.usage}, {"rotate the key", w.rotate}, {"ask for more", w.ask}, {"webhook", w.webhook}, {"a refused write", w.refused},
		{"deprecation", w.deprecated}, {"the rest", w.rest},
	} {
		begun := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("  %-36s %5.1f s\n", step.name, time.Since(begun).Seconds())
	}
	return nil
}

type walker struct {
	ctx      context.Context
	demo     *demo
	b        *browser
	begun    time.Time
	appPath  string
	key, old string
	hooked   atomic.Int64
	stop     func()
}

// each carries out actions until one fails.
func each(actions ...func() error) error {
	for _, a := range actions {
		if err := a(); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) open(path string) func() error { return func() error { return w.b.open(path) } }
func (w *walker) fill(name, value string) func() error {
	return func() error { return w.b.fill(name, value) }
}
func (w *walker) press(text string) func() error { return func() error { return w.b.press(text) } }
func (w *walker) look(name, path string) func() error {
	return func() error { return w.b.look(name, path) }
}
func (w *walker) shows(words ...string) func() error {
	return func() error { return w.b.shows(words...) }
}
func (w *walker) says(path string, words ...string) func() error {
	return func() error { return w.b.says(path, words...) }
}

// visit looks at what everybody sees.
func (w *walker) visit() error {
	return each(w.look("home", "/"), w.look("apis", "/apis"), w.look("search", "/search?q=order"), w.look("api", "/apis/orders/v1"), w.look("reference", "/apis/orders/v1/reference"),
		w.operation, w.look("changes", "/apis/orders/v1/changes"), w.look("products", "/products"), w.look("product", "/products/catalogue"), w.look("status", "/status"),
		w.look("sign-in", "/sign-in"), w.look("sign-up", "/sign-up"), w.look("reset", "/reset"))
}

// operation looks at the first operation of the reference, and at its form.
func (w *walker) operation() error {
	path := ""
	find := `(document.querySelector('main a[href^="/apis/orders/v1/reference/"]') || {getAttribute: () => ''}).getAttribute('href')`
	if err := each(w.open("/apis/orders/v1/reference"), func() error { return w.b.do(chromedp.Evaluate(find, &path)) }); err != nil {
		return err
	}
	if path == "" {
		return fmt.Errorf("the reference has no operation")
	}
	path, _, _ = strings.Cut(path, "#")
	return each(w.look("operation", path), w.look("try-write", "/try/orders/v1/"+path[strings.LastIndex(path, "/")+1:]))
}

const password = "many small fish upstream"

// enter signs somebody up and confirms the address.
func (w *walker) enter(name, organisation, email string) error {
	return each(w.open("/sign-up"), w.fill("name", name), w.fill("organisation", organisation), w.fill("email", email), w.fill("password", password), w.press("Sign up"),
		w.press("Open the outbox of this demonstration"), w.follow, w.press("Confirm, and begin"))
}

// follow opens the link of the newest mail.
func (w *walker) follow() error {
	at := ""
	if err := w.b.do(chromedp.Evaluate(`document.querySelector('.mail a').href`, &at)); err != nil {
		return err
	}
	w.b.clicks++
	return w.b.open(strings.TrimPrefix(at, portalURL))
}

func (w *walker) signOut() error {
	return w.b.do(chromedp.Evaluate(`fetch('/sign-out', {method: 'POST', redirect: 'manual'}).then(() => true)`, nil, awaited), chromedp.Navigate(portalURL+"/"), chromedp.WaitReady("main"))
}

func (w *walker) signIn(email string) error {
	return each(w.signOut, w.open("/sign-in"), w.fill("email", email), w.fill("password", password), w.press("Sign in"))
}

func (w *walker) manager() error {
	return each(func() error { return w.enter("Pat Manager", "Waterworks", managerMail) }, w.look("manage-requests-empty", "/manage/requests"), w.look("outbox", "/outbox"), w.signOut)
}

const partnerMail = "ann@brookside.example"

func (w *walker) signUp() error {
	w.begun, w.b.clicks = time.Now(), 0
	return w.enter("Ann Brook", "Brookside Pools", partnerMail)
}

var keyText = regexp.MustCompile(`hr_[A-Za-z0-9_-]{20,}`)

// app makes an app with a subscription that is approved at once, and a key.
func (w *walker) app() error {
	err := each(w.open("/apps"), w.fill("title", "Pool shop"), w.press("Make the app"), func() error {
		w.appPath, _, _ = strings.Cut(w.b.where(), "?")
		w.appPath, _, _ = strings.Cut(w.appPath, "#")
		return nil
	}, w.fill("offer", "catalogue free"), w.press("Subscribe"), w.shows("approved"), w.fill("label", "Tests"), w.press("Make a key"), func() error {
		w.key = keyText.FindString(w.b.text())
		if w.key == "" {
			return fmt.Errorf("no key on %s: %s", w.b.where(), w.b.text())
		}
		return nil
	})
	return err
}

// status is what the gateway answers a call with a key.
func (w *walker) status(key, method, path, body string, headers ...string) (int, error) {
	r, err := http.NewRequestWithContext(w.ctx, method, gatewayURL+path, strings.NewReader(body))
	if err != nil {
		return 0, fatal{err}
	}
	r.Header.Set("X-Api-Key", key)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// call calls the gateway until it is answered as expected: a change is served a
// moment after it was made.
func (w *walker) call(want int, key, method, path, body string, headers ...string) error {
	return until(w.ctx, func() error {
		got, err := w.status(key, method, path, body, headers...)
		if err == nil && got != want {
			time.Sleep(time.Second)
			err = fmt.Errorf("%s %s is answered %d, not %d", method, path, got, want)
		}
		return err
	})
}

// try makes the first call in the portal itself.
func (w *walker) try() error {
	path := ""
	err := each(w.open("/apis/products/v1/reference"), func() error {
		find := `[...document.querySelectorAll('main a[href^="/apis/products/v1/reference/"]')].map(a => a.getAttribute('href').split('#')[0]).find(h => /list|find|search|products$/i.test(h)) || ''`
		return w.b.do(chromedp.Evaluate(find, &path))
	})
	if err != nil {
		return err
	}
	if path == "" {
		return fmt.Errorf("products has no operation that lists")
	}
	form := "/try/products/v1/" + path[strings.LastIndex(path, "/")+1:]
	w.b.clicks++
	err = until(w.ctx, func() error { // the key is served a moment after it was made
		if err := each(w.open(form), w.fill("key", w.key), func() error { return w.b.do(chromedp.Click(`form[data-try] button`, chromedp.ByQuery)) }); err != nil {
			return err
		}
		return until(w.ctx, func() error {
			status := ""
			if err := w.b.do(chromedp.Evaluate(`(document.querySelector('#result h2 .badge') || {textContent: ''}).textContent`, &status)); err != nil || status == "" {
				return fmt.Errorf("no answer yet: %w", err)
			}
			if status != "200" {
				return fatal{fmt.Errorf("try it answers %s: %s", status, w.b.text())}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	w.b.firstCall, w.b.firstClicks = time.Since(w.begun), w.b.clicks
	return each(w.look("try-answer", ""), w.look("try", form), w.look("app", w.appPath), w.look("apps", "/apps"))
}

func (w *walker) usage() error {
	return each(w.says("/usage", "Mean time of a call", "Products"), w.look("usage", "/usage"))
}

func (w *walker) rotate() error {
	w.old = w.key
	err := each(w.open(w.appPath), func() error {
		return w.b.do(chromedp.Evaluate(`document.querySelectorAll('main details').forEach(d => d.open = true)`, nil))
	}, w.press("Rotate"), func() error {
		w.key = keyText.FindString(w.b.text())
		if w.key == "" || w.key == w.old {
			return fmt.Errorf("no new key on %s: %s", w.b.where(), w.b.text())
		}
		return nil
	}, w.look("key", ""))
	if err != nil {
		return err
	}
	for _, key := range []string{w.old, w.key} { // the old one goes on until its end
		if err := w.call(200, key, "GET", "/products/v1/products?limit=1", ""); err != nil {
			return err
		}
	}
	if err := each(w.open(w.appPath), func() error {
		return w.b.do(chromedp.Evaluate(`document.querySelectorAll('main details').forEach(d => d.open = true)`, nil))
	}, w.press("Revoke at once")); err != nil {
		return err
	}
	// One of the two is over, and the other still works.
	return until(w.ctx, func() error {
		time.Sleep(time.Second) // wrong keys are counted, and too many are refused unseen
		first, err := w.status(w.old, "GET", "/products/v1/products?limit=1", "")
		if err != nil {
			return err
		}
		second, err := w.status(w.key, "GET", "/products/v1/products?limit=1", "")
		if err != nil {
			return err
		}
		switch {
		case first == 200 && second == 401:
			w.key = w.old
		case first == 401 && second == 200:
		default:
			return fmt.Errorf("the keys are answered %d and %d", first, second)
		}
		return nil
	})
}

// ask asks for the plan that the manager gives.
func (w *walker) ask() error {
	// An app has one subscription to an API: the one before ends first.
	return each(w.open(w.appPath), func() error {
		return w.b.do(chromedp.Evaluate(`document.querySelectorAll('main details').forEach(d => d.open = true)`, nil))
	}, w.press("End the subscription"), w.open(w.appPath), w.fill("offer", "order-desk gold"), w.press("Subscribe"), w.shows("requested"),
		func() error { return w.signIn(managerMail) }, w.look("manage-requests", "/manage/requests"), w.open("/manage/requests"), w.press("Approve"), w.shows("is approved"),
		w.look("manage-organisations", "/manage/organisations"), w.open("/manage/organisations"), w.press("Brookside Pools"), func() error { return w.b.look("manage-organisation", w.b.where()) },
		w.open("/notices"), w.fill("title", "Stocktaking"), w.fill("body", "The warehouse counts its stock."), w.fill("starts", "2099-01-02T20:00"), w.fill("ends", "2099-01-02T23:00"), w.press("Tell everybody"), w.look("manage-notices", "/notices"),
		func() error { return w.signIn(partnerMail) }, w.says(w.appPath, "gold"))
}

// webhook makes a webhook, and has it tested.
func (w *walker) webhook() error {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.hooked.Add(1) }))
	w.stop = receiver.Close
	return each(w.look("webhooks-empty", "/webhooks"), w.open("/webhooks"), w.fill("url", receiver.URL+"/orders"), w.fill("about", "Order service"), w.press("Create the webhook"), w.shows("whsec_"), w.look("webhook-secret", ""),
		w.press("I have kept it"), w.press("Send a test event"), func() error { return w.b.says(w.b.where(), "delivered", "headrace.webhook.test") },
		func() error { return w.b.look("webhook-delivery", w.b.where()) })
}

// refusedWrite names an item that the system does not know.
const refusedWrite = `{"customerId":"200","lines":[{"sku":"SKU-9999","quantity":3}]}`

// refused sends an order that cannot be, and corrects it.
func (w *walker) refused() error {
	err := w.call(http.StatusAccepted, w.key, "PUT", "/orders/v1/orders/POOL-1", refusedWrite, "Content-Type", "application/json", "Prefer", "respond-async")
	if err != nil {
		return err
	}
	at := ""
	return each(w.says("/writes?view=attention", "refused"), w.look("writes", "/writes"), w.open("/writes?view=attention"), func() error {
		w.b.clicks++
		return w.b.do(chromedp.Evaluate(`document.querySelector('main tbody a[href^="/writes/"]').getAttribute('href')`, &at))
	}, func() error { return w.b.look("write-refused", at) }, w.look("notices-stuck", "/notices"), func() error { return w.b.open(at) },
		w.fill("body", `{"customerId":"200","lines":[{"sku":"SKU-0001","quantity":0}]}`), w.press("Send the corrected write"), w.shows("quantity"), w.look("write-fault", ""),
		w.fill("body", `{"customerId":"200","lines":[{"sku":"SKU-0001","quantity":3}]}`), w.press("Send the corrected write"), func() error { return w.b.says(w.b.where(), "It was done") },
		func() error { return w.b.look("write-delivered", w.b.where()) }, func() error {
			return until(w.ctx, func() error {
				if n := w.hooked.Load(); n < 3 {
					return fmt.Errorf("the webhook has heard of %d events", n)
				}
				return nil
			})
		}, w.look("webhooks", "/webhooks"), w.open("/webhooks"), w.press("Order service"), func() error { return w.b.look("webhook", w.b.where()) })
}

// deprecated lets the architect deprecate what the app uses.
func (w *walker) deprecated() error {
	defer w.stop()
	if err := w.demo.edit("apis/products/1.0.0/openapi.yaml", "  policies:\n", "  policies:\n    deprecate: {since: 2026-01-01, sunset: 2099-06-30}\n"); err != nil {
		return err
	}
	return each(w.says("/notices", "it ends on", "Pool shop"), w.look("notices", "/notices"), w.look("api-deprecated", "/apis/products/v1"))
}

func (w *walker) rest() error {
	return each(w.look("organisation", "/organisation"), w.look("account", "/account"), w.look("not-there", "/nothing"))
}
