package portal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/headrace/headrace/gateway/ledger"
)

// newWebauthn sets up passkeys; nil where browsers have none: they bind them to a
// name, never to an IP address.
func newWebauthn(title string, base *url.URL) (*webauthn.WebAuthn, error) {
	host := base.Hostname()
	if net.ParseIP(host) != nil {
		return nil, nil
	}
	return webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: title, RPOrigins: []string{base.Scheme + "://" + base.Host}})
}

// keyHolder is an account in the words of WebAuthn.
type keyHolder struct {
	account     ledger.Account
	credentials []webauthn.Credential
}

func (h *keyHolder) WebAuthnID() []byte                         { return []byte(h.account.ID) }
func (h *keyHolder) WebAuthnName() string                       { return h.account.Email }
func (h *keyHolder) WebAuthnDisplayName() string                { return h.account.Name }
func (h *keyHolder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

func (p *Portal) keyHolder(c *call, account string) (*keyHolder, error) {
	ctx := c.Request().Context()
	a, err := p.options.Store.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	keys, err := p.options.Store.Passkeys(ctx, account)
	if err != nil {
		return nil, err
	}
	h := &keyHolder{account: a}
	for _, k := range keys {
		var credential webauthn.Credential
		if err := json.Unmarshal(k.Body, &credential); err != nil {
			return nil, fmt.Errorf("portal: passkey: %w", err)
		}
		h.credentials = append(h.credentials, credential)
	}
	return h, nil
}

const (
	passkeyTicket   = "passkey" // a challenge to log in
	addKeyTicket    = "add-passkey"
	passkeyCookie   = "passkey"
	challengeLife   = 5 * time.Minute
	mostPasskeys    = 20
	passkeyResponse = 64 << 10
)

// challenge keeps what a device has to answer, bound to this browser by a cookie.
func (p *Portal) challenge(c *call, sort, about string, session *webauthn.SessionData, options any) error {
	body, err := json.Marshal(session)
	if err != nil {
		return err
	}
	t, secret := p.ticket(sort, about, body, challengeLife)
	if err := p.options.Store.NewTicket(c.Request().Context(), t); err != nil {
		return err
	}
	c.setCookie(passkeyCookie, secret, challengeLife)
	return c.JSON(http.StatusOK, options)
}

// answered takes the challenge that this browser was given.
func (p *Portal) answered(c *call, sort string) (ledger.Ticket, webauthn.SessionData, error) {
	var session webauthn.SessionData
	t, err := p.options.Store.TakeTicket(c.Request().Context(), sort, ledger.HashOf([]byte(c.cookie(passkeyCookie))))
	if err != nil {
		return t, session, c.expired(err)
	}
	c.setCookie(passkeyCookie, "", -1)
	return t, session, json.Unmarshal(t.Body, &session)
}

func (p *Portal) offersPasskeys(c *call) error {
	if p.webauthn == nil {
		return c.missing()
	}
	return nil
}

// passkeyChallenge begins a log-in by passkey: whose it is, the device tells.
func (p *Portal) passkeyChallenge(c *call) error {
	if err := p.offersPasskeys(c); err != nil {
		return err
	}
	if err := p.free(c, "passkeys"+c.from()); err != nil {
		return err
	}
	if err := p.paced(c, "challenges "+c.from(), mostChallenges); err != nil {
		return err
	}
	options, session, err := p.webauthn.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return err
	}
	return p.challenge(c, passkeyTicket, "", session, options)
}

// passkeySignIn proves who somebody is by a passkey. It is two factors by itself: the
// device, and what opens it.
func (p *Portal) passkeySignIn(c *call) error {
	if err := p.offersPasskeys(c); err != nil {
		return err
	}
	_, session, err := p.answered(c, passkeyTicket)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBody(io.LimitReader(c.Request().Body, passkeyResponse))
	if err != nil {
		return c.fail(http.StatusBadRequest, "the answer of the device cannot be read")
	}
	var holder *keyHolder
	_, credential, err := p.webauthn.ValidatePasskeyLogin(func(_, user []byte) (webauthn.User, error) {
		var err error
		holder, err = p.keyHolder(c, string(user))
		return holder, err
	}, session, parsed)
	if err != nil || credential.Authenticator.CloneWarning {
		p.wrong(c, "passkeys"+c.from())
		return c.fail(http.StatusForbidden, "this passkey is not known here")
	}
	body, err := json.Marshal(credential)
	if err != nil {
		return err
	}
	id := base64.RawURLEncoding.EncodeToString(credential.ID)
	if err := p.options.Store.UsePasskey(c.Request().Context(), holder.account.ID, id, body); err != nil {
		return err
	}
	if err := c.signIn(holder.account.ID, false); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"next": local(c.QueryParam("next"), "/apps")})
}

// addPasskeyChallenge begins to make a passkey of the visitor's.
func (p *Portal) addPasskeyChallenge(c *call) error {
	if err := p.offersPasskeys(c); err != nil {
		return err
	}
	if err := c.proven(); err != nil {
		return err
	}
	h, err := p.keyHolder(c, c.visitor.account)
	if err != nil {
		return err
	}
	if len(h.credentials) >= mostPasskeys {
		return c.fail(http.StatusConflict, fmt.Sprintf("there are %d passkeys; delete one first", mostPasskeys))
	}
	var known []protocol.CredentialDescriptor
	for _, credential := range h.credentials {
		known = append(known, credential.Descriptor())
	}
	options, session, err := p.webauthn.BeginRegistration(h, webauthn.WithExclusions(known), webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
	}), webauthn.WithConveyancePreference(protocol.PreferNoAttestation))
	if err != nil {
		return err
	}
	return p.challenge(c, addKeyTicket, c.visitor.account, session, options)
}

// addPasskey keeps the passkey that a device has made.
func (p *Portal) addPasskey(c *call) error {
	if err := p.offersPasskeys(c); err != nil {
		return err
	}
	t, session, err := p.answered(c, addKeyTicket)
	if err != nil {
		return err
	}
	if t.About != c.visitor.account {
		return c.missing()
	}
	h, err := p.keyHolder(c, c.visitor.account)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(c.Request().Body, passkeyResponse))
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBody(bytes.NewReader(text))
	if err != nil {
		return c.fail(http.StatusBadRequest, "the answer of the device cannot be read")
	}
	credential, err := p.webauthn.CreateCredential(h, session, parsed)
	if err != nil {
		return c.fail(http.StatusForbidden, "the device has not proven itself")
	}
	body, err := json.Marshal(credential)
	if err != nil {
		return err
	}
	name, _ := properName(c.QueryParam("name"))
	if name == "" {
		name = "Passkey"
	}
	err = p.options.Store.AddPasskey(c.Request().Context(), ledger.Passkey{
		ID: base64.RawURLEncoding.EncodeToString(credential.ID), Account: c.visitor.account, Name: name, Body: body,
	})
	if errors.Is(err, ledger.ErrConflict) {
		return c.fail(http.StatusConflict, "this passkey is known already")
	}
	if err != nil {
		return err
	}
	p.tell(c, h.account, "a passkey was added", "The passkey \""+name+"\" was added to your account.")
	return c.JSON(http.StatusOK, map[string]string{"next": "/account"})
}

func (p *Portal) deletePasskey(c *call) error {
	if err := c.proven(); err != nil {
		return err
	}
	if err := p.options.Store.DeletePasskey(c.Request().Context(), c.visitor.account, c.Param("passkey")); err != nil {
		return err
	}
	return c.redirect("/account", "The passkey is deleted.")
}
