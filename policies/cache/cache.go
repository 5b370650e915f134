package cache

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	TTL      source.Duration `yaml:"ttl" check:"required" doc:"How long an answer is fresh, at most."`
	Shared   bool            `yaml:"shared" doc:"One answer for all callers; only where answers depend on nobody."`
	Vary     source.Strings  `yaml:"vary" doc:"Request headers that answers depend on, besides Accept, Accept-Encoding, Accept-Language and those that the operation declares."`
	Stale    source.Duration `yaml:"stale" doc:"How long after ttl an answer may be given when the system is saturated, unavailable or too slow."`
	MaxEntry source.Size     `yaml:"max_entry" default:"1MiB" doc:"Longest answer that is kept."`
	MaxSize  source.Size     `yaml:"max_size" default:"64MiB" doc:"Memory for all answers that are kept by these settings."`
}

// DecodeNode also checks what the settings say together.
func (s *Settings) DecodeNode(n source.Node, ps *source.Problems) {
	type plain Settings
	before := ps.Len()
	source.Decode(n, (*plain)(s), ps)
	if ps.Len() > before {
		return
	}
	if s.TTL.Std() < time.Second {
		ps.Add(n.At("ttl"), "an answer would hardly be kept", "at least 1s; off for none")
	}
	if s.MaxEntry > s.MaxSize {
		ps.Add(n.At("max_entry"), "an entry of "+s.MaxEntry.String()+" does not fit into "+s.MaxSize.String(), "make max_entry smaller or max_size larger")
	}
	for i, name := range s.Vary {
		if !token(name) {
			at := n.Get("vary")
			if items := at.Items(); i < len(items) {
				at = items[i]
			}
			ps.Add(at, "is not the name of a header", "for example X-Company")
		}
	}
}

// Kind describes the policy. What is kept outlasts tables.
func Kind() gateway.Kind {
	stores := &stores{open: map[storeKey]weakStore{}}
	return gateway.Define(gateway.Kind{
		Name: "cache", Stage: gateway.StageCache, Levels: gateway.LevelAPI,
		Doc: "Answers GET and HEAD from earlier answers, for each app or shared; also when the system is saturated.",
	}, func(b *gateway.Binding, s Settings) gateway.Policy {
		return newPolicy(b, s, stores)
	})
}

// patience is how long a call waits for another one that asks for the same.
const patience = 5 * time.Second

type policy struct {
	store    *store
	shared   bool
	vary     []string // canonical
	ttl      time.Duration
	stale    time.Duration
	maxEntry int64
}

func newPolicy(b *gateway.Binding, s Settings, stores *stores) gateway.Policy {
	if m := b.Operation.Method; m != http.MethodGet && m != http.MethodHead {
		if own := b.Operation.Node.Get("x-headrace").Get("policies").Get("cache"); own.YAML() != nil && own.YAML() == b.Settings.YAML() {
			b.Problems.Add(b.Settings, "answers to "+m+" are not kept", "configure the cache at operations with GET or HEAD")
		}
		return nil
	}
	p := &policy{
		store:  stores.get(b, int64(s.MaxSize)),
		shared: s.Shared, ttl: s.TTL.Std(), stale: s.Stale.Std(), maxEntry: int64(s.MaxEntry),
	}
	p.vary = varying(b.Operation.Headers(), s.Vary)
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) { return p.handle(x, next) }
	}
}

// varying are the headers that answers depend on, in canonical spelling: those
// that the operation declares and those of the settings. What is new with every
// call, or answered here, is not among the declared ones.
func varying(declared, set []string) []string {
	vary := []string{"Accept", "Accept-Encoding", "Accept-Language"}
	add := func(name string) {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(vary, name) {
			vary = append(vary, name)
		}
	}
	for _, name := range declared {
		if !slices.Contains(perCall, name) && !slices.Contains(answeredHere, name) {
			add(name)
		}
	}
	for _, name := range set {
		add(name)
	}
	return vary
}

// question is a call that is not answered from what is fresh.
type question struct {
	key string
	// kept may be given in need; nil when the caller wants no old answer.
	kept *entry
	// again has the system asked in any case, discard also has nothing kept.
	again, discard bool
}

func (p *policy) handle(x *gateway.Exchange, next gateway.Handler) (*gateway.Response, error) {
	if p.passesBy(x) {
		return next(x)
	}
	asked := directives(x.Request.Header["Cache-Control"])
	var buffer [512]byte
	key := p.appendKey(buffer[:0], x)
	kept, now := p.store.get(key), time.Now()
	again := asked.noCache || asked.noStore || asked.maxAge >= 0 && kept != nil && kept.seconds(now) >= asked.maxAge
	fresh := kept.fresh(now) && !again
	if fresh && !kept.pass {
		return answer(x, kept, "hit"), nil
	}
	q := question{key: string(key), kept: kept, again: again, discard: asked.noStore || x.Request.Method == http.MethodHead}
	if again {
		q.kept = nil
	}
	if fresh || q.discard {
		return p.ask(x, next, q)
	}
	return p.join(x, next, q)
}

// passesBy tells of calls that the cache has nothing to do with.
func (p *policy) passesBy(x *gateway.Exchange) bool {
	h := x.Request.Header
	if h["Range"] != nil || h["If-Match"] != nil || h["If-Unmodified-Since"] != nil || h["If-Range"] != nil {
		return true
	}
	// Credentials that nobody has accepted are meant for the system.
	return x.App == nil && (h["Authorization"] != nil || h["Cookie"] != nil)
}

// join asks the system, or waits for the call that already does.
func (p *policy) join(x *gateway.Exchange, next gateway.Handler, q question) (*gateway.Response, error) {
	at := flightKey{q.key, x.Class}
	f, first := p.store.join(at)
	if first {
		defer p.store.land(at, f)
		resp, err := p.ask(x, next, q)
		f.entry, f.err = p.store.get([]byte(q.key)), err
		if err == nil {
			f.err = x.Record.Cause // of an old answer
		}
		return resp, err
	}
	if q.again {
		return p.ask(x, next, q) // what is under way may be older than the wish
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.landed:
		if f.entry.fresh(time.Now()) && !f.entry.pass {
			return answer(x, f.entry, "hit"), nil
		}
		if needy(f.err) && q.kept.usable(time.Now(), p.stale) {
			x.Record.Cause = f.err
			return answer(x, q.kept, "stale"), nil
		}
	case <-x.Context().Done():
		return nil, &gateway.Error{Problem: gateway.CallerLeft, Cause: context.Cause(x.Context())}
	case <-timer.C:
	}
	return p.ask(x, next, q)
}

// ask calls the system, keeps its answer if that may be, and falls back to what
// was kept.
func (p *policy) ask(x *gateway.Exchange, next gateway.Handler, q question) (*gateway.Response, error) {
	x.Record.Cache = "miss"
	conditions := takeConditions(x.Request.Header)
	resp, err := next(x)
	conditions.putBack(x.Request.Header)
	now := time.Now()
	if err != nil {
		if needy(err) && q.kept.usable(now, p.stale) {
			x.Record.Cause = err
			return answer(x, q.kept, "stale"), nil
		}
		return nil, err
	}
	if q.discard || resp.Status != http.StatusOK {
		return untouched(resp, conditions), nil
	}
	if lifetime := p.lifetime(resp); lifetime > 0 {
		body, whole, err := resp.Peek(p.maxEntry)
		if err != nil {
			return nil, err
		}
		if whole {
			e := newEntry(resp.Header, body, now, lifetime)
			p.store.put(q.key, e)
			return e.response(conditions, now, "miss"), nil
		}
	}
	p.store.put(q.key, &entry{pass: true, expires: now.Add(p.ttl)})
	return untouched(resp, conditions), nil
}

// needy tells of errors that an old answer is better than.
func needy(err error) bool {
	if err == nil {
		return false
	}
	switch gateway.AsError(err).Problem {
	case gateway.Saturated, gateway.SystemUnavailable, gateway.SystemTimeout:
		return true
	}
	return false
}

// answer gives an entry to a caller.
func answer(x *gateway.Exchange, e *entry, how string) *gateway.Response {
	x.Record.Cache = how
	return e.response(conditionsOf(x.Request.Header), time.Now(), how)
}
