package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/specs/source"
)

func hashed(key string) string {
	digest := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(digest[:])
}

func directory(t *testing.T, text string) (*Consumers, []string) {
	t.Helper()
	var ps source.Problems
	var file ConsumerFile
	source.Decode(source.Parse("consumers.yaml", []byte(text), source.DefaultLimits, &ps), &file, &ps)
	c := NewConsumers(&file, []*API{{Name: "orders", Major: "v1"}}, &ps)
	var lines []string
	for _, p := range ps.List() {
		_, line, _ := strings.Cut(p.String(), ": ")
		lines = append(lines, line)
	}
	return c, lines
}

func TestByKey(t *testing.T) {
	const live, next, ended, other = "hr_abcdefgh_live", "hr_abcdefgh_next", "hr_ABCDEFGH_ended", "hr_abcdefgh_other"
	c, problems := directory(t, fmt.Sprintf(`
organisations: {acme: {}}
apps:
  shop: {organisation: acme, keys: [{prefix: abcdefgh, hash: %q}, {prefix: abcdefgh, hash: %q, expires: 2030-01-01}]}
  late: {organisation: acme, keys: [{prefix: ABCDEFGH, hash: %q, expires: 2026-01-01}]}
  other: {organisation: acme, keys: [{prefix: abcdefgh, hash: %q}]}
`, hashed(live), hashed(next), hashed(ended), hashed(other)))
	if problems != nil {
		t.Fatal(problems)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		key     string
		at      time.Time
		app     string
		expired bool
	}{
		{live, now, "shop", false}, {next, now, "shop", false}, {other, now, "other", false},
		{ended, now.Add(-1), "late", false}, {ended, now, "", true}, {next, now.AddDate(4, 0, 0), "", true},
		{"", now, "", false}, {"hr_", now, "", false}, {"hr_abcdefgh", now, "", false}, {"hr_abcdefgh_", now, "", false},
		{"hr_abcdefgh_wrong", now, "", false}, {"hr_zzzzzzzz_live", now, "", false}, {"HR_abcdefgh_live", now, "", false},
		{live + " ", now, "", false}, {hashed(live), now, "", false}, {"hr_abcdefgh_" + strings.Repeat("x", 300), now, "", false},
	} {
		app, expired := c.ByKey(tt.key, tt.at)
		if (app == nil) != (tt.app == "") || app != nil && app.Name != tt.app || expired != tt.expired {
			t.Errorf("%q: %v, %v", tt.key, app, expired)
		}
	}
}

func TestConsumerProblems(t *testing.T) {
	key := hashed("hr_abcdefgh_x")
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"{organisations: {acme: }}", []string{`organisations.acme: nothing stands under "acme"; write {} where nothing has to be said`}},
		{"{organisations: {acme: {}}, apps: {shop: }}", []string{`apps.shop: nothing stands under "shop"; write {} where nothing has to be said`}},
		{"{products: {p: }, plans: {q: }}", []string{
			`plans.q: nothing stands under "q"; write {} where nothing has to be said`, `products.p: nothing stands under "p"; write {} where nothing has to be said`}},
		{"{subscriptions: [null]}", nil},
		{"{organisations: {acme: {}}, apps: {a: {organisation: acme, keys: [{prefix: abcdefgh, hash: '" + key + "'}]}, b: {organisation: acme, keys: [{prefix: abcdefgh, hash: '" + key + "'}]}}}",
			[]string{`apps.b.keys[0].hash: the key stands at the app "a" already; make a new one with headrace key`}},
		{"{organisations: {acme: {}}, apps: {a: {organisation: acme, certificates: [{subject: shop}]}}}",
			[]string{"apps.a.certificates[0].subject: is not a subject: it is a list of NAME=VALUE; as openssl x509 -noout -subject -nameopt RFC2253 prints it, for example CN=shop,O=Acme"}},
		{"{organisations: {acme: {}}, apps: {a: {organisation: acme, certificates: [{subject: 'CN=a,O=b'}]}, b: {organisation: acme, certificates: [{subject: 'cn=a, o=b'}]}}}",
			[]string{`apps.b.certificates[0]: the apps "a" and "b" have the same certificate; a certificate belongs to one app`}},
	} {
		_, got := directory(t, tt.text)
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// Every sort of credential tells when it was last used, by the name that the
// control plane has for it.
func TestCredentialsUsed(t *testing.T) {
	const key = "hr_abcdefgh_live"
	thumbprint := strings.ToUpper(hashed("certificate")[len("sha256:"):])
	c, problems := directory(t, fmt.Sprintf(`
organisations: {acme: {}}
apps:
  shop:
    organisation: acme
    keys: [{prefix: abcdefgh, hash: %q}]
    clients: [{issuer: "https://id.example.com", id: shop-1}, {issuer: "https://id.example.com", id: idle}]
    certificates: [{thumbprint: "sha256:%s"}, {subject: "CN=shop, O=Acme"}]
    oauth: [{id: hrc_shop, hash: %q}]
`, hashed(key), thumbprint, hashed("secret")))
	if problems != nil {
		t.Fatal(problems)
	}
	used := func() map[string]time.Time {
		list := map[string]time.Time{}
		c.CredentialsUsed(func(name string, at time.Time) { list[name] = at })
		return list
	}
	now := time.Unix(1_800_000_000, 0)
	c.ByOAuthClient("hrc_shop", now) // looked up, and not yet proved
	c.ByCertificate("sha256:"+strings.ToLower(thumbprint), "")
	if found := used(); len(found) > 0 {
		t.Errorf("used already: %v", found)
	}
	c.ByKey(key, now)
	c.ByClient("https://id.example.com", "shop-1", now.Add(time.Second))
	c.ByOAuthClient("hrc_shop", now).Used(now.Add(2 * time.Second))
	_, use := c.ByCertificate("sha256:"+strings.ToLower(thumbprint), "")
	use(now.Add(3 * time.Second))
	subject, err := ParseSubject("CN=shop,O=Acme")
	if err != nil {
		t.Fatal(err)
	}
	_, use = c.ByCertificate("sha256:none", subject)
	use(now.Add(4 * time.Second))
	use(now) // never back
	for name, at := range map[string]time.Time{
		"abcdefgh": now,
		ClientIdentity{Issuer: "https://id.example.com", ID: "shop-1"}.CredentialName(): now.Add(time.Second),
		"hrc_shop": now.Add(2 * time.Second),
		CertificateName{Thumbprint: "sha256:" + thumbprint}.CredentialName(): now.Add(3 * time.Second),
		CertificateName{Subject: "CN=shop, O=Acme"}.CredentialName():         now.Add(4 * time.Second),
	} {
		if got := used()[name]; !got.Equal(at) {
			t.Errorf("%s: %s instead of %s", name, got, at)
		}
	}
	if found := used(); len(found) != 5 {
		t.Errorf("%v", found)
	}
}
