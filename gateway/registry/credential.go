package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// Credential is how an app proves itself: an API key, a client of the gateway's
// own token endpoint (oauth), the name that an issuer's tokens have for it, or a
// client certificate. The hash of a key, or of a client's secret, is its entry's secret.
type Credential struct {
	App   string `json:"app" yaml:"app" check:"required" doc:"The app that it proves."`
	Type  string `json:"type" yaml:"type" check:"required" enum:"key,oauth,client,certificate" doc:"What it is."`
	Label string `json:"label,omitempty" yaml:"label" doc:"What people call it."`
	// Prefix is a key's public part, the eight characters after hr_.
	Prefix string `json:"prefix,omitempty" yaml:"prefix" doc:"Public part of a key."`
	// Issuer and ID are a client's: the token's iss, and the claim that names the app.
	// Those of an oauth client have no issuer, and Scopes that its tokens may have.
	Issuer string         `json:"issuer,omitempty" yaml:"issuer" doc:"Issuer of a client's tokens."`
	ID     string         `json:"id,omitempty" yaml:"id" doc:"The client_id, or how the issuer's tokens call the client."`
	Scopes source.Strings `json:"scopes,omitempty" yaml:"scopes" doc:"Scopes of an oauth client."`
	// Thumbprint or Subject are a certificate's.
	Thumbprint string     `json:"thumbprint,omitempty" yaml:"thumbprint" doc:"sha256: and the hexadecimal SHA-256 of a certificate."`
	Subject    string     `json:"subject,omitempty" yaml:"subject" doc:"Subject of a certificate as in RFC 2253."`
	Expires    *time.Time `json:"expires,omitempty" yaml:"expires" doc:"From when on a key is refused."`
	Revoked    *time.Time `json:"revoked,omitempty" yaml:"revoked" doc:"Since when it is refused for good."`
	From       `yaml:",inline"`
}

func (c *Credential) parent() string { return c.App }

func (c *Credential) check(_ string, n source.Node, ps *source.Problems) {
	one := func(key, value string, wanted bool) {
		if (value != "") != wanted {
			ps.Add(n.At(key), fmt.Sprintf("%s and the type %s do not go together", key, c.Type), "a key has a prefix, an oauth client an id, a client an issuer and an id, a certificate a thumbprint or a subject")
		}
	}
	one("prefix", c.Prefix, c.Type == "key")
	one("issuer", c.Issuer, c.Type == "client")
	one("id", c.ID, c.Type == "client" || c.Type == "oauth")
	if len(c.Scopes) > 0 && c.Type != "oauth" {
		one("scopes", c.Scopes[0], false)
	}
	if c.Type != "certificate" {
		one("thumbprint", c.Thumbprint, false)
		one("subject", c.Subject, false)
	} else if (c.Thumbprint == "") == (c.Subject == "") {
		ps.Add(n, "needs either a thumbprint or a subject", "")
	}
}

// Live tells whether the credential proves anything at a moment.
func (c *Credential) Live(now time.Time) bool {
	return c.Revoked == nil && (c.Expires == nil || now.Before(*c.Expires))
}

// mostKeys is how many live keys an app may have, and how many clients of the
// token endpoint: the old one and its successor.
const mostKeys = 2

// NewKey makes an API key for an app. Its text is returned this once. expires
// may be nil. An app has two live keys at most.
func (r *Registry) NewKey(ctx context.Context, by ledger.By, app, label string, expires *time.Time) (Item[Credential], string, error) {
	return r.newKey(ctx, by, app, label, expires, func(*ledger.Draft) error { return nil })
}

// RotateKey makes a key that stands for another one. The old one works for as
// long as overlap says, and no longer than it would have.
func (r *Registry) RotateKey(ctx context.Context, by ledger.By, old string, overlap time.Duration, expires *time.Time, m ledger.Match) (Item[Credential], string, error) {
	before, err := Get[Credential](ctx, r, KindCredential, old)
	if err != nil {
		return Item[Credential]{}, "", err
	}
	if overlap < 0 {
		return Item[Credential]{}, "", refuse(Invalid, "zero ends the old key at once", "an overlap of %s", overlap)
	}
	return r.newKey(ctx, by, before.Body.App, before.Body.Label, expires, func(d *ledger.Draft) error {
		e, c, err := credential(d, old)
		switch {
		case err != nil:
			return err
		case c.Type != "key":
			return refuse(Invalid, "", "%q is of the type %s", old, c.Type)
		case !c.Live(d.Now):
			return refuse(State, "make a new key", "the key %q is no longer valid", old)
		}
		if end := d.Now.Add(overlap); c.Expires == nil || end.Before(*c.Expires) {
			c.Expires = &end
		}
		return putCredential(d, old, c, e.Secret, m)
	})
}

func (r *Registry) newKey(ctx context.Context, by ledger.By, app, label string, expires *time.Time, first func(*ledger.Draft) error) (made Item[Credential], text string, err error) {
	if r.options.NewKey == nil {
		return made, "", refuse(Invalid, "", "no keys are made here")
	}
	revision, err := r.change(ctx, by, func(d *ledger.Draft) error {
		if _, err := d.Get(KindApp, app); err != nil {
			return err
		}
		if expires != nil && !expires.After(d.Now) {
			return refuse(Invalid, "a time to come", "the key would have expired on %s", expires.UTC().Format(time.RFC3339))
		}
		if err := first(d); err != nil {
			return err
		}
		if err := room(d, app, "key"); err != nil {
			return err
		}
		key := r.options.NewKey()
		digest, err := digestOf(key.Hash)
		if err != nil {
			return err
		}
		c := &Credential{App: app, Type: "key", Label: label, Prefix: key.Prefix, Expires: expires}
		made, text = Item[Credential]{Name: key.Prefix, Parent: app, Body: *c, Created: d.Now, Changed: d.Now}, key.Text
		return putCredential(d, key.Prefix, c, digest, ledger.Absent)
	})
	if err != nil {
		return Item[Credential]{}, "", err
	}
	made.Revision = revision
	return made, text, nil
}

// NewClient makes a client of the gateway's own token endpoint for an app. Its
// secret is returned this once. expires may be nil. An app has two live ones at most.
func (r *Registry) NewClient(ctx context.Context, by ledger.By, app, label string, scopes []string, expires *time.Time) (Item[Credential], string, error) {
	id, secret := clientStart+strings.ToLower(rand.Text())[:clientIDLength], secretStart+rand.Text()+rand.Text()
	digest := sha256.Sum256([]byte(secret))
	c := &Credential{App: app, Type: "oauth", Label: label, ID: id, Scopes: scopes, Expires: expires}
	var last *ledger.Draft
	_, err := r.change(ctx, by, func(d *ledger.Draft) error {
		last = d
		if _, err := d.Get(KindApp, app); err != nil {
			return err
		}
		if expires != nil && !expires.After(d.Now) {
			return refuse(Invalid, "a time to come", "the client would have expired on %s", expires.UTC().Format(time.RFC3339))
		}
		if err := room(d, app, "oauth"); err != nil {
			return err
		}
		return putCredential(d, id, c, digest[:], ledger.Absent)
	})
	if err != nil {
		return Item[Credential]{}, "", err
	}
	made, err := settled[Credential](last, KindCredential, id)
	return made, secret, err
}

// The form of a client and its secret, as headrace key --client makes them.
const (
	clientStart    = "hrc_"
	secretStart    = "hrs_"
	clientIDLength = 18
)

// room refuses a third live key, or client of the token endpoint.
func room(d *ledger.Draft, app, sort string) error {
	live := 0
	for _, e := range d.List(KindCredential, app) {
		i, err := item[Credential](&e)
		if err != nil {
			return err
		}
		if i.Body.Type == sort && i.Body.Live(d.Now) {
			live++
		}
	}
	if live >= mostKeys {
		return refuse(TooMany, "revoke one of them", "the app %q has %d live %s", app, live, map[string]string{"key": "keys", "oauth": "clients"}[sort])
	}
	return nil
}

// AddCredential adds a client or a certificate to an app: text is the body in
// JSON. It returns the credential's name, which is made of what it recognises.
func (r *Registry) AddCredential(ctx context.Context, by ledger.By, text []byte) (string, int64, error) {
	c, err := decode[Credential](KindCredential, "", text)
	if err != nil {
		return "", 0, err
	}
	if c.Type == "key" || c.Type == "oauth" {
		return "", 0, refuse(Invalid, "let one be made", "a credential of the type %s is not handed in", c.Type)
	}
	name := c.name()
	revision, err := r.change(ctx, by, func(d *ledger.Draft) error {
		if _, err := d.Get(KindApp, c.App); err != nil {
			return err
		}
		m := ledger.Absent
		if old, was, err := credential(d, name); err == nil && was.Revoked != nil {
			m = ledger.Match(old.Revision) // it may come back
		}
		return putCredential(d, name, c, nil, m)
	})
	return name, revision, err
}

// name is what a credential is called: by what it recognises, so that none
// stands twice.
func (c *Credential) name() string {
	switch c.Type {
	case "key":
		return c.Prefix
	case "oauth":
		return c.ID
	case "client":
		return gateway.ClientIdentity{Issuer: c.Issuer, ID: c.ID}.CredentialName()
	}
	return gateway.CertificateName{Thumbprint: c.Thumbprint, Subject: c.Subject}.CredentialName()
}

// Revoke ends a credential at once and for good. A reason is needed. It is not
// checked by building, which it cannot break: it must work in any case.
func (r *Registry) Revoke(ctx context.Context, by ledger.By, name string, m ledger.Match) (int64, error) {
	if by.Reason == "" {
		return 0, refuse(NoReason, "say why", "the credential %q would be revoked without a reason", name)
	}
	return r.atOnce(ctx, by, func(d *ledger.Draft) error {
		e, c, err := credential(d, name)
		if err != nil {
			return err
		}
		if c.Revoked != nil {
			return nil
		}
		c.Revoked = &d.Now
		return putCredential(d, name, c, e.Secret, m)
	})
}

func credential(d *ledger.Draft, name string) (ledger.Entry, *Credential, error) {
	e, err := d.Get(KindCredential, name)
	if err != nil {
		return e, nil, err
	}
	i, err := item[Credential](&e)
	return e, &i.Body, err
}

func putCredential(d *ledger.Draft, name string, c *Credential, secret []byte, m ledger.Match) error {
	text, err := encode(c)
	if err != nil {
		return err
	}
	return keep(d, ledger.Entry{Kind: KindCredential, Name: name, Parent: c.App, Body: text, Secret: secret}, m)
}

var hashPattern = regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)

// digestOf reads sha256:HEX.
func digestOf(hash string) ([]byte, error) {
	if !hashPattern.MatchString(hash) {
		return nil, refuse(Invalid, "sha256: and 64 hexadecimal digits", "what was handed in is not a hash of a key")
	}
	return hex.DecodeString(hash[len("sha256:"):])
}

// addCredentials adds what a table is built of an app's credentials. Those that are
// revoked are left out, and of the keys and the clients of the token endpoint all
// but two each: an expired one stays as long as there is room, so that its user is
// told what is wrong.
func (f *appFile) addCredentials(list []Item[Credential], secrets map[string][]byte, now time.Time) {
	slices.SortStableFunc(list, func(a, b Item[Credential]) int {
		return cmp.Or(rankOf(&b.Body, now)-rankOf(&a.Body, now), b.Created.Compare(a.Created))
	})
	for _, i := range list {
		switch c := &i.Body; {
		case c.Revoked != nil:
		case c.Type == "key" && len(f.Keys) < mostKeys:
			f.Keys = append(f.Keys, keyFile{c.Prefix, hashText(secrets[i.Name]), c.end()})
		case c.Type == "oauth" && len(f.OAuth) < mostKeys:
			f.OAuth = append(f.OAuth, oauthFile{c.ID, hashText(secrets[i.Name]), c.Scopes, c.end()})
		case c.Type == "client":
			f.Clients = append(f.Clients, clientFile{c.Issuer, c.ID})
		case c.Type == "certificate":
			f.Certificates = append(f.Certificates, certificateFile{c.Thumbprint, c.Subject})
		}
	}
}

func hashText(digest []byte) string { return "sha256:" + hex.EncodeToString(digest) }

// end is when the credential expires, as files have it; empty when it does not.
func (c *Credential) end() string {
	if c.Expires == nil {
		return ""
	}
	return c.Expires.UTC().Format(time.RFC3339Nano)
}

func rankOf(c *Credential, now time.Time) int {
	if c.Live(now) {
		return 1
	}
	return 0
}
