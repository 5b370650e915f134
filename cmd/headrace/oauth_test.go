package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/registry"
)

const tokenDocument = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, policies: {jwt: {own: true}, scope: {}}}
security: [{oauth: ["orders:read"]}]
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /oauth2/token, scopes: {"orders:read": Read orders., "orders:write": Write orders.}}}}
paths:
  /orders:
    get: {operationId: listOrders, responses: {"200": {description: ok}}}
    put: {operationId: putOrders, security: [{oauth: ["orders:write"]}], x-headrace: {safe: true}, responses: {"200": {description: ok}}}
`

// The secret of the client is "right".
const tokenConsumers = `
organisations: {acme: {title: Acme}}
apps:
  shop:
    organisation: acme
    oauth: [{id: shop-client, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9", scopes: "orders:read"}]
`

func (b *bench) tokenRequest(t *testing.T, path string, form url.Values, secret string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", b.gateway+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("shop-client", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said
}

func (b *bench) token(t *testing.T) string {
	t.Helper()
	status, said := b.tokenRequest(t, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "right")
	if status != 200 {
		t.Fatalf("%d %v", status, said)
	}
	return said["access_token"].(string)
}

func (b *bench) with(t *testing.T, method, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.gateway+"/orders/v1/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// From a client's secret to a call, to the end of the token.
func TestTokens(t *testing.T) {
	b := serveWorkspace(t, echoPath, "oauth: {issuer: \"http://127.0.0.1:8080\"}\n")
	b.write(t, "consumers.yaml", tokenConsumers)
	b.write(t, "apis/orders/1.0.0/openapi.yaml", tokenDocument)
	eventually(t, "the document is live", func() bool { return b.with(t, "GET", "x") == 401 })
	token := b.token(t)
	if status := b.with(t, "GET", token); status != 200 {
		t.Fatalf("%d\n%s", status, b.log)
	}
	if status := b.with(t, "PUT", token); status != 403 {
		t.Errorf("a scope that the client does not have: %d", status)
	}
	if status, said := b.tokenRequest(t, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "wrong"); status != 401 || said["error"] != "invalid_client" {
		t.Errorf("a wrong secret: %d %v", status, said)
	}
	for _, path := range []string{"/oauth2/jwks", "/.well-known/oauth-authorization-server"} {
		if status, body := fetch(t, b.gateway+path); status != 200 || strings.Contains(body, `"d":`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if err := b.server.parts.usage.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used, err := b.server.parts.ledger.LastUsed(t.Context(), registry.KindCredential, []string{"shop-client"}); err != nil || used["shop-client"].IsZero() {
		t.Errorf("the client's last use: %v %v", used, err)
	}
	// No table is built for what no table depends on.
	table, revision := b.server.gateway.Table(), b.server.live.Last().Served
	if status, said := b.tokenRequest(t, "/oauth2/revoke", url.Values{"token": {b.token(t)}}, "right"); status != 200 {
		t.Fatalf("%d %v", status, said)
	}
	eventually(t, "the revision is served", func() bool { return b.server.live.Last().Served > revision })
	if b.server.gateway.Table() != table {
		t.Error("a table was built for a revoked token")
	}
	// Keys and revoked tokens outlast the process.
	b.stop()
	<-b.ended
	b.ended <- nil
	b.start(t)
	if status := b.with(t, "GET", token); status != 200 {
		t.Errorf("after a restart: %d", status)
	}
	if status, said := b.tokenRequest(t, "/oauth2/revoke", url.Values{"token": {token}}, "right"); status != 200 {
		t.Fatalf("%d %v", status, said)
	}
	if status := b.with(t, "GET", token); status != 401 {
		t.Errorf("a revoked token: %d", status)
	}
	if status, said := b.tokenRequest(t, "/oauth2/introspect", url.Values{"token": {token}}, "right"); status != 200 || said["active"] != false {
		t.Errorf("a revoked token: %d %v", status, said)
	}
	if status := b.with(t, "GET", b.token(t)); status != 200 {
		t.Errorf("the next token: %d", status)
	}
	// A client that is taken from the app is out, with all its tokens.
	last := b.token(t)
	b.write(t, "consumers.yaml", "organisations: {acme: {title: Acme}}\napps: {shop: {organisation: acme}}\n")
	eventually(t, "the client is gone", func() bool { return b.with(t, "GET", last) == 401 })
	if strings.Contains(b.log.String(), token) || strings.Contains(b.log.String(), last) {
		t.Error("the log has a token")
	}
	b.keyFileIsSecret(t)
}

func (b *bench) keyFileIsSecret(t *testing.T) {
	t.Helper()
	file := filepath.Join(b.dir, ".headrace", "oauth.key")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.stop()
	<-b.ended
	b.ended <- nil
	if _, err := newServer(t.Context(), b.dir, b.log); err == nil || !strings.Contains(fmt.Sprint(err), "oauth.key is damaged") {
		t.Errorf("%v", err)
	}
}
