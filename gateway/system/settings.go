package system

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// Settings is a system's file, systems/NAME.yaml.
type Settings struct {
	Title             string                 `yaml:"title" doc:"Name as shown to people."`
	Profile           string                 `yaml:"profile" doc:"What the gateway knows of this kind of system: its limits, signs of overload, reports and probes; see headrace profiles. What stands in this file comes first."`
	Facts             map[string]budget.Fact `yaml:"facts" doc:"What the formulas of limits need to know of the licence, by name; the profile says which."`
	Account           string                 `yaml:"account" doc:"The account or tenant at the system, for limits whose scope has {account}."`
	Dialect           string                 `yaml:"dialect" enum:"rest,jsonrpc" default:"rest" doc:"How the system speaks."`
	URL               string                 `yaml:"url" check:"required" doc:"Where the system is: http or https, host, and the path that all its calls begin with."`
	Credentials       Credentials            `yaml:"credentials" doc:"How the gateway proves to the system who it is."`
	Timeout           source.Duration        `yaml:"timeout" default:"30s" min:"1ms" doc:"Longest time that the system may take for one call, unless the operation says otherwise; also the longest pause within its answer. An answer that is passed on as it arrives may take 15m, but where a limit counts calls at once only 5s longer than this."`
	Connections       Connections            `yaml:"connections" doc:"Connections to the system."`
	Breaker           Breaker                `yaml:"breaker" doc:"When the gateway leaves the system alone for a while."`
	Limits            []budget.Limit         `yaml:"limits" doc:"The system's own limits; every call passes all of them."`
	Line              Line                   `yaml:"line" doc:"Bounds of the calls that wait for room in the limits."`
	Overload          []OverloadSign         `yaml:"overload" doc:"How the system says that it is saturated; the first sign that fits counts. With none, 429 says so in the dialect rest."`
	Reports           []Report               `yaml:"reports" doc:"What the system's answers tell of its limits."`
	Probes            []Probe                `yaml:"probes" doc:"What the system is asked of its limits, at a pace of its own."`
	Errors            []ErrorSign            `yaml:"errors" doc:"What the system's errors mean; the first sign that fits counts."`
	CorrelationHeader string                 `yaml:"correlation_header" default:"X-Correlation-Id" doc:"Header that carries the correlation id to the system."`
	Forwarded         string                 `yaml:"forwarded" enum:"replace,append,off" default:"replace" doc:"What the system learns of the caller's address in X-Forwarded-*: the address alone, the address after those that the caller sent, or nothing."`
	PassOn            source.Strings         `yaml:"pass_on" doc:"Headers that are withheld otherwise: Authorization, Cookie and Proxy-Authorization of the caller, Set-Cookie of the system."`
	ServerErrors      string                 `yaml:"server_errors" enum:"problem,pass" default:"problem" doc:"Whether an answer of 500 or more becomes a 502 problem, or is passed to the caller as it came."`
	Redirects         string                 `yaml:"redirects" enum:"problem,pass" default:"problem" doc:"Whether a redirect becomes a 502 problem, or is passed to the caller. It is never followed."`
	Answer            source.Size            `yaml:"answer" default:"10MiB" min:"1" doc:"Largest answer that is read into memory to be mapped."`
	Mapping           MappingLimits          `yaml:"mapping" doc:"Bounds of one run of a mapping."`
	JSONRPC           *JSONRPCSettings       `yaml:"jsonrpc" doc:"Particulars of the dialect jsonrpc."`
	Node              source.Node            `yaml:",node"`
}

// Connections sets up the connections to a system.
type Connections struct {
	Max       int             `yaml:"max" default:"64" min:"1" doc:"Most connections at a time; further calls wait for one."`
	Idle      source.Duration `yaml:"idle" default:"30s" min:"1ms" doc:"How long an unused connection is kept. It must be less than the system keeps it."`
	HTTP2     bool            `yaml:"http2" default:"false" doc:"Whether HTTP/2 is spoken where the system offers it; only with https."`
	KeepAlive bool            `yaml:"keep_alive" default:"true" doc:"Whether connections are used again. Some servers close them without saying so; then it must be false."`
	Dial      source.Duration `yaml:"dial" default:"10s" min:"1ms" doc:"Longest time to connect, TLS included."`
	Node      source.Node     `yaml:",node"`
}

// Line bounds the calls that wait for a system.
type Line struct {
	Calls int         `yaml:"calls" default:"10000" min:"1" doc:"Most calls that wait at a time. In a full line, less urgent calls make way for more urgent ones, and within a class the latest call of the app that has most of them makes way for an app that has fewer."`
	Bytes source.Size `yaml:"bytes" default:"64MiB" min:"1" doc:"Most memory that their bodies hold."`
	App   float64     `yaml:"app" default:"100" min:"1" max:"100" doc:"Percentage of both that the calls of one app and class may take at most, even where nobody else waits."`
	Node  source.Node `yaml:",node"`
}

func (l Line) bounds() budget.Bounds {
	return budget.Bounds{Calls: l.Calls, Bytes: int64(l.Bytes), AppShare: l.App / 100}
}

// MappingLimits bound one run of a mapping.
type MappingLimits struct {
	Time   source.Duration `yaml:"time" default:"100ms" min:"1ms" max:"10s" doc:"Longest time."`
	Output source.Size     `yaml:"output" default:"1MiB" min:"1" doc:"Largest result."`
	Node   source.Node     `yaml:",node"`
}

func (m MappingLimits) limits() mapping.Limits {
	return mapping.Limits{Time: m.Time.Std(), Output: int64(m.Output)}
}

// withheld are the headers that pass_on may name.
var withheld = []string{"Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"}

// check finds what decoding cannot see, and parses the URL. It is nil after a problem with it.
func (s *Settings) check(ps *source.Problems) *url.URL {
	if !httpguts.ValidHeaderFieldName(s.CorrelationHeader) || reserved(s.CorrelationHeader) {
		ps.Add(s.Node.At("correlation_header"), fmt.Sprintf("%q cannot be used as a header", s.CorrelationHeader), "for example X-Correlation-Id")
	}
	for _, name := range s.PassOn {
		if !slices.Contains(withheld, http.CanonicalHeaderKey(name)) {
			ps.Add(s.Node.At("pass_on"), fmt.Sprintf("%q is not a header that is withheld", name), source.DidYouMean(name, withheld))
		}
	}
	budget.Check(s.Limits, nil, ps)
	return s.checkURL(ps)
}

func (s *Settings) checkURL(ps *source.Problems) *url.URL {
	if !s.Node.Get("url").Exists() {
		return nil // reported as missing
	}
	at := s.Node.At("url")
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		ps.Add(at, "is not a URL", "write for example https://erp.example.com/api") // the text may hold a password
	case u.User != nil:
		ps.Add(at, "a URL must not hold a user or a password", "use credentials, with references to secrets")
	case u.Scheme != "http" && u.Scheme != "https":
		ps.Add(at, fmt.Sprintf("the scheme %q is not supported", u.Scheme), "http or https")
	case u.Hostname() == "":
		ps.Add(at, "the URL has no host", "write for example https://erp.example.com/api")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		ps.Add(at, "a URL of a system has neither a query nor a fragment", "put query parameters into the calls")
	case strings.Contains(u.Path, "//") || hasDots(u.Path):
		ps.Add(at, "the path of the URL is not a clean one", "without //, . and ..")
	default:
		if port := u.Port(); port != "" && !validPort(port) {
			ps.Add(at, fmt.Sprintf("%q is not a port", port), "")
			return nil
		}
		return u
	}
	return nil
}

func validPort(port string) bool {
	n := 0
	for _, c := range port {
		n = n*10 + int(c-'0')
	}
	return n > 0 && n < 1<<16 && len(port) < 6
}

func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
