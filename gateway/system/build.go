package system

import (
	"context"
	"net/http"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// builder compiles systems and operations of one table.
type builder struct {
	fleet    *Fleet
	problems *source.Problems
	library  *mapping.Library
}

// system compiles a system's file; nil after a problem.
func (b *builder) system(name string, n source.Node) *system {
	file := n
	n, profile, ok := b.profiled(n)
	if !ok {
		return nil
	}
	settings, all := &Settings{}, b.problems
	b.problems = &source.Problems{}
	defer func() {
		all.Append(atHome(file, b.problems)...)
		b.problems = all
	}()
	source.Decode(n, settings, b.problems)
	settings.resolve(profile, b.problems)
	b.idleProbes(settings, profile)
	s := &system{
		name: name, settings: settings, profile: profile, fleet: b.fleet, dialect: dialects[settings.Dialect],
		correlationHeader: http.CanonicalHeaderKey(settings.CorrelationHeader), forwarded: settings.Forwarded, passOn: map[string]bool{},
	}
	s.url = settings.check(b.problems)
	for _, h := range settings.PassOn {
		s.passOn[http.CanonicalHeaderKey(h)] = true
	}
	local := *b
	local.library = b.library.With(settings.Mapping.limits())
	s.library = local.library
	s.signs = local.signs(settings)
	s.reports = local.reports(settings)
	s.probes = local.probesOf(s)
	s.charges = local.charges(s)
	if s.dialect != nil {
		s.dialect.check(settings, b.problems)
	}
	fixed := local.credential(s)
	if b.problems.Len() > 0 {
		return nil
	}
	s.share(fixed)
	return s
}

// credential checks the credentials and makes what does not outlast a table:
// the fixed ones, or what fetches the others.
func (b *builder) credential(s *system) *fixed {
	c := &s.settings.Credentials
	if !c.check(b.problems) {
		return nil
	}
	switch c.Kind {
	case "oauth2":
		if f := c.oauth2Fetcher(s.settings.Timeout.Std(), s.settings.Connections, b.problems); f != nil {
			s.fetcher = f
		}
	case "session":
		if s.dialect == nil {
			return nil
		}
		if f := b.sessionFetcher(c, s.dialect); f != nil {
			s.fetcher = f
		}
	default:
		return c.fixedCredential(b.problems)
	}
	return nil
}

// share takes what outlasts the table from the fleet.
func (s *system) share(c *fixed) {
	f, n := s.fleet, s.settings.Node
	where := s.url.Scheme + "://" + s.url.Host
	transport, release := f.transports.take(fingerprint(s.name, where, n.Get("connections")), func() *transport {
		return newTransport(s.url, s.settings.Connections)
	})
	s.transport, s.release = transport, append(s.release, release)
	s.limits = fingerprint(n.Get("limits"), n.Get("profile"), n.Get("facts"))
	s.budget = f.budget(s)
	breaker, release := f.breakers.take(fingerprint(s.name, where, n.Get("breaker")), func() *breaker {
		return newBreaker(s.settings.Breaker, s.budget, func(from, to string) {
			f.log.Warn("the breaker of a system has changed", "system", s.name, "from", from, "to", to)
		}, func(err error) {
			f.log.Warn("the other replicas do not know of a breaker", "system", s.name, "error", err.Error())
		})
	})
	s.breaker, s.release = breaker, append(s.release, release)
	if c != nil {
		s.credential = c
		return
	}
	secrets := s.settings.Credentials.secrets()
	k, release := f.keepers.take(fingerprint(s.name, s.settings.URL, s.settings.Dialect, n.Get("credentials"), secrets), func() *kept {
		return &kept{keeper: newKeeper(s.settings.Credentials.Kind), leave: func(ctx context.Context, g *grant) {
			s.fetcher.leave(ctx, s, g)
			s.transport.close()
		}}
	})
	s.credential, s.release = k.keeper, append(s.release, release)
}
