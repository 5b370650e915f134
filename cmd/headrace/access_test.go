package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// office is a served workspace and its admin API.
type office struct {
	*testing.T
	*site
	stop func()
}

// openOffice serves a folder until it is stopped, or the test ends.
func openOffice(t *testing.T, dir string) *office {
	t.Helper()
	o := &office{T: t, site: &site{log: &gatewaytest.Log{}}}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	if o.server, err = newServer(ctx, dir, o.log); err != nil {
		cancel()
		t.Fatal(err)
	}
	o.gateway, o.admin = "http://"+o.server.gatewayListener.Addr().String(), "http://"+o.server.adminListener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- o.server.run(ctx); close(ended) }()
	o.stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("the server did not stop")
		}
	}
	t.Cleanup(o.stop)
	return o
}

// written writes files into a new folder.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask makes a call of the admin API and compares the status and a part of the answer.
func (o *office) ask(status int, part, method, path, token, body string, header ...string) string {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.site.admin+"/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.Fatal(err)
	}
	if resp.StatusCode != status || !strings.Contains(string(text), part) {
		o.Errorf("%s %s: %d %s\nwant %d with %q", method, path, resp.StatusCode, text, status, part)
	}
	return string(text)
}

// field gives a text of an answer.
func (o *office) field(text, name string) string {
	o.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		o.Fatalf("%v: %s", err, text)
	}
	s, _ := all[name].(string)
	return s
}

// operator makes an operator, and gives its token.
func (o *office) operator(by, name, role string) string {
	o.Helper()
	return o.field(o.ask(201, role, "POST", "/operators", by, fmt.Sprintf(`{"name":%q,"role":%q}`, name, role)), "secret")
}

var bootstrapToken = regexp.MustCompile(`"bootstrap_token":"(hra_[a-z2-7_]+)"`)

const closed = "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\nadmin: {open: false}\n"

// From the first start to a call that an app makes, and to its end.
func TestAdminFromTheStart(t *testing.T) {
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer erp.Close()
	dir := written(t, map[string]string{
		"headrace.yaml": closed, "systems/erp.yaml": "dialect: rest\nurl: " + erp.URL + "\n", "apis/orders/1.0.0/openapi.yaml": soldDocument,
	})
	o := openOffice(t, dir)
	found := bootstrapToken.FindStringSubmatch(o.log.String())
	if found == nil {
		t.Fatalf("no bootstrap token is printed: %s", o.log)
	}
	o.ask(401, "unauthenticated", "GET", "/status", "", "")
	o.ask(403, "forbidden", "GET", "/status", found[1], "")
	ada := o.operator(found[1], "ada", "admin")
	o.ask(401, "invalid-credentials", "POST", "/operators", found[1], `{"name":"eve","role":"admin"}`)
	pam, archie := o.operator(ada, "pam", "partner-manager"), o.operator(ada, "archie", "architect")

	o.ask(200, "", "PUT", "/organisations/acme", pam, `{"title":"Acme"}`, "If-None-Match", "*")
	o.ask(200, "", "PUT", "/apps/shop", pam, `{"organisation":"acme"}`, "If-None-Match", "*")
	o.ask(200, "", "PUT", "/products/desk", archie, `{"apis":["orders/v1"]}`, "If-None-Match", "*")
	o.ask(422, `"wrong":"there is no API`, "PUT", "/products/till", archie, `{"apis":["order/v1"]}`, "If-None-Match", "*")
	o.ask(422, `"problems":[{"file":"consumers/plans/gold.yaml","line":1,`, "PUT", "/plans/gold", archie, `{"policies":{"throttle":{"rat":"1000/s"}}}`, "If-None-Match", "*")
	o.ask(200, "", "PUT", "/plans/gold", archie, `{"policies":{"throttle":{"rate":"1000/s"}}}`, "If-None-Match", "*")
	made := o.ask(201, "", "POST", "/apps/shop/keys", pam, `{"label":"web"}`)
	key := o.field(made, "secret")
	client := o.ask(201, "", "POST", "/apps/shop/oauth-clients", pam, `{"scopes":["orders"]}`)
	o.ask(201, "requested", "POST", "/subscriptions", pam, `{"app":"shop","product":"desk","plan":"gold"}`)
	o.ask(200, "approved", "POST", "/subscriptions/shop.desk/approve", pam, "")
	eventually(t, "the app's calls get through", func() bool { status, _ := o.call(t, "/orders/v1/orders", key); return status == 200 })
	eventually(t, "the client of the token endpoint is known", func() bool {
		c := o.server.gateway.Table().Consumers.ByOAuthClient(o.field(client, "name"), time.Now())
		return c.Accepts(o.field(client, "secret")) && c.App.Name == "shop" && len(c.Scopes) == 1 && !c.Accepts(key)
	})
	o.ask(204, "", "DELETE", "/credentials/"+o.field(made, "name"), pam, "", "If-Match", "*", "X-Reason", "leaked")
	eventually(t, "the key is refused", func() bool { status, _ := o.call(t, "/orders/v1/orders", key); return status == 401 })
	o.ask(204, "", "DELETE", "/credentials/"+o.field(client, "name"), pam, "", "If-Match", "*", "X-Reason", "leaked")
	eventually(t, "the client is gone", func() bool {
		return o.server.gateway.Table().Consumers.ByOAuthClient(o.field(client, "name"), time.Now()) == nil
	})
	o.ask(200, `"whole":true`, "POST", "/audit/verify", ada, "")
	o.ask(200, `"actor":"pam","role":"partner-manager","reason":"leaked"`, "GET", "/audit?actor=pam&kind=credential", ada, "")
	eventually(t, "the replica says what it serves", func() bool {
		return strings.Contains(o.ask(200, "", "GET", "/revisions", ada, ""), `"problems":[]`)
	})
	log := o.log.String()
	o.stop()

	o = openOffice(t, dir)
	o.ask(200, "", "GET", "/operators", ada, "")
	if log += o.log.String(); len(bootstrapToken.FindAllString(log, -1)) != 1 {
		t.Error("the bootstrap token is printed more than once")
	}
	for _, secret := range []string{ada, pam, archie, key, o.field(client, "secret")} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	o.stop()
	files, err := filepath.Glob(filepath.Join(dir, ".headrace", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		for _, secret := range []string{found[1], ada, key} {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s holds a secret in clear", file)
			}
		}
	}
}

// Every route that the running gateway describes is walked with every role, and
// without one.
func TestAdminRolesServed(t *testing.T) {
	o := openOffice(t, written(t, map[string]string{"headrace.yaml": "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n"}))
	root := o.operator("", "root", "admin")
	tokens := map[string]string{"admin": root, "nobody": "", "wrong": "hra_aaaaaaaa_" + strings.Repeat("a", 40)}
	for _, role := range []string{"viewer", "operator", "architect", "partner-manager"} {
		tokens[role] = o.operator(root, "a-"+role, role)
	}
	for life := 100 * time.Millisecond; tokens["expired"] == "" && life < time.Minute; life *= 2 { // a slow machine needs longer to make it
		soon := time.Now().Add(life)
		gone := registry.Operator{Role: registry.Admin, Expires: &soon}
		if _, token, err := o.server.registry.NewOperator(t.Context(), ledger.By{Actor: "root"}, "gone", gone); err == nil {
			tokens["expired"] = token
			time.Sleep(time.Until(soon) + time.Millisecond)
		}
	}

	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(o.ask(200, "", "GET", "/openapi.json", root, "")), &document); err != nil {
		t.Fatal(err)
	}
	walked := 0
	parameter := regexp.MustCompile(`\{\w+\}`)
	for path, methods := range document.Paths {
		delete(methods, "parameters")
		for method, text := range methods {
			var described struct {
				Roles []string `json:"x-roles"`
			}
			if err := json.Unmarshal(text, &described); err != nil || described.Roles == nil {
				t.Fatalf("%s %s: %v %s", method, path, err, text)
			}
			for _, caller := range []string{"nobody", "wrong", "expired", "viewer", "operator", "architect", "partner-manager", "admin"} {
				status := o.status(strings.ToUpper(method), parameter.ReplaceAllString(path, "nothing"), tokens[caller])
				if caller == "nobody" && (status == 404 || status == 405) {
					break // it is described before it is served
				}
				may := caller == "admin" || slices.Contains(described.Roles, caller) || slices.Contains(described.Roles, "viewer")
				switch {
				case tokens[caller] == "" || caller == "wrong" || caller == "expired":
					if status != 401 {
						t.Errorf("%s %s for %s: %d", method, path, caller, status)
					}
				case (status == 403) == may || status == 401 || status >= 500:
					t.Errorf("%s %s for %s: %d", method, path, caller, status)
				}
				walked++
			}
		}
	}
	if walked < 500 {
		t.Errorf("only %d calls", walked)
	}
}

// status makes a call without a body.
func (o *office) status(method, path, token string) int {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.site.admin+"/admin/v1"+path, nil)
	if err != nil {
		o.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// On loopback the demo needs no token, until there is an operator.
func TestAdminOpenOnLoopback(t *testing.T) {
	o := openOffice(t, written(t, map[string]string{"headrace.yaml": "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n"}))
	if strings.Contains(o.log.String(), "bootstrap_token") {
		t.Error("a token is printed though none is needed")
	}
	o.ask(200, "", "GET", "/status", "", "")
	ada := o.operator("", "ada", "admin")
	o.ask(401, "unauthenticated", "GET", "/status", "", "")
	o.ask(200, "", "GET", "/status", ada, "")
}

// login is an issuer of people's identities.
type login struct {
	*httptest.Server
	key  *ecdsa.PrivateKey
	away atomic.Bool
}

func newLogin(t *testing.T) *login {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &login{key: key}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.away.Load() {
			w.WriteHeader(503)
			return
		}
		if r.URL.Path == "/.well-known/openid-configuration" {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, l.URL, l.URL+"/keys")
			return
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
		}
		b64 := base64.RawURLEncoding.EncodeToString
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	}))
	t.Cleanup(l.Close)
	return l
}

// token signs claims; change may replace some, and nil takes one away.
func (l *login) token(t *testing.T, change map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": l.URL, "aud": "headrace", "sub": "u1", "email": "ada@example.com", "exp": time.Now().Add(time.Hour).Unix(), "groups": []string{"api-architects"}}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "one"
	text, err := token.SignedString(l.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// People come with the tokens of their own issuer.
func TestAdminOIDC(t *testing.T) {
	l := newLogin(t)
	other := newLogin(t)
	o := openOffice(t, written(t, map[string]string{"headrace.yaml": "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n" +
		"admin: {oidc: {issuer: \"" + l.URL + "\", audience: headrace, name_claim: email, role_claim: groups, roles: {api-architects: architect, partners: partner-manager}}}\n"}))
	o.ask(401, "unauthenticated", "GET", "/status", "", "") // nothing is open beside it
	if strings.Contains(o.log.String(), "bootstrap_token") {
		t.Error("a token is printed though the issuer knows everybody")
	}
	architect := l.token(t, nil)
	o.ask(200, "", "PUT", "/plans/gold", architect, `{}`, "If-None-Match", "*", "X-Reason", "new", "X-Actor", "eve")
	o.ask(403, "partner-manager may", "PUT", "/organisations/acme", architect, `{}`, "If-None-Match", "*")
	o.ask(200, "", "PUT", "/organisations/acme", l.token(t, map[string]any{"groups": "partners api-architects"}), `{}`, "If-None-Match", "*")
	o.ask(200, `"actor":"oidc:ada@example.com","role":"architect","reason":"new"`, "GET", "/audit?kind=plan", architect, "")
	o.ask(403, "has no role", "GET", "/status", l.token(t, map[string]any{"groups": []string{"staff"}}), "")
	o.ask(403, "has no role", "GET", "/status", l.token(t, map[string]any{"groups": nil}), "")
	for what, token := range map[string]string{
		"of another audience":   l.token(t, map[string]any{"aud": "shop"}),
		"that has ended":        l.token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"without an end":        l.token(t, map[string]any{"exp": nil}),
		"of nobody":             l.token(t, map[string]any{"email": nil}),
		"of another issuer":     other.token(t, nil),
		"signed by another key": other.token(t, map[string]any{"iss": l.URL}),
	} {
		t.Run("a token "+what, func(t *testing.T) {
			o := &office{T: t, site: o.site}
			o.ask(401, "invalid-credentials", "GET", "/status", token, "")
			o.ask(200, "", "GET", "/status", architect, "") // or the guard would take over
		})
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": l.URL, "aud": "headrace", "email": "eve@example.com", "exp": time.Now().Add(time.Hour).Unix(), "groups": "partners"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	o.ask(401, "invalid-credentials", "GET", "/status", unsigned, "")
}

// Nobody is refused for good, nor let in, because the issuer is away.
func TestAdminOIDCAway(t *testing.T) {
	l := newLogin(t)
	l.away.Store(true)
	o := openOffice(t, written(t, map[string]string{"headrace.yaml": "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n" +
		"admin: {oidc: {issuer: \"" + l.URL + "\", audience: headrace, name_claim: email, role_claim: groups, roles: {api-architects: architect}}}\n"}))
	o.ask(503, "not-ready", "GET", "/status", l.token(t, nil), "")
}

// Keycloak's roles stand deeper in its tokens.
func TestAdminOIDCNestedRoles(t *testing.T) {
	l := newLogin(t)
	o := openOffice(t, written(t, map[string]string{"headrace.yaml": "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n" +
		"admin: {oidc: {issuer: \"" + l.URL + "\", audience: headrace, name_claim: email, role_claim: realm_access.roles, roles: {api-architects: architect}}}\n"}))
	nested := func(roles ...string) string {
		return l.token(t, map[string]any{"groups": nil, "realm_access": map[string]any{"roles": roles}})
	}
	o.ask(200, "", "PUT", "/plans/gold", nested("offline_access", "api-architects"), `{}`, "If-None-Match", "*")
	o.ask(403, "has no role", "GET", "/status", nested("offline_access"), "")
	o.ask(403, "has no role", "GET", "/status", l.token(t, map[string]any{"realm_access": "api-architects"}), "")
}
