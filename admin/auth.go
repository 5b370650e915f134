package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/registry"
)

// identity is who calls.
type identity struct {
	name  string
	roles []registry.Role
	// shared tells that several people may stand behind it, who say by
	// themselves who they are.
	shared bool
}

func admins() []registry.Role { return []registry.Role{registry.Admin} }

// Names of callers that are no operators. Names of operators have neither dots nor colons.
const (
	issuedBy  = "oidc:"       // before the name that the issuer has for somebody
	tokenName = "admin.token" // who has the token of headrace.yaml
	localName = "admin.open"  // who calls from this machine while that is open
)

// OIDC checks the tokens of an issuer of people's identities.
type OIDC interface {
	// Login says whose token it is, and which roles they have, if any. A
	// *gateway.Error is told to the caller.
	Login(ctx context.Context, token string) (name string, roles []registry.Role, err error)
}

// digest is what is kept of the token. The zero value means that there is none.
type digest struct {
	sum [sha256.Size]byte
	set bool
}

func newDigest(token string) digest {
	if token == "" {
		return digest{}
	}
	return digest{sum: sha256.Sum256([]byte(token)), set: true}
}

// matches takes the same time whatever is offered.
func (d digest) matches(offered string) bool {
	sum := sha256.Sum256([]byte(offered))
	return subtle.ConstantTimeCompare(sum[:], d.sum[:]) == 1
}

const (
	bearerChallenge = `Bearer realm="headrace"`
	basicChallenge  = `Basic realm="headrace", charset="UTF-8"`
)

// program finds out who calls the admin API.
func (a *admin) program(c echo.Context) (identity, error) {
	return a.authenticate(c, bearerChallenge, bearer(c))
}

// person lets a browser through as well, which can only send the token as a
// password. The routes behind it must change nothing: browsers send passwords
// with requests that other sites have caused.
func (a *admin) person(c echo.Context) (identity, error) {
	offered := bearer(c)
	if _, password, ok := c.Request().BasicAuth(); ok {
		offered = password
	}
	return a.authenticate(c, basicChallenge, offered)
}

func (a *admin) authenticate(c echo.Context, challenge, offered string) (identity, error) {
	if offered == "" {
		open, err := a.open(c.Request().Context())
		switch {
		case err != nil:
			return identity{}, err
		case open:
			return identity{localName, admins(), true}, namedPlainly(c.Request().Host)
		}
		return identity{}, &gateway.Error{Problem: gateway.Unauthenticated, Detail: "send the token of an operator", Challenge: challenge}
	}
	key, now := guessed(c.Request().RemoteAddr, offered), time.Now()
	if left := a.guard.Blocked(key, now); left > 0 {
		return identity{}, &gateway.Error{Problem: gateway.TooManyGuesses, Detail: "too many wrong tokens came from this address", RetryAfter: left}
	}
	who, err := a.login(c.Request().Context(), offered)
	if e := (*gateway.Error)(nil); err != nil {
		if e = gateway.AsError(err); e.Problem == gateway.InvalidCredentials {
			a.guard.Wrong(key, now)
			e.Challenge = challenge + `, error="invalid_token"`
			a.options.Log.Warn("a wrong admin token was refused", "address", c.Request().RemoteAddr, "request_id", requestID(c), "error", e.Error())
		}
		return identity{}, e
	}
	a.guard.Right(key)
	return who, nil
}

// guessed is what wrong tokens are counted by: where they come from, and of
// which of the three sorts they are.
func guessed(address, token string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	switch {
	case registry.IsToken(token):
		return address + " operator"
	case strings.Count(token, ".") == 2:
		return address + " oidc"
	}
	return address + " token"
}

// login finds whose token it is.
func (a *admin) login(ctx context.Context, token string) (identity, error) {
	switch {
	case a.token.set && a.token.matches(token):
		return identity{tokenName, admins(), true}, nil
	case registry.IsToken(token) && a.options.Registry != nil:
		l, err := a.options.Registry.Login(ctx, token)
		switch {
		case err != nil:
			return identity{}, err
		case l.Expired:
			return identity{}, &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the token has expired"}
		case l.Name != "":
			return identity{name: l.Name, roles: []registry.Role{l.Role}}, nil
		}
	case a.options.OIDC != nil && strings.Count(token, ".") == 2:
		name, roles, err := a.options.OIDC.Login(ctx, token)
		return identity{name: issuedBy + name, roles: roles}, err
	}
	return identity{}, &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the token is wrong"}
}

// open tells whether callers need no token: on loopback, as long as there is
// nobody who could have one.
func (a *admin) open(ctx context.Context) (bool, error) {
	if !a.options.Open || a.token.set || a.options.OIDC != nil {
		return false, nil
	}
	if a.options.Registry == nil {
		return true, nil
	}
	has, err := a.options.Registry.HasOperators(ctx)
	return !has && err == nil, err
}

func bearer(c echo.Context) string {
	scheme, token, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// namedPlainly refuses requests that do not name this machine by an address or
// as localhost. Without a token, a site whose name was made to point to
// 127.0.0.1 (DNS rebinding) could otherwise read the answers.
func namedPlainly(host string) error {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return nil
	}
	return &gateway.Error{Problem: gateway.Forbidden, Detail: "without an admin token, call this by an IP address or as localhost"}
}
