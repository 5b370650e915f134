package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// Who uses what is listed page by page, and told of a version.
func TestUsage(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("vera", registry.Viewer)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	row := func(sort, app, field string, ago int, calls, refused int64) ledger.Usage {
		day := today.AddDate(0, 0, -ago)
		return ledger.Usage{
			UsageKey: ledger.UsageKey{Sort: sort, API: "orders", Version: "1.0.0", Operation: "createOrder", App: app, Field: field},
			Day:      day, Calls: calls, Refused: refused, Took: time.Second, Last: day,
		}
	}
	_, err := d.ledger.AddUsage(t.Context(), []ledger.Usage{
		row(ledger.Calls, "shop", "", 0, 3, 1), row(ledger.Calls, "shop", "", 1, 2, 0), row(ledger.Calls, "edi", "", 50, 9, 0),
		row(ledger.Calls, "shop", "/shipTo", 0, 2, 0), row(ledger.Shadow, "shop", "", 0, 1000, 4), row(ledger.Shadow, "shop", "/shipTo", 0, 4, 4),
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := func(query string) string {
		t.Helper()
		var list []string
		after := ""
		for range 9 {
			_, text := d.want(200, "items", "GET", "/usage?limit=1&"+query+"&after="+after, token, "")
			for _, u := range read[[]used](t, text, "items") {
				list = append(list, strings.TrimSpace(fmt.Sprint(u.App, u.Field, " ", u.Calls, " ", u.ClientErrors, " ", u.Day)))
			}
			if !strings.Contains(text, `"next"`) {
				break
			}
			after = read[string](t, text, "next")
		}
		return strings.Join(list, ", ")
	}
	for query, want := range map[string]string{
		"":                    "edi 9 0, shop 5 1",
		"daily=true&app=shop": "shop 2 0 " + today.AddDate(0, 0, -1).Format(time.DateOnly) + ", shop 3 1 " + today.Format(time.DateOnly),
		"fields=true":         "shop/shipTo 2 0",
		"api=stock":           "",
		"operation=createOrder&from=" + today.Format(time.RFC3339): "shop 3 1",
	} {
		if got := rows(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	d.want(400, "earlier page", "GET", "/usage?after=x", token, "")
	d.want(400, "from", "GET", "/usage?from=yesterday", token, "")
	version := "/apis/orders/versions/1.0.0"
	d.want(200, `"calls":5,"operations":[{"operation":"createOrder","calls":5,"apps":[{"app":"shop","calls":5,"clientErrors":1`, "GET", version+"/usage", token, "")
	d.want(200, `"fields":[{"field":"/shipTo","calls":2,"apps":[{"app":"shop","calls":2`, "GET", version+"/usage?app=shop", token, "")
	d.want(200, `"checked":1000,"refused":4,"share":0.004,"places":[{"app":"shop","operation":"createOrder","pointer":"/shipTo","calls":4`, "GET", version+"/shadow", token, "")
}

// Drafts are tried, and canaries withdrawn, by architects.
func TestTrials(t *testing.T) {
	d := newDesk(t, nil)
	token := d.operator("art", registry.Architect)
	text := func(paths string) map[string][]byte {
		return map[string][]byte{"openapi.yaml": []byte("openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp}\npaths: {" + paths + "}\n")}
	}
	publish := func(version string, c *registry.Canary) {
		t.Helper()
		if _, err := d.registry.Publish(t.Context(), someone, registry.Release{API: "orders", Version: version, Files: text(""), Canary: c}); err != nil {
			t.Fatal(err)
		}
	}
	publish("1.0.0", nil)
	if _, err := d.registry.SaveDraft(t.Context(), someone, registry.Release{API: "orders", Version: "1.2.0", Files: text(""), Match: ledger.Absent}); err != nil {
		t.Fatal(err)
	}
	d.want(422, "on", "POST", "/apis/orders/versions/1.2.0/shadow", token, `{}`)
	d.want(200, `"shadow":true`, "POST", "/apis/orders/versions/1.2.0/shadow", token, `{"on":true}`)
	d.want(404, "no-such-thing", "POST", "/apis/orders/versions/1.3.0/shadow", token, `{"on":true}`)
	publish("1.1.0", &registry.Canary{Share: 5})
	d.want(422, "say why", "POST", "/apis/orders/versions/1.1.0/withdraw", token, `{}`)
	d.want(200, `"canary":{"share":5}`, "POST", "/apis/orders/versions/1.1.0/withdraw", token, `{"reason":"too slow"}`)
	d.want(409, "is no canary", "POST", "/apis/orders/versions/1.0.0/withdraw", token, `{"reason":"too slow"}`)
}
