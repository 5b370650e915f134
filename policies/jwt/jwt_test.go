package jwt

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/policies/policytest"
)

func TestAlgorithms(t *testing.T) {
	var all []*signer
	for _, s := range signers() {
		all = append(all, s)
	}
	s := serve(t, newIDP(t, all...), "")
	for _, algorithm := range algorithms {
		for range 2 { // verified, then remembered
			a := get(t, s, signers()[algorithm].sign(t, nil, nil))
			if a.Status != 200 {
				t.Fatalf("%s: %d %s\n%s", algorithm, a.Status, a.Detail, s.Causes())
			}
			if a.Seen.App != "shop" || a.Seen.Identified != 0b1101 || !slices.Equal(a.Seen.Scopes, []string{"orders:read", "orders:write"}) {
				t.Errorf("%s: %+v", algorithm, a.Seen)
			}
			if a.Seen.Header.Get("Authorization") != "" {
				t.Errorf("%s: the token goes on to the system", algorithm)
			}
		}
	}
}

func TestAbsent(t *testing.T) {
	s := serve(t, newIDP(t, signers()["ES256"]), "")
	for _, headers := range [][]string{nil, {"Authorization", "Basic c2hvcDpzZWNyZXQ="}, {"Authorization", "Bearerer x"}, {"X-Authorization", "Bearer x"}} {
		if a := s.Get(t, "/orders", headers...); a.Status != 200 || a.Seen.App != "" {
			t.Errorf("%v: %d", headers, a.Status)
		}
	}
	if a := s.Get(t, "/orders?access_token="+signers()["ES256"].sign(t, nil, nil)); a.Status != 200 || a.Seen.App != "" {
		t.Errorf("a token in the query identifies: %d", a.Status)
	}
}

func TestForward(t *testing.T) {
	o := options(newState(quiet()), newIDP(t, signers()["ES256"]).URL, "")
	o.Policies = strings.TrimSuffix(o.Policies, "}") + ", forward: true}"
	token := signers()["ES256"].sign(t, nil, nil)
	if a := policytest.New(t, o).Get(t, "/orders", "Authorization", "bearer   "+token); a.Status != 200 || !strings.HasSuffix(a.Seen.Header.Get("Authorization"), token) {
		t.Errorf("%d %v", a.Status, a.Seen)
	}
}

// segments encodes header and claims and signs them with whatever sign does.
func segments(header, claims any, sign func(text string) []byte) string {
	encode := func(v any) string {
		data, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			data = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(data))
	}
	text := encode(header) + "." + encode(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

func hs256(secret []byte) func(string) []byte {
	return func(text string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
}

func TestRefusals(t *testing.T) {
	all := signers()
	rs, es := all["RS256"], all["ES256"]
	strangerKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newSigner(rs.id, "RS256", strangerKey)
	der, err := x509.MarshalPKIXPublicKey(rs.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	modulus := rs.private.Public().(*rsa.PublicKey).N.Bytes()
	asJSON, err := json.Marshal(rs.public)
	if err != nil {
		t.Fatal(err)
	}
	// A P-256 key that says it is for ES384: its numbers fit into such signatures.
	mislabelled := freshES256(t, "mislabelled").with(map[string]any{"alg": "ES384"})
	es384 := func(text string) []byte {
		digest := sha512.Sum384([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, mislabelled.private.(*ecdsa.PrivateKey), digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	}
	encryption := freshES256(t, "encryption").with(map[string]any{"use": "enc"})
	signingOnly := freshES256(t, "signing-only").with(map[string]any{"use": nil, "key_ops": []string{"sign"}})
	idp := newIDP(t, rs, es, mislabelled, encryption, signingOnly)
	s := serve(t, idp, ", algorithms: [RS256, PS256, ES256, ES384]")

	claims := func(more map[string]any) map[string]any {
		return merge(map[string]any{"iss": issuerName, "aud": "orders", "client_id": "shop", "exp": time.Now().Add(time.Minute).Unix()}, more)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	now := time.Now()
	good := rs.sign(t, nil, nil)
	parts := strings.Split(good, ".")
	forged := segments(map[string]any{"alg": "RS256", "kid": rs.id}, claims(map[string]any{"client_id": "other"}), func(string) []byte {
		b, _ := base64.RawURLEncoding.DecodeString(parts[2])
		return b
	})
	psAs := *rs
	psAs.algorithm = "PS256"
	const refused, expired, early, audience = "the token is not accepted", "the token has expired", "the token is not valid yet", "the token is meant for another audience"
	for _, c := range []struct{ name, token, detail string }{
		{"none", segments(map[string]any{"alg": "none"}, claims(nil), func(string) []byte { return nil }), refused},
		{"None with a kid", segments(map[string]any{"alg": "None", "kid": rs.id}, claims(nil), func(string) []byte { return nil }), refused},
		{"no algorithm", segments(map[string]any{"kid": rs.id}, claims(nil), func(string) []byte { return nil }), refused},
		{"HS256 with the public key as PEM", segments(map[string]any{"alg": "HS256", "kid": rs.id}, claims(nil), hs256(asPEM)), refused},
		{"HS256 with the public key as DER", segments(map[string]any{"alg": "HS256", "kid": rs.id}, claims(nil), hs256(der)), refused},
		{"HS256 with the modulus", segments(map[string]any{"alg": "HS256", "kid": rs.id}, claims(nil), hs256(modulus)), refused},
		{"HS256 with the JWK", segments(map[string]any{"alg": "HS256", "kid": rs.id}, claims(nil), hs256(asJSON)), refused},
		{"RS256 in the header, HS256 in truth", segments(map[string]any{"alg": "RS256", "kid": rs.id}, claims(nil), hs256(asPEM)), refused},
		{"an algorithm that is not configured", all["EdDSA"].sign(t, nil, nil), refused},
		{"an algorithm in small letters", segments(map[string]any{"alg": "rs256", "kid": rs.id}, claims(nil), hs256(asPEM)), refused},
		{"two algorithms", segments(`{"alg":"RS256","kid":"`+rs.id+`","alg":"none"}`, claims(nil), func(string) []byte { return nil }), refused},
		{"an algorithm that the key is not for", psAs.sign(t, nil, nil), refused},
		{"an algorithm of another type of key", es.sign(t, map[string]any{"kid": rs.id}, nil), refused},
		{"a curve that the algorithm is not for", segments(map[string]any{"alg": "ES384", "kid": mislabelled.id}, claims(nil), es384), refused},
		{"a key for encryption", encryption.sign(t, nil, nil), refused},
		{"a key that may not verify", signingOnly.sign(t, nil, nil), refused},

		{"signed by a stranger", stranger.sign(t, nil, nil), refused},
		{"signed by a stranger whose key it brings", stranger.sign(t, map[string]any{"jwk": stranger.public}, nil), refused},
		{"signed by a stranger whose key it brings, without a kid", stranger.sign(t, map[string]any{"jwk": stranger.public, "kid": nil}, nil), refused},
		{"keys at an address of its own", stranger.sign(t, map[string]any{"jku": idp.URL + "/stranger", "x5u": idp.URL + "/stranger"}, nil), refused},
		{"a certificate of its own", stranger.sign(t, map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(der)}}, nil), refused},
		{"another payload", forged, refused},
		{"another signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), refused},
		{"no signature", parts[0] + "." + parts[1] + ".", refused},
		{"a signature cut short", good[:len(good)-8], refused},
		{"padding", good + "==", refused},
		{"loose bits at the end", good[:len(good)-1] + string(alphabet[strings.IndexByte(alphabet, good[len(good)-1])^1]), refused},
		{"two segments", parts[0] + "." + parts[1], refused},
		{"five segments", good + ".x.y", refused},
		{"empty", "", refused},
		{"no JSON", segments("{", claims(nil), func(string) []byte { return nil }), refused},
		{"a list of claims", segments(map[string]any{"alg": "RS256"}, []string{"x"}, func(string) []byte { return nil }), refused},
		{"null", segments("null", "null", func(string) []byte { return nil }), refused},
		{"too long", rs.sign(t, nil, map[string]any{"x": strings.Repeat("x", maxToken)}), errTooLong.Error()},

		{"an unknown kid", rs.sign(t, map[string]any{"kid": "nobody"}, nil), refused},
		{"a path as kid", rs.sign(t, map[string]any{"kid": "../../../../../../dev/null"}, nil), refused},
		{"SQL as kid", rs.sign(t, map[string]any{"kid": "x' UNION SELECT 'AAAA';--"}, nil), refused},
		{"a NUL in the kid", rs.sign(t, map[string]any{"kid": rs.id + "\x00"}, nil), refused},
		{"the kid of another key", rs.sign(t, map[string]any{"kid": es.id}, nil), refused},
		{"an empty kid", rs.sign(t, map[string]any{"kid": ""}, nil), refused},
		{"a number as kid", rs.sign(t, map[string]any{"kid": 1}, nil), refused},
		{"a list as kid", rs.sign(t, map[string]any{"kid": []string{rs.id}}, nil), refused},

		{"crit", rs.sign(t, map[string]any{"crit": []string{"exp"}, "exp": now.Unix()}, nil), refused},
		{"crit that is empty", rs.sign(t, map[string]any{"crit": []string{}}, nil), refused},
		{"crit for a payload that is not encoded", rs.sign(t, map[string]any{"crit": []string{"b64"}, "b64": false}, nil), refused},
		{"a logout token", rs.sign(t, map[string]any{"typ": "logout+jwt"}, nil), refused},
		{"a proof", rs.sign(t, map[string]any{"typ": "dpop+jwt"}, nil), refused},
		{"a number as typ", rs.sign(t, map[string]any{"typ": 1}, nil), refused},

		{"another issuer", rs.sign(t, nil, map[string]any{"iss": "https://login.example.com"}), refused},
		{"the issuer with a slash", rs.sign(t, nil, map[string]any{"iss": issuerName + "/"}), refused},
		{"the issuer in capitals", rs.sign(t, nil, map[string]any{"iss": strings.ToUpper(issuerName)}), refused},
		{"no issuer", rs.sign(t, nil, map[string]any{"iss": nil}), refused},
		{"a list of issuers", rs.sign(t, nil, map[string]any{"iss": []string{issuerName}}), refused},
		{"another audience", rs.sign(t, nil, map[string]any{"aud": "invoices"}), audience},
		{"an audience that begins alike", rs.sign(t, nil, map[string]any{"aud": []string{"orders2", "order"}}), audience},
		{"no audience", rs.sign(t, nil, map[string]any{"aud": nil}), refused},
		{"expired", rs.sign(t, nil, map[string]any{"exp": now.Add(-31 * time.Second).Unix()}), expired},
		{"expired long ago", rs.sign(t, nil, map[string]any{"exp": 0}), refused},
		{"no end", rs.sign(t, nil, map[string]any{"exp": nil}), refused},
		{"an end that is a text", rs.sign(t, nil, map[string]any{"exp": "2099-01-01"}), refused},
		{"an end beyond reckoning", rs.sign(t, nil, map[string]any{"exp": 1e300}), expired},
		{"an end that is null", segmentsSigned(t, rs, `{"iss":"`+issuerName+`","aud":"orders","client_id":"shop","exp":null}`), refused},
		{"not yet", rs.sign(t, nil, map[string]any{"nbf": now.Add(40 * time.Second).Unix()}), early},
		{"a beginning that is a text", rs.sign(t, nil, map[string]any{"nbf": "now"}), refused},

		{"an unknown client", rs.sign(t, nil, map[string]any{"client_id": "nobody"}), "the client of the token belongs to no app"},
		{"a client of another issuer", rs.sign(t, nil, map[string]any{"client_id": "shop-2"}), "the client of the token belongs to no app"},
		{"no client", rs.sign(t, nil, map[string]any{"client_id": nil, "sub": "shop"}), errNoApp.Error()},
		{"an empty client", rs.sign(t, nil, map[string]any{"client_id": ""}), errNoApp.Error()},
		{"a list of clients", rs.sign(t, nil, map[string]any{"client_id": []string{"shop"}}), errNoApp.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := get(t, s, c.token)
			if a.Status != 401 || a.Problem != "invalid-credentials" || a.Detail != c.detail || a.Seen != nil {
				t.Fatalf("%d %s %q\n%s", a.Status, a.Problem, a.Detail, s.Causes())
			}
			if want := `Bearer realm="orders/v1", error="invalid_token", error_description="` + c.detail + `"`; a.Header.Get("WWW-Authenticate") != want {
				t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
			}
			if len(c.token) > 20 && strings.Contains(s.Causes(), c.token[len(c.token)-20:]) {
				t.Error("the log has the token")
			}
		})
	}
	if a := get(t, s, good); a.Status != 200 {
		t.Fatalf("after all that, a good token gets %d %s", a.Status, a.Detail)
	}
	if a := get(t, s, rs.sign(t, nil, map[string]any{"client_id": "disabled"})); a.Status != 403 || a.Seen != nil {
		t.Errorf("disabled app: %d", a.Status)
	}
	for _, values := range [][]string{
		{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good},
		{"Authorization", "Basic x", "Authorization", "Bearer " + good},
		{"Authorization", "Bearer"},
		{"Authorization", "Bearer " + good + ", Basic x"},
	} {
		if a := s.Get(t, "/orders", values...); a.Status != 401 || a.Seen != nil {
			t.Errorf("%.30v: %d", values, a.Status)
		}
	}
}

// segmentsSigned signs a payload as it is written.
func segmentsSigned(t *testing.T, s *signer, payload string) string {
	t.Helper()
	return segments(map[string]any{"alg": s.algorithm, "kid": s.id}, payload, func(text string) []byte {
		digest := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, s.private.(*rsa.PrivateKey), 5, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	})
}

func TestAccepted(t *testing.T) {
	es := signers()["ES256"]
	s := serve(t, newIDP(t, es, signers()["RS256"]), "")
	now := time.Now()
	for _, c := range []struct {
		name           string
		header, claims map[string]any
		scopes         []string
	}{
		{"several audiences", nil, map[string]any{"aud": []string{"x", "all"}}, []string{"orders:read", "orders:write"}},
		{"azp", nil, map[string]any{"client_id": nil, "azp": "shop"}, []string{"orders:read", "orders:write"}},
		{"client_id before azp", nil, map[string]any{"azp": "other"}, []string{"orders:read", "orders:write"}},
		{"within the leeway at the end", nil, map[string]any{"exp": now.Add(-20 * time.Second).Unix()}, []string{"orders:read", "orders:write"}},
		{"within the leeway at the beginning", nil, map[string]any{"nbf": now.Add(20 * time.Second).Unix()}, []string{"orders:read", "orders:write"}},
		{"scp as a list", nil, map[string]any{"scope": nil, "scp": []any{"a", "b", 1, ""}}, []string{"a", "b"}},
		{"scp as a text", nil, map[string]any{"scope": nil, "scp": "a  b"}, []string{"a", "b"}},
		{"scope before scp", nil, map[string]any{"scope": "", "scp": "a"}, nil},
		{"no scopes", nil, map[string]any{"scope": nil}, nil},
		{"scopes of a wrong type", nil, map[string]any{"scope": map[string]any{"a": 1}}, nil},
		{"no kid, one key fits", map[string]any{"kid": nil}, nil, []string{"orders:read", "orders:write"}},
		{"no typ", map[string]any{"typ": nil}, nil, []string{"orders:read", "orders:write"}},
		{"typ JWT", map[string]any{"typ": "JWT"}, nil, []string{"orders:read", "orders:write"}},
		{"typ with application/", map[string]any{"typ": "application/AT+JWT"}, nil, []string{"orders:read", "orders:write"}},
		{"headers that are ignored", map[string]any{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}, nil, []string{"orders:read", "orders:write"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := get(t, s, es.sign(t, c.header, c.claims))
			if a.Status != 200 {
				t.Fatalf("%d %s\n%s", a.Status, a.Detail, s.Causes())
			}
			if a.Seen.App != "shop" || !slices.Equal(a.Seen.Scopes, c.scopes) {
				t.Errorf("%q %q", a.Seen.App, a.Seen.Scopes)
			}
		})
	}
}

func TestNoKeyIDIsAmbiguous(t *testing.T) {
	first, second := freshES256(t, "first"), freshES256(t, "second")
	s := serve(t, newIDP(t, first, second), "")
	for _, by := range []*signer{first, second} {
		if a := get(t, s, by.sign(t, map[string]any{"kid": nil}, nil)); a.Status != 401 {
			t.Errorf("%s: %d", by.id, a.Status)
		}
		if a := get(t, s, by.sign(t, nil, nil)); a.Status != 200 {
			t.Errorf("%s: %d", by.id, a.Status)
		}
	}
}

// A token has one spelling: base64 reads over line breaks, the policy does not.
func TestLineBreaks(t *testing.T) {
	es := signers()["ES256"]
	call := caller(t, newState(quiet()), newIDP(t, es).URL, "")
	token := es.sign(t, nil, nil)
	for _, text := range []string{token[:len(token)-5] + "\n" + token[len(token)-5:], token[:len(token)-5] + "\r" + token[len(token)-5:]} {
		if got := status(call(text)); got != 401 {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// Keys without alg are held by their type alone.
func TestKeyWithoutAlgorithm(t *testing.T) {
	all := signers()
	s := serve(t, newIDP(t, all["RS256"].with(map[string]any{"alg": nil}), all["ES384"].with(map[string]any{"alg": nil, "use": nil})), "")
	for algorithm, status := range map[string]int{"RS256": 200, "PS512": 200, "ES384": 200, "ES256": 401} {
		header := map[string]any{"kid": all["RS256"].id}
		if algorithm[:2] == "ES" {
			header["kid"] = all["ES384"].id
		}
		if a := get(t, s, all[algorithm].sign(t, header, nil)); a.Status != status {
			t.Errorf("%s: %d %s", algorithm, a.Status, a.Detail)
		}
	}
}

func TestClaimSettings(t *testing.T) {
	es := signers()["ES256"]
	s := serve(t, newIDP(t, es), ", app_claim: appid, scope_claim: roles")
	a := get(t, s, es.sign(t, nil, map[string]any{"appid": "other", "roles": []string{"admin"}}))
	if a.Status != 200 || a.Seen.App != "other" || !slices.Equal(a.Seen.Scopes, []string{"admin"}) {
		t.Errorf("%d %+v", a.Status, a.Seen)
	}
	if a := get(t, s, es.sign(t, nil, nil)); a.Status != 401 || a.Detail != errNoApp.Error() {
		t.Errorf("without the claim: %d %s", a.Status, a.Detail)
	}
}

// Each issuer signs for itself alone.
func TestTwoIssuers(t *testing.T) {
	first, second := freshES256(t, "same"), freshES256(t, "same")
	one, two := newIDP(t, first), newIDP(t, second)
	const other = "https://sts.example.net"
	o := options(newState(quiet()), one.URL, "")
	o.Policies = fmt.Sprintf("jwt: {issuers: [{issuer: %q, jwks_url: %q, audiences: orders}, {issuer: %q, jwks_url: %q, audiences: orders}]}", issuerName, one.URL, other, two.URL)
	s := policytest.New(t, o)
	for _, c := range []struct {
		by     *signer
		iss    string
		client string
		status int
	}{
		{first, issuerName, "shop", 200}, {second, other, "shop-2", 200},
		{first, other, "shop-2", 401}, {second, issuerName, "shop", 401}, {second, other, "shop", 401},
	} {
		if a := get(t, s, c.by.sign(t, nil, map[string]any{"iss": c.iss, "client_id": c.client})); a.Status != c.status {
			t.Errorf("%s %s: %d %s", c.iss, c.client, a.Status, a.Detail)
		}
	}
}

func TestProblems(t *testing.T) {
	const ok = "issuer: https://a.example, audiences: x"
	for _, c := range []struct{ settings, want string }{
		{"{issuers: [{" + ok + ", jwks_url: https://a.example/keys}]}", ""},
		{"{issuers: [{" + ok + ", jwks_url: 'http://127.0.0.1:1/keys'}]}", ""},
		{"{issuers: [{" + ok + ", jwks_url: 'http://[::1]:1/keys'}]}", ""},
		{"{issuers: [{" + ok + ", discovery: true}]}", ""},
		{"{}", "jwt: no issuer is given; list at least one, or set own: true"},
		{"{issuers: []}", "jwt.issuers: no issuer is given; list at least one, or set own: true"},
		{"{issuers: [{" + ok + "}]}", "jwt.issuers[0]: says 0 times where the keys are; give one of jwks_url, jwks_file and discovery"},
		{"{issuers: [{" + ok + ", discovery: true, jwks_url: https://a.example/keys}]}", "jwt.issuers[0]: says 2 times where the keys are; give one of jwks_url, jwks_file and discovery"},
		{"{issuers: [{" + ok + ", jwks_url: http://a.example/keys}]}", "jwt.issuers[0].jwks_url: keys must come over https; for example https://login.example.com/keys"},
		{"{issuers: [{" + ok + ", jwks_url: 'http://127.0.0.1.example/keys'}]}", "jwt.issuers[0].jwks_url: keys must come over https; for example https://login.example.com/keys"},
		{"{issuers: [{" + ok + ", jwks_url: file:///etc/keys}]}", "jwt.issuers[0].jwks_url: is not the address of a key set; for example https://login.example.com/keys"},
		{"{issuers: [{" + ok + ", jwks_url: ftp://a.example/keys}]}", "jwt.issuers[0].jwks_url: is not an https address; for example https://login.example.com/keys"},
		{"{issuers: [{" + ok + ", jwks_url: 'https://u:p@a.example/keys'}]}", "jwt.issuers[0].jwks_url: is not the address of a key set; for example https://login.example.com/keys"},
		{"{issuers: [{issuer: partners, audiences: x, discovery: true}]}", "jwt.issuers[0].issuer: discovery needs an address: is not the address of a key set; for example https://login.example.com"},
		{"{issuers: [{issuer: http://a.example, audiences: x, discovery: true}]}", "jwt.issuers[0].issuer: discovery needs an address: keys must come over https; for example https://login.example.com"},
		{"{issuers: [{issuer: '', audiences: x, jwks_url: https://a.example}]}", "jwt.issuers[0].issuer: the issuer is empty; the token's iss"},
		{"{issuers: [{issuer: a, audiences: [], jwks_url: https://a.example}]}", "jwt.issuers[0].audiences: an audience is empty or missing; the values of aud that tokens for this API have"},
		{"{issuers: [{issuer: a, jwks_url: https://a.example}]}", `jwt.issuers[0]: the key "audiences" is missing; it says: values of aud, one of which the token must have`},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, algorithms: [HS256]}]}", `jwt.issuers[0].algorithms[0]: "HS256" is not known here; did you mean "RS256"?`},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, algorithms: [none]}]}", `jwt.issuers[0].algorithms[0]: "none" is not known here; one of ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512`},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, algorithms: []}]}", "jwt.issuers[0].algorithms: no algorithm is accepted; leave it out for all"},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, leeway: 1h}]}", "jwt.issuers[0].leeway: 1h0m0s is too long; at most 10m0s"},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, min_refresh_interval: 0s}]}", "jwt.issuers[0].min_refresh_interval: 0s is too short; at least 1s"},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, refresh: 10s}]}", "jwt.issuers[0].refresh: keys would be fetched more often than min_refresh_interval allows; the same or longer"},
		{"{issuers: [{" + ok + ", jwks_url: https://a.example, max_stale: 1m}]}", "jwt.issuers[0].max_stale: known keys would end before they are fetched again; at least as long as refresh"},
		{"{own: true}", "jwt.own: the gateway has no token endpoint; set oauth.issuer in headrace.yaml"},
		{"{issuers: [{" + ok + ", jwks_file: keys.json}]}", "jwt.issuers[0].jwks_file: is not an absolute path; for example /etc/headrace/partner-keys.json"},
		{"{issuers: [{" + ok + ", jwks_file: /nowhere/keys.json}]}", "jwt.issuers[0].jwks_file: the key set cannot be used: open /nowhere/keys.json: no such file or directory"},
		{"{issuers: [{" + ok + ", discovery: true}, {" + ok + ", discovery: true}]}", `jwt.issuers[1].issuer: the issuer "https://a.example" stands here twice; give each issuer once`},
	} {
		o := options(newState(quiet()), "", "")
		o.Policies = "jwt: " + c.settings
		if got := strings.Join(policytest.Problems(t, o), "\n"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.settings, got, c.want)
		}
	}
}

func TestSatisfies(t *testing.T) {
	o := options(newState(quiet()), "", "")
	for name, want := range map[string]bool{"bearer": true, "oauth": true, "oidc": true, "key": false} {
		if got := o.Kinds[0].Satisfies(o.Schemes[name]); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	o.Schemes["bearer"].HTTPScheme = "basic"
	if o.Kinds[0].Satisfies(o.Schemes["bearer"]) {
		t.Error("basic credentials are taken for tokens")
	}
}
