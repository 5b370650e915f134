package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/ledger"
)

// hooksPage lists the webhooks of an organisation, with a form for a new one.
type hooksPage struct {
	Rows []hookRow
	Apps []*gateway.App
	Form hookForm
	May  bool
}

// hookRow is a webhook with its app.
type hookRow struct {
	*ledger.Hook
	AppTitle string
}

// Badge and Word say how it is.
func (h hookRow) Badge() string {
	switch {
	case h.State == ledger.HookFailed:
		return "bad"
	case h.State == ledger.HookOff:
		return ""
	case h.Failures > 0:
		return "warn"
	}
	return "good"
}

// Word says how it is.
func (h hookRow) Word() string {
	switch {
	case h.State == ledger.HookFailed:
		return "turned off after failures"
	case h.State == ledger.HookOff:
		return "off"
	case h.Failures > 0:
		return "failing"
	}
	return "on"
}

// Label is what people call it.
func (h hookRow) Label() string {
	if h.About != "" {
		return h.About
	}
	return h.URL
}

// Rotating tells that the secret before still signs.
func (h hookRow) Rotating() bool { return len(h.Before) > 0 && h.BeforeUntil.After(time.Now()) }

// hookForm is what a person says of a webhook.
type hookForm struct {
	App, URL, About string
	Types           []typeChoice
	Wrong           string
}

// typeChoice is an event that may be chosen.
type typeChoice struct {
	Name, Text string
	Chosen     bool
}

var typeTexts = map[ledger.State]string{
	ledger.Held:       "Held: it waits in line, or is tried again later",
	ledger.Doubtful:   "Doubtful: the answer was lost",
	ledger.Delivered:  "Delivered: it was done",
	ledger.Refused:    "Refused: it was not done",
	ledger.Cancelled:  "Cancelled: it was taken back",
	ledger.Expired:    "Expired: its time was over",
	ledger.Superseded: "Superseded: a newer one stands for it",
}

func newHookForm(chosen []ledger.State) hookForm {
	f := hookForm{}
	for _, t := range event.Types {
		f.Types = append(f.Types, typeChoice{string(t), typeTexts[t], slices.Contains(chosen, t)})
	}
	return f
}

// readHookForm takes what was entered.
func (c *call) readHookForm() (hookForm, event.Draft, error) {
	values, err := c.FormParams()
	if err != nil {
		return hookForm{}, event.Draft{}, c.fail(http.StatusBadRequest, "the form cannot be read")
	}
	var types []ledger.State
	for _, t := range values["types"] {
		types = append(types, ledger.State(t))
	}
	f := newHookForm(types)
	f.App, f.URL, f.About = values.Get("app"), values.Get("url"), values.Get("about")
	return f, event.Draft{URL: f.URL, About: f.About, Types: types}, nil
}

// webhooks lists them.
func (p *Portal) webhooks(c *call) error {
	page, err := p.hooksPage(c)
	if err != nil {
		return err
	}
	page.Form.App = c.QueryParam("app")
	return c.page("webhooks", "Webhooks", page)
}

func (p *Portal) hooksPage(c *call) (*hooksPage, error) {
	page := &hooksPage{Apps: c.ownApps(), Form: newHookForm(event.Proposed), May: c.visitor.may(developer) && c.visitor.acting == "" && p.options.Events != nil}
	titles, names := map[string]string{}, []string{}
	for _, a := range page.Apps {
		titles[a.Name] = appTitle(a)
		names = append(names, a.Name)
	}
	list, err := p.options.Store.Hooks(c.Request().Context(), names)
	for _, h := range list {
		page.Rows = append(page.Rows, hookRow{h, titles[h.App]})
	}
	return page, err
}

// hookSecret shows a secret, this once.
type hookSecret struct {
	hookRow
	Secret string
	New    bool // the webhook is new
}

// addWebhook makes one, and shows its secret.
func (p *Portal) addWebhook(c *call) error {
	form, draft, err := c.readHookForm()
	if err != nil {
		return err
	}
	app, err := c.ownApp(form.App)
	if err != nil {
		return err
	}
	events, err := p.events()
	if err != nil {
		return err
	}
	id, secret, err := events.Create(c.Request().Context(), app.Name, draft, c.by("made in the portal"))
	if wrong := formFault(err); wrong != "" {
		page, err := p.hooksPage(c)
		if err != nil {
			return err
		}
		form.Wrong = wrong
		page.Form = form
		return c.answer(http.StatusUnprocessableEntity, "webhooks", "Webhooks", page)
	}
	if err != nil {
		return err
	}
	return p.showHookSecret(c, id, secret, true)
}

// formFault is what is wrong with what was entered; empty when it is not the form.
func formFault(err error) string {
	var wrong *event.WrongError
	switch {
	case errors.As(err, &wrong):
		return sentence(wrong.Wrong)
	case errors.Is(err, ledger.ErrInvalid):
		return sentence(strings.TrimPrefix(err.Error(), ledger.ErrInvalid.Error()+": "))
	}
	return ""
}

func (p *Portal) showHookSecret(c *call, id, secret string, fresh bool) error {
	h, err := p.options.Store.Hook(c.Request().Context(), id)
	if err != nil {
		return err
	}
	title := "The new secret"
	if fresh {
		title = "Your new webhook"
	}
	return c.page("webhook-secret", title, &hookSecret{hookRow{h, h.App}, secret, fresh})
}

// events is what tells apps of their writes; a refusal where there is none.
func (p *Portal) events() (*event.Sender, error) {
	if p.options.Events == nil {
		return nil, &failure{status: http.StatusServiceUnavailable, problem: "there are no webhooks here: nobody sends events"}
	}
	return p.options.Events, nil
}

// ownHook finds a webhook of an app of the visitor's organisation.
func (p *Portal) ownHook(c *call) (hookRow, error) {
	h, err := p.options.Store.Hook(c.Request().Context(), c.Param("webhook"))
	if err != nil {
		return hookRow{}, err
	}
	app, err := c.ownApp(h.App)
	if err != nil {
		return hookRow{}, err
	}
	return hookRow{h, appTitle(app)}, nil
}

// hookPage is one webhook with its log.
type hookPage struct {
	hookRow
	Log  []deliveryRow
	More string
	Form hookForm
	May  bool
}

// deliveryRow is one event that was or is to be told.
type deliveryRow struct{ *ledger.Delivery }

// Event is its name.
func (d deliveryRow) Event() string { return event.ID(d.Delivery) }

// TypeName is what CloudEvents calls its type.
func (d deliveryRow) TypeName() string { return event.TypeName(d.Type) }

// Badge is its colour.
func (d deliveryRow) Badge() string {
	return map[string]string{ledger.Taken: "good", ledger.GivenUp: "bad", ledger.Waiting: "info"}[d.State]
}

// Word says how it went.
func (d deliveryRow) Word() string {
	switch {
	case d.State == ledger.Taken:
		return "delivered"
	case d.State == ledger.GivenUp:
		return "given up"
	case d.Tries > 0:
		return "tried again"
	}
	return "waiting"
}

// Line is what the last try came to.
func (d deliveryRow) Line() string {
	if len(d.Log) == 0 {
		return ""
	}
	last := d.Log[len(d.Log)-1]
	if last.Error == "" {
		return fmt.Sprintf("answered %d in %s", last.Status, millis(last.Took))
	}
	return last.Error
}

// logged is how many events a page shows.
const logged = 50

// webhook shows one.
func (p *Portal) webhook(c *call) error {
	page, err := p.hookPage(c)
	if err != nil {
		return err
	}
	return c.page("webhook", page.Label(), page)
}

func (p *Portal) hookPage(c *call) (*hookPage, error) {
	h, err := p.ownHook(c)
	if err != nil {
		return nil, err
	}
	before := int64(0)
	if text := c.QueryParam("before"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return nil, c.fail(http.StatusBadRequest, "the page before is not known; begin anew")
		}
	}
	page := &hookPage{hookRow: h, Form: newHookForm(h.Types), May: c.visitor.may(developer) && c.visitor.acting == "" && p.options.Events != nil}
	page.Form.URL, page.Form.About = h.URL, h.About
	list, err := p.options.Store.Deliveries(c.Request().Context(), h.ID, before, logged)
	for _, d := range list {
		page.Log = append(page.Log, deliveryRow{d})
	}
	if len(list) == logged {
		page.More = fmt.Sprintf("/webhooks/%s?before=%d", h.ID, list[logged-1].Number)
	}
	return page, err
}

// changeWebhook changes its address, name and events.
func (p *Portal) changeWebhook(c *call) error {
	page, err := p.hookPage(c)
	if err != nil {
		return err
	}
	form, draft, err := c.readHookForm()
	if err != nil {
		return err
	}
	events, err := p.events()
	if err != nil {
		return err
	}
	err = events.Change(c.Request().Context(), page.ID, draft, c.by("changed in the portal"))
	if wrong := formFault(err); wrong != "" {
		form.Wrong = wrong
		page.Form = form
		return c.answer(http.StatusUnprocessableEntity, "webhook", page.Label(), page)
	}
	if err != nil {
		return err
	}
	return c.redirect("/webhooks/"+page.ID, "The webhook was changed.")
}

// turnWebhook turns it on or off.
func (p *Portal) turnWebhook(c *call) error {
	h, err := p.ownHook(c)
	if err != nil {
		return err
	}
	events, err := p.events()
	if err != nil {
		return err
	}
	on := c.FormValue("to") == "on"
	if err := events.Turn(c.Request().Context(), h.ID, on, c.by("turned in the portal")); err != nil {
		return err
	}
	if on {
		return c.redirect("/webhooks/"+h.ID, "The webhook is on; what has waited is sent now.")
	}
	return c.redirect("/webhooks/"+h.ID, "The webhook is off; what happens meanwhile waits.")
}

// rotateWebhook gives it a new secret, and shows that.
func (p *Portal) rotateWebhook(c *call) error {
	h, err := p.ownHook(c)
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(c.FormValue("hours"))
	if err != nil || hours < 0 || hours > int(event.MostOverlap/time.Hour) {
		return c.fail(http.StatusBadRequest, "both secrets sign for seven days at most")
	}
	events, err := p.events()
	if err != nil {
		return err
	}
	secret, err := events.Rotate(c.Request().Context(), h.ID, time.Duration(hours)*time.Hour, c.by("rotated in the portal"))
	if err != nil {
		return err
	}
	return p.showHookSecret(c, h.ID, secret, false)
}

// testWebhook sends an event that is about nothing.
func (p *Portal) testWebhook(c *call) error {
	h, err := p.ownHook(c)
	if err != nil {
		return err
	}
	if h.State != ledger.HookOn {
		return c.redirect("/webhooks/"+h.ID, "Turn the webhook on first.")
	}
	n, err := p.options.Store.TestHook(c.Request().Context(), h.ID, c.by("tested in the portal"))
	if err != nil {
		return err
	}
	return c.redirect(fmt.Sprintf("/webhooks/%s/deliveries/%d", h.ID, n), "A test event was sent.")
}

// deleteWebhook ends it.
func (p *Portal) deleteWebhook(c *call) error {
	h, err := p.ownHook(c)
	if err != nil {
		return err
	}
	if err := p.options.Store.DeleteHook(c.Request().Context(), h.ID, c.by("deleted in the portal")); err != nil {
		return err
	}
	return c.redirect("/webhooks", "The webhook was deleted.")
}

// deliveryPage is one event with its tries.
type deliveryPage struct {
	hookRow
	deliveryRow
	Body string
	May  bool
}

// Word and Badge are those of the delivery.
func (d *deliveryPage) Word() string { return d.deliveryRow.Word() }

// Badge is its colour.
func (d *deliveryPage) Badge() string { return d.deliveryRow.Badge() }

func (p *Portal) ownDelivery(c *call) (hookRow, *ledger.Delivery, error) {
	h, err := p.ownHook(c)
	if err != nil {
		return h, nil, err
	}
	d, err := p.deliveryOf(c.Request().Context(), h.ID, c.Param("number"))
	if errors.Is(err, ledger.ErrNotFound) {
		err = c.missing()
	}
	return h, d, err
}

// deliveryOf finds a delivery of a webhook by its number; ledger.ErrNotFound when
// the webhook has none of that number.
func (p *Portal) deliveryOf(ctx context.Context, hook, number string) (*ledger.Delivery, error) {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return nil, ledger.ErrNotFound
	}
	list, err := p.options.Store.Deliveries(ctx, hook, n+1, 1)
	if err == nil && (len(list) == 0 || list[0].Number != n) {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// delivery shows one event as it is sent.
func (p *Portal) delivery(c *call) error {
	h, d, err := p.ownDelivery(c)
	if err != nil {
		return err
	}
	body, err := event.Body(d)
	if err != nil {
		return err
	}
	page := &deliveryPage{hookRow: h, deliveryRow: deliveryRow{d}, Body: indented(body), May: c.visitor.may(developer) && c.visitor.acting == ""}
	return c.page("delivery", "Event "+page.Event(), page)
}

// redeliver sends an event again.
func (p *Portal) redeliver(c *call) error {
	h, d, err := p.ownDelivery(c)
	if err != nil {
		return err
	}
	if err := p.options.Store.Redeliver(c.Request().Context(), h.ID, d.Number, c.by("sent again from the portal")); err != nil {
		return err
	}
	return c.redirect(fmt.Sprintf("/webhooks/%s/deliveries/%d", h.ID, d.Number), "The event is sent again.")
}
