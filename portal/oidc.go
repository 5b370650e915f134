package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// OIDC is an issuer at which people log in (OpenID Connect, authorisation code with PKCE).
type OIDC struct {
	// Issuer is found by its discovery document. Secret is empty for public clients.
	Issuer, ClientID, Secret string
	// Title is what the way to log in is called on the page.
	Title string
	// Scopes are asked for beside openid, email and profile.
	Scopes []string
}

// oidcClient finds the issuer when somebody needs it first, so that the portal starts
// without it.
type oidcClient struct {
	options OIDC
	back    string
	mu      sync.Mutex
	found   *oidc.Provider
}

const (
	oidcTicket = "oidc"
	oidcCookie = "oidc"
	oidcLife   = 10 * time.Minute
	// issuerPatience is how long a conversation with the issuer may take.
	issuerPatience = 15 * time.Second
)

func newOIDC(o *OIDC, portal string) *oidcClient {
	return &oidcClient{options: *o, back: portal + "/sign-in/oidc/back"}
}

func (o *oidcClient) provider() (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.found == nil {
		// The context lives on in the provider, which fetches keys with it.
		p, err := oidc.NewProvider(oidc.ClientContext(context.Background(), &http.Client{Timeout: issuerPatience}), o.options.Issuer)
		if err != nil {
			return nil, &failure{status: http.StatusServiceUnavailable, problem: "the other log-in cannot be reached; try again shortly", cause: err}
		}
		o.found = p
	}
	return o.found, nil
}

func (o *oidcClient) config(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.options.ClientID, ClientSecret: o.options.Secret, Endpoint: p.Endpoint(), RedirectURL: o.back,
		Scopes: slices.Concat([]string{oidc.ScopeOpenID, "email", "profile"}, o.options.Scopes),
	}
}

// errand is what the portal remembers of a log-in at the issuer.
type errand struct{ Nonce, Verifier, Next string }

// oidcStart sends the visitor to the issuer. What comes back is bound to this browser
// by a cookie.
func (p *Portal) oidcStart(c *call) error {
	if p.oidc == nil {
		return c.missing()
	}
	if err := p.paced(c, "challenges "+c.from(), mostChallenges); err != nil {
		return err
	}
	provider, err := p.oidc.provider()
	if err != nil {
		return err
	}
	e := errand{Nonce: newSecret(), Verifier: oauth2.GenerateVerifier(), Next: local(c.QueryParam("next"), "")}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	t, state := p.ticket(oidcTicket, "", body, oidcLife)
	if err := p.options.Store.NewTicket(c.Request().Context(), t); err != nil {
		return err
	}
	c.setCookie(oidcCookie, state, oidcLife)
	return c.Redirect(http.StatusSeeOther, p.oidc.config(provider).AuthCodeURL(state, oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)))
}

// identity is what an issuer says of a person.
type identity struct {
	Subject  string `json:"-"`
	Nonce    string `json:"nonce"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Name     string `json:"name"`
}

var errNotProven = errors.New("the issuer has not proven who it is")

// oidcBack takes what the issuer has to say.
func (p *Portal) oidcBack(c *call) error {
	if p.oidc == nil {
		return c.missing()
	}
	ctx, state := c.Request().Context(), c.QueryParam("state")
	if state == "" || c.cookie(oidcCookie) != state {
		return c.fail(http.StatusForbidden, "this log-in was not begun here; try again")
	}
	c.setCookie(oidcCookie, "", -1)
	t, err := p.options.Store.TakeTicket(ctx, oidcTicket, ledger.HashOf([]byte(state)))
	if err != nil {
		return c.expired(err)
	}
	var e errand
	if err := json.Unmarshal(t.Body, &e); err != nil {
		return err
	}
	if c.QueryParam("error") != "" {
		return c.fail(http.StatusForbidden, "the other log-in has refused")
	}
	who, err := p.oidc.identify(ctx, c.QueryParam("code"), e)
	if err != nil {
		return &failure{status: http.StatusForbidden, problem: "the other log-in has not proven who you are", cause: err}
	}
	a, err := p.accountFor(c, who)
	if err != nil {
		return err
	}
	if err := c.signIn(a.ID, false); err != nil {
		return err
	}
	return c.redirect(local(e.Next, "/apps"), "")
}

// identify exchanges the code and checks the token that comes for it.
func (o *oidcClient) identify(ctx context.Context, code string, e errand) (identity, error) {
	provider, err := o.provider()
	if err != nil {
		return identity{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, issuerPatience)
	defer cancel()
	token, err := o.config(provider).Exchange(ctx, code, oauth2.VerifierOption(e.Verifier))
	if err != nil {
		return identity{}, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return identity{}, errNotProven
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: o.options.ClientID}).Verify(ctx, raw)
	if err != nil {
		return identity{}, err
	}
	who := identity{Subject: verified.Issuer + " " + verified.Subject}
	if err := verified.Claims(&who); err != nil {
		return identity{}, err
	}
	if who.Nonce != e.Nonce {
		return identity{}, errNotProven
	}
	return who, nil
}

// accountFor finds the account of a person that the issuer knows, or makes it. An
// address counts only if the issuer has verified it: otherwise anybody there could
// take over an account here.
func (p *Portal) accountFor(c *call, who identity) (ledger.Account, error) {
	ctx, store := c.Request().Context(), p.options.Store
	a, err := store.AccountBySubject(ctx, who.Subject)
	if err == nil || !errors.Is(err, ledger.ErrNotFound) {
		return a, err
	}
	email := address(who.Email)
	if email == "" || !who.Verified {
		return a, c.fail(http.StatusForbidden, "the other log-in does not say that your e-mail address is yours")
	}
	a, err = store.AccountOf(ctx, email)
	if err == nil {
		return store.ChangeAccount(ctx, a.ID, func(a *ledger.Account) error {
			if a.Subject != "" {
				return c.fail(http.StatusForbidden, "this address belongs to somebody else at the other log-in")
			}
			a.Subject = who.Subject
			return nil
		})
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return a, err
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return a, err
	}
	expected := slices.ContainsFunc(book.byEmail[email], func(m membership) bool { return m.Status != registry.Removed })
	if p.options.SignUp != "open" && !expected {
		return a, c.fail(http.StatusForbidden, "new accounts are made by invitation")
	}
	name, _ := properName(who.Name)
	if name == "" {
		name = email
	}
	return store.NewAccount(ctx, ledger.Account{Email: email, Name: name, Subject: who.Subject})
}
