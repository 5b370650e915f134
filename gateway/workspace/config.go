// Package workspace reads a workspace directory and builds the gateway's table
// from it: everything that is wrong is reported together, and nothing wrong is
// first noticed at request time.
package workspace

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/lint"
	"github.com/headrace/headrace/specs/source"
)

// Config is headrace.yaml: what concerns the process rather than its APIs.
// limits.body, writes, telemetry.level and the files of tls take effect at once, the
// rest at the next start.
type Config struct {
	Listen    Listen        `yaml:"listen" doc:"Addresses to listen on, as HOST:PORT."`
	TLS       *TLS          `yaml:"tls" doc:"Certificates of the gateway's listener; plain HTTP when absent."`
	Limits    Limits        `yaml:"limits" doc:"Bounds on what a caller may send and how slowly."`
	Writes    Writes        `yaml:"writes" doc:"What the write buffer holds, and for how long."`
	Usage     Usage         `yaml:"usage" doc:"What is known of who uses what."`
	Stores    Stores        `yaml:"stores" doc:"Where counts are kept, and what holds among several replicas."`
	Admin     Admin         `yaml:"admin" doc:"The admin API."`
	Lint      lint.Settings `yaml:"lint" doc:"What headrace lint and publishing say of API documents."`
	OAuth     *OAuth        `yaml:"oauth" doc:"The gateway's own token endpoint for client credentials; none when absent."`
	Event     Event         `yaml:"event" doc:"Webhooks: how apps are told what becomes of their writes."`
	Portal    *Portal       `yaml:"portal" doc:"The developer portal; none when absent."`
	Telemetry Telemetry     `yaml:"telemetry" doc:"Logs. Traces and metrics are exported as the standard OTEL_* environment variables say."`
	Shutdown  Shutdown      `yaml:"shutdown" doc:"What happens on SIGTERM and SIGINT."`
	Node      source.Node   `yaml:",node"`
}

// Listen holds the addresses of the two listeners.
type Listen struct {
	Gateway string      `yaml:"gateway" default:"127.0.0.1:8080" doc:"Address for callers."`
	Admin   string      `yaml:"admin" default:"127.0.0.1:8081" doc:"Address for operators: health, metrics and the admin API."`
	Node    source.Node `yaml:",node"`
}

// TLS are the files of the gateway's listener.
type TLS struct {
	Certificate string      `yaml:"certificate" check:"required" doc:"PEM file of the certificate chain; an absolute path, or one inside the workspace."`
	Key         string      `yaml:"key" check:"required" doc:"PEM file of the private key; an absolute path outside the workspace is best."`
	ClientCA    string      `yaml:"client_ca" doc:"PEM file of the authorities whose client certificates are accepted (for the mtls policy)."`
	Node        source.Node `yaml:",node"`
}

// Limits protect the gateway against large and slow requests.
type Limits struct {
	Body       source.Size     `yaml:"body" default:"10MiB" min:"1B" doc:"Largest request body; the size policy may set less."`
	Header     source.Size     `yaml:"header" default:"64KiB" min:"1KiB" max:"16MiB" doc:"Largest request head."`
	ReadHeader source.Duration `yaml:"read_header" default:"10s" min:"1ms" doc:"Longest time for a request's head to arrive."`
	Read       source.Duration `yaml:"read" default:"60s" min:"1ms" doc:"Longest time for a whole request to arrive."`
	Write      source.Duration `yaml:"write" default:"60s" min:"1ms" doc:"Longest time that a caller may read nothing of its answer."`
	Idle       source.Duration `yaml:"idle" default:"120s" min:"1ms" doc:"How long an idle connection is kept."`
}

// Stores name the stores by one string each.
type Stores struct {
	Ledger    Ledger          `yaml:"ledger" default:"sqlite:headrace.db" doc:"Writes: sqlite:FILE for one process, or postgres://[USER[:${env:NAME}]@]HOST[:PORT]/DATABASE for several together. A relative FILE stands in STATE_DIRECTORY, or else in the folder .headrace of the workspace. Passwords are references, ${env:NAME} or ${file:/path}."`
	Counters  Counters        `yaml:"counters" default:"memory:" doc:"Rates, quotas, calls under way, and the systems' budgets: memory: for one process; redis://[USER:${env:NAME}@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST for several together, with rediss for TLS. Passwords are references, ${env:NAME} or ${file:/path}."`
	Replica   string          `yaml:"replica" doc:"Name of this process among the replicas, the same after a restart; the host's name when absent."`
	Alone     source.Duration `yaml:"alone" default:"1h" min:"10s" max:"24h" doc:"How long a replica that cannot reach Redis goes on with its share of the systems' budgets; the others leave it free as long."`
	Replicas  int             `yaml:"replicas" min:"0" doc:"The most replicas that ever run at a time, those of a rolling update included. With it, an empty Redis is used as soon as as many are there and none remembers anything, and not 5 s later; 0 when it is not known."`
	ColdStart string          `yaml:"cold_start" enum:"free,occupied" default:"free" doc:"What an empty Redis means when nobody remembers what was used: nothing was used (free), or everything (occupied), until the limits' own windows have passed."`
}

// Usage says how long it is known who used what.
type Usage struct {
	Keep  source.Duration `yaml:"keep" default:"400d" doc:"How long the calls of a day are known by version, operation, field and app; 0s for ever."`
	InUse source.Duration `yaml:"in_use" default:"30d" min:"1d" doc:"A version that was called within this time is in use: it is retired only with an override and a reason."`
}

// Admin is the admin API's access.
type Admin struct {
	Token source.Secret `yaml:"token" doc:"A bearer token for the admin API, in the role admin."`
	OIDC  *OIDC         `yaml:"oidc" doc:"People's identities at an issuer such as Keycloak, Entra or Okta; none when absent."`
	Open  bool          `yaml:"open" default:"true" doc:"Whether callers on loopback may act without a token, as long as there is neither token nor oidc nor an operator. Never on other addresses."`
}

// OAuth is the gateway's own token endpoint.
type OAuth struct {
	Issuer    string          `yaml:"issuer" check:"required" doc:"Address at which callers reach the gateway, for example https://api.example.com: the iss of the tokens."`
	Audience  string          `yaml:"audience" doc:"The aud of the tokens; the issuer when absent."`
	Algorithm string          `yaml:"algorithm" enum:"ES256,EdDSA" default:"ES256" doc:"How tokens are signed. After a change the old key is good until its tokens have ended."`
	Lifetime  source.Duration `yaml:"lifetime" default:"15m" min:"1m" max:"24h" doc:"How long a token is good for."`
	Rotation  source.Duration `yaml:"rotation" default:"30d" min:"2h" doc:"How long a key signs."`
	Overlap   source.Duration `yaml:"overlap" default:"1h" min:"10m" doc:"How long a key is published before it signs."`
	Secret    source.Secret   `yaml:"secret" doc:"What encrypts the private keys in the ledger: 64 hexadecimal digits (openssl rand -hex 32). When absent, a file oauth.key beside the ledger's is made; several replicas need the same secret."`
	Node      source.Node     `yaml:",node"`
}

// OIDC is an issuer whose tokens the admin API takes.
type OIDC struct {
	Issuer    string            `yaml:"issuer" check:"required" doc:"The token's iss, character by character; an https address, http on this machine alone."`
	Audience  source.Strings    `yaml:"audience" check:"required" doc:"Values of aud, one of which the token must have."`
	JWKSURL   string            `yaml:"jwks_url" doc:"Address of the issuer's key set; found by the issuer's discovery document when absent."`
	NameClaim string            `yaml:"name_claim" default:"sub" doc:"Claim that names the operator in the audit."`
	RoleClaim string            `yaml:"role_claim" default:"roles" doc:"Claim with the roles, a list or words with spaces: a name, or the path to a nested claim with dots, such as realm_access.roles or resource_access.headrace.roles. A dot in a name is written \\.; a claim of just this name at the top comes first."`
	Roles     map[string]string `yaml:"roles" check:"required" doc:"The role of each value of role_claim: viewer, operator, architect, partner-manager or admin. Who has none of them may do nothing; who has several has the rights of each."`
	Node      source.Node       `yaml:",node"`
}

// operatorRoles are what values of role_claim may stand for.
var operatorRoles = []string{"viewer", "operator", "architect", "partner-manager", "admin"}

func (o *OIDC) check(ps *source.Problems) {
	for key, address := range map[string]string{"issuer": o.Issuer, "jwks_url": o.JWKSURL} {
		u, err := url.Parse(address)
		if address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(net.JoinHostPort(u.Hostname(), "0")))) {
			ps.Add(o.Node.At(key), "is not an https address", "for example https://login.example.com/realms/staff")
		}
	}
	if steps := strings.Split(strings.ReplaceAll(o.RoleClaim, `\.`, "-"), "."); slices.Contains(steps, "") {
		ps.Add(o.Node.At("role_claim"), fmt.Sprintf("%q names no claim", o.RoleClaim), "a name, or names with dots between them, such as realm_access.roles")
	}
	if len(o.Roles) == 0 && o.Node.At("roles").Exists() {
		ps.Add(o.Node.At("roles"), "nobody would have a role", "VALUE: ROLE")
	}
	for value, role := range o.Roles {
		if !slices.Contains(operatorRoles, role) {
			ps.Add(o.Node.At("roles", value), fmt.Sprintf("there is no role %q", role), cmp.Or(source.DidYouMean(role, operatorRoles), strings.Join(operatorRoles, ", ")))
		}
	}
}

// plain tells two settings apart.
func (o *OIDC) plain() string {
	if o == nil {
		return ""
	}
	return fmt.Sprint(o.Issuer, o.Audience, o.JWKSURL, o.NameClaim, o.RoleClaim, o.Roles)
}

// OpenHere tells whether a listener on an address may be open at all.
func (a *Admin) OpenHere(address string) bool { return a.Open && loopback(address) }

// Telemetry sets the log.
type Telemetry struct {
	Level string `yaml:"level" enum:"debug,info,warn,error" default:"info" doc:"Least level that is logged."`
}

// Shutdown bounds the end.
type Shutdown struct {
	Delay source.Duration `yaml:"delay" default:"0s" doc:"How long to go on after readiness turned false, so that load balancers notice."`
	Drain source.Duration `yaml:"drain" default:"30s" doc:"How long requests under way may take to end."`
}

// ReadConfig reads headrace.yaml alone, with defaults for what is absent or
// wrong. What is wrong is reported by the first Reload, with everything else.
func ReadConfig(dir string) *Config {
	var ignored source.Problems
	c, err := readConfig(dir, &ignored)
	if err != nil {
		source.Decode(source.Node{}, c, &ignored)
	}
	return c
}

// CheckedConfig reads headrace.yaml alone, and refuses it when anything in it
// is wrong: with a *source.Error, or because there is no directory.
func CheckedConfig(dir string) (*Config, error) {
	var ps source.Problems
	c, err := readConfig(dir, &ps)
	if err != nil {
		return nil, err
	}
	return c, ps.Err()
}

func readConfig(dir string, ps *source.Problems) (*Config, error) {
	c := &Config{}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, err
	}
	defer root.Close()
	w := &Workspace{FS: root.FS()}
	source.Decode(w.read(ConfigFile, ps), c, ps)
	return c, nil
}

// Waiting names the keys in which now differs from what the process was started
// with, and that take effect at the next start only.
func (c *Config) Waiting(now *Config) []string {
	var keys []string
	differ := func(key string, a, b any) {
		if a != b {
			keys = append(keys, key)
		}
	}
	differ("listen.gateway", c.Listen.Gateway, now.Listen.Gateway)
	differ("listen.admin", c.Listen.Admin, now.Listen.Admin)
	differ("tls", c.TLS == nil, now.TLS == nil)
	differ("limits.header", c.Limits.Header, now.Limits.Header)
	differ("limits.read_header", c.Limits.ReadHeader, now.Limits.ReadHeader)
	differ("limits.read", c.Limits.Read, now.Limits.Read)
	differ("limits.write", c.Limits.Write, now.Limits.Write)
	differ("limits.idle", c.Limits.Idle, now.Limits.Idle)
	differ("stores.ledger", c.Stores.Ledger.String(), now.Stores.Ledger.String())
	differ("stores.counters", c.Stores.Counters.String(), now.Stores.Counters.String())
	differ("stores.replica", c.Stores.Replica, now.Stores.Replica)
	differ("stores.alone", c.Stores.Alone, now.Stores.Alone)
	differ("stores.replicas", c.Stores.Replicas, now.Stores.Replicas)
	differ("stores.cold_start", c.Stores.ColdStart, now.Stores.ColdStart)
	differ("admin.token", c.Admin.Token.String(), now.Admin.Token.String())
	differ("admin.oidc", c.Admin.OIDC.plain(), now.Admin.OIDC.plain())
	differ("admin.open", c.Admin.Open, now.Admin.Open)
	differ("shutdown", c.Shutdown, now.Shutdown)
	differ("oauth", c.OAuth.plain(), now.OAuth.plain())
	differ("event", c.Event.plain(), now.Event.plain())
	differ("portal", c.Portal.plain(), now.Portal.plain())
	return keys
}

// check finds what decoding cannot see.
func (c *Config) check(ps *source.Problems) {
	for key, address := range map[string]string{"gateway": c.Listen.Gateway, "admin": c.Listen.Admin} {
		if address == "" {
			continue // reported when it was read
		}
		if _, err := net.ResolveTCPAddr("tcp", address); err != nil {
			ps.Add(c.Node.At("listen", key), fmt.Sprintf("%q is not an address", address), "write HOST:PORT, for example 127.0.0.1:8080")
		}
	}
	if c.Listen.Gateway == c.Listen.Admin && c.Listen.Admin != "" && !strings.HasSuffix(c.Listen.Gateway, ":0") {
		ps.Add(c.Node.At("listen"), "the gateway and the admin API cannot share an address", "")
	}
	c.Lint.Verify(ps)
	if c.OAuth != nil {
		c.OAuth.check(c.Stores.Ledger, ps)
	}
	if c.Portal != nil {
		c.Portal.check(c.Listen, ps)
	}
	c.Event.check(c.Stores.Ledger, c.Node.Get("portal"), ps)
	c.Stores.Ledger.check(c.Node.At("stores", "ledger"), ps)
	c.Stores.check(c.Node.At("stores"), ps)
	if open := c.Node.At("admin", "open"); open.Exists() && c.Admin.Open && !loopback(c.Listen.Admin) {
		ps.Add(open, "the admin API cannot be open to the network", "listen.admin on 127.0.0.1, or leave it out")
	}
	if c.Admin.OIDC != nil {
		c.Admin.OIDC.check(ps)
	}
	if c.Admin.Token.IsZero() {
		return
	}
	if _, err := c.Admin.Token.Resolve(); err != nil {
		ps.Add(c.Node.At("admin", "token"), err.Error(), "")
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // reported as an address already
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
