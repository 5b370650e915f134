package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/ledger"
)

var parameter = regexp.MustCompile(`\{([a-z]+)(?:\.\.\.)?\}`)

// nobodys are parameters that name nothing of an organisation: what everybody may
// read, what is a secret by itself, and what the SQL looks up by the account.
func nobodys() []string {
	return []string{"api", "major", "operation", "product", "token", "session", "passkey", "format", "file", "lang", "language"}
}

// filled puts names into a path.
func filled(path string, names map[string]string) string {
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		if name := names[parameter.FindStringSubmatch(p)[1]]; name != "" {
			return url.PathEscape(name)
		}
		return "none"
	})
}

// belongings are the things of an organisation by the parameters that name them.
func (b *browser) belongings(organisation string) map[string]string {
	b.Helper()
	app := b.shop("Shop of " + organisation)
	b.post("/apps/"+app+"/subscriptions", "offer", "desk free").goes(b, "/apps/"+app)
	hook := &ledger.Hook{App: app, URL: "https://shop.example/hook", State: ledger.HookOn, Secret: []byte{1}, Types: []ledger.State{ledger.Cancelled}}
	b.ok(b.store.AddHook(b.ctx, hook, ledger.By{Actor: "test"}))
	r, err := b.store.Append(b.ctx, &ledger.Write{System: "erp", App: app, Operation: "orders/v1/listOrders", Request: []byte("x")})
	b.ok(err)
	b.ok(b.store.Cancel(b.ctx, r.ID, ledger.By{Actor: "test", Reason: "for a delivery"}))
	told, err := b.store.Deliveries(b.ctx, hook.ID, 0, 1)
	b.ok(err)
	return map[string]string{
		"write": r.ID, "webhook": hook.ID, "number": fmt.Sprint(told[0].Number),
		"app": app, "credential": prefixOf(b.key(app)), "subscription": app + ".desk", "organisation": organisation,
	}
}

// TestWalk calls every route with the things of another organisation: none is there
// for anybody else, whatever their role at home, and nothing changes.
func TestWalk(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	eve := w.join("eve@example.com", "Evergreen Mills")
	theirs := ada.belongings("ashgrove-pumps")
	theirs["member"] = "ashgrove-pumps.ada"
	mine := eve.belongings("evergreen-mills")
	before := w.state()
	form := url.Values{"title": {"Taken"}, "role": {"viewer"}, "email": {"eve@example.com"}, "confirm": {theirs["app"]}, "reason": {"x"}, "hours": {"0"}, "days": {"90"},
		"plan": {"gold"}, "offer": {"desk gold"}, "decision": {"ended"}, "certificate": {strings.Repeat("cd", 32)}, "addresses": {"10.0.0.1"}, "text": {"hello"}}
	seen := 0
	for _, r := range w.portal.routes() {
		var named []string
		for _, m := range parameter.FindAllStringSubmatch(r.path, -1) {
			named = append(named, m[1])
		}
		guarded := slices.ContainsFunc(named, func(name string) bool { return w.portal.objects[name] != nil })
		for _, name := range named {
			if w.portal.objects[name] == nil && !slices.Contains(nobodys(), name) && r.who != manager {
				t.Errorf("%s %s: nothing tells whose {%s} it is: add it to owners", r.method, r.path, name)
			}
		}
		if guarded && (r.who == anyone || r.who == signedIn) {
			t.Errorf("%s %s names a thing of an organisation and is for %v: nobody holds it against the visitor", r.method, r.path, r.who)
		}
		if r.path == "/sign-out" || r.who == anyone {
			continue
		}
		stranger := w.browser()
		if a := stranger.send(r.method, filled(r.path, theirs), form); a.status != http.StatusSeeOther || !strings.HasPrefix(a.to, "/sign-in?next=") {
			t.Errorf("%s %s answers %d to nobody", r.method, r.path, a.status)
		}
		a := eve.send(r.method, filled(r.path, theirs), form)
		switch {
		case r.who == manager:
			if a.status != http.StatusForbidden {
				t.Errorf("%s %s answers %d to a partner", r.method, r.path, a.status)
			}
		case guarded:
			seen++
			if a.status != http.StatusNotFound {
				t.Errorf("%s %s answers %d (%s) with what is another organisation's", r.method, r.path, a.status, a.to)
			}
		}
		// The page names its own address, to come back to when the colours change.
		if body := strings.ReplaceAll(a.body, filled(r.path, theirs), ""); strings.Contains(body, "Ashgrove") || strings.Contains(body, theirs["credential"]) {
			t.Errorf("%s %s shows what is another organisation's", r.method, r.path)
		}
		// A thing of one's own organisation does not open a thing of another's.
		for _, name := range named {
			if w.portal.objects[name] == nil || len(named) < 2 {
				continue
			}
			mixed := map[string]string{}
			for k, v := range mine {
				mixed[k] = v
			}
			mixed[name] = theirs[name]
			if a := eve.send(r.method, filled(r.path, mixed), form); a.status != http.StatusNotFound {
				t.Errorf("%s %s answers %d with another organisation's {%s} among one's own", r.method, r.path, a.status, name)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d routes were held against the organisation", seen)
	}
	lines := slices.DeleteFunc(strings.Split(w.state(), "\n"), func(l string) bool { return strings.Contains(l, "evergreen") || strings.Contains(l, "Taken") })
	was := slices.DeleteFunc(strings.Split(before, "\n"), func(l string) bool { return strings.Contains(l, "evergreen") })
	if !slices.Equal(lines, was) {
		t.Errorf("the registry has changed:\n%s\nwas\n%s", strings.Join(lines, "\n"), strings.Join(was, "\n"))
	}
}

// TestRoles calls every route in each role at home: one that is too low is refused.
func TestRoles(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	things := ada.belongings("ashgrove-pumps")
	things["member"] = "ashgrove-pumps.ada"
	for role, may := range map[string][]who{"viewer": {member}, "billing": {member}, "developer": {member, developer}} {
		email := role + "@example.com"
		ada.post("/organisation/members", "email", email, "role", role).goes(ada, "/organisation")
		b := w.browser()
		b.post(w.link(w.mailed(email, "invited")), "name", role, "password", goodPassword).goes(b, "/apps")
		before := w.state()
		for _, r := range w.portal.routes() {
			if r.who == anyone || r.who == signedIn || slices.Contains(may, r.who) {
				continue
			}
			if a := b.send(r.method, filled(r.path, things), url.Values{"confirm": {things["app"]}, "days": {"90"}, "role": {"owner"}}); a.status != http.StatusForbidden {
				t.Errorf("%s %s answers %d to a %s", r.method, r.path, a.status, role)
			}
		}
		if w.state() != before {
			t.Errorf("a %s has changed the registry", role)
		}
	}
}

// TestOtherSites sends every form as a page of another site would: nothing is done.
func TestOtherSites(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	things := ada.belongings("ashgrove-pumps")
	things["member"] = "ashgrove-pumps.ada"
	before := w.state()
	for _, foreign := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
	} {
		ada.header = foreign
		for _, r := range w.portal.routes() {
			if r.method == http.MethodGet {
				continue
			}
			a := ada.send(r.method, filled(r.path, things), url.Values{"confirm": {things["app"]}, "email": {"x@example.com"}})
			if a.status != http.StatusForbidden || !strings.Contains(a.body, "another site") {
				t.Errorf("%s %s answers %d with %v", r.method, r.path, a.status, foreign)
			}
		}
	}
	ada.header = http.Header{}
	ada.get("/apps").is(ada, 200)
	if w.state() != before {
		t.Error("the registry has changed")
	}
}

// TestLooking lets a manager see what an organisation sees, and change nothing.
func TestLooking(t *testing.T) {
	w := newTown(t)
	desk := w.join(deskEmail, "The desk")
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	things := ada.belongings("ashgrove-pumps")
	things["member"] = "ashgrove-pumps.ada"
	desk.get("/apps/"+things["app"]).is(desk, 404) // it is no member
	desk.post("/manage/organisations/ashgrove-pumps/look", "reason", "a call of Ada's").goes(desk, "/apps")
	list := w.audits("look")
	if len(list) != 1 || list[0].By.Actor != "manager:"+deskEmail || list[0].By.Reason != "a call of Ada's" || list[0].Target != "organisation/ashgrove-pumps" {
		t.Fatalf("the audit has %+v", list)
	}
	page := desk.get("/apps/"+things["app"]).is(desk, 200, "Nothing can be changed", "Shop of ashgrove-pumps")
	if strings.Contains(page.body, "/keys\"") {
		t.Error("there is a form to make keys")
	}
	desk.get("/manage/requests").is(desk, 403)
	before := w.state()
	account, err := w.store.AccountOf(w.ctx, deskEmail)
	w.ok(err)
	for _, r := range w.portal.routes() {
		switch r.path {
		case "/sign-out", "/manage/stop", "/theme":
			continue
		}
		if r.method == http.MethodGet {
			continue
		}
		if a := desk.send(r.method, filled(r.path, things), url.Values{"confirm": {things["app"]}, "days": {"90"}, "name": {"Other"}}); a.status != http.StatusForbidden {
			t.Errorf("%s %s answers %d to somebody who only looks", r.method, r.path, a.status)
		}
	}
	after, err := w.store.AccountOf(w.ctx, deskEmail)
	w.ok(err)
	if w.state() != before || after.Name != account.Name || !after.Changed.Equal(account.Changed) {
		t.Error("something has changed")
	}
	desk.post("/manage/stop").goes(desk, "/manage/organisations/ashgrove-pumps")
	desk.get("/manage/requests").is(desk, 200)
	desk.get("/apps/"+things["app"]).is(desk, 404)
}

// Sessions, passkeys and mails of others are out of reach, too.
func TestOthersAccounts(t *testing.T) {
	w := newTown(t)
	ada, eve := w.join("ada@example.com", "Ashgrove"), w.join("eve@example.com", "Evergreen")
	a, err := w.store.AccountOf(w.ctx, "ada@example.com")
	w.ok(err)
	list, err := w.store.Sessions(w.ctx, a.ID)
	w.ok(err)
	w.ok(w.store.AddPasskey(w.ctx, ledger.Passkey{ID: "k", Account: a.ID, Name: "phone", Body: []byte("{}")}))
	eve.post("/account/sessions/"+list[0].Hash+"/end").goes(eve, "/account")
	eve.post("/account/passkeys/k/delete", "current", goodPassword).goes(eve, "/account")
	ada.get("/account").is(ada, 200, "phone")
	plain := newTown(t, func(o *Options) { o.Outbox = false })
	b := plain.browser()
	b.get("/outbox").is(b, 404)
	b.post("/sign-up", "name", "A", "organisation", "B", "email", "a@example.com", "password", goodPassword).is(b, 503, "cannot send mails")
}
