package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds what is looked at at all.
const maxToken = 16 << 10

// verifier has the rules of one configuration of the policy. It is shared by
// all operations and tables that are configured alike.
type verifier struct {
	id      uint64
	issuers []*issuer
	cache   *cache
}

// issuer is one party whose tokens are accepted, ready for use.
type issuer struct {
	Issuer
	keys      keys
	validator *jwt.Validator
}

// keys are where the keys of an issuer come from.
type keys interface {
	// find is the key for a token.
	find(ctx context.Context, algorithm, id string) (*key, error)
	// alive tells whether what the keys verified still holds.
	alive(c *claims, now time.Time) bool
}

// claims are what a verified token says. They are shared and must not be changed.
type claims struct {
	issuer  int // index in the verifier's issuers
	app     string
	token   string // its jti; empty when it has none
	scopes  []string
	expires time.Time
	key     *key
}

// The parser is strict about base64, so that one token has one spelling.
var parser = jwt.NewParser(jwt.WithStrictDecoding())

var (
	errTooLong   = errors.New("the token is too long")
	errMalformed = errors.New("the token is malformed")
	errRevoked   = errors.New("the token has been revoked")
	errNoApp     = errors.New("the token names no client")
)

// verify checks a token, or remembers that it was checked. The error is
// *unavailable when the keys to check it with are not there.
func (v *verifier) verify(ctx context.Context, token string) (*claims, error) {
	if len(token) > maxToken {
		return nil, errTooLong
	}
	now := time.Now()
	id := tokenID{digest: sha256.Sum256([]byte(token)), verifier: v.id}
	if c := v.cache.get(&id, now); c != nil && v.issuers[c.issuer].keys.alive(c, now) {
		return c, nil
	}
	c, err := v.check(ctx, token)
	if err != nil {
		return nil, err
	}
	if now.Before(c.expires) { // not those that only the leeway lets through
		v.cache.put(&id, c, now)
	}
	return c, nil
}

// check verifies header, signature and claims, in this order.
func (v *verifier) check(ctx context.Context, token string) (*claims, error) {
	said := jwt.MapClaims{}
	if strings.ContainsAny(token, "\r\n") { // base64 would read over them
		return nil, errMalformed
	}
	parsed, parts, err := parser.ParseUnverified(token, said)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	name, _ := said["iss"].(string)
	n := slices.IndexFunc(v.issuers, func(i *issuer) bool { return i.Issuer.Issuer == name })
	if n < 0 {
		return nil, fmt.Errorf("the issuer %.100q is not known", name)
	}
	iss := v.issuers[n]
	id, err := iss.checkHeader(parsed)
	if err != nil {
		return nil, err
	}
	k, err := iss.keys.find(ctx, parsed.Method.Alg(), id)
	if err != nil {
		return nil, err
	}
	if err := parsed.Method.Verify(token[:len(parts[0])+1+len(parts[1])], parsed.Signature, k.public); err != nil {
		return nil, fmt.Errorf("the signature is wrong: %w", err)
	}
	if err := iss.validator.Validate(said); err != nil {
		return nil, err
	}
	return iss.read(n, said, k)
}

// checkHeader looks at what the header of a token demands, before anything of
// it is used, and returns the kid.
func (i *issuer) checkHeader(t *jwt.Token) (id string, err error) {
	if !slices.Contains(i.Algorithms, t.Method.Alg()) {
		return "", fmt.Errorf("the algorithm %s is not accepted", t.Method.Alg())
	}
	if _, ok := t.Header["crit"]; ok {
		return "", errors.New("the token demands extensions (crit), and none is understood")
	}
	if typ, ok := t.Header["typ"]; ok {
		text, _ := typ.(string)
		switch strings.TrimPrefix(strings.ToLower(text), "application/") {
		case "jwt", "at+jwt":
		default:
			return "", fmt.Errorf("tokens of the type %.100q are not accepted", text)
		}
	}
	kid, ok := t.Header["kid"]
	if !ok {
		return "", nil
	}
	if id, _ = kid.(string); id == "" {
		return "", errors.New("the kid is empty or not a text")
	}
	return id, nil
}

// read takes from the claims what the gateway needs.
func (i *issuer) read(n int, said jwt.MapClaims, k *key) (*claims, error) {
	c := &claims{issuer: n, key: k}
	for _, name := range names(i.AppClaim, "client_id", "azp") {
		if c.app, _ = said[name].(string); c.app != "" {
			break
		}
	}
	if c.app == "" {
		return nil, errNoApp
	}
	for _, name := range names(i.ScopeClaim, "scope", "scp") {
		if value, ok := lookUp(said, name); ok {
			c.scopes = scopes(value)
			break
		}
	}
	expires, err := said.GetExpirationTime()
	if err != nil || expires == nil {
		return nil, jwt.ErrTokenRequiredClaimMissing
	}
	c.expires = expires.Time
	c.token, _ = said["jti"].(string)
	if i.own && !i.keys.alive(c, time.Now()) {
		return nil, errRevoked
	}
	return c, nil
}

// names are the claims that are looked at: the configured one alone, else the usual ones.
func names(configured string, usual ...string) []string {
	if configured != "" {
		return []string{configured}
	}
	return usual
}

// lookUp finds a claim: the one of just this name, or else the one to which the
// name leads as a path whose steps are separated by dots. A dot that belongs to
// a step has a backslash before it, as in Keycloak's mappers.
func lookUp(said map[string]any, name string) (any, bool) {
	if value, ok := said[name]; ok {
		return value, true
	}
	var value any = said
	for _, step := range steps(name) {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = inner[step]; !ok {
			return nil, false
		}
	}
	return value, true
}

// steps splits a path at its dots.
func steps(path string) []string {
	list := []string{""}
	for i := 0; i < len(path); i++ {
		last := &list[len(list)-1]
		switch {
		case path[i] == '\\' && i+1 < len(path):
			i++
			*last += path[i : i+1]
		case path[i] == '.':
			list = append(list, "")
		default:
			*last += path[i : i+1]
		}
	}
	return list
}

// CheckClaim tells what keeps a text from being the name of a claim, or a path to one.
func CheckClaim(name string) error {
	if slices.Contains(steps(name), "") {
		return fmt.Errorf("%q names no claim", name)
	}
	return nil
}

// scopes reads a text with spaces (RFC 8693, section 4.2) or a list.
func scopes(value any) []string {
	switch value := value.(type) {
	case string:
		return strings.Fields(value)
	case []any:
		var list []string
		for _, item := range value {
			if s, ok := item.(string); ok && s != "" {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
