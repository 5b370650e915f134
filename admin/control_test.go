package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// read gives a member of an answer.
func read[T any](t *testing.T, text, name string) T {
	t.Helper()
	var all map[string]json.RawMessage
	var v T
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := json.Unmarshal(all[name], &v); err != nil {
		t.Fatalf("%s: %v: %s", name, err, text)
	}
	return v
}

const created, anything = "If-None-Match: *", "If-Match: *"

// put makes or changes a thing; how is a header.
func (d *desk) put(status int, part, path, token, body, how string) (string, string) {
	d.Helper()
	name, value, _ := strings.Cut(how, ": ")
	h, text := d.want(status, part, "PUT", path, token, body, name, value)
	return h.Get("ETag"), text
}

// Nobody overwrites what somebody else has changed meanwhile.
func TestEntityTags(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("pam", registry.PartnerManager)
	d.want(428, "match-missing", "PUT", "/organisations/acme", token, `{}`)
	first, text := d.put(200, `"title":"Acme"`, "/organisations/acme", token, `{"title":"Acme"}`, created)
	if first != fmt.Sprintf("%q", fmt.Sprint(read[int64](t, text, "revision"))) {
		t.Errorf("the tag %s is not that of %s", first, text)
	}
	d.put(412, "changed-meanwhile", "/organisations/acme", token, `{}`, created)
	h, _ := d.want(200, "Acme", "GET", "/organisations/acme", token, "")
	if h.Get("ETag") != first {
		t.Errorf("read with the tag %s, made with %s", h.Get("ETag"), first)
	}
	second, _ := d.put(200, "Acme Trading", "/organisations/acme", token, `{"title":"Acme Trading"}`, "If-Match: "+first)
	d.put(412, "changed-meanwhile", "/organisations/acme", token, `{}`, "If-Match: "+first)
	for _, bad := range []string{"1", `W/"1"`, `""`, `"-1"`, `"x"`, `"0"`} {
		d.put(412, "changed-meanwhile", "/organisations/acme", token, `{}`, "If-Match: "+bad)
	}
	d.want(428, "match-missing", "DELETE", "/organisations/acme", token, "")
	d.want(412, "changed-meanwhile", "DELETE", "/organisations/acme", token, "", "If-Match", first)
	d.want(204, "", "DELETE", "/organisations/acme", token, "", "If-Match", second)
	d.want(404, "no-such-thing", "GET", "/organisations/acme", token, "")
	d.want(404, "no-such-thing", "DELETE", "/organisations/acme", token, "", "If-Match", "*")
}

// What does not keep to openapi.yaml is named with its place.
func TestRequestsAreChecked(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("root", registry.Admin)
	d.put(422, `/titel`, "/organisations/acme", token, `{"titel":"Acme"}`, created)
	d.put(400, "invalid-request", "/organisations/Acme", token, `{}`, created)
	d.put(400, "invalid-request", "/organisations/acme", token, `{`, created)
	d.want(415, "unsupported-media-type", "PUT", "/organisations/acme", token, `{}`, "If-None-Match", "*", "Content-Type", "text/plain")
	d.want(400, "limit", "GET", "/organisations?limit=0", token, "")
	d.want(400, "limit", "GET", "/organisations?limit=1001", token, "")
	d.want(400, "nonsense", "GET", "/organisations?nonsense=1", token, "")
	d.want(422, "role", "POST", "/operators", token, `{"name":"x","role":"root"}`)
	d.want(413, "body-too-large", "POST", "/operators", token, `{"name":"`+strings.Repeat("x", shortBody)+`"}`)
	d.put(422, "no organisation", "/apps/shop", token, `{"organisation":"acme"}`, created)
	d.put(422, `"line":1`, "/members/acme.ann", token, `{"organisation":"acme","email":"nowhere"}`, created)
	d.want(403, "another site", "POST", "/audit/verify", token, "", "Sec-Fetch-Site", "cross-site")
}

func TestPages(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("pam", registry.PartnerManager)
	for i := range 7 {
		d.put(200, "", fmt.Sprintf("/organisations/org-%d", i), token, `{}`, created)
	}
	var names []string
	after := ""
	for range 5 {
		_, text := d.want(200, "items", "GET", "/organisations?limit=3&after="+after, token, "")
		for _, i := range read[[]registry.Item[registry.Organisation]](t, text, "items") {
			names = append(names, i.Name)
		}
		if !strings.Contains(text, `"next"`) {
			break
		}
		after = read[string](t, text, "next")
	}
	if got := strings.Join(names, " "); got != "org-0 org-1 org-2 org-3 org-4 org-5 org-6" {
		t.Error(got)
	}
	d.put(200, "", "/apps/shop", token, `{"organisation":"org-1"}`, created)
	d.put(200, "", "/apps/till", token, `{"organisation":"org-2"}`, created)
	if _, text := d.want(200, "shop", "GET", "/apps?organisation=org-1", token, ""); strings.Contains(text, "till") {
		t.Error(text)
	}
	d.want(200, `"items":[]`, "GET", "/plans", token, "")
}

// Keys and secrets are shown once, and stand in no answer and no audit row later.
func TestCredentials(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("pam", registry.PartnerManager)
	d.put(200, "", "/organisations/acme", token, `{}`, created)
	d.put(200, "", "/apps/shop", token, `{"organisation":"acme"}`, created)
	d.want(404, "no-such-thing", "POST", "/apps/till/keys", token, `{}`)
	d.want(404, "no-such-thing", "GET", "/apps/till/credentials", token, "")

	_, text := d.want(201, `"label":"web"`, "POST", "/apps/shop/keys", token, `{"label":"web"}`)
	key, prefix := read[string](t, text, "secret"), read[string](t, text, "name")
	if !strings.HasPrefix(key, "hr_"+prefix+"_") {
		t.Fatal(text)
	}
	d.want(422, "invalid-change", "POST", "/apps/shop/keys", token, `{"expires":"2001-01-01T00:00:00Z"}`)
	d.want(412, "changed-meanwhile", "POST", "/keys/"+prefix+"/rotate", token, `{"overlap":"24h"}`, "If-Match", `"1"`)
	_, text = d.want(201, `"label":"web"`, "POST", "/keys/"+prefix+"/rotate", token, `{"overlap":"24h"}`)
	next := read[string](t, text, "secret")
	d.want(409, "too-many", "POST", "/apps/shop/keys", token, ``)
	_, text = d.want(200, "expires", "GET", "/credentials/"+prefix, token, "")
	if end := read[registry.Credential](t, text, "body").Expires; end == nil || time.Until(*end) < 23*time.Hour || time.Until(*end) > 24*time.Hour {
		t.Errorf("the old key ends at %v", end)
	}
	used := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	if err := d.ledger.Used(t.Context(), registry.KindCredential, map[string]time.Time{prefix: used}); err != nil {
		t.Fatal(err)
	}
	d.want(200, `"lastUsed":"`+used.Format(time.RFC3339), "GET", "/apps/shop/credentials", token, "")

	_, text = d.want(201, `"scopes":["read"]`, "POST", "/apps/shop/oauth-clients", token, `{"scopes":["read"]}`)
	secret, id := read[string](t, text, "secret"), read[string](t, text, "name")
	if !strings.HasPrefix(secret, "hrs_") || !strings.HasPrefix(id, "hrc_") {
		t.Error(text)
	}
	_, text = d.want(201, "client-", "POST", "/apps/shop/credentials", token, `{"type":"client","issuer":"https://login.example.com","id":"shop","reason":"a partner's issuer"}`)
	d.want(200, "a partner's issuer", "GET", "/audit?limit=1", token, "")
	client := read[string](t, text, "name")
	d.want(412, "", "POST", "/apps/shop/credentials", token, `{"type":"client","issuer":"https://login.example.com","id":"shop"}`)
	d.want(422, "thumbprint", "POST", "/apps/shop/credentials", token, `{"type":"certificate"}`)
	d.want(422, "", "POST", "/apps/shop/credentials", token, `{"type":"key"}`)

	d.want(422, "reason-missing", "DELETE", "/credentials/"+prefix, token, "", "If-Match", "*")
	d.want(204, "", "DELETE", "/credentials/"+prefix, token, "", "If-Match", "*", "X-Reason", "leaked")
	d.want(200, `"revoked"`, "GET", "/credentials/"+prefix, token, "")
	d.want(409, "wrong-state", "POST", "/keys/"+prefix+"/rotate", token, ``)
	_, all := d.want(200, client, "GET", "/apps/shop/credentials", token, "")
	_, audit := d.want(200, "leaked", "GET", "/audit?limit=1000", token, "")
	for _, hidden := range []string{key, next, secret, strings.TrimPrefix(key, "hr_"+prefix+"_"), token} {
		if strings.Contains(all+audit, hidden) {
			t.Errorf("%s is told again", hidden)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	d := newDesk(t, nil)
	pam, archie := d.operator("pam", registry.PartnerManager), d.operator("archie", registry.Architect)
	d.put(200, "", "/organisations/acme", pam, `{}`, created)
	d.put(200, "", "/apps/shop", pam, `{"organisation":"acme"}`, created)
	d.put(200, "", "/products/desk", archie, `{"apis":["orders/v1"]}`, created)
	d.put(200, "", "/plans/gold", archie, `{"class":"high","policies":{"throttle":{"rate":"1/s"}}}`, created)
	d.put(200, "", "/plans/free", archie, `{}`, created)
	d.put(403, "architect may", "/plans/free", pam, `{}`, anything)
	h, _ := d.want(201, `"status":"requested"`, "POST", "/subscriptions", pam, `{"app":"shop","product":"desk","plan":"gold","reason":"wants it"}`)
	d.want(409, "wrong-state", "POST", "/subscriptions", pam, `{"app":"shop","product":"desk","plan":"gold"}`)
	d.want(409, "wrong-state", "POST", "/subscriptions/shop.desk/suspend", pam, `{"reason":"unpaid"}`)
	d.want(412, "changed-meanwhile", "POST", "/subscriptions/shop.desk/approve", pam, ``, "If-Match", `"1"`)
	d.want(200, `"status":"approved"`, "POST", "/subscriptions/shop.desk/approve", pam, ``, "If-Match", h.Get("ETag"))
	d.want(200, `"plan":"free"`, "POST", "/subscriptions/shop.desk/plan", pam, `{"plan":"free","reason":"cheaper"}`)
	d.want(200, `"status":"suspended"`, "POST", "/subscriptions/shop.desk/suspend", pam, `{"reason":"unpaid"}`)
	d.want(200, `"status":"approved"`, "POST", "/subscriptions/shop.desk/resume", pam, ``)
	_, text := d.want(200, `"ended"`, "POST", "/subscriptions/shop.desk/end", pam, ``)
	s := read[registry.Subscription](t, text, "body")
	var steps []string
	for _, step := range s.Steps {
		steps = append(steps, step.Status+" "+step.Plan+" "+step.By+" "+step.Reason)
	}
	if got := strings.Join(steps, ", "); got != "requested gold pam wants it, approved gold pam , approved free pam cheaper, suspended free pam unpaid, approved free pam , ended free pam " {
		t.Error(got)
	}
	d.want(200, "shop.desk", "GET", "/subscriptions?app=shop", pam, "")
	d.want(404, "no-such-thing", "POST", "/subscriptions/shop.till/approve", pam, ``)
}

// The first operator is made with the bootstrap token, which is good for nothing
// else and ends with it.
func TestBootstrap(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Open = false })
	d.want(401, "unauthenticated", "GET", "/status", "", "")
	token, expires, err := d.registry.Bootstrap(t.Context())
	if err != nil || time.Until(expires) < 23*time.Hour {
		t.Fatal(expires, err)
	}
	if again, _, err := d.registry.Bootstrap(t.Context()); again != "" || err != nil {
		t.Errorf("there are two bootstrap tokens: %v", err)
	}
	d.want(403, "forbidden", "GET", "/status", token, "")
	d.want(403, "forbidden", "GET", "/operators", token, "")
	d.want(422, "has to be an admin", "POST", "/operators", token, `{"name":"vic","role":"viewer"}`)
	_, text := d.want(201, `"role":"admin"`, "POST", "/operators", token, `{"name":"ada","role":"admin"}`)
	ada := read[string](t, text, "secret")
	d.want(401, "invalid-credentials", "POST", "/operators", token, `{"name":"eve","role":"admin"}`)
	_, audit := d.want(200, `"actor":"bootstrap","role":"bootstrap"`, "GET", "/audit?kind=operator", ada, "")
	if strings.Contains(audit, token) || strings.Contains(audit, ada) || strings.Contains(audit, "headrace") {
		t.Error(audit)
	}
	if again, _, err := d.registry.Bootstrap(t.Context()); again != "" || err != nil {
		t.Errorf("there is a bootstrap token beside an operator: %v", err)
	}
}

func TestOperators(t *testing.T) {
	d := newDesk(t, nil)
	d.want(200, "", "GET", "/status", "", "") // open as long as there is nobody
	_, text := d.want(201, "secret", "POST", "/operators", "", `{"name":"ada","role":"admin"}`, "X-Actor", "ada")
	ada := read[string](t, text, "secret")
	d.want(401, "unauthenticated", "GET", "/status", "", "")
	d.want(409, "last admin", "DELETE", "/operators/ada", ada, "", "If-Match", "*")
	_, text = d.want(201, "secret", "POST", "/operators", ada, `{"name":"vic","role":"viewer","title":"Victor","expires":"2099-01-01T00:00:00Z"}`)
	vic := read[string](t, text, "secret")
	d.want(412, "", "POST", "/operators", ada, `{"name":"vic","role":"admin"}`)
	d.want(200, `"prefix":"`+vic[4:12]+`"`, "GET", "/operators", ada, "")
	d.want(200, "", "GET", "/status", vic, "")
	_, text = d.want(201, "secret", "POST", "/operators/vic/renew", ada, ``)
	next := read[string](t, text, "secret")
	d.want(401, "invalid-credentials", "GET", "/status", vic, "")
	d.want(200, "", "GET", "/status", next, "")
	d.want(204, "", "DELETE", "/operators/vic", ada, "", "If-Match", "*")
	d.want(401, "invalid-credentials", "GET", "/status", next, "")
	d.want(200, `"actor":"admin.open: ada"`, "GET", "/audit?target=operator/ada", ada, "")
}

// Who does it is said in one place, and nobody behind a token of their own can
// pass for another.
func TestAuditSaysWho(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Token = "shared" })
	pam, olga := d.operator("pam", registry.PartnerManager), d.operator("olga", registry.RoleOperator)
	h, _ := d.want(200, "", "PUT", "/organisations/acme", pam, `{}`, "If-None-Match", "*", "X-Actor", "ann", "X-Reason", "a new partner")
	d.want(200, `"actor":"pam","role":"partner-manager","reason":"a new partner","requestId":"`+h.Get("X-Request-Id")+`","action":"create","target":"organisation/acme"`,
		"GET", "/audit?actor=pam", pam, "")
	d.want(200, "", "PUT", "/organisations/acme", "shared", `{"title":"Acme"}`, "If-Match", "*", "X-Actor", "ann")
	d.want(200, `"action":"create","target":"operator/olga","revision":2,"hash"`, "GET", "/audit?kind=operator", pam, "") // not what she may do
	d.want(200, `"action":"create","target":"operator/olga","revision":2,"after":{"role":"operator"`, "GET", "/audit?kind=operator", "shared", "")
	d.want(200, `"before":{},"after":{"title":"Acme"}`, "GET", "/audit?actor=admin.token:%20ann&kind=organisation", pam, "")
	d.want(403, "operator may", "POST", "/writes/pauses/pause", pam, `{"system":"erp"}`)
	d.want(200, `"actor":"olga"`, "POST", "/writes/pauses/pause", olga, `{"system":"erp","actor":"ann","reason":"inventory"}`)
	d.want(200, `"actor":"olga","role":"operator","reason":"inventory","requestId":"`, "GET", "/audit?action=pause", pam, "")
	d.want(200, `"items":[]`, "POST", "/writes/pauses/resume", "shared", `{"system":"erp","actor":"ann"}`)
	d.want(200, `"actor":"admin.token: ann"`, "GET", "/writes/audit?action=resume", pam, "")
}

func TestAuditPagesAndVerdict(t *testing.T) {
	d := newDesk(t, nil)
	root := d.operator("root", registry.Admin)
	for i := range 5 {
		d.put(200, "", fmt.Sprintf("/organisations/org-%d", i), root, `{}`, created)
	}
	_, text := d.want(200, `"next":"5"`, "GET", "/audit?limit=2", root, "")
	if n := len(read[[]action](t, text, "items")); n != 2 {
		t.Errorf("%d rows", n)
	}
	_, text = d.want(200, `"number":4`, "GET", "/audit?limit=10&after=5", root, "")
	if strings.Contains(text, `"next"`) {
		t.Error(text)
	}
	d.want(400, "after", "GET", "/audit?after=x", root, "")
	if _, text = d.want(200, `"items":[]`, "GET", "/audit?kind=organ", root, ""); text == "" {
		t.Error("no answer")
	}
	_, text = d.want(200, `"whole":true`, "POST", "/audit/verify", root, "")
	head := read[string](t, text, "hash")
	d.want(200, `"whole":true`, "POST", "/audit/verify", root, fmt.Sprintf(`{"last":6,"hash":%q}`, head))
	d.want(200, `"whole":false`, "POST", "/audit/verify", root, fmt.Sprintf(`{"last":6,"hash":%q}`, strings.Repeat("0", 64)))
	d.want(422, "both last and hash", "POST", "/audit/verify", root, `{"last":6}`)
}

// Who guesses tokens is slowed down; who has one is not, elsewhere.
func TestGuesses(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Token = "shared" })
	root := d.operator("root", registry.Admin)
	blocked := 0
	for range 15 {
		status, h, _ := d.do("GET", "/status", "guess", "")
		if status == 429 && h.Get("Retry-After") != "" {
			blocked++
		}
	}
	if blocked == 0 {
		t.Fatal("nobody was slowed down")
	}
	d.want(429, "too-many-guesses", "GET", "/status", "shared", "")
	d.want(200, "", "GET", "/status", root, "")
}

func TestRevisions(t *testing.T) {
	d := newDesk(t, nil)
	root := d.operator("root", registry.Admin)
	if err := d.ledger.Seen(t.Context(), ledger.Replica{Revision: 1, Served: 1, Built: time.Now(), Problems: []string{"systems/erp.yaml:1:1: wrong"}}); err != nil {
		t.Fatal(err)
	}
	d.want(200, `"revision":1,"replicas":[{"name":"one","revision":1,"served":1,`, "GET", "/revisions", root, "")
	d.want(200, `"problems":["systems/erp.yaml:1:1: wrong"]`, "GET", "/revisions", root, "")
}

// Every reason of the registry has a problem of its own.
func TestRefusals(t *testing.T) {
	for why, want := range map[registry.Why]gateway.Problem{
		registry.NotFound: gateway.NoSuchThing, registry.Exists: gateway.Exists, registry.Immutable: gateway.Immutable, registry.Breaks: gateway.Breaking,
		registry.InUse: gateway.InUse, registry.State: gateway.WrongState, registry.Invalid: gateway.InvalidChange, registry.NoReason: gateway.ReasonMissing,
		registry.ReadOnly: gateway.StandsInFiles, registry.TooMany: gateway.TooMany, registry.Different: gateway.Changed, "new": gateway.Internal,
	} {
		e := refusal(&registry.Refusal{Why: why, Wrong: "no", Changes: []registry.Change{{ID: "a1"}}, Uses: []registry.Use{{App: "shop"}}})
		if e.Problem != want {
			t.Errorf("%s is %s", why, e.Problem.Name)
		}
		if text := string(e.Response("").Bytes); want != gateway.Internal && (!strings.Contains(text, `"changes":[{`) || !strings.Contains(text, `"uses":[{"app":"shop"`)) {
			t.Errorf("%s: %s", why, text)
		}
	}
	if e := refusal(fmt.Errorf("x: %w", ledger.ErrFailing)); e.Problem != gateway.LedgerUnavailable {
		t.Errorf("%v", e)
	}
}
