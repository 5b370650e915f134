package portal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// visitor is who looks at the portal.
type visitor struct {
	account      string // id of the account
	email, name  string
	organisation string // the one that the visitor acts for; empty for none
	// role is the member's in that organisation: owner, developer, billing or viewer.
	role    string
	manager bool
	// acting is the account of a manager who looks through this visitor's eyes;
	// nothing can be changed then. Empty otherwise.
	acting string
	// memberships are all organisations of the visitor, by title.
	memberships []membership
	// session is the hash of the log-in.
	session ledger.Session
}

// membership is a person's place in an organisation.
type membership struct {
	Name         string // of the member
	Organisation string
	Title        string // of the organisation
	Role         string
	Status       string
}

// Name is what the visitor is called on pages.
func (v *visitor) Name() string {
	if v.name != "" {
		return v.name
	}
	return v.email
}

// Email is the visitor's address.
func (v *visitor) Email() string { return v.email }

// Organisation is the title of the organisation that the visitor acts for.
func (v *visitor) Organisation() string {
	for _, m := range v.memberships {
		if m.Organisation == v.organisation {
			return m.Title
		}
	}
	return v.organisation
}

// Acting tells that a manager looks through a partner's eyes.
func (v *visitor) Acting() bool { return v != nil && v.acting != "" }

// Develops tells whether the visitor may change apps.
func (v *visitor) Develops() bool { return v.may(developer) && !v.Acting() }

// Owns tells whether the visitor may change the organisation.
func (v *visitor) Owns() bool { return v.may(owner) && !v.Acting() }

// may tells whether the visitor is at least what a route asks for; nil is nobody.
func (v *visitor) may(least who) bool {
	switch {
	case least == anyone:
		return true
	case v == nil:
		return false
	}
	switch least {
	case signedIn:
		return true
	case member:
		return v.organisation != ""
	case developer:
		return v.organisation != "" && (v.role == registry.Developer || v.role == registry.Owner)
	case owner:
		return v.organisation != "" && v.role == registry.Owner
	case manager:
		return v.manager
	}
	return false
}

// stand makes the visitor act for an organisation that they belong to; false when
// they do not.
func (v *visitor) stand(organisation string) bool {
	i := slices.IndexFunc(v.memberships, func(m membership) bool { return m.Organisation == organisation })
	if i < 0 {
		return false
	}
	v.organisation, v.role = organisation, v.memberships[i].Role
	return true
}

// visitor finds out who looks; nil when nobody is signed in.
func (p *Portal) visitor(e echo.Context) (*visitor, error) {
	token, err := e.Cookie(p.cookieName(sessionCookie))
	if err != nil || token.Value == "" || p.options.Store == nil {
		return nil, nil
	}
	ctx := e.Request().Context()
	s, a, err := p.options.Store.Session(ctx, ledger.HashOf([]byte(token.Value)))
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case s.Pending:
		return nil, nil
	}
	if err := p.touch(ctx, &s); err != nil {
		return nil, err
	}
	v := &visitor{account: a.ID, email: a.Email, name: a.Name, session: s, manager: p.manages(a.Email)}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return nil, err
	}
	if s.Acting != "" {
		if !v.manager { // no longer
			return v, nil
		}
		v.acting, v.manager = a.ID, false
		v.memberships = []membership{{Organisation: s.Acting, Title: book.title(s.Acting), Role: registry.Onlooker, Status: registry.Active}}
		v.stand(s.Acting)
		return v, nil
	}
	for _, m := range book.byEmail[a.Email] {
		if m.Status == registry.Active {
			v.memberships = append(v.memberships, m)
		}
	}
	if !v.stand(s.Organisation) && len(v.memberships) > 0 {
		v.stand(v.memberships[0].Organisation)
	}
	return v, nil
}

// manages tells whether the account of an address belongs to a partner manager.
func (p *Portal) manages(email string) bool {
	return slices.ContainsFunc(p.options.Managers, func(m string) bool { return strings.EqualFold(m, email) })
}

// touch keeps a log-in alive that is in use, and writes that down now and then.
func (p *Portal) touch(ctx context.Context, s *ledger.Session) error {
	now := time.Now()
	if now.Sub(s.Seen) < sessionTouch {
		return nil
	}
	s.Expires = sessionEnd(s.Created, now)
	err := p.options.Store.ChangeSession(ctx, *s)
	if errors.Is(err, ledger.ErrFailing) || errors.Is(err, ledger.ErrClosed) {
		return nil // it can still be read
	}
	return err
}

// people knows the members by their addresses, as of a revision of the registry.
type people struct {
	mu   sync.Mutex
	last *book
}

// book is the members at a revision. It is not changed once it is there.
type book struct {
	control *ledger.Control
	byEmail map[string][]membership
	byOrg   map[string][]registry.Item[registry.Member]
	titles  map[string]string
}

func (b *book) title(organisation string) string {
	if t := b.titles[organisation]; t != "" {
		return t
	}
	return organisation
}

// book reads the members, anew only if the registry has changed.
func (p *people) book(ctx context.Context, r *registry.Registry) (*book, error) {
	if r == nil {
		return &book{control: &ledger.Control{}}, nil
	}
	c, err := r.Control(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.last.control == c {
		return p.last, nil
	}
	b := &book{control: c, byEmail: map[string][]membership{}, byOrg: map[string][]registry.Item[registry.Member]{}, titles: map[string]string{}}
	organisations, err := registry.Items[registry.Organisation](c, registry.KindOrganisation)
	if err != nil {
		return nil, err
	}
	for _, o := range organisations {
		b.titles[o.Name] = o.Body.Title
	}
	members, err := registry.Items[registry.Member](c, registry.KindMember)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		email := strings.ToLower(m.Body.Email)
		b.byEmail[email] = append(b.byEmail[email], membership{m.Name, m.Body.Organisation, b.title(m.Body.Organisation), m.Body.Role, m.Body.Status})
		b.byOrg[m.Body.Organisation] = append(b.byOrg[m.Body.Organisation], m)
	}
	for _, list := range b.byEmail {
		slices.SortFunc(list, func(x, y membership) int { return strings.Compare(x.Title, y.Title) })
	}
	p.last = b
	return b, nil
}
