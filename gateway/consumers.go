package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Organisation is a company that consumes APIs.
type Organisation struct {
	Name  string      `yaml:"-"`
	Title string      `yaml:"title" doc:"Name as shown to people."`
	Node  source.Node `yaml:",node"`
}

// App is an application that calls APIs, with its credentials.
type App struct {
	Name         string            `yaml:"-"`
	Organisation string            `yaml:"organisation" check:"required" doc:"The organisation that owns the app."`
	Title        string            `yaml:"title" doc:"Name as shown to people."`
	Keys         []KeyCredential   `yaml:"keys" doc:"API keys, at most two, so that one can be replaced while both work."`
	Clients      []ClientIdentity  `yaml:"clients" doc:"Identities in tokens of an issuer."`
	Certificates []CertificateName `yaml:"certificates" doc:"Client certificates."`
	OAuth        []OAuthClient     `yaml:"oauth" doc:"Clients of the gateway's own token endpoint, at most two, so that one can be replaced while both work."`
	Addresses    source.Strings    `yaml:"addresses" doc:"Addresses and networks (CIDR) from which the app may call; from anywhere when absent."`
	Disabled     bool              `yaml:"disabled" doc:"A disabled app is refused everywhere."`
	Node         source.Node       `yaml:",node"`

	from  []netip.Prefix // what Addresses say
	index int
}

// KeyCredential is an API key as it is kept: its public prefix and the hash of the whole key.
type KeyCredential struct {
	Prefix  string      `yaml:"prefix" check:"required" doc:"The eight characters after hr_ in the key."`
	Hash    string      `yaml:"hash" check:"required" doc:"sha256: and the hexadecimal SHA-256 of the whole key, as headrace key prints it."`
	Expires *Date       `yaml:"expires" doc:"Date and time from which the key is refused."`
	Node    source.Node `yaml:",node"`

	digest [sha256.Size]byte
	app    *App
	used   lastUse
}

// lastUse is the second of a credential's last use in Unix time; 0 for none.
// It is changed atomically.
type lastUse int64

// note notes a use. The line is shared: it is written once a second.
func (u *lastUse) note(now time.Time) {
	if at := now.Unix(); atomic.LoadInt64((*int64)(u)) < at {
		atomic.StoreInt64((*int64)(u), at)
	}
}

// tell tells the last use, if there was one.
func (u *lastUse) tell(name string, f func(name string, at time.Time)) {
	if at := atomic.LoadInt64((*int64)(u)); at > 0 {
		f(name, time.Unix(at, 0))
	}
}

// ClientIdentity is how tokens of an issuer name the app.
type ClientIdentity struct {
	Issuer string      `yaml:"issuer" check:"required" doc:"The token's iss."`
	ID     string      `yaml:"id" check:"required" doc:"The value of the claim that names the app (see the jwt policy)."`
	Node   source.Node `yaml:",node"`
}

// OAuthClient is a client of the gateway's own token endpoint, with the hash of its secret.
type OAuthClient struct {
	ID      string         `yaml:"id" check:"required" doc:"The client_id."`
	Hash    string         `yaml:"hash" check:"required" doc:"sha256: and the hexadecimal SHA-256 of the client_secret, as headrace key --client prints it."`
	Scopes  source.Strings `yaml:"scopes" doc:"Scopes that its tokens may have."`
	Expires *Date          `yaml:"expires" doc:"Date and time from which the secret is refused; no token outlives it."`
	Node    source.Node    `yaml:",node"`
	App     *App           `yaml:"-"`

	digest [sha256.Size]byte
	used   lastUse
}

// CertificateName recognises a client certificate. Exactly one of the two is given.
type CertificateName struct {
	Thumbprint string      `yaml:"thumbprint" doc:"sha256: and the hexadecimal SHA-256 of the certificate (DER)."`
	Subject    string      `yaml:"subject" doc:"The subject as in RFC 2253, for example CN=shop,O=Acme."`
	Node       source.Node `yaml:",node"`
}

// CredentialName is what the control plane calls an issuer's client.
func (c ClientIdentity) CredentialName() string {
	return "client-" + shortHash(c.Issuer+"\x00"+c.ID)
}

// CredentialName is what the control plane calls a certificate.
func (c CertificateName) CredentialName() string {
	return "certificate-" + shortHash(strings.ToLower(c.Thumbprint)+"\x00"+c.Subject)
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Canonical is the certificate's name as Consumers compare it; the error says
// why the subject is none.
func (c CertificateName) Canonical() (CertificateName, error) {
	c.Thumbprint = strings.ToLower(c.Thumbprint)
	if c.Subject == "" {
		return c, nil
	}
	var err error
	c.Subject, err = ParseSubject(c.Subject)
	return c, err
}

// recognised is an app by one of its credentials.
type recognised struct {
	app  *App
	name string // CredentialName
	used lastUse
}

// Product is a bundle of API versions that apps subscribe to.
type Product struct {
	Name  string         `yaml:"-"`
	Title string         `yaml:"title" doc:"Name as shown to people."`
	APIs  source.Strings `yaml:"apis" check:"required" doc:"Major versions, as NAME/vMAJOR."`
	Node  source.Node    `yaml:",node"`
}

// Plan is a set of limits and a class that subscriptions are made on.
type Plan struct {
	Name  string `yaml:"-"`
	Title string `yaml:"title" doc:"Name as shown to people."`
	// WriteShare is 0 where nothing is said.
	WriteShare int            `yaml:"write_share" doc:"Part in percent of a system's buffer of writes that one app may fill with calls on this plan; writes.share when absent."`
	Class      *specs.Class   `yaml:"class" doc:"Class of calls on this plan; the operation's own class when absent."`
	Products   source.Strings `yaml:"products" doc:"Products that the plan is offered for; all when absent."`
	Approval   string         `yaml:"approval" enum:"manual,automatic" doc:"Whether subscriptions that partners ask for in the portal wait for a partner manager (manual, the default) or are approved at once."`
	Policies   specs.Policies `yaml:"policies" doc:"Policies at plan level: throttle, quota, concurrency."`
	Node       source.Node    `yaml:",node"`

	index int
}

// Subscription is an app's use of a product on a plan.
type Subscription struct {
	AppName     string      `yaml:"app" check:"required" doc:"The app."`
	ProductName string      `yaml:"product" check:"required" doc:"The product."`
	PlanName    string      `yaml:"plan" check:"required" doc:"The plan."`
	Status      string      `yaml:"status" enum:"requested,approved,rejected,suspended,ended" default:"approved" doc:"Only approved subscriptions let calls through."`
	Node        source.Node `yaml:",node"`

	App     *App     `yaml:"-"`
	Product *Product `yaml:"-"`
	Plan    *Plan    `yaml:"-"`
}

// ConsumerFile is the shape of consumers.yaml.
type ConsumerFile struct {
	Organisations map[string]*Organisation `yaml:"organisations" doc:"Organisations by name."`
	Members       map[string]*Member       `yaml:"members" doc:"People of organisations, by ORGANISATION.SOMEONE."`
	Apps          map[string]*App          `yaml:"apps" doc:"Apps by name."`
	Products      map[string]*Product      `yaml:"products" doc:"Products by name."`
	Plans         map[string]*Plan         `yaml:"plans" doc:"Plans by name."`
	Subscriptions []*Subscription          `yaml:"subscriptions" doc:"Subscriptions of apps to products."`
	Node          source.Node              `yaml:",node"`
}

// Date is a date, or a date and time, as in RFC 3339. A date alone means its
// first moment in UTC.
type Date time.Time

// UnmarshalText parses 2027-01-31 or 2027-01-31T12:00:00Z.
func (d *Date) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			*d = Date(t)
			return nil
		}
	}
	return fmt.Errorf("write a date such as 2027-01-31 or 2027-01-31T12:00:00Z")
}

// JSONSchema describes the notation for editors.
func (Date) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "examples": []any{"2027-01-31", "2027-01-31T12:00:00Z"}}
}

// Time is the date in the standard library's type.
func (d Date) Time() time.Time { return time.Time(d) }

// Consumers is the directory of who may call what. It is immutable.
type Consumers struct {
	Organisations map[string]*Organisation
	Apps          map[string]*App
	Products      map[string]*Product
	Plans         map[string]*Plan
	Subscriptions []*Subscription

	keys         map[string][]*KeyCredential
	clients      map[ClientIdentity]*recognised
	certificates map[CertificateName]*recognised
	oauth        map[string]*OAuthClient
	withdrawn    atomic.Pointer[Withdrawn] // nil as long as everything holds
	apis         map[string]*API           // by NAME/vMAJOR
}

// NewConsumers checks a consumer file against the APIs that exist and builds
// the directory. The problems name every dangling reference and every
// credential that cannot work. unread are the APIs (NAME/vMAJOR) whose documents
// could not be read: naming them is not a fault.
func NewConsumers(file *ConsumerFile, apis []*API, ps *source.Problems, unread ...string) *Consumers {
	c := &Consumers{
		Organisations: file.Organisations, Apps: file.Apps, Products: file.Products, Plans: file.Plans, Subscriptions: file.Subscriptions,
		keys: map[string][]*KeyCredential{}, clients: map[ClientIdentity]*recognised{}, certificates: map[CertificateName]*recognised{},
		oauth: map[string]*OAuthClient{},
	}
	dropEmpty(file.Node.At("organisations"), c.Organisations, ps)
	dropEmpty(file.Node.At("apps"), c.Apps, ps)
	dropEmpty(file.Node.At("products"), c.Products, ps)
	dropEmpty(file.Node.At("plans"), c.Plans, ps)
	for name, o := range c.Organisations {
		o.Name = name
	}
	file.checkMembers(ps)
	for i, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app := c.Apps[name]
		app.Name, app.index = name, i
		if c.Organisations[app.Organisation] == nil && app.Organisation != "" {
			dangling(app.Node, "organisation", app.Organisation, c.Organisations, ps)
		}
		app.readAddresses(ps)
		c.addCredentials(app, ps)
	}
	byName := map[string]*API{}
	for _, api := range apis {
		byName[api.Name+"/"+api.Major] = api
	}
	for name, p := range c.Products {
		p.Name = name
		for i, api := range p.APIs {
			if slices.Contains(p.APIs[:i], api) {
				ps.Add(p.Node.At("apis"), fmt.Sprintf("%q stands twice", api), "keep one of them")
				continue
			}
			if byName[api] == nil && !slices.Contains(unread, api) {
				ps.Add(p.Node.At("apis"), fmt.Sprintf("there is no API %q", api), source.DidYouMean(api, slices.Collect(maps.Keys(byName))))
			}
		}
	}
	for i, name := range slices.Sorted(maps.Keys(c.Plans)) {
		p := c.Plans[name]
		p.Name, p.index = name, i
		if n := p.Node.Get("write_share"); n.Exists() && (p.WriteShare < 1 || p.WriteShare > 100) {
			ps.Add(n, fmt.Sprintf("a share of %d percent", p.WriteShare), "between 1 and 100")
		}
		for _, product := range p.Products {
			if c.Products[product] == nil {
				dangling(p.Node, "products", product, c.Products, ps)
			}
		}
	}
	c.link(byName, ps)
	c.apis = byName
	return c
}

// dropEmpty reports names that nothing stands under.
func dropEmpty[T any](n source.Node, named map[string]*T, ps *source.Problems) {
	for name, v := range named {
		if v == nil {
			ps.Add(n.At(name), fmt.Sprintf("nothing stands under %q", name), "write {} where nothing has to be said")
			delete(named, name)
		}
	}
}

func dangling[T any](n source.Node, key, name string, known map[string]T, ps *source.Problems) {
	ps.Add(n.At(key), fmt.Sprintf("there is no %s %q", strings.TrimSuffix(key, "s"), name), source.DidYouMean(name, slices.Collect(maps.Keys(known))))
}

func (c *Consumers) link(apis map[string]*API, ps *source.Problems) {
	c.Subscriptions = slices.DeleteFunc(c.Subscriptions, func(s *Subscription) bool { return s == nil || !s.Node.Exists() })
	for _, s := range c.Subscriptions {
		s.App, s.Product, s.Plan = c.Apps[s.AppName], c.Products[s.ProductName], c.Plans[s.PlanName]
		if s.App == nil && s.AppName != "" { // an empty name was reported when it was read
			dangling(s.Node, "app", s.AppName, c.Apps, ps)
		}
		if s.Product == nil && s.ProductName != "" {
			dangling(s.Node, "product", s.ProductName, c.Products, ps)
		}
		if s.Plan == nil && s.PlanName != "" {
			dangling(s.Node, "plan", s.PlanName, c.Plans, ps)
		}
		if s.App == nil || s.Product == nil || s.Plan == nil {
			continue
		}
		if len(s.Plan.Products) > 0 && !slices.Contains(s.Plan.Products, s.ProductName) {
			ps.Add(s.Node.At("plan"), fmt.Sprintf("the plan %q is not offered for the product %q", s.PlanName, s.ProductName), "one of "+strings.Join(s.Plan.Products, ", "))
		}
		for _, name := range s.Product.APIs {
			api := apis[name]
			if api == nil {
				continue
			}
			if api.subscriptions == nil {
				api.subscriptions = make([]*Subscription, len(c.Apps))
			}
			if old := api.subscriptions[s.App.index]; old != nil && old != s && old.Status == "approved" && s.Status == "approved" {
				ps.Add(s.Node, fmt.Sprintf("the app %q is subscribed to %s twice, on the plans %q and %q", s.AppName, name, old.PlanName, s.PlanName), "keep one approved subscription an API")
			}
			if old := api.subscriptions[s.App.index]; old == nil || s.Status == "approved" {
				api.subscriptions[s.App.index] = s
			}
		}
	}
}

func (c *Consumers) addCredentials(app *App, ps *source.Problems) {
	if len(app.Keys) > 2 {
		ps.Add(app.Node.At("keys"), fmt.Sprintf("the app has %d keys", len(app.Keys)), "at most two: the old one and its successor")
	}
	for i := range app.Keys {
		k := &app.Keys[i]
		if !k.Node.Exists() {
			continue // reported when it was read
		}
		k.app = app
		if !hash(k.Hash, &k.digest) {
			ps.Add(k.Node.At("hash"), "is not a hash of a key", "headrace key prints it: sha256: and 64 hexadecimal digits")
		}
		if len(k.Prefix) != KeyPrefixLength {
			ps.Add(k.Node.At("prefix"), fmt.Sprintf("the prefix has %d characters", len(k.Prefix)), "the eight characters after hr_ in the key")
		}
		for _, other := range c.keys[k.Prefix] {
			if other.digest == k.digest {
				ps.Add(k.Node.At("hash"), fmt.Sprintf("the key stands at the app %q already", other.app.Name), "make a new one with headrace key")
			}
		}
		c.keys[k.Prefix] = append(c.keys[k.Prefix], k)
	}
	c.addOAuth(app, ps)
	for _, id := range app.Clients {
		at := id.Node
		if !at.Exists() {
			continue // reported when it was read
		}
		id.Node = source.Node{}
		if other := c.clients[id]; other != nil {
			ps.Add(at, fmt.Sprintf("the apps %q and %q have the same identity", other.app.Name, app.Name), "an identity belongs to one app")
		}
		c.clients[id] = &recognised{app: app, name: id.CredentialName()}
	}
	for _, cert := range app.Certificates {
		at := cert.Node
		if !at.Exists() {
			continue // reported when it was read
		}
		cert.Node = source.Node{}
		var digest [sha256.Size]byte
		switch {
		case (cert.Thumbprint == "") == (cert.Subject == ""):
			ps.Add(at, "needs either a thumbprint or a subject", "")
			continue
		case cert.Thumbprint != "" && !hash(cert.Thumbprint, &digest):
			ps.Add(at.At("thumbprint"), "is not a thumbprint", "sha256: and 64 hexadecimal digits")
			continue
		}
		name := cert.CredentialName()
		cert, err := cert.Canonical()
		if err != nil {
			ps.Add(at.At("subject"), "is not a subject: "+err.Error(), "as openssl x509 -noout -subject -nameopt RFC2253 prints it, for example CN=shop,O=Acme")
			continue
		}
		if other := c.certificates[cert]; other != nil {
			ps.Add(at, fmt.Sprintf("the apps %q and %q have the same certificate", other.app.Name, app.Name), "a certificate belongs to one app")
		}
		c.certificates[cert] = &recognised{app: app, name: name}
	}
}

// LongestClientID is how long the id of a client of the token endpoint may be, in
// bytes.
const LongestClientID = 255

func (c *Consumers) addOAuth(app *App, ps *source.Problems) {
	if len(app.OAuth) > 2 {
		ps.Add(app.Node.At("oauth"), fmt.Sprintf("the app has %d clients", len(app.OAuth)), "at most two: the old one and its successor")
	}
	for i := range app.OAuth {
		client := &app.OAuth[i]
		if !client.Node.Exists() || client.ID == "" {
			continue // reported when it was read
		}
		client.App = app
		if n := len(client.ID); n > LongestClientID {
			ps.Add(client.Node.At("id"), fmt.Sprintf("the id has %d bytes", n), fmt.Sprintf("%d at most", LongestClientID))
		}
		if !hash(client.Hash, &client.digest) {
			ps.Add(client.Node.At("hash"), "is not a hash of a secret", "headrace key --client prints it: sha256: and 64 hexadecimal digits")
		}
		if other := c.oauth[client.ID]; other != nil {
			ps.Add(client.Node.At("id"), fmt.Sprintf("the client %q stands at the app %q already", client.ID, other.App.Name), "make a new one with headrace key --client")
			continue
		}
		c.oauth[client.ID] = client
	}
}

func hash(text string, into *[sha256.Size]byte) bool {
	digits, ok := strings.CutPrefix(text, "sha256:")
	n, err := hex.Decode(into[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
	return ok && err == nil && n == sha256.Size && len(digits) == 2*sha256.Size
}

// KeyPrefixLength is the length of the public part of an API key:
// hr_PPPPPPPP_SECRET.
const KeyPrefixLength = 8

// noDigest is compared where there is nothing to compare with.
var noDigest [sha256.Size]byte

// ByKey finds the app of an API key. A well-formed key takes the same work
// whether its prefix is known or not and whatever its secret: a hash, and a
// comparison in constant time. expired tells that the key was right once.
func (c *Consumers) ByKey(key string, now time.Time) (app *App, expired bool) {
	rest, ok := strings.CutPrefix(key, "hr_")
	if !ok || len(rest) < KeyPrefixLength+2 || rest[KeyPrefixLength] != '_' || len(key) > 256 {
		return nil, false
	}
	digest := sha256.Sum256([]byte(key))
	known := c.keys[rest[:KeyPrefixLength]]
	if known == nil {
		subtle.ConstantTimeCompare(digest[:], noDigest[:])
	}
	for _, k := range known {
		if subtle.ConstantTimeCompare(digest[:], k.digest[:]) == 1 {
			switch {
			case k.Expires != nil && !now.Before(k.Expires.Time()):
				return nil, true
			case !c.holds(k.app, func(w *Withdrawn) bool { return over(w.Keys, k.digest, now) }):
				return nil, false
			}
			k.used.note(now)
			return k.app, false
		}
	}
	return nil, false
}

// CredentialsUsed gives the names of the credentials that were used by this
// directory, as the control plane has them, with the second of their last use.
func (c *Consumers) CredentialsUsed(f func(name string, at time.Time)) {
	for prefix, list := range c.keys {
		for _, k := range list {
			k.used.tell(prefix, f)
		}
	}
	for _, client := range c.clients {
		client.used.tell(client.name, f)
	}
	for _, cert := range c.certificates {
		cert.used.tell(cert.name, f)
	}
	for id, client := range c.oauth {
		client.used.tell(id, f)
	}
}

// ByClient finds the app that verified tokens of an issuer call id, and notes
// that they were used.
func (c *Consumers) ByClient(issuer, id string, now time.Time) *App {
	named := ClientIdentity{Issuer: issuer, ID: id}
	client := c.clients[named]
	if client == nil || !c.holds(client.app, func(w *Withdrawn) bool { return w.Clients[named] }) {
		return nil
	}
	client.used.note(now)
	return client.app
}

// ByOAuthClient finds a client of the gateway's own token endpoint; nil when
// there is none, or when its time is over.
func (c *Consumers) ByOAuthClient(id string, now time.Time) *OAuthClient {
	client := c.oauth[id]
	if client == nil || client.Expires != nil && !now.Before(client.Expires.Time()) ||
		!c.holds(client.App, func(w *Withdrawn) bool { return over(w.OAuth, id, now) }) {
		return nil
	}
	return client
}

// Used notes that the client has proved who it is, by its secret or by a token.
func (o *OAuthClient) Used(now time.Time) { o.used.note(now) }

// Accepts tells whether a secret is the client's. It takes the same work for
// every secret, also for a client that does not exist (nil).
func (o *OAuthClient) Accepts(secret string) bool {
	digest, want := sha256.Sum256([]byte(secret)), &noDigest
	if o != nil {
		want = &o.digest
	}
	return subtle.ConstantTimeCompare(digest[:], want[:]) == 1 && o != nil
}

// ByCertificate finds the app of a client certificate by its thumbprint
// (sha256:hex, small letters) or else by its subject (as SubjectOf gives it).
// used notes that it was let through.
func (c *Consumers) ByCertificate(thumbprint, subject string) (app *App, used func(now time.Time)) {
	named := CertificateName{Thumbprint: thumbprint}
	cert := c.certificates[named]
	if cert == nil {
		named = CertificateName{Subject: subject}
		cert = c.certificates[named]
	}
	if cert == nil || !c.holds(cert.app, func(w *Withdrawn) bool { return w.Certificates[named] }) {
		return nil, nil
	}
	return cert.app, cert.used.note
}

// Subscription is the app's subscription to an API, in whatever status; nil when there is none.
func (c *Consumers) Subscription(app *App, api *API) *Subscription {
	if api.subscriptions == nil {
		return nil
	}
	s := api.subscriptions[app.index]
	if w := c.withdrawn.Load(); w != nil && s != nil && w.Subscriptions[[2]string{s.AppName, s.ProductName}] {
		return nil
	}
	return s
}

// Revoked says why what an app was allowed to have done must not be done any
// more: the app is gone or disabled, or has no approved subscription to the API
// (NAME/vMAJOR; empty where none was asked for). It is empty if it may.
func (c *Consumers) Revoked(app, api string) string {
	if app == "" {
		return "" // the document lets everybody call
	}
	a := c.Apps[app]
	switch {
	case a == nil:
		return fmt.Sprintf("the app %q does not exist any more", app)
	case a.Disabled:
		return fmt.Sprintf("the app %q is disabled", app)
	case api == "":
		return ""
	}
	if of := c.apis[api]; of != nil {
		if s := c.Subscription(a, of); s != nil && s.Status == "approved" {
			return ""
		}
	}
	return fmt.Sprintf("the app %q has no approved subscription to %s any more", app, api)
}

// PlansFor lists the plans that calls of an API may run on, sorted by name.
func (c *Consumers) PlansFor(api *API) []*Plan {
	var plans []*Plan
	for _, s := range api.subscriptions {
		if s != nil && !slices.Contains(plans, s.Plan) {
			plans = append(plans, s.Plan)
		}
	}
	slices.SortFunc(plans, func(a, b *Plan) int { return a.index - b.index })
	return plans
}

func (c *Consumers) planCount() int { return len(c.Plans) }
