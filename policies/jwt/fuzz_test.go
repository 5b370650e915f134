package jwt

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

// FuzzToken throws values of Authorization at the policy: it never panics, and
// identifies nobody but for the tokens that the issuer has signed.
func FuzzToken(f *testing.F) {
	rs, es := signers()["RS256"], signers()["ES256"]
	chain, problems := policytest.Compile(f, options(newState(quiet()), newIDP(f, rs, es).URL, ""))
	if problems != nil {
		f.Fatal(problems)
	}
	// Deterministic, so that nothing but these two can be right; they outlive every run.
	always := map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}
	good := []string{rs.sign(f, nil, always), es.sign(f, nil, always)}
	for _, token := range good {
		f.Add("Bearer " + token)
		f.Add("bearer  " + token[:len(token)-4])
		f.Add("Bearer " + token + "=")
	}
	f.Add("Bearer " + segments(map[string]any{"alg": "none", "kid": rs.id}, map[string]any{"iss": issuerName}, func(string) []byte { return nil }))
	f.Add("Bearer " + segments(`{"alg":"ES256","kid":["x"],"crit":{}}`, `{"iss":"`+issuerName+`","exp":1e400}`, hs256(nil)))
	f.Add("Basic x")
	f.Add("Bearer ..")
	f.Fuzz(func(t *testing.T, value string) {
		x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
		x.Request.Header["Authorization"] = []string{value}
		_, err := chain(x)
		scheme, token, _ := strings.Cut(value, " ")
		isBearer := strings.EqualFold(scheme, "bearer")
		token = strings.TrimSpace(token)
		right := isBearer && (token == good[0] || token == good[1])
		switch {
		case (x.App != nil) != right:
			t.Fatalf("%q identifies %v", value, x.App)
		case right != (err == nil) && isBearer:
			t.Fatalf("%q: %v", value, err)
		case isBearer == (x.Request.Header["Authorization"] != nil):
			t.Fatalf("%q stays: %v", value, x.Request.Header)
		}
	})
}

// FuzzKeys throws key sets at the parser: it never panics, and gives only keys
// that can verify signatures.
func FuzzKeys(f *testing.F) {
	for _, s := range signers() {
		f.Add(keySetOf(s))
	}
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"","e":"////"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			usable := false
			for _, algorithm := range algorithms {
				usable = usable || k.fits(algorithm)
			}
			if !usable {
				t.Fatalf("a key of %T fits nothing", k.public)
			}
		}
	})
}
