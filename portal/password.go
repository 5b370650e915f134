package portal

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

// hashing are the costs of a password: what OWASP's cheat sheet on password storage
// asks for at least (Argon2id with 19 MiB, two passes, one lane).
func hashing() *argon2id.Params {
	return &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

const (
	shortestPassword = 10 // characters
	longestPassword  = 200
	// hashesAtOnce bounds the memory and the processors that passwords take, and
	// mostWaiting how many wait for that: more would wait in vain.
	hashesAtOnce = 2
	mostWaiting  = 64
)

// passwords makes and compares hashes of passwords, some at a time.
type passwords struct {
	costs *argon2id.Params
	turn  chan struct{}
	line  chan struct{} // places for those who wait, or have their turn
	// nobody is the hash that is compared where there is no account: the answer
	// takes as long.
	nobody string
}

func newPasswords(costs *argon2id.Params) (*passwords, error) {
	hash, err := argon2id.CreateHash(newSecret(), costs)
	return &passwords{costs: costs, turn: make(chan struct{}, hashesAtOnce), line: make(chan struct{}, hashesAtOnce+mostWaiting), nobody: hash}, err
}

func (p *passwords) wait(ctx context.Context) (done func(), err error) {
	select {
	case p.line <- struct{}{}:
	default:
		return nil, &failure{status: http.StatusServiceUnavailable, problem: "many are signing in at the moment; try again shortly"}
	}
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn; <-p.line }, nil
	case <-ctx.Done():
		<-p.line
		return nil, ctx.Err()
	}
}

// hash makes the hash of a password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	done, err := p.wait(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, p.costs)
}

// right tells whether a password belongs to a hash. An empty hash belongs to none,
// and takes as long.
func (p *passwords) right(ctx context.Context, password, hash string) (bool, error) {
	done, err := p.wait(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if hash == "" || len(password) > longestPassword {
		_, err := argon2id.ComparePasswordAndHash("nobody", p.nobody)
		return false, err
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

// weak says why a password is not taken; empty when it is.
func weak(password, email, name string) string {
	someone, _, _ := strings.Cut(email, "@")
	small := strings.ToLower(password)
	switch n := utf8.RuneCountInString(password); {
	case n < shortestPassword:
		return fmt.Sprintf("a password has at least %d characters", shortestPassword)
	case len(password) > longestPassword:
		return fmt.Sprintf("a password has at most %d bytes", longestPassword)
	}
	for _, known := range []string{someone, email, name, "password", "passwort", "1234567890", "qwertyuiop", "abcdefghij", "letmein", "welcome"} {
		// What is left beside a word that everybody tries must be long enough by itself.
		if known = strings.ToLower(known); len(known) > 3 && strings.Contains(small, known) && len(small)-len(known) < shortestPassword-2 {
			return "this password is easy to guess"
		}
	}
	if strings.Count(small, small[:1]) == len(small) {
		return "this password is easy to guess"
	}
	return ""
}

// freshLogin is how long a log-in counts as just made.
const freshLogin = 10 * time.Minute

// proven tells whether the visitor knows the password of the account, or, where it has
// none, has just signed in. What changes how somebody proves who they are asks for it.
func (c *call) proven() error {
	ctx := c.Request().Context()
	a, err := c.portal.options.Store.Account(ctx, c.visitor.account)
	switch {
	case err != nil:
		return err
	case a.Password == "" && time.Since(c.visitor.session.Created) > freshLogin:
		return c.fail(http.StatusUnprocessableEntity, "this needs a fresh log-in; sign out, and in again")
	case a.Password == "":
		return nil
	}
	if err := c.portal.free(c, a.Email); err != nil {
		return err
	}
	right, err := c.portal.passwords.right(ctx, c.FormValue("current"), a.Password)
	if err == nil && !right {
		c.portal.wrong(c, a.Email)
		err = c.fail(http.StatusUnprocessableEntity, "the password is not right")
	}
	return err
}
