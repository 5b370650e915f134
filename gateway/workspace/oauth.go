package workspace

import (
	"net/url"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// SecretLength is the length of oauth.secret in bytes.
const SecretLength = 32

func (o *OAuth) check(l Ledger, ps *source.Problems) {
	if u, err := url.Parse(o.Issuer); o.Issuer != "" {
		switch {
		case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			ps.Add(o.Node.At("issuer"), "is not the address of a gateway", "for example https://api.example.com")
		case u.Scheme != "https" && !(u.Scheme == "http" && loopback(withPort(u))):
			ps.Add(o.Node.At("issuer"), "secrets and tokens must go over https", "for example https://api.example.com")
		}
	}
	if o.Overlap >= o.Rotation {
		ps.Add(o.Node.At("overlap"), "a key would be published for longer than it signs", "less than rotation")
	}
	if o.Secret.IsZero() {
		if strings.HasPrefix(l.String(), "postgres") {
			ps.Add(o.Node, "the secret is missing: replicas that share a ledger need the same one", "set oauth.secret to ${env:NAME}, 64 hexadecimal digits (openssl rand -hex 32)")
		}
		return
	}
	if _, err := o.Key(); err != nil {
		ps.Add(o.Node.At("secret"), err.Error(), "openssl rand -hex 32 makes one")
	}
}

func withPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":80"
	}
	return u.Host
}

// Key reads the secret. The error never repeats it.
func (o *OAuth) Key() ([]byte, error) { return hexKey(o.Secret) }

// plain is everything but where it stands, to be compared.
func (o *OAuth) plain() OAuth {
	if o == nil {
		return OAuth{}
	}
	p := *o
	p.Node = source.Node{}
	return p
}
