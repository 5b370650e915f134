package portal

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is one that knows one person.
type issuer struct {
	*httptest.Server
	key       *rsa.PrivateKey
	claims    jwt.MapClaims // of the next person
	challenge string        // of the code that it has given
	nonce     string
}

func newIssuer(t *testing.T) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		b64 := base64.RawURLEncoding.EncodeToString
		answer(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != "code-1" || s256(r.FormValue("code_verifier")) != i.challenge {
			w.WriteHeader(400)
			return
		}
		claims := jwt.MapClaims{"iss": i.URL, "aud": "portal", "sub": "s-1", "nonce": i.nonce, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
		for name, v := range i.claims {
			claims[name] = v
		}
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		token.Header["kid"] = "1"
		text, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestOIDC: whoever the issuer knows by a verified address gets in, as the same
// account the next time; nobody takes over an account by an address alone.
func TestOIDC(t *testing.T) {
	i := newIssuer(t)
	w := newTown(t, func(o *Options) {
		o.OIDC = &OIDC{Issuer: i.URL, ClientID: "portal", Secret: "s", Title: "Example login"}
	})
	w.join("ada@example.com", "Ashgrove")
	begin := func(b *browser) url.Values {
		w.Helper()
		a := b.get("/sign-in/oidc?next=/organisation")
		to, err := url.Parse(a.to)
		w.ok(err)
		if a.status != 303 || !strings.HasPrefix(a.to, i.URL+"/authorize?") || to.Query().Get("code_challenge_method") != "S256" {
			t.Fatalf("%d %s", a.status, a.to)
		}
		i.challenge, i.nonce = to.Query().Get("code_challenge"), to.Query().Get("nonce")
		return to.Query()
	}
	back := func(state string) string { return "/sign-in/oidc/back?code=code-1&state=" + url.QueryEscape(state) }
	b := w.browser()
	b.get("/sign-in").is(b, 200, "Example login")
	i.claims = jwt.MapClaims{"email": "ada@example.com", "email_verified": false}
	b.get(back(begin(b).Get("state"))).is(b, 403, "does not say that your e-mail address")
	i.claims = jwt.MapClaims{"email": "Ada@example.com", "email_verified": true}
	state := begin(b).Get("state")
	thief := w.browser() // the answer of one browser is nothing in another one
	thief.get(back(state)).is(thief, 403, "was not begun here")
	b.get(back(state)).goes(b, "/organisation")
	b.get("/organisation").is(b, 200, "Ashgrove")
	b.get(back(state)).is(b, 403)
	i.claims = jwt.MapClaims{"email": "other@example.com", "email_verified": false} // the same person, whatever the address
	again := w.browser()
	again.get(back(begin(again).Get("state"))).goes(again, "/organisation")
	again.get("/account").is(again, 200, "ada@example.com")
	for name, claims := range map[string]jwt.MapClaims{
		"another nonce": {"nonce": "x", "sub": "s-2", "email": "eve@example.com", "email_verified": true}, "another audience": {"aud": "shop"},
		"another issuer": {"iss": "https://evil.example"}, "expired": {"exp": 1}, "somebody else's address": {"sub": "s-3", "email": "ada@example.com", "email_verified": true},
	} {
		i.claims = claims
		c := w.browser()
		if a := c.get(back(begin(c).Get("state"))); a.status != 403 || c.token() != "" {
			t.Errorf("%s: %d to %q", name, a.status, a.to)
		}
	}
	i.claims = jwt.MapClaims{"sub": "s-4", "email": "new@example.com", "email_verified": true, "name": "New"}
	n := w.browser()
	n.get(back(begin(n).Get("state"))).goes(n, "/organisation")
	n.post("/organisation/found", "title", "New Mills").goes(n, "/apps")
	n.post("/account/password", "password", "eight white herons").goes(n, "/account") // a second way
	w.portal.options.SignUp = "invitation"
	i.claims = jwt.MapClaims{"sub": "s-5", "email": "late@example.com", "email_verified": true}
	l := w.browser()
	l.get(back(begin(l).Get("state"))).is(l, 403, "by invitation")
}
