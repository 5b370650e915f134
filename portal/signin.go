package portal

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/headrace/headrace/gateway/ledger"
)

// signing is what the page of the log-in shows besides the form.
type signing struct {
	SignUp  bool
	OIDC    string // what the other way is called; empty without one
	Passkey bool
	Outbox  bool
}

func (p *Portal) signing() signing {
	s := signing{SignUp: p.options.SignUp == "open", Passkey: p.webauthn != nil, Outbox: p.options.Outbox}
	if p.oidc != nil {
		s.OIDC = p.oidc.options.Title
	}
	return s
}

func (p *Portal) signInForm(c *call) error {
	if c.visitor != nil {
		return c.redirect(local(c.QueryParam("next"), "/apps"), "")
	}
	return c.page("sign-in", "Sign in", c.form(p.signing()))
}

// signIn proves who somebody is by a password. What is wrong is not told, and an
// answer takes as long whether there is such an account or not.
func (p *Portal) signIn(c *call) error {
	ctx, f := c.Request().Context(), c.form(p.signing())
	email := address(c.FormValue("email"))
	if err := p.free(c, email); err != nil {
		return err
	}
	a, err := p.options.Store.AccountOf(ctx, email)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	right, err := p.passwords.right(ctx, c.FormValue("password"), a.Password)
	if err != nil {
		return err
	}
	if !right {
		p.wrong(c, email)
		return c.wrongForm("sign-in", "Sign in", f, "the e-mail address or the password is not right")
	}
	if a.TOTP != nil {
		if err := c.signIn(a.ID, true); err != nil {
			return err
		}
		return c.redirect("/sign-in/code"+nextQuery(f.Next), "")
	}
	p.right(email)
	if err := c.signIn(a.ID, false); err != nil {
		return err
	}
	return c.redirect(local(f.Next, "/apps"), "")
}

// nextQuery hands on where somebody wants to be.
func nextQuery(next string) string {
	if next == "" {
		return ""
	}
	return "?next=" + url.QueryEscape(next)
}

// resetForm asks for the address of an account whose password is forgotten.
func (p *Portal) resetForm(c *call) error {
	return c.page("reset", "Forgotten password", c.form(nil))
}

// reset mails a link to whoever has an account; the answer is the same for others.
func (p *Portal) reset(c *call) error {
	ctx, f := c.Request().Context(), c.form(nil)
	if err := p.posts(); err != nil {
		return err
	}
	email := address(c.FormValue("email"))
	if email == "" {
		return c.wrongForm("reset", "Forgotten password", f, "write an e-mail address")
	}
	if err := p.spend(c, email); err != nil {
		return err
	}
	a, err := p.options.Store.AccountOf(ctx, email)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	t, secret := p.ticket(resetTicket, a.ID, nil, resetLife)
	l := letter{a.Email, "set a new password", []string{ // to nobody where there is no account
		"Hello,", "somebody, probably you, has forgotten the password of this account. Set a new one:",
		p.options.URL + "/reset/" + secret,
		"The link works for an hour. If it was not you, leave this mail alone: nothing has changed.",
	}}
	if err := p.post(ctx, l, t); err != nil {
		return err
	}
	return c.page("sent", "Look into your mail", sent{Email: email, Reset: true, Outbox: p.options.Outbox})
}

func (p *Portal) newPasswordForm(c *call) error {
	t, err := p.options.Store.Ticket(c.Request().Context(), resetTicket, ledger.HashOf([]byte(c.Param("token"))))
	if err != nil || t.About == "" {
		return c.expired(orNone(err))
	}
	return c.page("new-password", "Set a new password", c.form(c.Param("token")))
}

// orNone makes of no error that there is nothing.
func orNone(err error) error {
	if err == nil {
		return ledger.ErrNotFound
	}
	return err
}

// newPassword sets the password and ends all log-ins, which may be somebody else's.
// The second factor stays.
func (p *Portal) newPassword(c *call) error {
	ctx, hash := c.Request().Context(), ledger.HashOf([]byte(c.Param("token")))
	t, err := p.options.Store.Ticket(ctx, resetTicket, hash)
	if err != nil || t.About == "" {
		return c.expired(orNone(err))
	}
	a, err := p.options.Store.Account(ctx, t.About)
	if err != nil {
		return c.expired(err)
	}
	password := c.FormValue("password")
	if problem := weak(password, a.Email, p.options.Title); problem != "" {
		return c.wrongForm("new-password", "Set a new password", c.form(c.Param("token")), problem)
	}
	digest, err := p.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	if _, err := p.options.Store.TakeTicket(ctx, resetTicket, hash); err != nil {
		return c.expired(err)
	}
	if _, err := p.options.Store.ChangeAccount(ctx, a.ID, func(a *ledger.Account) error { a.Password = digest; return nil }); err != nil {
		return err
	}
	if err := p.options.Store.EndSessions(ctx, a.ID, ""); err != nil {
		return err
	}
	if err := p.options.Store.DropTickets(ctx, resetTicket, a.ID); err != nil {
		return err
	}
	p.tell(c, a, "your password was changed", "The password of your account was set anew by a link in a mail. All log-ins have ended.")
	return c.redirect("/sign-in", "The new password is set. Sign in with it.")
}

// tell mails the owner of an account what has happened to it. That it cannot be
// told undoes nothing.
func (p *Portal) tell(c *call, a ledger.Account, subject, text string) {
	l := letter{a.Email, subject, []string{"Hello " + a.Name + ",", text, "If it was not you, set a new password at once: " + p.options.URL + "/reset"}}
	if err := p.post(c.Request().Context(), l); err != nil {
		p.options.Log.Error("a mail cannot be put on its way", "request_id", requestID(c), "error", err.Error())
	}
}

// codeForm asks for the second factor.
func (p *Portal) codeForm(c *call) error {
	if _, _, err := p.pending(c); err != nil {
		return err
	}
	return c.page("code", "Second factor", c.form(nil))
}

// pending is the log-in that waits for its second factor.
func (p *Portal) pending(c *call) (ledger.Session, ledger.Account, error) {
	hash := c.sessionHash()
	if hash == "" {
		return ledger.Session{}, ledger.Account{}, c.fail(http.StatusGone, "this took too long; sign in again")
	}
	s, a, err := p.options.Store.Session(c.Request().Context(), hash)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && !s.Pending {
		err = c.fail(http.StatusGone, "this took too long; sign in again")
	}
	return s, a, err
}

// code takes the second factor: a code of the device, or one of those for when it
// is lost.
func (p *Portal) code(c *call) error {
	_, a, err := p.pending(c)
	if err != nil {
		return err
	}
	if err := p.free(c, "code "+a.ID); err != nil {
		return err
	}
	if err := p.paced(c, "codes "+a.ID, mostCodes); err != nil {
		return err
	}
	right, err := p.takeCode(c.Request().Context(), a.ID, c.FormValue("code"))
	if err != nil {
		return err
	}
	if !right {
		p.wrong(c, "code "+a.ID)
		return c.wrongForm("code", "Second factor", c.form(nil), "this code is not right")
	}
	p.right("code " + a.ID)
	p.right(a.Email)
	if err := c.signIn(a.ID, false); err != nil {
		return err
	}
	return c.redirect(local(c.FormValue("next"), "/apps"), "")
}
