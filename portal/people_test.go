package portal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/source"
)

// TestJourney is the way of a partner: from signing up to a key that follows another.
func TestJourney(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	ada.get("/apps").is(ada, 200, "Welcome", "There is no app yet")
	app := ada.shop("Web shop")
	ada.get("/apps/"+app).is(ada, 200, "To your first call", "Subscribe to a product")
	ada.post("/apps/"+app+"/subscriptions", "offer", "desk free").goes(ada, "/apps/"+app)
	if s := w.subscription(app + ".desk"); s.Status != registry.Approved || s.Steps[0].By != "member:ada@example.com" || s.Steps[1].By != "headrace" {
		t.Errorf("%+v", s)
	}
	w.ok(w.live.Reload())
	first := ada.key(app)
	ada.post("/apps/"+app+"/keys", "days", "0").is(ada, 200, "curl -i &#39;http://127.0.0.1:9/orders/v1/orders&#39;", "X-Api-Key: hr_")
	for _, k := range w.audits("create") {
		if name, ok := strings.CutPrefix(k.Target, "credential/"); ok && name != prefixOf(first) {
			ada.post("/apps/"+app+"/credentials/"+name+"/revoke").goes(ada, "/apps/"+app)
		}
	}
	page := ada.get("/apps/"+app).is(ada, 200, "hr_"+prefixOf(first))
	if strings.Contains(page.body, first) {
		t.Error("the key is shown twice")
	}
	if a, _ := w.gateway.Table().Consumers.ByKey(first, time.Now()); a == nil || a.Name != app {
		t.Error("the gateway does not know the key")
	}
	// The gateway sees a call, and one that succeeds.
	w.ok(w.store.Used(w.ctx, registry.KindCredential, map[string]time.Time{prefixOf(first): time.Now()}))
	if n := strings.Count(ada.get("/apps/"+app).body, `<li class="done">`); n != 4 {
		t.Errorf("%d steps are done, want 4", n)
	}
	_, err := w.store.AddUsage(w.ctx, []ledger.Usage{{UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: "1.0.0", Operation: "listOrders", App: app}, Day: time.Now(), Calls: 1}})
	w.ok(err)
	if page := ada.get("/apps/" + app).body; strings.Contains(page, "To your first call") {
		t.Error("the checklist is still there")
	}
	second := keyText.FindString(ada.post("/apps/"+app+"/credentials/"+prefixOf(first)+"/rotate", "hours", "24", "days", "365").is(ada, 200, "works until").body)
	w.ok(w.live.Reload())
	for _, key := range []string{first, second} {
		if a, _ := w.gateway.Table().Consumers.ByKey(key, time.Now()); a == nil {
			t.Errorf("%s does not work beside the other one", prefixOf(key))
		}
	}
	if _, expired := w.gateway.Table().Consumers.ByKey(first, time.Now().Add(25*time.Hour)); !expired {
		t.Error("the old key has no end")
	}
	ada.post("/apps/"+app+"/keys", "days", "90").is(ada, 422, "2 live keys")
	ada.post("/apps/"+app+"/credentials/"+prefixOf(first)+"/revoke", "reason", "").goes(ada, "/apps/"+app)
	w.ok(w.live.Reload())
	if a, _ := w.gateway.Table().Consumers.ByKey(first, time.Now()); a != nil {
		t.Error("the revoked key works")
	}
	for _, a := range w.audits("create") {
		if strings.HasPrefix(a.Target, "app/") && a.By.Actor != "member:ada@example.com" {
			t.Errorf("%s was made by %q", a.Target, a.By.Actor)
		}
	}
}

// Clients, certificates, addresses, plans and the end of an app.
func TestApp(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	app := ada.shop("Web shop")
	at := "/apps/" + app
	ada.post(at+"/clients", "label", "batch", "days", "0").is(ada, 200, "hrc_", "hrs_", "shown once")
	ada.post(at+"/clients", "scopes", "orders:read", "days", "0").is(ada, 422, "asks for the scope orders:read")
	desk := ada.shop("Desk")
	ada.post("/apps/"+desk+"/subscriptions", "offer", "desk free").goes(ada, "/apps/"+desk)
	ada.post("/apps/"+desk+"/clients", "scopes", "orders:read orders:erase", "days", "0").is(ada, 422, "asks for the scope orders:erase")
	ada.post("/apps/"+desk+"/clients", "scopes", "orders:read", "days", "0").is(ada, 200, "hrc_")
	thumb := strings.Repeat("ab", 32)
	ada.post(at+"/certificates", "label", "box", "certificate", thumb).goes(ada, at)
	ada.post(at+"/certificates", "certificate", thumb).is(ada, 422, "in use already")
	ada.post(at+"/certificates", "certificate", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is(ada, 422, "keep the key to yourself")
	ada.post(at+"/certificates", "certificate", "nothing").is(ada, 422, "paste the certificate")
	ada.post(at+"/keys", "days", "-1").is(ada, 422, "choose how long")
	ada.post(at+"/addresses", "addresses", "10.0.0.0/8\n203.0.113.7").goes(ada, at)
	w.ok(w.live.Reload())
	if a := w.gateway.Table().Consumers.Apps[app]; len(a.Addresses) != 2 {
		t.Errorf("%v", a.Addresses)
	}
	ada.post(at+"/addresses", "addresses", "10.0.0.1/8").is(ada, 422, "start of a network")
	ada.post(at+"/subscriptions", "offer", "desk nothing").is(ada, 422, "Choose a product")
	ada.post(at+"/subscriptions", "offer", "desk gold").goes(ada, at)
	if s := w.subscription(app + ".desk"); s.Status != registry.Requested {
		t.Errorf("%+v", s)
	}
	w.mailed(deskEmail, "asks for desk")
	ada.post(at+"/subscriptions/"+app+".desk/plan", "plan", "free").goes(ada, at)
	if s := w.subscription(app + ".desk"); s.Status != registry.Approved || s.Plan != "free" {
		t.Errorf("%+v", s)
	}
	ada.post(at+"/subscriptions/"+app+".desk/plan", "plan", "gold").goes(ada, at)
	if s := w.subscription(app + ".desk"); s.Plan != "free" {
		t.Errorf("a partner has taken the plan %s", s.Plan)
	}
	ada.post(at+"/subscriptions/"+app+".desk/end").goes(ada, at)
	ada.post(at+"/delete", "confirm", "something").is(ada, 422, "write the name")
	ada.post(at, "title", "").is(ada, 422, "it is missing")
	ada.post(at, "title", "Desk shop").goes(ada, at)
	ada.post(at+"/delete", "confirm", app).goes(ada, "/apps")
	ada.get(at).is(ada, 404)
}

// TestNamesAreNotInherited: what an app or an organisation has left is not for
// another one that would be called the same.
func TestNamesAreNotInherited(t *testing.T) {
	w := newTown(t)
	ada, eve := w.join("ada@example.com", "Ashgrove Pumps"), w.join("eve@example.com", "Ashgrove")
	app := ada.shop("Web")
	_, err := w.store.AddUsage(w.ctx, []ledger.Usage{{UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: "1.0.0", Operation: "listOrders", App: app}, Day: time.Now(), Calls: 1}})
	w.ok(err)
	ada.post("/apps/"+app+"/delete", "confirm", app).goes(ada, "/apps")
	w.ok(w.live.Reload())
	if other := eve.shop("Pumps Web"); other == app {
		t.Errorf("an app of another organisation is called %s again", app)
	}
	w.ok(w.store.Tell(w.ctx, ledger.Message{Organisation: "millbrook", Author: "Somebody", Text: "of an organisation that is gone"}))
	bob := w.join("bob@example.com", "Millbrook")
	if page := bob.get("/organisation").is(bob, 200, "Millbrook").body; strings.Contains(page, "that is gone") {
		t.Error("messages of another organisation are shown")
	}
}

// The audit names managers as such wherever they act for us, and nothing breaks where
// nobody sends events.
func TestNoticesAndWebhooksOfATown(t *testing.T) {
	w := newTown(t)
	desk, ada := w.join(deskEmail, "The desk"), w.join("ada@example.com", "Ashgrove Pumps")
	eve := w.join("eve@example.com", "Evergreen")
	eve.post("/notices/mail").goes(eve, "/notices")
	desk.post("/notices", "title", "Stocktaking", "body", "We count.", "apis", "orders/v1").goes(desk, "/notices")
	if text := w.mailed("ada@example.com", "Stocktaking"); !strings.Contains(text, "We count.") || !strings.Contains(text, "orders/v1") || !strings.Contains(text, "/notices") {
		t.Error(text)
	}
	mails, err := w.store.Mails(w.ctx, 100)
	w.ok(err)
	for _, m := range mails {
		if m.To == "eve@example.com" && strings.Contains(m.Subject, "Stocktaking") {
			t.Error("somebody is told who does not want to be")
		}
	}
	told := 0
	for _, a := range w.audits("create") {
		if strings.HasPrefix(a.Target, "announcement/") {
			if told++; a.By.Actor != "manager:"+deskEmail || a.By.Role != string(registry.PartnerManager) {
				t.Errorf("announced by %+v", a.By)
			}
		}
	}
	if told != 1 {
		t.Errorf("%d announcements in the audit", told)
	}
	app := ada.shop("Web shop")
	ada.post("/webhooks", "app", app, "url", "https://shop.example/h", "types", "delivered").is(ada, 503, "no webhooks here")
}

// TestFilesAreNotTold: a change that cannot be made because of a file of the workspace
// does not tell what stands there.
func TestFilesAreNotTold(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	w.ok(os.WriteFile(filepath.Join(w.dir, "consumers.yaml"), []byte("hidden-system.internal: 1\n"), 0o600))
	if a := ada.post("/apps", "title", "Web shop").is(ada, 409, "does not go with what is there"); strings.Contains(a.body, "hidden-system") {
		t.Error(plainText(a.body))
	}
	at := source.Position{File: "app/shop"}
	if f := unserved(&source.Error{Problems: []source.Problem{{Position: at, Wrong: "100 addresses", Right: "fewer"}}}); f.status != 422 || f.problem != "this cannot be kept: 100 addresses; fewer" {
		t.Errorf("%+v", f)
	}
}

// Members are invited, change roles and are removed; the last owner stays.
func TestMembers(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	invite := func(email, role string) string {
		ada.post("/organisation/members", "email", email, "role", role).goes(ada, "/organisation")
		return w.link(w.mailed(email, "invited"))
	}
	first := invite("bob@example.com", "viewer")
	path := invite("bob@example.com", "developer") // takes the place of the first
	bob := w.browser()
	bob.get(first).is(bob, 410)
	bob.get(path).is(bob, 200, "bob@example.com", "developer")
	bob.post(path, "name", "Bob", "password", "short").is(bob, 422, "at least 10")
	bob.post(path, "name", "Bob", "password", goodPassword).goes(bob, "/apps")
	bob.get(path).is(bob, 410)
	bob.shop("Desk")
	bob.post("/organisation/members", "email", "eve@example.com", "role", "owner").is(bob, 403)
	ada.post("/organisation/members", "email", "bob@example.com", "role", "viewer").is(ada, 422, "member already")
	ada.post("/organisation/members", "email", "x", "role", "viewer").is(ada, 422, "e-mail address")
	ada.post("/organisation/members", "email", "x@example.com", "role", "king").is(ada, 422, "choose a role")
	ada.post("/organisation/members/ashgrove-pumps.ada/role", "role", "viewer").is(ada, 422, "last owner")
	ada.post("/organisation/members/ashgrove-pumps.ada/remove").is(ada, 422, "last owner")
	ada.post("/organisation/members/ashgrove-pumps.bob/role", "role", "viewer").goes(ada, "/organisation")
	bob.post("/apps", "title", "Another").is(bob, 403)
	bob.get("/apps").is(bob, 200, "Desk")
	ada.post("/organisation/members/ashgrove-pumps.bob/remove").goes(ada, "/organisation")
	bob.get("/apps").goes(bob, "/organisation")
	// Somebody who has an account signs in, and is a member of two.
	carol := w.join("carol@example.com", "Larchmont")
	path = invite("carol@example.com", "billing")
	stranger := w.browser()
	stranger.get(path).goes(stranger, "/sign-in?next="+strings.ReplaceAll(path, "/", "%2F"))
	ada.post(path).is(ada, 403, "sign in as that")
	carol.post(path).goes(carol, "/apps")
	carol.get("/organisation").is(carol, 200, "Ashgrove Pumps", "Larchmont")
	carol.post("/organisation/switch", "organisation", "larchmont").goes(carol, "/apps")
	carol.post("/organisation/switch", "organisation", "waterworks").is(carol, 404)
	carol.post("/organisation/name", "title", "Larchmont Pools").goes(carol, "/organisation")
	carol.get("/organisation").is(carol, 200, "Larchmont Pools")
}

// The partner manager approves, rejects, suspends, writes and looks.
func TestManager(t *testing.T) {
	w := newTown(t)
	desk := w.join(deskEmail, "The desk")
	ada := w.join("ada@example.com", "Ashgrove Pumps")
	app := ada.shop("Web shop")
	name := app + ".desk"
	ada.post("/apps/"+app+"/subscriptions", "offer", "desk gold").goes(ada, "/apps/"+app)
	desk.get("/manage/requests").is(desk, 200, "Ashgrove Pumps", "Gold")
	ada.get("/manage/requests").is(ada, 403)
	desk.post("/manage/subscriptions/"+name, "decision", "rejected").is(desk, 422, "Write the reason")
	desk.post("/manage/subscriptions/"+name, "decision", "crowned").is(desk, 422)
	desk.post("/manage/subscriptions/"+name, "decision", "rejected", "reason", "not yet").goes(desk, "/manage/requests")
	if text := w.mailed("ada@example.com", "is rejected"); !strings.Contains(text, "> not yet") {
		t.Error(text)
	}
	ada.post("/apps/"+app+"/subscriptions", "offer", "desk gold").goes(ada, "/apps/"+app)
	desk.post("/manage/subscriptions/"+name, "decision", "approved", "plan", "gold").goes(desk, "/manage/requests")
	s := w.subscription(name)
	if last := s.Steps[len(s.Steps)-1]; s.Status != registry.Approved || last.By != "manager:"+deskEmail {
		t.Errorf("%+v", s)
	}
	at := "/manage/organisations/ashgrove-pumps"
	desk.post("/manage/subscriptions/"+name, "decision", "suspended", "reason", "too many calls", "next", at).goes(desk, at)
	ada.post("/apps/"+app+"/subscriptions/"+name+"/end").is(ada, 409) // and asking again would be a way out
	ada.post("/apps/"+app+"/subscriptions/"+name+"/plan", "plan", "free").is(ada, 409)
	desk.post("/manage/subscriptions/"+name+"/plan", "plan", "free", "next", at).goes(desk, at)
	desk.post(at+"/messages", "text", "Welcome to the desk").goes(desk, at)
	ada.get("/organisation").is(ada, 200, "Welcome to the desk", "Partner manager")
	ada.post("/organisation/messages", "text", "Thank you").goes(ada, "/organisation")
	desk.get(at).is(desk, 200, "Thank you")
	desk.post(at+"/suspend", "suspend", "yes").is(desk, 422, "Write the reason")
	desk.post(at+"/suspend", "suspend", "yes", "reason", "unpaid").goes(desk, at)
	ada.get("/apps/"+app).is(ada, 200, "is suspended")
	w.ok(w.live.Reload())
	if !w.gateway.Table().Consumers.Apps[app].Disabled {
		t.Error("the app of a suspended organisation is served")
	}
	desk.post(at+"/suspend", "suspend", "no", "reason", "paid").goes(desk, at)
	desk.post(at+"/look").is(desk, 422, "Write the reason")
	desk.post("/manage/organisations", "title", "New Partner", "email", "new@example.com").goes(desk, "/manage/organisations/new-partner")
	boss := w.browser()
	path := w.link(w.mailed("new@example.com", "invited"))
	boss.post(path, "name", "Boss", "password", goodPassword).goes(boss, "/apps")
	boss.shop("First")
	if n := len(w.audits("message")); n != 1 {
		t.Errorf("%d messages in the audit", n)
	}
}
