package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies/apikey"
	"github.com/headrace/headrace/policies/subscription"
	"github.com/headrace/headrace/specs/source"
)

// silent is a system layer that answers nothing.
type silent struct{}

func (silent) Bind(*gateway.Binding) gateway.Handler {
	return func(*gateway.Exchange) (*gateway.Response, error) {
		return nil, &gateway.Error{Problem: gateway.NotFound}
	}
}
func (silent) CheckUse(*source.Problems) {}
func (silent) Close()                    {}

type noRecord struct{}

func (noRecord) Prepare(*gateway.Operation) {}
func (noRecord) Begin(*gateway.Exchange)    {}
func (noRecord) End(*gateway.Exchange)      {}

// town is a portal with a ledger and a registry of its own, on a real listener.
type town struct {
	*testing.T
	ctx     context.Context
	portal  *Portal
	store   *ledger.DB
	dir     string // of the workspace
	control *registry.Registry
	live    *workspace.Live
	gateway *gateway.Gateway
	server  *httptest.Server
}

const (
	deskEmail    = "desk@headrace.example"
	goodPassword = "seven grey herons"
)

// newTown opens a portal; change may set more of its options.
func newTown(t *testing.T, change ...func(*Options)) *town {
	w := &town{T: t, ctx: t.Context()}
	var err error
	w.store, err = ledger.Open(w.ctx, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Replica: "one", Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	t.Cleanup(func() { w.store.Close() })
	dir := t.TempDir()
	w.dir = dir
	for name, text := range map[string]string{
		"headrace.yaml":    "{}",
		"systems/erp.yaml": "url: http://127.0.0.1:9\n",
		"apis/orders/1.0.0/openapi.yaml": "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp, policies: {apikey: {}, subscription: {}}}\npaths:\n" +
			"  /orders:\n    get: {operationId: listOrders, responses: {\"200\": {description: ok}}}\n" +
			"  /secrets:\n    get: {operationId: listSecrets, security: [{oauth: [\"orders:read\"]}], responses: {\"200\": {description: ok}}}\n" +
			"components: {securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /oauth2/token, scopes: {\"orders:read\": Read., \"orders:erase\": Erase.}}}}}}\n",
		"consumers.yaml": "organisations: {waterworks: {title: Waterworks}}\nproducts: {desk: {title: Order desk, apis: [orders/v1]}}\n" +
			"plans: {free: {title: Free, approval: automatic}, gold: {title: Gold}}\n",
	} {
		file := filepath.Join(dir, name)
		w.ok(os.MkdirAll(filepath.Dir(file), 0o755))
		w.ok(os.WriteFile(file, []byte(text), 0o600))
	}
	w.gateway = gateway.New(gateway.Options{Recorder: noRecord{}})
	w.live = workspace.NewLive(dir, workspace.Options{
		Kinds: []gateway.Kind{apikey.Kind(), subscription.Kind([]gateway.Kind{apikey.Kind()})},
		Systems: func(fs.FS, map[string]source.Node, *source.Problems) workspace.SystemLayer {
			return silent{}
		},
		Registry: func() (workspace.Layer, error) { return w.control.Layer(w.ctx) },
	}, w.gateway, slog.New(slog.DiscardHandler))
	w.control = registry.New(registry.Options{Ledger: w.store, Check: w.live.Check, Over: w.live.Over, NewKey: func() registry.Key {
		k := apikey.New()
		return registry.Key{Text: k.Text, Prefix: k.Prefix, Hash: k.Hash}
	}})
	w.ok(w.live.Reload())
	w.server = httptest.NewUnstartedServer(nil)
	o := Options{
		URL: "http://" + w.server.Listener.Addr().String(), Title: "Test APIs", Gateway: "http://127.0.0.1:9", SignUp: "open", Outbox: true, Managers: []string{deskEmail},
		Tables: w.gateway, Registry: w.control, Store: w.store,
	}
	for _, f := range change {
		f(&o)
	}
	w.portal, err = New(o)
	w.ok(err)
	// What a password costs is tested once; elsewhere it would only take time.
	w.portal.passwords, err = newPasswords(&argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	w.ok(err)
	w.server.Config.Handler = w.portal
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

func (w *town) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// browser is one visitor with cookies, who follows no redirect unasked.
type browser struct {
	*town
	client *http.Client
	header http.Header
}

func (w *town) browser() *browser {
	jar, err := cookiejar.New(nil)
	w.ok(err)
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, http.Header{}}
}

// reply is what came back.
type reply struct {
	status int
	body   string
	to     string // of a redirect
	header http.Header
}

func (b *browser) send(method, path string, form url.Values) reply {
	b.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.ctx, method, b.server.URL+path, body)
	b.ok(err)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	resp, err := b.client.Do(r)
	b.ok(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	b.ok(err)
	return reply{resp.StatusCode, string(text), resp.Header.Get("Location"), resp.Header}
}

func (b *browser) get(path string) reply { b.Helper(); return b.send(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) reply {
	b.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.send(http.MethodPost, path, form)
}

// is expects a status, and texts in the body, whatever their capitals.
func (a reply) is(b *browser, status int, texts ...string) reply {
	b.Helper()
	if a.status != status {
		b.Fatalf("answered %d (to %q), want %d:\n%s", a.status, a.to, status, plainText(a.body))
	}
	for _, text := range texts {
		if !strings.Contains(strings.ToLower(a.body), strings.ToLower(text)) {
			b.Fatalf("the page has not %q:\n%s", text, plainText(a.body))
		}
	}
	return a
}

// goes expects a redirect to a path.
func (a reply) goes(b *browser, path string) reply {
	b.Helper()
	if a.status != http.StatusSeeOther || a.to != path {
		b.Fatalf("answered %d to %q, want 303 to %q:\n%s", a.status, a.to, path, plainText(a.body))
	}
	return a
}

var tags = regexp.MustCompile(`(?s)<head>.*?</head>|<[^>]*>|\n\s*\n`)

func plainText(body string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
}

// mailed is the newest mail to somebody, which must be there.
func (w *town) mailed(to, subject string) string {
	w.Helper()
	list, err := w.store.Mails(w.ctx, 1000)
	w.ok(err)
	for _, m := range list {
		if m.To == to && strings.Contains(m.Subject, subject) {
			return string(m.Body)
		}
	}
	w.Fatalf("no mail to %s about %q; there are %d", to, subject, len(list))
	return ""
}

var tokenLinks = regexp.MustCompile(`http://[^/\s]+(/(?:confirm\?token=|invitations/|reset/)[A-Z0-9]+)`)

// link is the portal's link in a mail.
func (w *town) link(mail string) string {
	w.Helper()
	m := tokenLinks.FindStringSubmatch(mail)
	if m == nil {
		w.Fatalf("no link in %q", mail)
	}
	return m[1]
}

// join signs somebody up with an organisation, and returns the browser that is signed in.
func (w *town) join(email, organisation string) *browser {
	w.Helper()
	b := w.browser()
	b.post("/sign-up", "name", "Name of "+email, "organisation", organisation, "email", email, "password", goodPassword).is(b, 200, "Look into your mail")
	path := w.link(w.mailed(email, "confirm"))
	b.get(path).is(b, 200, organisation)
	_, token, _ := strings.Cut(path, "token=")
	b.post("/confirm", "token", token).goes(b, "/apps")
	return b
}

// enter signs somebody in who has an account.
func (w *town) enter(email string) *browser {
	w.Helper()
	b := w.browser()
	b.post("/sign-in", "email", email, "password", goodPassword).goes(b, "/apps")
	return b
}

// shop makes an app, and returns its name.
func (b *browser) shop(title string) string {
	b.Helper()
	a := b.post("/apps", "title", title)
	if a.status != http.StatusSeeOther {
		b.Fatalf("no app: %d %s", a.status, plainText(a.body))
	}
	b.ok(b.live.Reload())
	return strings.TrimPrefix(a.to, "/apps/")
}

var keyText = regexp.MustCompile(`hr_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{8,}`)

// key makes a key of an app.
func (b *browser) key(app string) string {
	b.Helper()
	key := keyText.FindString(b.post("/apps/"+app+"/keys", "label", "first", "days", "90").is(b, 200, "shown once").body)
	if key == "" {
		b.Fatal("no key is shown")
	}
	b.ok(b.live.Reload())
	return key
}

func prefixOf(key string) string { return key[len("hr_"):][:8] }

// audits are the actions of a sort.
func (w *town) audits(action string) []*ledger.Audit {
	w.Helper()
	list, err := w.store.Audits(w.ctx, ledger.AuditFilter{Action: action})
	w.ok(err)
	return list
}

// state is everything that the registry has, to be compared.
func (w *town) state() string {
	w.Helper()
	c, err := w.control.Control(w.ctx)
	w.ok(err)
	var text strings.Builder
	for _, e := range c.Entries {
		fmt.Fprintln(&text, e.Kind, e.Name, string(e.Body))
	}
	return text.String()
}

func (w *town) subscription(name string) registry.Subscription {
	w.Helper()
	s, err := registry.Get[registry.Subscription](w.ctx, w.control, registry.KindSubscription, name)
	w.ok(err)
	return s.Body
}

func decodeJSON(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
