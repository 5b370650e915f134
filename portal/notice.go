package portal

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs"
)

// noticesPage is what an organisation should know.
type noticesPage struct {
	Ends    []endNotice
	Windows []ledger.Announcement
	News    []ledger.Announcement
	Broken  []hookRow // webhooks that were turned off
	Stuck   []stuckRow
	Wishes  []wish
	Post    bool // the visitor may announce something
	Form    announceForm
}

// Quiet tells that there is nothing to know.
func (p *noticesPage) Quiet() bool {
	return len(p.Ends)+len(p.Windows)+len(p.News)+len(p.Broken)+len(p.Stuck) == 0
}

// endNotice is a deprecation that concerns an app, because the app calls it or
// is subscribed to it.
type endNotice struct {
	App            *gateway.App
	API            *gateway.API
	Title          string
	Operation      string // empty for the whole version
	Since, Sunset  time.Time
	Successor      string // the page of what comes after it, or an address
	Link           string
	Calls          int64 // in the last thirty days
	Last           time.Time
	Over, Soon     bool
	SuccessorTitle string
}

// Path is the page of the API.
func (n endNotice) Path() string { return "/apis/" + n.API.Name + "/" + n.API.Major }

// stuckRow counts the writes of an app that need somebody.
type stuckRow struct {
	App    *gateway.App
	Writes int
	More   bool
}

// wish is a mail that a person may want.
type wish struct {
	Name, Text string
	On         bool
}

// newsWish is the name of the wish for mails of what is announced.
const newsWish = "maintenance"

// The mails that people may want, and whether they get them unasked. None stands here
// that nothing sends.
var wishes = []wish{{newsWish, "Maintenance windows and news", true}}

// announceForm is what a partner manager has entered.
type announceForm struct{ Title, Body, APIs, Starts, Ends, Wrong string }

// notices shows what concerns the visitor's apps.
func (p *Portal) notices(c *call) error {
	page, err := p.noticesPage(c)
	if err != nil {
		return err
	}
	return c.page("notices", "Notices", page)
}

func (p *Portal) noticesPage(c *call) (*noticesPage, error) {
	ctx := c.Request().Context()
	page := &noticesPage{Post: c.visitor.manager && c.visitor.acting == ""}
	apps := c.ownApps()
	list, err := c.used(apps, 30)
	if err != nil {
		return nil, err
	}
	page.Ends = endsFor(c.table, apps, list, time.Now())
	news, err := p.options.Store.Announcements(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	for _, a := range news {
		if a.Starts.IsZero() {
			page.News = append(page.News, a)
		} else {
			page.Windows = append(page.Windows, a)
		}
	}
	var names []string
	for _, a := range apps {
		names = append(names, a.Name)
		dead, err := p.options.Store.List(ctx, ledger.Filter{App: a.Name, Dead: true, Limit: 100})
		if err != nil {
			return nil, err
		}
		if n := len(dead.Writes); n > 0 {
			page.Stuck = append(page.Stuck, stuckRow{a, n, dead.Next != ""})
		}
	}
	hooks, err := p.options.Store.Hooks(ctx, slices.Concat([]string{}, names))
	if err != nil {
		return nil, err
	}
	for _, h := range hooks {
		if h.State == ledger.HookFailed {
			page.Broken = append(page.Broken, hookRow{h, h.App})
		}
	}
	page.Wishes, err = p.wishes(c)
	return page, err
}

// endsFor are the deprecations that concern apps: those of versions and
// operations that they have called lately, and of versions that they are
// subscribed to. The nearest end comes first.
func endsFor(t *gateway.Table, apps []*gateway.App, used []ledger.Usage, now time.Time) []endNotice {
	type key struct{ app, operation string }
	calls := map[key]ledger.Usage{}
	for _, u := range used {
		k := key{u.App, u.API + "/v" + majorOf(u.Version) + "/" + u.Operation}
		sum := calls[k]
		sum.Calls += u.Calls
		if sum.Last.Before(u.Last) {
			sum.Last = u.Last
		}
		calls[k] = sum
	}
	var list []endNotice
	for _, a := range t.APIs {
		if a.Canary != nil || a.Document == nil {
			continue
		}
		whole, version := deprecation(a.Document.Governance.OperationGovernance)
		for _, app := range apps {
			sum := endNotice{App: app, API: a, Title: cmp.Or(a.Document.Title, a.Name)}
			for _, o := range a.Document.Operations {
				own, ok := deprecation(o.Governance)
				u := calls[key{app.Name, a.Key(o)}]
				sum.Calls += u.Calls
				if sum.Last.Before(u.Last) {
					sum.Last = u.Last
				}
				if ok && !(version && own == whole) && u.Calls > 0 {
					n := endNotice{App: app, API: a, Title: sum.Title, Operation: cmp.Or(strings.TrimSuffix(o.Summary, "."), o.ID), Calls: u.Calls, Last: u.Last}
					list = append(list, n.with(own, t, now))
				}
			}
			if version && (sum.Calls > 0 || subscribed(t, app, a)) {
				list = append(list, sum.with(whole, t, now))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b endNotice) int {
		return cmp.Or(far(a.Sunset).Compare(far(b.Sunset)), cmp.Compare(a.Title, b.Title), cmp.Compare(appTitle(a.App), appTitle(b.App)))
	})
	return list
}

// far puts what has no end last.
func far(t time.Time) time.Time {
	if t.IsZero() {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}

// deprecated are the settings of the policy deprecate.
type deprecated struct {
	since, sunset   time.Time
	successor, link string
}

func deprecation(g specs.OperationGovernance) (d deprecated, ok bool) {
	n := g.Policies["deprecate"]
	if !n.Exists() || !n.Get("since").Exists() {
		return d, false
	}
	return deprecated{day(n.Get("since").Text()), day(n.Get("sunset").Text()), n.Get("successor").Text(), n.Get("link").Text()}, true
}

func (n endNotice) with(d deprecated, t *gateway.Table, now time.Time) endNotice {
	n.Since, n.Sunset, n.Link = d.since, d.sunset, safeLink(d.link)
	n.Over = !d.sunset.IsZero() && !now.Before(d.sunset)
	n.Soon = !d.sunset.IsZero() && d.sunset.Sub(now) < 60*24*time.Hour
	n.Successor = safeLink(d.successor)
	for _, a := range t.APIs {
		if a.Canary == nil && d.successor != "" && strings.TrimRight(d.successor, "/") == a.Base && a.Document != nil {
			n.Successor, n.SuccessorTitle = "/apis/"+a.Name+"/"+a.Major, cmp.Or(a.Document.Title, a.Name)+" "+a.Major
		}
	}
	return n
}

// safeLink keeps addresses that a page may link to.
func safeLink(text string) string {
	if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
		return text
	}
	return ""
}

// subscribed tells whether an app may use an API.
func subscribed(t *gateway.Table, app *gateway.App, a *gateway.API) bool {
	for _, s := range t.Consumers.Subscriptions {
		if s.App == app && s.Status == "approved" && s.Product != nil && slices.Contains(s.Product.APIs, a.Name+"/"+a.Major) {
			return true
		}
	}
	return false
}

// preferences are what a person has chosen; portals keep more in the same place.
type preferences map[string]any

// wishes are the mails that the visitor gets.
func (p *Portal) wishes(c *call) ([]wish, error) {
	a, err := p.options.Store.Account(c.Request().Context(), c.visitor.account)
	if err != nil {
		return nil, err
	}
	return wishesOf(a), nil
}

func wishesOf(a ledger.Account) []wish {
	chosen := preferences{}
	json.Unmarshal(a.Preferences, &chosen) //nolint:errcheck // what cannot be read was not chosen
	list := slices.Clone(wishes)
	for i := range list {
		if on, ok := chosen["mail_"+list[i].Name].(bool); ok {
			list[i].On = on
		}
	}
	return list
}

// wantMail keeps which mails the visitor wants.
func (p *Portal) wantMail(c *call) error {
	values, err := c.FormParams()
	if err != nil {
		return c.fail(http.StatusBadRequest, "the form cannot be read")
	}
	_, err = p.options.Store.ChangeAccount(c.Request().Context(), c.visitor.account, func(a *ledger.Account) error {
		chosen := preferences{}
		json.Unmarshal(a.Preferences, &chosen) //nolint:errcheck // what cannot be read was not chosen
		for _, w := range wishes {
			chosen["mail_"+w.Name] = slices.Contains(values["mail"], w.Name)
		}
		a.Preferences, err = json.Marshal(chosen)
		return err
	})
	if err != nil {
		return err
	}
	return c.redirect("/notices", "Your choice is kept.")
}

// announce lets a partner manager tell everybody something.
func (p *Portal) announce(c *call) error {
	f := announceForm{Title: strings.TrimSpace(c.FormValue("title")), Body: strings.TrimSpace(c.FormValue("body")), APIs: c.FormValue("apis"), Starts: c.FormValue("starts"), Ends: c.FormValue("ends")}
	a := &ledger.Announcement{Title: f.Title, Body: f.Body, APIs: strings.FieldsFunc(f.APIs, func(r rune) bool { return r == ' ' || r == ',' })}
	for text, into := range map[string]*time.Time{f.Starts: &a.Starts, f.Ends: &a.Ends} {
		if text == "" {
			continue
		}
		t, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			f.Wrong = "A time is written 2027-01-31T22:00, in UTC."
		}
		*into = t
	}
	for _, name := range a.APIs {
		if !slices.ContainsFunc(c.table.APIs, func(x *gateway.API) bool { return x.Name+"/"+x.Major == name }) {
			f.Wrong = "There is no API " + name + "; write for example orders/v1."
		}
	}
	if f.Wrong == "" {
		err := p.options.Store.Announce(c.Request().Context(), a, c.by("announced in the portal"))
		if err == nil {
			if err := p.mailNews(c, a); err != nil { // it is on the page all the same
				p.options.Log.Error("an announcement is not mailed to all", "request_id", requestID(c), "error", err.Error())
			}
			return c.redirect("/notices", "Everybody can read it now.")
		}
		if f.Wrong = formFault(err); f.Wrong == "" {
			return err
		}
	}
	page, err := p.noticesPage(c)
	if err != nil {
		return err
	}
	page.Form = f
	return c.answer(http.StatusUnprocessableEntity, "notices", "Notices", page)
}

// accountsAtOnce is how many accounts are read at a time.
const accountsAtOnce = 500

// mailNews mails an announcement to the members of all organisations who want that.
func (p *Portal) mailNews(c *call, a *ledger.Announcement) error {
	ctx := c.Request().Context()
	if p.posts() != nil || p.options.Registry == nil {
		return nil
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return err
	}
	var emails []string
	for email, list := range book.byEmail {
		if slices.ContainsFunc(list, func(m membership) bool { return m.Status == registry.Active }) {
			emails = append(emails, email)
		}
	}
	lines := []string{a.Title}
	if !a.Starts.IsZero() {
		lines = append(lines, "From "+a.Starts.UTC().Format("2006-01-02 15:04")+" to "+a.Ends.UTC().Format("2006-01-02 15:04")+" (UTC).")
	}
	if len(a.APIs) > 0 {
		lines = append(lines, "It concerns "+strings.Join(a.APIs, ", ")+".")
	}
	if a.Body != "" {
		lines = append(lines, a.Body)
	}
	lines = append(lines, "All notices, and the choice to get no such mails: "+p.options.URL+"/notices")
	for part := range slices.Chunk(emails, accountsAtOnce) {
		accounts, err := p.options.Store.Accounts(ctx, part)
		if err != nil {
			return err
		}
		for _, to := range accounts {
			if !slices.ContainsFunc(wishesOf(to), func(w wish) bool { return w.Name == newsWish && w.On }) {
				continue
			}
			l := letter{to.Email, strings.Join(strings.Fields(a.Title), " "), slices.Concat([]string{"Hello " + to.Name + ","}, lines)}
			if err := p.post(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// withdraw takes an announcement back.
func (p *Portal) withdraw(c *call) error {
	if err := p.options.Store.Withdraw(c.Request().Context(), c.Param("announcement"), c.by("withdrawn in the portal")); err != nil {
		return err
	}
	return c.redirect("/notices", "It was taken back.")
}
