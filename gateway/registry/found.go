package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// The roles of members.
const (
	Owner     = "owner"     // everything of the organisation
	Developer = "developer" // apps and what belongs to them
	Billing   = "billing"   // looks, and hears of plans
	Onlooker  = "viewer"    // looks
)

// The states of members.
const (
	Invited = "invited"
	Active  = "active"
	Removed = "removed"
)

// mostApps and mostMembers bound what an organisation makes by itself.
const (
	mostApps    = 100
	mostMembers = 500
)

// Found makes an organisation with its first owner, and chooses their names: those
// of the organisation from title, and of the member from the address. taken tells
// of names that stand in files; nil knows of none. It returns the organisation's name.
func (r *Registry) Found(ctx context.Context, by ledger.By, title string, first Member, taken func(string) bool) (string, error) {
	if strings.TrimSpace(title) == "" {
		return "", refuse(Invalid, "", "the organisation has no name")
	}
	name := ""
	_, err := r.change(ctx, by, func(d *ledger.Draft) error {
		name = freeName(d, KindOrganisation, slug(title, "organisation"), taken)
		text, err := encode(Organisation{Title: strings.TrimSpace(title)})
		if err != nil {
			return err
		}
		if err := d.Put(ledger.Entry{Kind: KindOrganisation, Name: name, Body: text}, ledger.Absent); err != nil {
			return err
		}
		first.Organisation = name
		_, err = addMember(d, &first)
		return err
	})
	return name, err
}

// Invite makes a member of an organisation, and chooses the name. One with the
// same address that was removed comes back; one that is there is refused.
func (r *Registry) Invite(ctx context.Context, by ledger.By, m Member) (string, error) {
	name := ""
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) error {
		if _, err := d.Get(KindOrganisation, m.Organisation); err != nil {
			return err
		}
		list := d.List(KindMember, m.Organisation)
		if len(list) >= mostMembers {
			return refuse(TooMany, "", "the organisation %q has %d members", m.Organisation, len(list))
		}
		for _, e := range list {
			old, err := item[Member](&e)
			if err != nil {
				return err
			}
			if !strings.EqualFold(old.Body.Email, m.Email) {
				continue
			}
			if old.Body.Status == Active {
				return refuse(Exists, "", "%s is a member already", m.Email)
			}
			name = e.Name
			return putMember(d, name, &m)
		}
		var err error
		name, err = addMember(d, &m)
		return err
	})
	return name, err
}

// ChangeMember runs change on a member and keeps what it leaves; organisation
// and address stay. An organisation that has an owner keeps one as long as it has
// members.
func (r *Registry) ChangeMember(ctx context.Context, by ledger.By, name string, change func(*Member)) error {
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) error {
		e, err := d.Get(KindMember, name)
		if err != nil {
			return err
		}
		old, err := item[Member](&e)
		if err != nil {
			return err
		}
		m := old.Body
		change(&m)
		m.Organisation, m.Email = old.Body.Organisation, old.Body.Email
		owned, err := hasOwner(d, m.Organisation)
		if err != nil {
			return err
		}
		if err := putMember(d, name, &m); err != nil {
			return err
		}
		still, err := hasOwner(d, m.Organisation)
		if err == nil && owned && !still {
			err = refuse(InUse, "make somebody else an owner first", "%s is the last owner", m.Email)
		}
		return err
	})
	return err
}

// hasOwner tells whether an organisation has an active owner.
func hasOwner(d *ledger.Draft, organisation string) (bool, error) {
	for _, e := range d.List(KindMember, organisation) {
		m, err := item[Member](&e)
		if err != nil {
			return false, err
		}
		if m.Body.Role == Owner && m.Body.Status == Active {
			return true, nil
		}
	}
	return false, nil
}

// OpenApp makes an app of an organisation and chooses its name from the title.
// taken tells of names that stand in files; nil knows of none.
func (r *Registry) OpenApp(ctx context.Context, by ledger.By, organisation, title string, taken func(string) bool) (string, error) {
	if strings.TrimSpace(title) == "" {
		return "", refuse(Invalid, "", "the app has no name")
	}
	name := ""
	_, err := r.change(ctx, by, func(d *ledger.Draft) error {
		if _, err := d.Get(KindOrganisation, organisation); err != nil {
			return err
		}
		if n := len(d.List(KindApp, organisation)); n >= mostApps {
			return refuse(TooMany, "delete one that is not needed", "the organisation %q has %d apps", organisation, n)
		}
		name = freeName(d, KindApp, slug(organisation+" "+title, "app"), taken)
		text, err := encode(App{Organisation: organisation, Title: strings.TrimSpace(title)})
		if err != nil {
			return err
		}
		return d.Put(ledger.Entry{Kind: KindApp, Name: name, Parent: organisation, Body: text}, ledger.Absent)
	})
	return name, err
}

// ChangeApp runs change on an app and keeps what it leaves; its organisation stays.
func (r *Registry) ChangeApp(ctx context.Context, by ledger.By, name string, change func(*App)) error {
	_, err := r.change(ctx, by, func(d *ledger.Draft) error {
		e, err := d.Get(KindApp, name)
		if err != nil {
			return err
		}
		old, err := item[App](&e)
		if err != nil {
			return err
		}
		a := old.Body
		change(&a)
		a.Organisation = old.Body.Organisation
		text, err := encode(&a)
		if err != nil {
			return err
		}
		if _, err := decode[App](KindApp, name, text); err != nil {
			return err
		}
		return d.Put(ledger.Entry{Kind: KindApp, Name: name, Parent: a.Organisation, Body: text}, ledger.Any)
	})
	return err
}

// Suspend has all apps of an organisation refused, or takes that back. A reason is
// needed. What takes access away is not checked by building: it must work in any case.
func (r *Registry) Suspend(ctx context.Context, by ledger.By, organisation string, suspend bool) error {
	if by.Reason == "" {
		return refuse(NoReason, "say why", "the organisation %q would be suspended, or no longer, without a reason", organisation)
	}
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) error {
		e, err := d.Get(KindOrganisation, organisation)
		if err != nil {
			return err
		}
		o, err := item[Organisation](&e)
		if err != nil {
			return err
		}
		o.Body.Suspended = suspend
		text, err := encode(o.Body)
		if err != nil {
			return err
		}
		return d.Put(ledger.Entry{Kind: KindOrganisation, Name: organisation, Body: text}, ledger.Any)
	})
	return err
}

// Note audits something that changes nothing of the registry, such as a message
// or a look through a partner's eyes. target is KIND/NAME.
func (r *Registry) Note(ctx context.Context, by ledger.By, action, target string) error {
	_, err := r.quietly(ctx, by, func(d *ledger.Draft) error {
		d.Note(action, target)
		return nil
	})
	return err
}

func addMember(d *ledger.Draft, m *Member) (string, error) {
	someone, _, _ := strings.Cut(m.Email, "@")
	name := freeName(d, KindMember, m.Organisation+"."+slug(someone, "member"), nil)
	return name, putMember(d, name, m)
}

func putMember(d *ledger.Draft, name string, m *Member) error {
	text, err := encode(m)
	if err != nil {
		return err
	}
	if _, err := decode[Member](KindMember, name, text); err != nil {
		return err
	}
	return d.Put(ledger.Entry{Kind: KindMember, Name: name, Parent: m.Organisation, Body: text}, ledger.Any)
}

// longestSlug leaves room for a number behind a name.
const longestSlug = 50

// slug makes a name of what people write: small letters, digits and hyphens, a
// letter first; other when nothing is left.
func slug(text, other string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9' && b.Len() > 0:
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	s = strings.Trim(s[:min(len(s), longestSlug)], "-")
	if s == "" {
		return other
	}
	return s
}

// freeName is a name that nothing of the kind has, and that taken does not know.
func freeName(d *ledger.Draft, kind, name string, taken func(string) bool) string {
	known := map[string]bool{}
	for _, e := range d.List(kind, "") {
		known[e.Name] = true
	}
	free := func(name string) bool { return !known[name] && (taken == nil || !taken(name)) }
	if free(name) {
		return name
	}
	for n := 2; ; n++ {
		if next := fmt.Sprintf("%s-%d", name, n); free(next) {
			return next
		}
	}
}

// Networks reads a list of addresses and networks that people have written, parted
// by spaces, commas or lines, without what stands twice.
func Networks(text string) source.Strings {
	var list source.Strings
	for _, one := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" ,;\t\r\n", c) }) {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}
