package workspace

import (
	"cmp"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Portal is the developer portal.
type Portal struct {
	Listen   string         `yaml:"listen" default:"127.0.0.1:8082" doc:"Address for partners."`
	URL      string         `yaml:"url" doc:"Address at which people reach the portal, for mails and cookies, for example https://developers.example.com; http and the address of listen when absent, which is for this machine alone."`
	Title    string         `yaml:"title" default:"Developer portal" doc:"What the portal is called."`
	Gateway  string         `yaml:"gateway" doc:"Address at which callers reach the gateway, for published documents and samples; the address of listen.gateway when absent."`
	Sandbox  string         `yaml:"sandbox" doc:"Address of a gateway whose systems are simulators, which \"try it\" calls; there is no \"try it\" when absent."`
	SignUp   string         `yaml:"sign_up" enum:"open,invitation,off" default:"invitation" doc:"Who may have an account: everybody with an e-mail address, whoever is invited, or nobody new."`
	Managers source.Strings `yaml:"managers" doc:"E-mail addresses of the partner managers: whoever has confirmed an account of one decides about partners in the portal."`
	Proxies  source.Strings `yaml:"trusted_proxies" doc:"Addresses and networks (CIDR) whose X-Forwarded-For is believed; without them, everybody behind a proxy counts as one when passwords are guessed."`
	Mail     *Mail          `yaml:"mail" doc:"How mails are sent; none are sent when absent."`
	OIDC     *PortalOIDC    `yaml:"oidc" doc:"Log-in at an issuer of people's identities; none when absent."`
	Node     source.Node    `yaml:",node"`
}

// Mail is the way of mails to people.
type Mail struct {
	SMTP     string        `yaml:"smtp" check:"required" doc:"The mail server, as HOST:PORT."`
	From     string        `yaml:"from" check:"required" doc:"The sender, for example Example APIs <developers@example.com>."`
	Username string        `yaml:"username" doc:"Who logs in at the mail server; nobody when absent."`
	Password source.Secret `yaml:"password" doc:"The password for username."`
	TLS      string        `yaml:"tls" enum:"starttls,implicit,off" default:"starttls" doc:"How the way to the mail server is encrypted; off is for this machine alone."`
	Node     source.Node   `yaml:",node"`
}

// PortalOIDC is an issuer at which people log in.
type PortalOIDC struct {
	Issuer   string         `yaml:"issuer" check:"required" doc:"Address of the issuer; https, http on this machine alone."`
	ClientID string         `yaml:"client_id" check:"required" doc:"What the issuer calls the portal."`
	Secret   source.Secret  `yaml:"client_secret" doc:"The portal's secret at the issuer; none for public clients."`
	Title    string         `yaml:"title" default:"single sign-on" doc:"What the way to log in is called on the page."`
	Scopes   source.Strings `yaml:"scopes" doc:"Scopes beside openid, email and profile."`
	Node     source.Node    `yaml:",node"`
}

// check finds what decoding cannot see.
func (p *Portal) check(l Listen, ps *source.Problems) {
	if _, err := net.ResolveTCPAddr("tcp", p.Listen); p.Listen != "" && err != nil {
		ps.Add(p.Node.At("listen"), fmt.Sprintf("%q is not an address", p.Listen), "write HOST:PORT, for example 127.0.0.1:8082")
	}
	if (p.Listen == l.Gateway || p.Listen == l.Admin) && !strings.HasSuffix(p.Listen, ":0") {
		ps.Add(cmp.Or(p.Node.At("listen"), p.Node), "the portal cannot share an address with the gateway or the admin API", "")
	}
	if p.URL == "" && !loopback(p.Listen) {
		ps.Add(p.Node, "url is missing: people on other machines need an address of the portal", "for example https://developers.example.com")
	}
	for key, address := range map[string]string{"url": p.URL, "gateway": p.Gateway, "sandbox": p.Sandbox} {
		p.checkAddress(p.Node.At(key), address, ps)
	}
	if u, err := url.Parse(p.URL); err == nil && strings.Trim(u.Path, "/") != "" {
		ps.Add(p.Node.At("url"), "the portal has no path below its host", u.Scheme+"://"+u.Host)
	}
	for _, m := range p.Managers {
		if a, err := mail.ParseAddress(m); err != nil || a.Address != m {
			ps.Add(p.Node.At("managers"), fmt.Sprintf("%q is not an address", m), "write NAME@HOST")
		}
	}
	for _, text := range p.Proxies {
		if _, err := gateway.ParseNetwork(text); err != nil {
			ps.Add(p.Node.At("trusted_proxies"), err.Error(), "write an address or a network, for example 203.0.113.7 or 2001:db8::/32")
		}
	}
	if m := p.Mail; m != nil {
		m.check(ps)
	}
	if o := p.OIDC; o != nil {
		p.checkAddress(o.Node.At("issuer"), o.Issuer, ps)
		checkSecret(o.Node.At("client_secret"), o.Secret, ps)
	}
}

func (p *Portal) checkAddress(n source.Node, address string, ps *source.Problems) {
	u, err := url.Parse(address)
	switch {
	case address == "":
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		ps.Add(n, "is not an address", "for example https://api.example.com")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(withPort(u))):
		ps.Add(n, "passwords and keys must go over https", "for example https://"+u.Host)
	}
}

func (m *Mail) check(ps *source.Problems) {
	host, _, err := net.SplitHostPort(m.SMTP)
	switch {
	case m.SMTP == "":
	case err != nil || host == "":
		ps.Add(m.Node.At("smtp"), fmt.Sprintf("%q is not an address", m.SMTP), "write HOST:PORT, for example mail.example.com:587")
	case m.TLS == "off" && !loopback(m.SMTP):
		ps.Add(m.Node.At("tls"), "mails with links to log in must not go in plain text", "starttls or implicit")
	}
	if m.Username == "" && !m.Password.IsZero() {
		ps.Add(m.Node.At("password"), "is a password for nobody", "username")
	}
	checkSecret(m.Node.At("password"), m.Password, ps)
}

func checkSecret(n source.Node, s source.Secret, ps *source.Problems) {
	if s.IsZero() {
		return
	}
	if _, err := s.Resolve(); err != nil {
		ps.Add(n, err.Error(), "")
	}
}

// Sends tells whether mails can be sent.
func (p *Portal) Sends() bool { return p != nil && p.Mail != nil && p.Mail.SMTP != "" }

// plain tells two settings apart; it says nothing of secrets but their references.
func (p *Portal) plain() string {
	if p == nil {
		return ""
	}
	text := fmt.Sprint(p.Listen, p.URL, p.Title, p.Gateway, p.Sandbox, p.SignUp, p.Managers, p.Proxies)
	if m := p.Mail; m != nil {
		text += fmt.Sprint(" mail", m.SMTP, m.From, m.Username, m.Password.String(), m.TLS)
	}
	if o := p.OIDC; o != nil {
		text += fmt.Sprint(" oidc", o.Issuer, o.ClientID, o.Secret.String(), o.Title, o.Scopes)
	}
	return text
}
