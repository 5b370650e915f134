package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/headrace/headrace/admin"
	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies/jwt"
	"github.com/headrace/headrace/specs/source"
)

// people are the operators that an issuer knows.
type people struct {
	checker *jwt.Checker
	roles   map[string]string
}

// newPeople reads admin.oidc; nil when there is none.
func newPeople(c *workspace.OIDC, p *parts) (admin.OIDC, error) {
	if c == nil {
		return nil, nil
	}
	var ps source.Problems
	i := jwt.Issuer{
		Issuer: c.Issuer, Audiences: c.Audience, JWKSURL: c.JWKSURL, Discovery: c.JWKSURL == "", AppClaim: c.NameClaim, ScopeClaim: c.RoleClaim,
	}
	checker := jwt.NewChecker(i, c.Node, p.log, &ps)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return &people{checker, c.Roles}, nil
}

// Login says whose token it is, and which roles its claims stand for.
func (p *people) Login(ctx context.Context, token string) (string, []registry.Role, error) {
	name, values, err := p.checker.Check(ctx, token)
	if err != nil {
		return "", nil, err
	}
	var roles []registry.Role
	for _, value := range values {
		if role := registry.Role(p.roles[value]); role != "" && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 {
		return "", nil, &gateway.Error{Problem: gateway.Forbidden, Detail: "the token has no role of admin.oidc.roles"}
	}
	return name, roles, nil
}

// bootstrap prints the token that makes the first operator, where nobody could
// act otherwise. It is written past the log, which may be told to say less.
func (s *server) bootstrap(ctx context.Context, out io.Writer) error {
	a := &s.config.Admin
	if !a.Token.IsZero() || a.OIDC != nil || a.OpenHere(s.config.Listen.Admin) {
		return nil
	}
	token, expires, err := s.registry.Bootstrap(ctx)
	if err != nil || token == "" {
		return err
	}
	line, err := json.Marshal(struct {
		Time    time.Time `json:"time"`
		Level   string    `json:"level"`
		Message string    `json:"msg"`
		Token   string    `json:"bootstrap_token"`
		Expires time.Time `json:"expires"`
	}{time.Now(), "WARN", "there is no operator yet: make the first one, of role admin, with this token, which is shown only now", token, expires})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}
