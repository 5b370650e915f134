package portal

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// secretPage shows a secret this once.
type secretPage struct {
	App, Title string
	ID, Secret string // ID is empty for a key
	Kind       string // key or client
	Old        string // the key that it follows
	OldEnd     time.Time
	// Sample is a first call with the key, and Try where it can be made on a page;
	// empty as long as the app is subscribed to nothing.
	Sample, Try string
}

// expiry reads for how many days a credential lasts; nil for ever.
func expiry(text string) (*time.Time, error) {
	if text == "" || text == "0" {
		return nil, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > 3650 {
		return nil, errors.New("choose how long it lasts")
	}
	end := time.Now().Add(time.Duration(days) * 24 * time.Hour)
	return &end, nil
}

// showSecret answers with what was just made; nowhere else is it shown.
func (p *Portal) showSecret(c *call, s secretPage) error {
	s.App = c.Param("app")
	d := appPage{Name: s.App}
	if err := p.subscriptionsOf(c.Request().Context(), c.table.Consumers, &d); err != nil {
		return err
	}
	if o := c.firstCall(d.First); o != nil && s.Kind == "key" {
		k, err := p.contract(o)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		r := k.request(p.options.Gateway, s.Secret)
		curlSample(&b, &r)
		s.Sample = b.String()
		if p.options.Sandbox != "" {
			s.Try = "/try/" + o.API.Name + "/" + o.API.Major + "/" + o.Slug
		}
	}
	return c.page("secret", s.Title, s)
}

// firstCall is the simplest read of an API, NAME/vMAJOR: without names of things in
// its path, if there is one. nil when there is no read.
func (c *call) firstCall(name string) *operation {
	a := c.catalogue().byPath[name]
	if a == nil {
		return nil
	}
	var best *operation
	for _, o := range a.Operations {
		if o.Method != "GET" {
			continue
		}
		if best == nil || strings.Count(o.Path, "{") < strings.Count(best.Path, "{") {
			best = o
		}
	}
	return best
}

func (p *Portal) newKey(c *call) error {
	label, _ := properName(c.FormValue("label"))
	expires, err := expiry(c.FormValue("days"))
	if err != nil {
		return p.refuseApp(c, err.Error())
	}
	_, text, err := p.options.Registry.NewKey(c.Request().Context(), c.by("made in the portal"), c.Param("app"), label, expires)
	if err != nil {
		return p.appDone(c, "", err)
	}
	return p.showSecret(c, secretPage{Title: "Your new key", Kind: "key", Secret: text})
}

// longestOverlap is how long an old key may go on beside the new one.
const longestOverlap = 90 * 24 * time.Hour

func (p *Portal) rotateKey(c *call) error {
	ctx, old := c.Request().Context(), c.Param("credential")
	hours, err := strconv.Atoi(c.FormValue("hours"))
	overlap := time.Duration(hours) * time.Hour
	if err != nil || hours < 0 || overlap > longestOverlap {
		return p.refuseApp(c, "choose how long the old key goes on")
	}
	expires, err := expiry(c.FormValue("days"))
	if err != nil {
		return p.refuseApp(c, err.Error())
	}
	_, text, err := p.options.Registry.RotateKey(ctx, c.by("rotated in the portal"), old, overlap, expires, ledger.Any)
	if err != nil {
		return p.appDone(c, "", err)
	}
	before, err := registry.Get[registry.Credential](ctx, p.options.Registry, registry.KindCredential, old)
	if err != nil {
		return err
	}
	s := secretPage{Title: "Your new key", Kind: "key", Secret: text, Old: old}
	if before.Body.Expires != nil {
		s.OldEnd = *before.Body.Expires
	}
	return p.showSecret(c, s)
}

// scopesFor are the scopes that a partner may give a client of an app: those that the
// APIs ask for to which somebody has let the app. Tokens carry what their client has,
// so others would be leave that a partner has given itself.
func (p *Portal) scopesFor(c *call, app string) (map[string]bool, error) {
	list, _, err := registry.List[registry.Subscription](c.Request().Context(), p.options.Registry, registry.KindSubscription, app, "", 1000)
	if err != nil {
		return nil, err
	}
	offered := map[string]bool{}
	for _, i := range list {
		product := c.table.Consumers.Products[i.Body.Product]
		if i.Body.Status != registry.Approved || product == nil {
			continue
		}
		for _, key := range product.APIs {
			a := c.catalogue().byPath[key]
			if a == nil {
				continue
			}
			for _, o := range a.Operations {
				for _, alternative := range o.spec.Security {
					for _, use := range alternative {
						for _, scope := range use.Scopes {
							offered[scope] = true
						}
					}
				}
			}
		}
	}
	return offered, nil
}

func (p *Portal) newClient(c *call) error {
	label, _ := properName(c.FormValue("label"))
	expires, err := expiry(c.FormValue("days"))
	if err != nil {
		return p.refuseApp(c, err.Error())
	}
	scopes := strings.Fields(c.FormValue("scopes"))
	if len(scopes) > 0 {
		offered, err := p.scopesFor(c, c.Param("app"))
		if err != nil {
			return err
		}
		for _, s := range scopes {
			if !offered[s] {
				return p.refuseApp(c, "nothing that the app is subscribed to asks for the scope "+s)
			}
		}
	}
	i, secret, err := p.options.Registry.NewClient(c.Request().Context(), c.by("made in the portal"), c.Param("app"), label, scopes, expires)
	if err != nil {
		return p.appDone(c, "", err)
	}
	return p.showSecret(c, secretPage{Title: "Your new OAuth client", Kind: "client", ID: i.Body.ID, Secret: secret})
}

// addCertificate takes a client certificate in PEM, or the SHA-256 of one.
func (p *Portal) addCertificate(c *call) error {
	thumbprint, err := thumbprintOf(c.FormValue("certificate"))
	if err != nil {
		return p.refuseApp(c, err.Error())
	}
	label, _ := properName(c.FormValue("label"))
	text, err := json.Marshal(map[string]string{"app": c.Param("app"), "type": "certificate", "label": label, "thumbprint": thumbprint})
	if err != nil {
		return err
	}
	_, _, err = p.options.Registry.AddCredential(c.Request().Context(), c.by("added in the portal"), text)
	if errors.Is(err, ledger.ErrConflict) {
		return p.refuseApp(c, "this certificate is in use already") // by whom is nobody's business
	}
	return p.appDone(c, "The certificate is known now.", err)
}

// thumbprintOf reads a certificate in PEM, or what is its SHA-256 already.
func thumbprintOf(text string) (string, error) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if block.Type != "CERTIFICATE" {
			return "", fmt.Errorf("this is a %s: paste the certificate alone, and keep the key to yourself", strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", errors.New("this certificate cannot be read")
		}
		if time.Now().After(cert.NotAfter) {
			return "", errors.New("this certificate has expired")
		}
		sum := sha256.Sum256(cert.Raw)
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	}
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(text, "sha256:")))
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		return "", errors.New("paste the certificate in PEM, or its SHA-256")
	}
	return "sha256:" + digits, nil
}

func (p *Portal) revokeCredential(c *call) error {
	reason, problem := properName(c.FormValue("reason"))
	if problem != "" {
		reason = "revoked in the portal"
	}
	_, err := p.options.Registry.Revoke(c.Request().Context(), c.by(reason), c.Param("credential"), ledger.Any)
	if err != nil {
		return err
	}
	return c.redirect("/apps/"+c.Param("app"), "It is revoked, and refused from now on.")
}

// subscribe asks for a product on a plan. Where the plan needs nobody's approval, it
// is approved at once.
func (p *Portal) subscribe(c *call) error {
	ctx, app := c.Request().Context(), c.Param("app")
	product, name, ok := strings.Cut(c.FormValue("offer"), " ")
	if !ok {
		product, name = c.FormValue("product"), c.FormValue("plan")
	}
	plan := c.planOf(product, name)
	if plan == nil {
		return p.refuseApp(c, "choose a product and a plan")
	}
	if !plan.Automatic { // the managers get mails of it
		if err := p.spend(c, "requests "+c.visitor.organisation); err != nil {
			return err
		}
	}
	s, err := p.options.Registry.Subscribe(ctx, c.by(""), app, product, name)
	if err != nil {
		return p.appDone(c, "", err)
	}
	if !plan.Automatic {
		for _, email := range p.options.Managers {
			if err := p.post(ctx, letter{email, c.visitor.Organisation() + " asks for " + product, []string{
				c.visitor.Name() + " of " + c.visitor.Organisation() + " asks for " + product + " on the plan " + plan.Title + ":", p.options.URL + "/manage/requests",
			}}); err != nil {
				return err
			}
		}
		return c.redirect("/apps/"+app, "You have asked for it. A partner manager decides; you get a mail.")
	}
	return p.appDone(c, "Your app is subscribed. Make a key, and call.", p.approve(c, s))
}

// approve approves a subscription whose plan needs nobody for that.
func (p *Portal) approve(c *call, s registry.Item[registry.Subscription]) error {
	by := ledger.By{Actor: "headrace", Reason: "the plan is approved automatically", RequestID: requestID(c)}
	_, err := p.options.Registry.Decide(c.Request().Context(), by, s.Name, registry.Approved, ledger.Match(s.Revision))
	return err
}

// planOf finds a plan that is offered for a product; nil when there is none.
func (c *call) planOf(product, name string) *planText {
	if c.table.Consumers.Products[product] == nil {
		return nil
	}
	for _, plan := range plansFor(c.table.Consumers, product) {
		if plan.Name == name {
			return &plan
		}
	}
	return nil
}

func (p *Portal) endSubscription(c *call) error {
	ctx, name := c.Request().Context(), c.Param("subscription")
	s, err := registry.Get[registry.Subscription](ctx, p.options.Registry, registry.KindSubscription, name)
	if err != nil {
		return err
	}
	if s.Body.Status == registry.Suspended { // it could be asked for again, and be approved automatically
		return c.fail(http.StatusConflict, "the subscription is suspended")
	}
	_, err = p.options.Registry.Decide(ctx, c.by("ended in the portal"), name, registry.Ended, ledger.Match(s.Revision))
	return p.appDone(c, "The subscription has ended.", err)
}

// changePlan puts a subscription on a plan that needs nobody's approval. Others are
// for a partner manager to give.
func (p *Portal) changePlan(c *call) error {
	ctx, name := c.Request().Context(), c.Param("subscription")
	s, err := registry.Get[registry.Subscription](ctx, p.options.Registry, registry.KindSubscription, name)
	if err != nil {
		return err
	}
	plan := c.planOf(s.Body.Product, c.FormValue("plan"))
	switch {
	case plan == nil:
		return p.refuseApp(c, "choose a plan")
	case s.Body.Status == registry.Suspended:
		return c.fail(http.StatusConflict, "the subscription is suspended")
	case !plan.Automatic && s.Body.Status != registry.Requested:
		if err := p.spend(c, "requests "+c.visitor.organisation); err != nil { // it is kept for good
			return err
		}
		if err := p.options.Store.Tell(ctx, ledger.Message{Organisation: c.visitor.organisation, Author: c.visitor.Name(), About: name, Text: "We would like to have the plan " + plan.Title + "."}); err != nil {
			return err
		}
		return c.redirect("/apps/"+c.Param("app"), "You have asked for the plan. A partner manager decides.")
	}
	s, err = p.options.Registry.ChangePlan(ctx, c.by("chosen in the portal"), name, plan.Name, ledger.Match(s.Revision))
	if err == nil && s.Body.Status == registry.Requested && plan.Automatic {
		err = p.approve(c, s)
	}
	return p.appDone(c, "The plan is changed.", err)
}
