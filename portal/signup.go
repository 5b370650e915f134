package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// What tickets are good for.
const (
	confirmTicket = "confirm"
	resetTicket   = "reset"
	inviteTicket  = "invite"
)

const (
	confirmLife = 48 * time.Hour
	resetLife   = time.Hour
	inviteLife  = 14 * 24 * time.Hour
)

// form is what somebody has written, with what is wrong with it.
type form struct {
	Problem string
	Fields  map[string]string // what is wrong, by field
	Values  url.Values
	Next    string
	// Extra is what else the page shows.
	Extra any
}

// Value is what was written; a password is not shown again.
func (f form) Value(name string) string { return f.Values.Get(name) }

func (c *call) form(extra any) form {
	values, _ := c.FormParams()
	shown := url.Values{}
	for name, list := range values {
		if !strings.Contains(name, "password") && name != "current" && name != "code" && name != "token" {
			shown[name] = list
		}
	}
	return form{Fields: map[string]string{}, Values: shown, Next: local(c.FormValue("next"), ""), Extra: extra}
}

// wrongForm shows a form again with what is wrong with it.
func (c *call) wrongForm(page, title string, f form, problem string) error {
	f.Problem = sentence(problem)
	return c.answer(http.StatusUnprocessableEntity, page, title, f)
}

// longest is how long names may be that people give.
const longest = 100

// properName reads a name that somebody has given; a problem when it cannot be one.
func properName(text string) (string, string) {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case text == "":
		return "", "it is missing"
	case len(text) > longest:
		return "", "it is too long"
	case strings.Contains(text, "://"):
		return "", "write a name, not an address" // names stand in mails
	}
	return text, ""
}

func (p *Portal) signUpForm(c *call) error {
	if c.visitor != nil {
		return c.redirect("/apps", "")
	}
	return c.page("sign-up", "Sign up", c.form(p.options.SignUp))
}

// pendingAccount is an account whose address is not confirmed yet.
type pendingAccount struct{ Email, Name, Organisation, Password string }

// signUp sends a link to the address. Whether there is an account of it already,
// only the owner of the address is told.
func (p *Portal) signUp(c *call) error {
	ctx, f := c.Request().Context(), c.form(p.options.SignUp)
	if p.options.SignUp != "open" {
		return c.fail(http.StatusForbidden, "new accounts are made by invitation")
	}
	if err := p.posts(); err != nil {
		return err
	}
	a := pendingAccount{Email: address(c.FormValue("email"))}
	for field, into := range map[string]*string{"name": &a.Name, "organisation": &a.Organisation} {
		var problem string
		if *into, problem = properName(c.FormValue(field)); problem != "" {
			f.Fields[field] = sentence(problem)
		}
	}
	if a.Email == "" {
		f.Fields["email"] = "Write an e-mail address."
	}
	password := c.FormValue("password")
	if problem := weak(password, a.Email, p.options.Title); problem != "" {
		f.Fields["password"] = sentence(problem)
	}
	if len(f.Fields) > 0 {
		return c.wrongForm("sign-up", "Sign up", f, "something is not right yet")
	}
	if err := p.spend(c, a.Email); err != nil {
		return err
	}
	var err error
	if a.Password, err = p.passwords.hash(ctx, password); err != nil {
		return err
	}
	_, err = p.options.Store.AccountOf(ctx, a.Email)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	known := err == nil
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	t, secret := p.ticket(confirmTicket, a.Email, body, confirmLife)
	l := letter{a.Email, "confirm your address", []string{
		"Hello,", // the name is whatever somebody has written, who may be anybody
		"confirm that this address is yours, and your account is ready:",
		p.options.URL + "/confirm?token=" + secret,
		"The link works for two days. If you did not ask for an account, leave this mail alone.",
	}}
	if known { // the ticket is kept all the same, so that it takes as long; nobody has its secret
		l.subject, l.lines = "you have an account", []string{
			"Hello,", "somebody, probably you, wanted to make an account with this address. There is one already. Sign in:",
			p.options.URL + "/sign-in", "If you do not remember the password:", p.options.URL + "/reset",
		}
	}
	if err := p.post(ctx, l, t); err != nil {
		return err
	}
	return c.page("sent", "Look into your mail", sent{Email: a.Email, Outbox: p.options.Outbox})
}

// sent tells that a mail is on its way.
type sent struct {
	Email  string
	Reset  bool
	Outbox bool
}

// confirmForm asks for a click, because programs that look into mails follow links.
func (p *Portal) confirmForm(c *call) error {
	t, err := p.options.Store.Ticket(c.Request().Context(), confirmTicket, ledger.HashOf([]byte(c.QueryParam("token"))))
	if err != nil {
		return c.expired(err)
	}
	var a pendingAccount
	if err := json.Unmarshal(t.Body, &a); err != nil {
		return err
	}
	a.Password = ""
	return c.page("confirm", "Confirm your address", confirming{a, c.QueryParam("token")})
}

type confirming struct {
	pendingAccount
	Token string
}

// expired tells that a link no longer works.
func (c *call) expired(err error) error {
	if !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	return c.fail(http.StatusGone, "this link does not work any more; ask for another one")
}

// confirm makes the account, with its organisation, and signs in.
func (p *Portal) confirm(c *call) error {
	ctx := c.Request().Context()
	t, err := p.options.Store.TakeTicket(ctx, confirmTicket, ledger.HashOf([]byte(c.FormValue("token"))))
	if err != nil {
		return c.expired(err)
	}
	var a pendingAccount
	if err := json.Unmarshal(t.Body, &a); err != nil {
		return err
	}
	made, err := p.options.Store.NewAccount(ctx, ledger.Account{Email: a.Email, Name: a.Name, Password: a.Password})
	if errors.Is(err, ledger.ErrConflict) {
		return c.fail(http.StatusGone, "this address is confirmed already; sign in")
	}
	if err != nil {
		return err
	}
	if err := c.signIn(made.ID, false); err != nil {
		return err
	}
	if _, err := p.found(c, made, a.Organisation); err != nil {
		p.options.Log.Error("an organisation was not made at a sign-up", "request_id", requestID(c), "error", err.Error())
		return c.redirect("/organisation", "Your account is ready. Your organisation could not be made; try it here.")
	}
	return c.redirect("/apps", "Welcome, "+a.Name+". Your account is ready; make your first app.")
}

// found makes an organisation that an account owns.
func (p *Portal) found(c *call, a ledger.Account, title string) (string, error) {
	if p.options.Registry == nil {
		return "", errNoRegistry
	}
	return p.foundAs(c, byMember(c, a.Email, registry.Owner, "founded in the portal"), title,
		registry.Member{Email: a.Email, Title: a.Name, Role: registry.Owner, Status: registry.Active})
}

// foundAs makes an organisation with its first owner.
func (p *Portal) foundAs(c *call, by ledger.By, title string, first registry.Member) (string, error) {
	files := c.table.Consumers.Organisations
	ctx, taken := takenBy(c.Request().Context(), p.leftByOrganisation, func(name string) bool { return files[name] != nil })
	name, err := p.options.Registry.Found(ctx, by, title, first, taken)
	return name, cmp.Or(context.Cause(ctx), err)
}

var errNoRegistry = &failure{status: http.StatusServiceUnavailable, problem: "there is no control plane here: nothing can be changed"}

// byMember is what the audit keeps of what a person does in the portal.
func byMember(c *call, email, role, reason string) ledger.By {
	return ledger.By{Actor: "member:" + email, Role: role, Reason: reason, RequestID: requestID(c)}
}

// by is what the audit keeps of what the visitor does, and why.
func (c *call) by(reason string) ledger.By {
	v := c.visitor
	if v.manager && c.least == manager {
		return ledger.By{Actor: "manager:" + v.email, Role: string(registry.PartnerManager), Reason: reason, RequestID: requestID(c)}
	}
	return byMember(c, v.email, v.role, reason)
}
