package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/otp"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// accountPage is what a person sees of their account.
type accountPage struct {
	form
	Account  ledger.Account
	Passkeys []ledger.Passkey
	// Offered tells that browsers can have passkeys of this portal.
	Offered  bool
	Sessions []ledger.Session
	This     string // the session of this browser
	Recovery int    // codes that are left
	Members  []membership
}

// HasPassword tells whether the person logs in by a password.
func (a accountPage) HasPassword() bool { return a.Account.Password != "" }

func (p *Portal) accountData(c *call) (accountPage, error) {
	ctx, v := c.Request().Context(), c.visitor
	d := accountPage{form: c.form(nil), Offered: p.webauthn != nil, This: v.session.Hash, Members: v.memberships}
	var err error
	if d.Account, err = p.options.Store.Account(ctx, v.account); err != nil {
		return d, err
	}
	if d.Passkeys, err = p.options.Store.Passkeys(ctx, v.account); err != nil {
		return d, err
	}
	if d.Account.Recovery != nil {
		var left []string
		if err := json.Unmarshal(d.Account.Recovery, &left); err != nil {
			return d, err
		}
		d.Recovery = len(left)
	}
	d.Sessions, err = p.options.Store.Sessions(ctx, v.account)
	return d, err
}

func (p *Portal) account(c *call) error {
	d, err := p.accountData(c)
	if err != nil {
		return err
	}
	return c.page("account", "Your account", d)
}

// refuseAccount shows the page again with what is wrong.
func (p *Portal) refuseAccount(c *call, problem string) error {
	d, err := p.accountData(c)
	if err != nil {
		return err
	}
	d.Problem = sentence(problem)
	return c.answer(http.StatusUnprocessableEntity, "account", "Your account", d)
}

// proof is proven, told on the page of the account.
func (p *Portal) proof(c *call) (done bool, err error) {
	err = c.proven()
	if f, ok := errors.AsType[*failure](err); ok && f.status == http.StatusUnprocessableEntity {
		return true, p.refuseAccount(c, f.problem)
	}
	return err != nil, err
}

func (p *Portal) rename(c *call) error {
	name, problem := properName(c.FormValue("name"))
	if problem != "" {
		return p.refuseAccount(c, "your name: "+problem)
	}
	_, err := p.options.Store.ChangeAccount(c.Request().Context(), c.visitor.account, func(a *ledger.Account) error { a.Name = name; return nil })
	if err != nil {
		return err
	}
	return c.redirect("/account", "Your name is changed.")
}

// changePassword sets another password. All other log-ins end, and this one gets a
// new token.
func (p *Portal) changePassword(c *call) error {
	ctx, v := c.Request().Context(), c.visitor
	if done, err := p.proof(c); done {
		return err
	}
	password := c.FormValue("password")
	if problem := weak(password, v.email, p.options.Title); problem != "" {
		return p.refuseAccount(c, problem)
	}
	hash, err := p.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	a, err := p.options.Store.ChangeAccount(ctx, v.account, func(a *ledger.Account) error { a.Password = hash; return nil })
	if err != nil {
		return err
	}
	if err := p.options.Store.EndSessions(ctx, v.account, ""); err != nil {
		return err
	}
	if err := p.options.Store.DropTickets(ctx, resetTicket, v.account); err != nil {
		return err
	}
	if err := c.signIn(v.account, false); err != nil {
		return err
	}
	p.tell(c, a, "your password was changed", "The password of your account was changed. All other log-ins have ended.")
	return c.redirect("/account", "Your password is changed. You are signed out everywhere else.")
}

// endSession ends one of the visitor's log-ins.
func (p *Portal) endSession(c *call) error {
	if err := p.options.Store.EndSession(c.Request().Context(), c.visitor.account, c.Param("session")); err != nil {
		return err
	}
	return c.redirect("/account", "That log-in has ended.")
}

// deleteAccount ends the account, and takes the person out of all organisations. An
// organisation keeps its last owner.
func (p *Portal) deleteAccount(c *call) error {
	ctx, v := c.Request().Context(), c.visitor
	if done, err := p.proof(c); done {
		return err
	}
	if address(c.FormValue("confirm")) != v.email {
		return p.refuseAccount(c, "write your e-mail address to delete the account")
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return err
	}
	for _, m := range book.byEmail[v.email] {
		if m.Status == registry.Removed {
			continue
		}
		err := p.options.Registry.ChangeMember(ctx, byMember(c, v.email, m.Role, "deleted the account"), m.Name, func(m *registry.Member) { m.Status = registry.Removed })
		if r, ok := errors.AsType[*registry.Refusal](err); ok && r.Why == registry.InUse {
			return p.refuseAccount(c, m.Title+" has no other owner; make somebody else an owner first, or ask your partner manager")
		}
		if err != nil {
			return err
		}
	}
	if err := p.options.Store.DeleteAccount(ctx, v.account); err != nil {
		return err
	}
	c.setCookie(sessionCookie, "", -1)
	return c.redirect("/", "Your account is deleted.")
}

const totpTicket = "totp"

// totpKey names the secret that a visitor is about to take, which this log-in alone sees.
func (c *call) totpKey() string { return ledger.HashOf([]byte("totp " + c.visitor.session.Hash)) }

// startTOTP makes a secret for a device.
func (p *Portal) startTOTP(c *call) error {
	ctx := c.Request().Context()
	if done, err := p.proof(c); done {
		return err
	}
	key, err := p.newTOTP(c.visitor.email)
	if err != nil {
		return err
	}
	if err := p.options.Store.DropTickets(ctx, totpTicket, c.visitor.account); err != nil {
		return err
	}
	t, _ := p.ticket(totpTicket, c.visitor.account, []byte(key.URL()), confirmLife)
	t.Hash = c.totpKey()
	if err := p.options.Store.NewTicket(ctx, t); err != nil {
		return err
	}
	return c.redirect("/account/totp", "")
}

// setup is a secret that a device may take.
type setup struct {
	form
	Secret string
	URL    string
}

func (p *Portal) totpSetup(c *call) (*otp.Key, error) {
	t, err := p.options.Store.Ticket(c.Request().Context(), totpTicket, c.totpKey())
	if err != nil {
		return nil, c.expired(err)
	}
	return otp.NewKeyFromURL(string(t.Body))
}

func (p *Portal) totpForm(c *call) error {
	key, err := p.totpSetup(c)
	if err != nil {
		return err
	}
	return c.page("totp", "Codes of a device", setup{c.form(nil), spaced(key.Secret()), key.URL()})
}

// spaced parts a secret into groups that can be typed.
func spaced(text string) string {
	var parts []string
	for len(text) > 4 {
		parts, text = append(parts, text[:4]), text[4:]
	}
	return strings.Join(append(parts, text), " ")
}

// qrSize is the edge of the picture in pixels.
const qrSize = 240

func (p *Portal) totpPicture(c *call) error {
	key, err := p.totpSetup(c)
	if err != nil {
		return err
	}
	picture, err := key.Image(qrSize, qrSize)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Type", "image/png")
	c.Response().WriteHeader(http.StatusOK)
	return png.Encode(c.Response(), picture)
}

// addTOTP takes the device once it has shown that it works, and shows the codes for
// when it is lost.
func (p *Portal) addTOTP(c *call) error {
	ctx, v := c.Request().Context(), c.visitor
	key, err := p.totpSetup(c)
	if err != nil {
		return err
	}
	secret, err := decodeSecret(key.Secret())
	if err != nil {
		return err
	}
	if err := p.free(c, "code "+v.account); err != nil {
		return err
	}
	codes, hashes, err := newRecovery()
	if err != nil {
		return err
	}
	code := strings.ReplaceAll(c.FormValue("code"), " ", "")
	step, err := codeStep(secret, code, 0, time.Now())
	if err != nil {
		return err
	}
	if step == 0 {
		p.wrong(c, "code "+v.account)
		return c.answer(http.StatusUnprocessableEntity, "totp", "Codes of a device", setup{form{Problem: "This code is not right. Take the one that the device shows now."}, spaced(key.Secret()), key.URL()})
	}
	a, err := p.options.Store.ChangeAccount(ctx, v.account, func(a *ledger.Account) error {
		a.TOTP, a.Step, a.Recovery = secret, step, hashes
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.options.Store.DropTickets(ctx, totpTicket, v.account); err != nil {
		return err
	}
	if err := p.options.Store.EndSessions(ctx, v.account, v.session.Hash); err != nil {
		return err
	}
	p.tell(c, a, "codes of a device are needed", "From now on, signing in to your account takes a code of your device as well.")
	return c.page("recovery", "Codes for when the device is lost", codes)
}

func (p *Portal) removeTOTP(c *call) error {
	if done, err := p.proof(c); done {
		return err
	}
	a, err := p.options.Store.ChangeAccount(c.Request().Context(), c.visitor.account, func(a *ledger.Account) error {
		a.TOTP, a.Step, a.Recovery = nil, 0, nil
		return nil
	})
	if err != nil {
		return err
	}
	p.tell(c, a, "codes of a device are no longer needed", "Signing in to your account takes no code of a device any more.")
	return c.redirect("/account", "Signing in takes no code any more.")
}

// device is what a log-in was made with, as far as its browser says.
func device(agent string) string {
	find := func(names ...string) string {
		for _, n := range names {
			word, shown, _ := strings.Cut(n, "=")
			if strings.Contains(agent, word) {
				return shown
			}
		}
		return ""
	}
	browser := find("Edg/=Edge", "OPR/=Opera", "Firefox/=Firefox", "Chrome/=Chrome", "Safari/=Safari")
	system := find("Windows=Windows", "Android=Android", "iPhone=iPhone", "iPad=iPad", "Mac OS=macOS", "Linux=Linux")
	switch {
	case browser != "" && system != "":
		return fmt.Sprintf("%s on %s", browser, system)
	case browser != "":
		return browser
	}
	return "A browser"
}
