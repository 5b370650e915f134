package portal

import (
	"context"
	"encoding/base32"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/pquerna/otp/totp"

	"github.com/headrace/headrace/gateway/ledger"
)

// token is what the browser has of its log-in.
func (b *browser) token() string {
	u, err := url.Parse(b.server.URL)
	b.ok(err)
	for _, k := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(k.Name, sessionCookie) {
			return k.Value
		}
	}
	return ""
}

func (b *browser) plant(token string) {
	u, err := url.Parse(b.server.URL)
	b.ok(err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie, Value: token, Path: "/"}})
}

// TestFixation: a token that somebody else knows is never the one of a log-in, and
// the one before a log-in is worth nothing after it.
func TestFixation(t *testing.T) {
	w := newTown(t)
	w.join("ada@example.com", "Ashgrove")
	b := w.browser()
	b.plant("KNOWN")
	b.post("/sign-in", "email", "ada@example.com", "password", goodPassword).goes(b, "/apps")
	first := b.token()
	if first == "KNOWN" || len(first) < 52 {
		t.Fatalf("the token is %q", first)
	}
	b.post("/sign-in", "email", "ada@example.com", "password", goodPassword).goes(b, "/apps")
	second := b.token()
	thief := w.browser()
	for _, old := range []string{"KNOWN", first} {
		thief.plant(old)
		thief.get("/account").goes(thief, "/sign-in?next=%2Faccount")
	}
	b.post("/account/password", "current", goodPassword, "password", "eight white herons").goes(b, "/account")
	if b.token() == second {
		t.Error("the token is the same behind another password")
	}
	thief.plant(second)
	thief.get("/account").goes(thief, "/sign-in?next=%2Faccount")
	last := b.token()
	b.post("/sign-out").goes(b, "/")
	thief.plant(last)
	thief.get("/account").goes(thief, "/sign-in?next=%2Faccount")
}

// TestCookies: over https, the log-in is for https and this host alone.
func TestCookies(t *testing.T) {
	w := newTown(t)
	w.join("ada@example.com", "Ashgrove")
	secure, err := New(Options{URL: "https://portal.example", Tables: w.gateway, Registry: w.control, Store: w.store})
	w.ok(err)
	for _, c := range []struct {
		portal *Portal
		want   string
	}{
		{w.portal, "session=; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax"},
		{secure, "__Host-session=; Path=/; Max-Age=1209600; HttpOnly; Secure; SameSite=Lax"},
	} {
		w.server.Config.Handler = c.portal
		b := w.browser()
		a := b.post("/sign-in", "email", "ada@example.com", "password", goodPassword)
		found := false
		for _, line := range a.header["Set-Cookie"] {
			name, rest, _ := strings.Cut(line, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			found = found || name+"=;"+attributes == c.want
		}
		if !found {
			t.Errorf("%v, want %s", a.header["Set-Cookie"], c.want)
		}
	}
}

// TestNobodyIsTold: whether there is an account is not told by any answer, and what is
// kept is as much, so that it takes as long.
func TestNobodyIsTold(t *testing.T) {
	w := newTown(t)
	w.join("ada@example.com", "Ashgrove")
	b := w.browser()
	said := func(email string) (list []string) {
		for _, a := range []reply{
			b.post("/sign-in", "email", email, "password", "a wrong password"),
			b.post("/reset", "email", email),
			b.post("/sign-up", "name", "A", "organisation", "B", "email", email, "password", goodPassword),
		} {
			list = append(list, http.StatusText(a.status)+" "+strings.ReplaceAll(a.body, email, "EMAIL"))
		}
		return list
	}
	kept := func() (n int) {
		for _, sort := range []string{resetTicket, confirmTicket} {
			list, err := w.store.Tickets(w.ctx, sort)
			w.ok(err)
			n += len(list)
		}
		return n
	}
	zero := kept()
	known := said("ada@example.com")
	one := kept()
	unknown := said("eve@example.com")
	two := kept()
	for i := range known {
		if known[i] != unknown[i] {
			t.Errorf("%s\n\nand of nobody\n\n%s", known[i], unknown[i])
		}
	}
	if one-zero != 2 || two-one != 2 {
		t.Errorf("%d, %d, %d tickets are kept", zero, one, two)
	}
	// The hash that stands for nobody costs what others cost.
	a, err := w.store.AccountOf(w.ctx, "ada@example.com")
	w.ok(err)
	costs := func(hash string) string { return strings.Join(strings.Split(hash, "$")[:4], "$") }
	if costs(a.Password) != costs(w.portal.passwords.nobody) {
		t.Errorf("%s and %s", costs(a.Password), costs(w.portal.passwords.nobody))
	}
	mails, err := w.store.Mails(w.ctx, 100)
	w.ok(err)
	for _, m := range mails {
		if m.To == "eve@example.com" && !strings.Contains(m.Subject, "confirm") {
			t.Errorf("a mail about %q went to somebody without an account", m.Subject)
		}
	}
	if text := w.mailed("ada@example.com", "you have an account"); strings.Contains(text, "/confirm") {
		t.Error(text)
	}
}

// TestGuesses: after ten wrong ones the right password is refused, too, from
// everywhere, and so are other accounts from here.
func TestGuesses(t *testing.T) {
	w := newTown(t)
	w.join("ada@example.com", "Ashgrove")
	w.join("bob@example.com", "Larchmont")
	b := w.browser()
	for range 10 {
		b.post("/sign-in", "email", "ada@example.com", "password", "wrong").is(b, 422, "is not right")
	}
	if a := b.post("/sign-in", "email", "ada@example.com", "password", goodPassword).is(b, 429, "too many"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.post("/sign-in", "email", "bob@example.com", "password", goodPassword).is(b, 429)
}

// TestReset: a link sets the password once, and ends every log-in.
func TestReset(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove")
	b := w.browser()
	b.post("/reset", "email", "ada@example.com").is(b, 200, "If there is an account")
	older := w.link(w.mailed("ada@example.com", "new password"))
	b.post("/reset", "email", "ada@example.com").is(b, 200)
	path := w.link(w.mailed("ada@example.com", "new password"))
	b.get(path).is(b, 200)
	ada.post("/account/password", "current", goodPassword, "password", "six brown herons").goes(ada, "/account")
	b.get(path).is(b, 410) // who has changed the password needs it no more
	b.post("/reset", "email", "ada@example.com").is(b, 200)
	path = w.link(w.mailed("ada@example.com", "new password"))
	b.post(path, "password", "short").is(b, 422, "at least 10")
	b.post(path, "password", "eight white herons").goes(b, "/sign-in")
	b.post(path, "password", "nine black herons").is(b, 410)
	if older != path {
		b.post(older, "password", "nine black herons").is(b, 410)
	}
	ada.get("/account").goes(ada, "/sign-in?next=%2Faccount")
	b.post("/sign-in", "email", "ada@example.com", "password", goodPassword).is(b, 422)
	b.post("/sign-in", "email", "ada@example.com", "password", "eight white herons").goes(b, "/apps")
	w.mailed("ada@example.com", "password was changed")
	// The link of an address that nobody has opens nothing.
	b.post("/reset", "email", "nobody@example.com").is(b, 200)
	list, err := w.store.Tickets(w.ctx, resetTicket)
	w.ok(err)
	if len(list) != 1 || list[0].About != "" {
		t.Errorf("%+v", list)
	}
}

// TestSignUp: a form tells what is wrong, a link works once, an address is one account.
func TestSignUp(t *testing.T) {
	w := newTown(t)
	b := w.browser()
	b.post("/sign-up", "name", "", "organisation", "see https://evil.example", "email", "nowhere", "password", "short").
		is(b, 422, "It is missing.", "not an address", "Write an e-mail address.", "at least 10 characters")
	for _, bad := range []string{"aaaaaaaaaaaa", "Password123", "ada@example.com", "test apis"} {
		b.post("/sign-up", "name", "Ada", "organisation", "A", "email", "ada@example.com", "password", bad).is(b, 422)
	}
	b.post("/sign-up", "name", "Ada", "organisation", "Ash", "email", "Ada@Example.com", "password", goodPassword).is(b, 200)
	_, token, _ := strings.Cut(w.link(w.mailed("ada@example.com", "confirm")), "token=")
	if _, err := w.store.AccountOf(w.ctx, "ada@example.com"); err == nil {
		t.Error("there is an account before its address is confirmed")
	}
	b.post("/sign-in", "email", "ada@example.com", "password", goodPassword).is(b, 422)
	b.post("/confirm", "token", token).goes(b, "/apps")
	again := w.browser()
	again.post("/confirm", "token", token).is(again, 410)
	again.get("/confirm?token="+token).is(again, 410)
	// A name that stands in files is not taken.
	other := w.join("bob@example.com", "Waterworks")
	other.get("/organisation").is(other, 200, "Waterworks")
	if m, err := w.portal.people.book(w.ctx, w.control); err != nil || m.byEmail["bob@example.com"][0].Organisation != "waterworks-2" {
		t.Errorf("%+v, %v", m.byEmail, err)
	}
	closed := newTown(t, func(o *Options) { o.SignUp = "invitation" })
	c := closed.browser()
	c.get("/sign-up").is(c, 200, "by invitation")
	c.post("/sign-up", "name", "Ada", "organisation", "A", "email", "ada@example.com", "password", goodPassword).is(c, 403)
}

// codeNow is what a device would show.
func codeNow(t *testing.T, secret []byte, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCodeCustom(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret), at, codeOptions())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestCodes: a device is taken once it works; then a password alone is half the way,
// no code is taken twice, and those for when it is lost work once.
func TestCodes(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove")
	ada.get("/account/totp").is(ada, 410)
	ada.post("/account/totp", "current", "wrong").is(ada, 422, "password is not right")
	ada.post("/account/totp", "current", goodPassword).goes(ada, "/account/totp")
	ada.get("/account/totp").is(ada, 200, "Secret")
	if a := ada.get("/account/totp/picture.png"); a.status != 200 || !strings.HasPrefix(a.body, "\x89PNG") {
		t.Errorf("no picture: %d", a.status)
	}
	ada.post("/account/totp/add", "code", "000000x").is(ada, 422, "not right")
	account, err := w.store.AccountOf(w.ctx, "ada@example.com")
	w.ok(err)
	tickets, err := w.store.Tickets(w.ctx, totpTicket)
	w.ok(err)
	link, err := url.Parse(string(tickets[0].Body))
	w.ok(err)
	secret, err := decodeSecret(link.Query().Get("secret"))
	w.ok(err)
	page := ada.post("/account/totp/add", "code", codeNow(t, secret, time.Now())).is(ada, 200, "shown this once")
	b := w.browser()
	b.post("/sign-in", "email", "ada@example.com", "password", goodPassword, "next", "/organisation").goes(b, "/sign-in/code?next=%2Forganisation")
	half := b.token()
	b.get("/account").goes(b, "/sign-in?next=%2Faccount")
	b.get("/sign-in/code").is(b, 200)
	used, err := w.store.Account(w.ctx, account.ID)
	w.ok(err)
	b.post("/sign-in/code", "code", codeNow(t, secret, time.Unix(used.Step*codePeriod, 0))).is(b, 422, "not right") // it was taken when the device was added
	next := codeNow(t, secret, time.Unix((used.Step+1)*codePeriod, 0))
	b.post("/sign-in/code", "code", next[:3]+" "+next[3:], "next", "//evil.example").goes(b, "/apps")
	b.get("/account").is(b, 200, "8 codes")
	if b.token() == half {
		t.Error("the token of half a log-in is that of the whole")
	}
	spare := strings.TrimSuffix(strings.SplitN(strings.SplitN(page.body, "<li><code>", 2)[1], "<", 2)[0], "<")
	for i, want := range []int{303, 422} {
		c := w.browser()
		c.post("/sign-in", "email", "ada@example.com", "password", goodPassword).goes(c, "/sign-in/code")
		if a := c.post("/sign-in/code", "code", spare); a.status != want {
			t.Errorf("the %d. time: %d", i+1, a.status)
		}
	}
	b.get("/account").is(b, 200, "7 codes")
	b.post("/account/totp/remove", "current", goodPassword).goes(b, "/account")
	w.enter("ada@example.com")
}

func TestCodeStep(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(59, 0) // RFC 6238, appendix B
	for _, c := range []struct {
		code string
		last int64
		want int64
	}{{"287082", 0, 1}, {"287082", 1, 0}, {"287083", 0, 0}, {"", 0, 0}, {codeNow(t, secret, time.Unix(61, 0)), 0, 2}, {codeNow(t, secret, time.Unix(95, 0)), 0, 0}} {
		if got, err := codeStep(secret, c.code, c.last, now); err != nil || got != c.want {
			t.Errorf("%q after %d: %d, %v; want %d", c.code, c.last, got, err, c.want)
		}
	}
}

// Sessions end: when they are told to, with the account, and by themselves.
func TestSessions(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove")
	other := w.enter("ada@example.com")
	ada.post("/account/sessions/"+ledger.HashOf([]byte(other.token()))+"/end").goes(ada, "/account")
	other.get("/account").goes(other, "/sign-in?next=%2Faccount")
	s, _, err := w.store.Session(w.ctx, ledger.HashOf([]byte(ada.token())))
	w.ok(err)
	now := time.Now()
	for _, c := range []struct{ created, want time.Time }{{now, now.Add(sessionIdle)}, {now.Add(-sessionLife + time.Hour), now.Add(time.Hour)}} {
		if got := sessionEnd(c.created, now); !got.Equal(c.want) {
			t.Errorf("%v", got)
		}
	}
	s.Expires = now.Add(-time.Second)
	w.ok(w.store.ChangeSession(w.ctx, s))
	ada.get("/account").goes(ada, "/sign-in?next=%2Faccount")
	ada.post("/account/name", "name", "x").goes(ada, "/sign-in?next=%2F")
}

// TestPasswords: a password costs what is asked for, and one that is none as much.
func TestPasswords(t *testing.T) {
	p, err := newPasswords(hashing())
	if err != nil {
		t.Fatal(err)
	}
	hash, err := p.hash(t.Context(), goodPassword)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || !strings.HasPrefix(p.nobody, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %q, %v", hash, p.nobody, err)
	}
	for _, c := range []struct {
		password, hash string
		want           bool
	}{{goodPassword, hash, true}, {"wrong", hash, false}, {goodPassword, "", false}, {"nobody", "", false}, {strings.Repeat("x", 1000), hash, false}} {
		if got, err := p.right(t.Context(), c.password, c.hash); err != nil || got != c.want {
			t.Errorf("%.20q of %.10q: %v, %v", c.password, c.hash, got, err)
		}
	}
}

// TestPasswordsStandInLine: what passwords cost is bounded, and so is who waits for it.
func TestPasswordsStandInLine(t *testing.T) {
	p, err := newPasswords(&argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	for range cap(p.line) {
		p.line <- struct{}{}
	}
	_, err = p.right(t.Context(), goodPassword, p.nobody)
	if f, ok := errors.AsType[*failure](err); !ok || f.status != http.StatusServiceUnavailable {
		t.Errorf("a full line: %v", err)
	}
	for len(p.line) > 0 {
		<-p.line
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range hashesAtOnce {
		p.turn <- struct{}{}
	}
	if _, err := p.right(ctx, goodPassword, p.nobody); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	for range hashesAtOnce {
		<-p.turn
	}
	if _, err := p.right(t.Context(), goodPassword, p.nobody); err != nil || len(p.line) != 0 || len(p.turn) != 0 {
		t.Errorf("%v; %d in line, %d have their turn", err, len(p.line), len(p.turn))
	}
}

// TestGuessesAtOnce: many guesses are refused by the minute, whether or not it is
// known yet that they are wrong; so are calls at the sandbox, and comparisons.
func TestGuessesAtOnce(t *testing.T) {
	w := newTown(t, func(o *Options) { o.Sandbox, o.History = "http://127.0.0.1:9", &annals{} })
	b := w.browser()
	for key, c := range map[string]struct {
		most int
		send func() reply
	}{
		"guesses 127.0.0.1":     {mostGuesses, func() reply { return b.post("/sign-in", "email", "ada@example.com", "password", goodPassword) }},
		"tries 127.0.0.1":       {mostTried, func() reply { return b.post("/try/orders/v1/listOrders") }},
		"comparisons 127.0.0.1": {mostCompared, func() reply { return b.get("/apis/orders/v1/changes?from=1.0.0&to=2.0.0") }},
	} {
		if a := c.send(); a.status == http.StatusTooManyRequests {
			t.Errorf("%s: refused at once", key)
		}
		status := 0
		for tries := 0; status != http.StatusTooManyRequests && tries < 10; tries++ { // a minute may end meanwhile
			for range c.most {
				w.portal.pace.take(key, c.most, time.Now())
			}
			status = c.send().status
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("%s: answered %d", key, status)
		}
	}
}

// TestDeleteAccount: it ends with its log-ins and memberships, but for the last owner.
func TestDeleteAccount(t *testing.T) {
	w := newTown(t)
	ada := w.join("ada@example.com", "Ashgrove")
	ada.post("/organisation/members", "email", "bob@example.com", "role", "owner").goes(ada, "/organisation")
	ada.post("/account/delete", "current", goodPassword, "confirm", "ada@example.com").is(ada, 422, "no other owner")
	bob := w.browser()
	bob.post(w.link(w.mailed("bob@example.com", "invited")), "name", "Bob", "password", goodPassword).goes(bob, "/apps")
	ada.post("/account/delete", "current", "wrong", "confirm", "ada@example.com").is(ada, 422, "password is not right")
	ada.post("/account/delete", "current", goodPassword, "confirm", "bob@example.com").is(ada, 422, "write your e-mail address")
	ada.post("/account/delete", "current", goodPassword, "confirm", "ada@example.com").goes(ada, "/")
	ada.get("/account").goes(ada, "/sign-in?next=%2Faccount")
	ada.post("/sign-in", "email", "ada@example.com", "password", goodPassword).is(ada, 422)
	if page := bob.get("/organisation").is(bob, 200, "bob@example.com"); strings.Contains(page.body, "ada@example.com") {
		t.Error("a deleted account is a member")
	}
}

// TestPace: changes are bounded by the minute, for each organisation.
func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(6000, 0)
	for i := range 4 {
		if got := p.take("a", 3, now); got != (i < 3) {
			t.Errorf("the %d.: %v", i+1, got)
		}
	}
	if !p.take("b", 3, now) || !p.take("a", 3, now.Add(time.Minute)) {
		t.Error("another one, or another minute, is refused")
	}
	w := newTown(t)
	ada, eve := w.join("ada@example.com", "Ashgrove"), w.join("eve@example.com", "Evergreen")
	status := 0
	for tries := 0; status != http.StatusTooManyRequests && tries < 10; tries++ { // a minute may end meanwhile
		for range mostChanges {
			w.portal.pace.take("organisation ashgrove", mostChanges, time.Now())
		}
		status = ada.post("/apps", "title", "").status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("answered %d", status)
	}
	eve.shop("Shop")
	ada.get("/apps").is(ada, 200)
}
