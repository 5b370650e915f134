// Package portal is the partners' side: the catalogue with its documentation, and
// what partners do for themselves. The routes stand in one table (routes.go), with
// who may use each. Pages are rendered here and work without script; nothing is
// loaded from anywhere else.
package portal

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// Options set up the portal. Only Tables and URL are required.
type Options struct {
	Version string
	// Title is what the portal is called; Developer portal when empty.
	Title string
	// URL is where people reach the portal, without a slash at its end. Cookies are
	// for https alone when it begins so.
	URL string
	// Gateway is where callers reach the gateway, without a slash at its end:
	// published documents and samples name it.
	Gateway string
	// Sandbox is a gateway in front of simulators, which "try it" calls; empty
	// when there is none.
	Sandbox string
	// SignUp is open, invitation or off.
	SignUp string
	// Keys is how long an Idempotency-Key stands for its request; a day when 0.
	Keys time.Duration
	// Outbox shows on a page what would be mailed. For demonstrations.
	Outbox bool
	// Mail sends mails; none are sent when nil.
	Mail Sender
	// Managers are the addresses of the accounts of partner managers.
	Managers []string
	// OIDC is an issuer at which people log in; nil without one.
	OIDC *OIDC
	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	Tables  Tables
	// Registry is the control plane; nil when there is none.
	Registry *registry.Registry
	// Store is the ledger below the registry.
	Store *ledger.DB
	// Writes is the buffer of writes, Events what tells apps of them (nil: nobody
	// can have webhooks), and Systems says how the systems are.
	Writes  *buffer.Buffer
	Events  *event.Sender
	Systems func(context.Context) []SystemHealth
	// History knows earlier versions of APIs; nil when nobody does.
	History History
	// Log gets internal errors and refused log-ins; nil stands for no log.
	Log *slog.Logger
}

// Tables gives the table that is served; nil before the first.
type Tables interface {
	Table() *gateway.Table
}

// Portal is the application: the options, and what is made of them once.
type Portal struct {
	handle     http.Handler
	people     people
	passwords  *passwords
	guard      gateway.Guard
	pace       pace
	objects    map[string]func(ctx context.Context, c *call, name string) (string, error)
	mails      chan struct{}      // tells that one is due
	webauthn   *webauthn.WebAuthn // nil where browsers have no passkeys
	oidc       *oidcClient        // nil without an issuer
	options    Options
	pages      *pages
	assets     *assets
	cross      *http.CrossOriginProtection
	markdown   *markdown
	catalogues catalogues
	documents  documents
	sinces     sinces
	diffs      diffs
	sandbox    *sandbox
}

// New makes the application, whose Run has to be called while it serves. The error
// names an option that makes no sense.
func New(o Options) (*Portal, error) {
	p, err := newPortal(o)
	if err != nil {
		return nil, err
	}
	p.handle = p.handler()
	return p, nil
}

// ServeHTTP answers a request.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handle.ServeHTTP(w, r) }

func newPortal(o Options) (*Portal, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("portal: %q is no address of a portal", o.URL)
	}
	if o.Title == "" {
		o.Title = "Developer portal"
	}
	if o.SignUp == "" {
		o.SignUp = "off"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.URL, o.Gateway, o.Sandbox = strings.TrimRight(o.URL, "/"), strings.TrimRight(o.Gateway, "/"), strings.TrimRight(o.Sandbox, "/")
	p := &Portal{options: o, cross: http.NewCrossOriginProtection(), markdown: newMarkdown(), sandbox: newSandbox()}
	if err := p.cross.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	p.mails = make(chan struct{}, 1)
	p.objects = p.owners()
	if o.OIDC != nil {
		p.oidc = newOIDC(o.OIDC, o.URL)
	}
	if p.webauthn, err = newWebauthn(o.Title, base); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	if p.passwords, err = newPasswords(hashing()); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	if p.assets, err = newAssets(); err != nil {
		return nil, err
	}
	if p.pages, err = newPages(p.assets); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Portal) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = p.refuse
	e.IPExtractor = p.extractor()
	p.mount(e)
	return e
}

// secure tells whether people reach the portal over TLS.
func (p *Portal) secure() bool { return strings.HasPrefix(p.options.URL, "https://") }

// extractor finds out where a visitor is: headers are anybody's to write, but for
// those of our own proxies.
func (p *Portal) extractor() echo.IPExtractor {
	if len(p.options.Proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, proxy := range p.options.Proxies {
		_, network, err := net.ParseCIDR(proxy.Masked().String())
		if err == nil {
			trust = append(trust, echo.TrustIPRange(network))
		}
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}
