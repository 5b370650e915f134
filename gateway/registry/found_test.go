package registry

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"Ashgrove Waterworks": "ashgrove-waterworks", "  Züri & Söhne AG ": "z-ri-s-hne-ag", "42": "other", "4 Seasons": "seasons", "": "other", "---": "other",
		strings.Repeat("long", 30): strings.Repeat("long", 12) + "lo",
	} {
		if got := slug(text, "other"); got != want || got != "other" && !namePattern.MatchString(got) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// An organisation is founded with its owner, and two of one title stand side by side.
func TestFound(t *testing.T) {
	w := newWorld(t)
	ada := Member{Email: "ada@example.com", Role: Owner, Status: Active}
	name, err := w.r.Found(w.ctx, by, "Pump & Pipe", ada, nil)
	w.ok(err)
	second, err := w.r.Found(w.ctx, by, "Pump & Pipe", ada, func(name string) bool { return name == "pump-pipe-2" })
	w.ok(err)
	if name != "pump-pipe" || second != "pump-pipe-3" {
		t.Errorf("%q, %q", name, second)
	}
	m, err := Get[Member](w.ctx, w.r, KindMember, "pump-pipe.ada")
	w.ok(err)
	if m.Body.Role != Owner || m.Parent != name {
		t.Errorf("%+v", m)
	}
	_, err = w.r.Found(w.ctx, by, " ", ada, nil)
	w.refused(err, Invalid, "no name")
	_, err = w.r.Found(w.ctx, by, "Other", Member{Email: "nobody", Role: Owner, Status: Active}, nil)
	w.faulty(err, "is not an address")
}

// The last owner stays as long as the organisation is there.
func TestMembers(t *testing.T) {
	w := newWorld(t)
	name, err := w.r.Found(w.ctx, by, "Pump", Member{Email: "ada@example.com", Role: Owner, Status: Active}, nil)
	w.ok(err)
	bob, err := w.r.Invite(w.ctx, by, Member{Organisation: name, Email: "bob@example.com", Role: Developer, Status: Invited})
	w.ok(err)
	_, err = w.r.Invite(w.ctx, by, Member{Organisation: name, Email: "ADA@example.com", Role: Developer, Status: Invited})
	w.refused(err, Exists, "member already")
	demote := func(m *Member) { m.Role = Onlooker }
	w.refused(w.r.ChangeMember(w.ctx, by, "pump.ada", demote), InUse, "last owner")
	w.refused(w.r.ChangeMember(w.ctx, by, "pump.ada", func(m *Member) { m.Status = Removed }), InUse, "last owner")
	w.ok(w.r.ChangeMember(w.ctx, by, bob, func(m *Member) { m.Role, m.Email, m.Organisation = Owner, "eve@example.com", "other" }))
	w.refused(w.r.ChangeMember(w.ctx, by, "pump.ada", demote), InUse, "last owner") // bob has not come yet
	w.ok(w.r.ChangeMember(w.ctx, by, bob, func(m *Member) { m.Status = Active }))
	w.ok(w.r.ChangeMember(w.ctx, by, "pump.ada", demote))
	got, err := Get[Member](w.ctx, w.r, KindMember, bob)
	w.ok(err)
	if got.Body.Email != "bob@example.com" || got.Body.Organisation != name {
		t.Errorf("%+v", got.Body)
	}
	w.refused(w.r.ChangeMember(w.ctx, by, "pump.nobody", demote), NotFound, "")
}

// An app is opened under a free name and changed by what is valid.
func TestOpenApp(t *testing.T) {
	w := newWorld(t)
	org, err := w.r.Found(w.ctx, by, "Pump", Member{Email: "ada@example.com", Role: Owner, Status: Active}, nil)
	w.ok(err)
	one, err := w.r.OpenApp(w.ctx, by, org, "Web shop", nil)
	w.ok(err)
	two, err := w.r.OpenApp(w.ctx, by, org, "Web shop", nil)
	w.ok(err)
	if one != "pump-web-shop" || two != "pump-web-shop-2" {
		t.Errorf("%q, %q", one, two)
	}
	_, err = w.r.OpenApp(w.ctx, by, "nobody", "x", nil)
	w.refused(err, NotFound, "")
	w.ok(w.r.ChangeApp(w.ctx, by, one, func(a *App) { a.Addresses, a.Organisation = Networks("203.0.113.7, 10.0.0.0/8\n10.0.0.0/8"), "other" }))
	a, err := Get[App](w.ctx, w.r, KindApp, one)
	w.ok(err)
	if len(a.Body.Addresses) != 2 || a.Body.Organisation != org {
		t.Errorf("%+v", a.Body)
	}
	w.ok(w.live.Reload())
	if app := w.gateway.Table().Consumers.Apps[one]; app == nil || len(app.Addresses) != 2 {
		t.Errorf("the table has %+v", app)
	}
	w.faulty(w.r.ChangeApp(w.ctx, by, one, func(a *App) { a.Addresses = Networks("nowhere") }), "is not an address")
}

// A suspended organisation's apps are refused, by replicas with an old table as well,
// and files that are applied do not take that back.
func TestSuspend(t *testing.T) {
	w := newWorld(t)
	org, err := w.r.Found(w.ctx, by, "Pump", Member{Email: "ada@example.com", Role: Owner, Status: Active}, nil)
	w.ok(err)
	app, err := w.r.OpenApp(w.ctx, by, org, "Shop", nil)
	w.ok(err)
	disabled := func() (withdrawn, table bool) {
		gone, err := w.r.Withdrawn(w.ctx) // since the table that is served
		w.ok(err)
		w.ok(w.live.Reload())
		w.r.Serves(w.live.Last().Served)
		return gone != nil && gone.Apps[app], w.gateway.Table().Consumers.Apps[app].Disabled
	}
	disabled()
	silent := by
	silent.Reason = ""
	w.refused(w.r.Suspend(w.ctx, silent, org, true), NoReason, "without a reason")
	w.refused(w.r.Suspend(w.ctx, by, "nobody", true), NotFound, "")
	w.ok(w.r.Suspend(w.ctx, by, org, true))
	if a, b := disabled(); !a || !b {
		t.Errorf("withdrawn %v, the table %v", a, b)
	}
	files := Files{FS: fstest.MapFS{"consumers.yaml": {Data: []byte("organisations: {pump: {title: Pumps}}")}}}
	plan, err := w.r.Plan(w.ctx, by, files)
	w.ok(err)
	_, err = w.r.Apply(w.ctx, by, files, plan.Revision)
	w.ok(err)
	if _, b := disabled(); !b {
		t.Error("the app is as it was, after files")
	}
	w.ok(w.r.Suspend(w.ctx, by, org, false))
	if a, b := disabled(); a || b {
		t.Errorf("taken back: withdrawn %v, the table %v", a, b)
	}
}
