package jwt

import (
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Issuers []Issuer `yaml:"issuers" doc:"Who may sign tokens, each with its keys and rules."`
	Own     bool     `yaml:"own" doc:"Whether tokens of the gateway's own token endpoint are accepted (oauth in headrace.yaml)."`
	Forward bool     `yaml:"forward" doc:"Whether the Authorization header stays in the request; it is removed otherwise."`
}

// Issuer is one party whose tokens are accepted.
type Issuer struct {
	Issuer             string          `yaml:"issuer" check:"required" doc:"The token's iss, character by character."`
	JWKSURL            string          `yaml:"jwks_url" doc:"Address of the issuer's key set. One of jwks_url, jwks_file and discovery is given."`
	JWKSFile           string          `yaml:"jwks_file" doc:"Absolute path of a file with the issuer's key set."`
	Discovery          bool            `yaml:"discovery" doc:"Read the address of the key set from the issuer's /.well-known/openid-configuration."`
	Audiences          source.Strings  `yaml:"audiences" check:"required" doc:"Values of aud, one of which the token must have."`
	Algorithms         []string        `yaml:"algorithms" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA" doc:"Algorithms that are accepted; all of these when absent."`
	AppClaim           string          `yaml:"app_claim" doc:"Claim that names the app; client_id, else azp, when absent."`
	ScopeClaim         string          `yaml:"scope_claim" doc:"Claim with the scopes, or the path to one with dots, such as realm_access.roles; scope, else scp, when absent."`
	Leeway             source.Duration `yaml:"leeway" default:"30s" doc:"By how much the issuer's clock may differ."`
	Refresh            source.Duration `yaml:"refresh" default:"15m" doc:"Age at which keys are fetched again."`
	MaxStale           source.Duration `yaml:"max_stale" default:"24h" doc:"How long known keys go on while the issuer cannot be reached."`
	MinRefreshInterval source.Duration `yaml:"min_refresh_interval" default:"30s" doc:"Least time between two attempts to fetch keys."`

	own bool // it is the gateway's own token endpoint
}

// Own is the gateway's own token endpoint, as far as its tokens are checked.
type Own interface {
	// Name is the iss of its tokens, Audience their aud.
	Name() string
	Audience() string
	// Key is the public key of a kid and the only algorithm that it is good
	// for; nil when there is none.
	Key(id string) (public crypto.PublicKey, algorithm string)
	// Revoked tells that a token (its jti) is refused.
	Revoked(token string) bool
}

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// maxLeeway keeps ended tokens from living on by a slip of the pen.
const maxLeeway = 10 * time.Minute

// check reports what is wrong with the settings beyond their types.
func (s *Settings) check(b *gateway.Binding, own Own) {
	nodes := b.Settings.At("issuers").Items()
	switch {
	case s.Own && own == nil:
		b.Problems.Add(b.Settings.At("own"), "the gateway has no token endpoint", "set oauth.issuer in headrace.yaml")
	case len(s.Issuers) == 0 && !s.Own:
		b.Problems.Add(b.Settings.At("issuers"), "no issuer is given", "list at least one, or set own: true")
	}
	for i := range s.Issuers {
		s.Issuers[i].check(nodes[i], b.Problems)
		if s.Own && own != nil && own.Name() == s.Issuers[i].Issuer {
			b.Problems.Add(nodes[i].At("issuer"), "is the gateway itself", "own: true is enough")
		}
		for _, other := range s.Issuers[:i] {
			if other.Issuer == s.Issuers[i].Issuer {
				b.Problems.Add(nodes[i].At("issuer"), fmt.Sprintf("the issuer %q stands here twice", other.Issuer), "give each issuer once")
			}
		}
	}
}

func (i *Issuer) check(n source.Node, ps *source.Problems) {
	if i.Issuer == "" {
		ps.Add(n.At("issuer"), "the issuer is empty", "the token's iss")
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		ps.Add(n.At("audiences"), "an audience is empty or missing", "the values of aud that tokens for this API have")
	}
	i.checkSource(n, ps)
	if err := CheckClaim(i.ScopeClaim); i.ScopeClaim != "" && err != nil {
		ps.Add(n.At("scope_claim"), err.Error(), "a name, or names with dots between them, such as realm_access.roles")
	}
	switch {
	case i.Leeway.Std() > maxLeeway:
		ps.Add(n.At("leeway"), fmt.Sprintf("%s is too long", i.Leeway), "at most "+maxLeeway.String())
	case i.MinRefreshInterval.Std() < time.Second:
		ps.Add(n.At("min_refresh_interval"), fmt.Sprintf("%s is too short", i.MinRefreshInterval), "at least 1s")
	case i.Refresh < i.MinRefreshInterval:
		ps.Add(n.At("refresh"), "keys would be fetched more often than min_refresh_interval allows", "the same or longer")
	case i.MaxStale < i.Refresh:
		ps.Add(n.At("max_stale"), "known keys would end before they are fetched again", "at least as long as refresh")
	}
	if i.Algorithms == nil {
		i.Algorithms = algorithms
	}
	if len(i.Algorithms) == 0 {
		ps.Add(n.At("algorithms"), "no algorithm is accepted", "leave it out for all")
	}
}

func (i *Issuer) checkSource(n source.Node, ps *source.Problems) {
	given := 0
	if i.JWKSURL != "" {
		given++
		if err := checkURL(i.JWKSURL); err != nil {
			ps.Add(n.At("jwks_url"), err.Error(), "for example https://login.example.com/keys")
		}
	}
	if i.JWKSFile != "" {
		given++
		if !filepath.IsAbs(i.JWKSFile) {
			ps.Add(n.At("jwks_file"), "is not an absolute path", "for example /etc/headrace/partner-keys.json")
		}
	}
	if i.Discovery {
		given++
		if err := checkURL(i.Issuer); err != nil {
			ps.Add(n.At("issuer"), "discovery needs an address: "+err.Error(), "for example https://login.example.com")
		}
	}
	if given != 1 {
		ps.Add(n, fmt.Sprintf("says %d times where the keys are", given), "give one of jwks_url, jwks_file and discovery")
	}
}

// checkURL tells what keeps an address from being asked for keys: whoever can
// change them on the way can sign anything.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return errors.New("is not the address of a key set")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("keys must come over https")
	}
	return errors.New("is not an https address")
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// sameServer tells whether two addresses are served by the same host and port.
func sameServer(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && net.JoinHostPort(a.Hostname(), port(a)) == net.JoinHostPort(b.Hostname(), port(b))
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
