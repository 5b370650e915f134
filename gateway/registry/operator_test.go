package registry

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

func (w *world) login(token string) Login {
	w.Helper()
	l, err := w.r.Login(w.ctx, token)
	w.ok(err)
	return l
}

func TestOperators(t *testing.T) {
	w := newWorld(t)
	made, token, err := w.r.NewOperator(w.ctx, by, "ada", Operator{Role: Admin})
	w.ok(err)
	if l := w.login(token); !IsToken(token) || l != (Login{"ada", Admin, false}) {
		t.Errorf("%s is of %v", token, l)
	}
	e, err := w.ledger.Entry(w.ctx, KindOperator, "ada")
	w.ok(err)
	if len(e.Secret) != 32 || strings.Contains(string(e.Body), token[len(tokenStart)+tokenPrefixLength:]) {
		t.Errorf("what is kept: %s %x", e.Body, e.Secret)
	}
	for _, wrong := range []string{"", "hra_", token + "a", token[:len(token)-1], strings.ToUpper(token), strings.Replace(token, "hra_", "hr_", 1)} {
		if l := w.login(wrong); l.Name != "" {
			t.Errorf("%q is of %v", wrong, l)
		}
	}
	_, _, err = w.r.NewOperator(w.ctx, by, "Ada", Operator{Role: Admin})
	w.faulty(err, `"Ada" is not a name`)
	_, _, err = w.r.NewOperator(w.ctx, by, "eve", Operator{Role: Bootstrap})
	w.faulty(err, "role")
	past := time.Now().Add(-time.Hour)
	_, _, err = w.r.NewOperator(w.ctx, by, "eve", Operator{Role: Viewer, Expires: &past})
	w.refused(err, Invalid, "would have expired")
	_, _, err = w.r.RenewOperator(w.ctx, by, "ada", &past, ledger.Any)
	w.refused(err, Invalid, "would have expired")
	_, _, err = w.r.RenewOperator(w.ctx, by, "eve", nil, ledger.Any)
	w.refused(err, NotFound, "eve")
	_, next, err := w.r.RenewOperator(w.ctx, by, "ada", nil, ledger.Match(made.Revision))
	w.ok(err)
	if w.login(token).Name != "" || w.login(next).Name != "ada" {
		t.Error("the old token works, or the new one does not")
	}
	_, err = w.r.EndOperator(w.ctx, by, "ada", ledger.Any)
	w.refused(err, InUse, "last admin")
	soon := time.Now().Add(time.Minute)
	_, _, err = w.r.NewOperator(w.ctx, by, "bob", Operator{Role: Admin, Expires: &soon})
	w.ok(err)
	_, err = w.r.EndOperator(w.ctx, by, "ada", ledger.Any)
	w.ok(err)
	if w.login(next).Name != "" {
		t.Error("an ended operator's token works")
	}
}

// Replicas that start together print one token.
func TestBootstrapIsOne(t *testing.T) {
	w := newWorld(t)
	tokens := make([]string, 4)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], _, err = w.r.Bootstrap(w.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	token := strings.Join(tokens, "")
	if l := w.login(token); l.Role != Bootstrap || l.Expired {
		t.Fatalf("the tokens are %q", tokens)
	}
	first := ledger.By{Actor: bootstrapName, Role: string(Bootstrap)}
	_, _, err := w.r.NewOperator(w.ctx, first, "vic", Operator{Role: Viewer})
	w.refused(err, Invalid, "has to be an admin")
	_, _, err = w.r.NewOperator(w.ctx, first, "ada", Operator{Role: Admin})
	w.ok(err)
	_, _, err = w.r.NewOperator(w.ctx, first, "eve", Operator{Role: Admin})
	w.refused(err, State, "an operator already")
	if l := w.login(token); l.Name != "" {
		t.Errorf("the bootstrap token is of %v", l)
	}
}

func TestClientsOfTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	w.consumers()
	accepts := func(id, secret string) bool {
		w.ok(w.live.Reload())
		return w.gateway.Table().Consumers.ByOAuthClient(id, time.Now()).Accepts(secret)
	}
	c, secret, err := w.r.NewClient(w.ctx, by, "shop", "till", []string{"read"}, nil)
	w.ok(err)
	if !accepts(c.Name, secret) || accepts(c.Name, secret+"x") {
		t.Error("the client is not known by its secret")
	}
	_, second, err := w.r.NewClient(w.ctx, by, "shop", "", nil, nil)
	w.ok(err)
	if second == secret {
		t.Error("two clients have the same secret")
	}
	_, _, err = w.r.NewClient(w.ctx, by, "shop", "", nil, nil)
	w.refused(err, TooMany, "2 live clients")
	_, _, err = w.r.NewClient(w.ctx, by, "none", "", nil, nil)
	w.refused(err, NotFound, "none")
	past := time.Now().Add(-time.Hour)
	_, _, err = w.r.NewClient(w.ctx, by, "shop", "", nil, &past)
	w.refused(err, Invalid, "would have expired")
	_, err = w.r.Revoke(w.ctx, by, c.Name, ledger.Any)
	w.ok(err)
	if accepts(c.Name, secret) {
		t.Error("a revoked client is accepted")
	}
	_, _, err = w.r.AddCredential(w.ctx, by, []byte(`{"app":"shop","type":"oauth","id":"hrc_1"}`))
	w.refused(err, Invalid, "not handed in")
	_, _, err = w.r.AddCredential(w.ctx, by, []byte(`{"app":"shop","type":"client","issuer":"https://a","id":"b","scopes":["c"]}`))
	w.faulty(err, "scopes")
	_, _, err = w.r.RotateKey(w.ctx, by, c.Name, time.Hour, nil, ledger.Any)
	w.refused(err, Invalid, "of the type oauth")
}
