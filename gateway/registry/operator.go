package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// KindOperator are the users of the admin API, KindBootstrap the one token that
// may make the first of them.
const (
	KindOperator  = "operator"
	KindBootstrap = "bootstrap"
)

// Role is what an operator may do by the admin API.
type Role string

// The roles. Each may look at everything but what only admins see.
const (
	Viewer         Role = "viewer"          // looks
	RoleOperator   Role = "operator"        // decides about writes
	Architect      Role = "architect"       // versions, systems, products and plans
	PartnerManager Role = "partner-manager" // organisations, apps, credentials and subscriptions
	Admin          Role = "admin"           // everything, operators included
	// Bootstrap is the role of the token that makes the first admin. No operator has it.
	Bootstrap Role = "bootstrap"
)

// Roles lists those that an operator may have.
func Roles() []Role { return []Role{Viewer, RoleOperator, Architect, PartnerManager, Admin} }

// Operator is a user of the admin API, a person or a program, with one token.
// The token's hash is its entry's secret.
type Operator struct {
	Title string `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	Role  Role   `json:"role" yaml:"role" check:"required" enum:"viewer,operator,architect,partner-manager,admin" doc:"What the operator may do."`
	// Prefix is the token's public part, the eight characters after hra_.
	Prefix  string     `json:"prefix,omitempty" yaml:"prefix" doc:"Public part of the token."`
	Expires *time.Time `json:"expires,omitempty" yaml:"expires" doc:"From when on the token is refused."`
}

func (*Operator) parent() string { return "" }
func (*Operator) origin() Origin { return ByAPI }
func (*Operator) check(name string, n source.Node, ps *source.Problems) {
	checkName(name, n, ps)
}

const (
	tokenStart        = "hra_"
	tokenPrefixLength = 8
	tokenSecretLength = 40 // 200 bits
)

// newToken makes a token: hra_PREFIX_SECRET, of the letters of base 32 in lower case.
func newToken() (text, prefix string, digest []byte) {
	letters := strings.ToLower(rand.Text() + rand.Text()) // 26 letters of 5 bits each
	prefix = letters[:tokenPrefixLength]
	text = tokenStart + prefix + "_" + letters[tokenPrefixLength:tokenPrefixLength+tokenSecretLength]
	sum := sha256.Sum256([]byte(text))
	return text, prefix, sum[:]
}

// IsToken tells that a text has the form of an operator's token.
func IsToken(text string) bool {
	rest, ok := strings.CutPrefix(text, tokenStart)
	return ok && len(rest) == tokenPrefixLength+1+tokenSecretLength && rest[tokenPrefixLength] == '_'
}

// NewOperator makes an operator and its token, which is returned this once.
// title and expires may be empty. When by.Role is Bootstrap, it has to be the
// first operator and an admin, and the bootstrap token ends with it.
func (r *Registry) NewOperator(ctx context.Context, by ledger.By, name string, o Operator) (Item[Operator], string, error) {
	text, prefix, digest := newToken()
	o.Prefix = prefix
	v, err := checkedOperator(name, &o)
	if err != nil {
		return Item[Operator]{}, "", err
	}
	var last *ledger.Draft
	_, err = r.atOnce(ctx, by, func(d *ledger.Draft) error {
		last = d
		if o.Expires != nil && !o.Expires.After(d.Now) {
			return refuse(Invalid, "a time to come", "the token would have expired on %s", o.Expires.UTC().Format(time.RFC3339))
		}
		if err := endBootstrap(d, by, o.Role); err != nil {
			return err
		}
		return putOperator(d, name, v, digest, ledger.Absent)
	})
	if err != nil {
		return Item[Operator]{}, "", err
	}
	made, err := settled[Operator](last, KindOperator, name)
	return made, text, err
}

// endBootstrap ends the bootstrap token with the first admin, whoever makes it.
func endBootstrap(d *ledger.Draft, by ledger.By, role Role) error {
	if by.Role == string(Bootstrap) {
		switch {
		case len(d.List(KindOperator, "")) > 0:
			return refuse(State, "use an admin's token", "there is an operator already")
		case role != Admin:
			return refuse(Invalid, "role: admin", "the first operator has to be an admin")
		}
	}
	if role != Admin {
		return nil
	}
	for _, e := range d.List(KindBootstrap, "") {
		if err := d.Delete(KindBootstrap, e.Name, ledger.Any); err != nil {
			return err
		}
	}
	return nil
}

// RenewOperator gives an operator a new token, which is returned this once; the
// old one ends at once.
func (r *Registry) RenewOperator(ctx context.Context, by ledger.By, name string, expires *time.Time, m ledger.Match) (Item[Operator], string, error) {
	text, prefix, digest := newToken()
	var last *ledger.Draft
	_, err := r.atOnce(ctx, by, func(d *ledger.Draft) error {
		last = d
		e, err := d.Get(KindOperator, name)
		if err != nil {
			return err
		}
		i, err := item[Operator](&e)
		if err != nil {
			return err
		}
		if expires != nil && !expires.After(d.Now) {
			return refuse(Invalid, "a time to come", "the token would have expired on %s", expires.UTC().Format(time.RFC3339))
		}
		i.Body.Prefix, i.Body.Expires = prefix, expires
		return putOperator(d, name, &i.Body, digest, m)
	})
	if err != nil {
		return Item[Operator]{}, "", err
	}
	made, err := settled[Operator](last, KindOperator, name)
	return made, text, err
}

// EndOperator deletes an operator; its token ends at once. The last admin stays.
func (r *Registry) EndOperator(ctx context.Context, by ledger.By, name string, m ledger.Match) (int64, error) {
	return r.atOnce(ctx, by, func(d *ledger.Draft) error {
		if err := d.Delete(KindOperator, name, m); err != nil {
			return err
		}
		for _, e := range d.List(KindOperator, "") {
			if i, err := item[Operator](&e); err != nil || i.Body.Role == Admin && i.Body.live(d.Now) {
				return err
			}
		}
		return refuse(InUse, "make another admin first", "%q is the last admin", name)
	})
}

func (o *Operator) live(now time.Time) bool { return o.Expires == nil || now.Before(*o.Expires) }

func checkedOperator(name string, o *Operator) (*Operator, error) {
	text, err := encode(o)
	if err != nil {
		return nil, err
	}
	return decode[Operator](KindOperator, name, text)
}

func putOperator(d *ledger.Draft, name string, o *Operator, digest []byte, m ledger.Match) error {
	text, err := encode(o)
	if err != nil {
		return err
	}
	return keep(d, ledger.Entry{Kind: KindOperator, Name: name, Body: text, Secret: digest}, m)
}

// HasOperators tells whether there is any operator.
func (r *Registry) HasOperators(ctx context.Context) (bool, error) {
	c, err := r.ledger.Control(ctx)
	return err == nil && len(c.Of(KindOperator)) > 0, err
}

// Login is what a token of the admin API proves.
type Login struct {
	Name string
	Role Role
	// Expired tells that the token was right once.
	Expired bool
}

// Login finds whose token a text is. A wrong one is a zero Login, and costs the
// same time whatever is wrong with it.
func (r *Registry) Login(ctx context.Context, token string) (Login, error) {
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return Login{}, err
	}
	digest := sha256.Sum256([]byte(token))
	right := func(e *ledger.Entry) bool { return subtle.ConstantTimeCompare(e.Secret, digest[:]) == 1 }
	now := time.Now()
	if entries := c.Of(KindOperator); len(entries) > 0 {
		n := slices.IndexFunc(entries, right)
		if n < 0 {
			return Login{}, nil
		}
		i, err := item[Operator](entries[n])
		return Login{i.Name, i.Body.Role, !i.Body.live(now)}, err
	}
	for _, e := range c.Of(KindBootstrap) {
		if i, err := item[bootstrap](e); err != nil || right(e) {
			return Login{e.Name, Bootstrap, !now.Before(i.Body.Expires)}, err
		}
	}
	return Login{}, nil
}

// bootstrap is the one token that may make the first admin.
type bootstrap struct {
	Expires time.Time `json:"expires" yaml:"expires"`
}

// bootstrapName is what the audit calls the one who makes the first admin.
const bootstrapName = "bootstrap"

// bootstrapLife is how long a bootstrap token may be used.
const bootstrapLife = 24 * time.Hour

// Bootstrap makes the token with which the first admin can be made, if there is
// no operator and none that still works. It is returned this once; empty when
// none is needed. Several replicas that start together make one.
func (r *Registry) Bootstrap(ctx context.Context) (token string, expires time.Time, err error) {
	_, err = r.atOnce(ctx, ledger.By{Actor: "headrace", Reason: "there is no operator"}, func(d *ledger.Draft) error {
		token = ""
		if len(d.List(KindOperator, "")) > 0 {
			return nil
		}
		for _, e := range d.List(KindBootstrap, "") {
			if i, err := item[bootstrap](&e); err != nil || d.Now.Before(i.Body.Expires) {
				return err
			}
		}
		made, _, digest := newToken()
		token, expires = made, d.Now.Add(bootstrapLife)
		text, err := encode(bootstrap{expires})
		if err != nil {
			return err
		}
		return keep(d, ledger.Entry{Kind: KindBootstrap, Name: bootstrapName, Body: text, Secret: digest}, ledger.Any)
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("the bootstrap token: %w", err)
	}
	return token, expires, nil
}
