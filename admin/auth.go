package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
)

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

// program lets callers of the admin API through.
func (a *admin) program(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := a.authorise(c, `Bearer realm="headrace"`, bearer(c)); err != nil {
			return err
		}
		return next(c)
	}
}

// person lets a browser through as well, which can only send the token as a
// password. The routes behind it must change nothing: browsers send passwords
// with requests that other sites have caused.
func (a *admin) person(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		offered := bearer(c)
		if _, password, ok := c.Request().BasicAuth(); ok {
			offered = password
		}
		if err := a.authorise(c, `Basic realm="headrace", charset="UTF-8"`, offered); err != nil {
			return err
		}
		return next(c)
	}
}

func (a *admin) authorise(c echo.Context, challenge, offered string) error {
	switch {
	case !a.token.set:
		return namedPlainly(c.Request().Host)
	case offered == "":
		return &gateway.Error{Problem: gateway.Unauthenticated, Detail: "send the admin token", Challenge: challenge}
	case !a.token.matches(offered):
		a.options.Log.Warn("a wrong admin token was refused", "address", c.Request().RemoteAddr, "request_id", requestID(c))
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the admin token is wrong", Challenge: challenge}
	}
	return nil
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
