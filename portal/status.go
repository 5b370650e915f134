package portal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// SystemHealth is how a system of the workspace is. Its name finds the APIs that
// it answers; no page shows it.
type SystemHealth struct {
	System string
	// Down tells that it is not called at the moment; Paused that somebody has
	// ordered so for writes.
	Down, Paused bool
	// Held tells by a number above 0 that writes wait for it; Waiting counts the calls in line.
	Held    int64
	Waiting int
	// OldestHeld is when the oldest of them was accepted; zero when there is none.
	OldestHeld time.Time
}

// The states of what the status page shows, from well to ill.
const (
	fine = "fine"
	slow = "slow"
	held = "held"
	down = "down"
)

var stateOrder = []string{fine, slow, held, down}

// sinces remembers when the health of a system has changed, as far as this
// process has seen it.
type sinces struct {
	mu   sync.Mutex
	seen map[string]condition
	at   time.Time
}

type condition struct {
	state string
	since time.Time
}

// healthAge is how old what is shown may be: the page is everybody's.
const healthAge = 2 * time.Second

// slowWait is the age of the oldest held write from which something counts as held
// back, and slowLine the length of the line from which it counts as slow.
const (
	slowWait = time.Minute
	slowLine = 20
)

func stateOf(h SystemHealth, now time.Time) string {
	switch {
	case h.Down:
		return down
	case h.Paused, h.Held > 0 && !h.OldestHeld.IsZero() && now.Sub(h.OldestHeld) > slowWait:
		return held
	case h.Waiting > slowLine:
		return slow
	}
	return fine
}

// look reads the health of all systems, at most every few seconds.
func (s *sinces) look(ctx context.Context, ask func(context.Context) []SystemHealth) map[string]condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.seen == nil {
		s.seen = map[string]condition{}
	}
	if ask != nil && now.Sub(s.at) > healthAge {
		s.at = now
		for _, h := range ask(ctx) {
			state := stateOf(h, now)
			since := now
			if state == held && !h.OldestHeld.IsZero() {
				since = h.OldestHeld
			}
			if was, ok := s.seen[h.System]; !ok || was.state != state {
				s.seen[h.System] = condition{state, since}
			}
		}
	}
	return maps.Clone(s.seen)
}

// statusPage says how the APIs are.
type statusPage struct {
	State   string
	Text    string
	Groups  []statusGroup
	Windows []ledger.Announcement
	Checked time.Time
}

// statusGroup are the APIs of one domain.
type statusGroup struct {
	Domain string
	APIs   []statusRow
}

// statusRow is one API.
type statusRow struct {
	Name, Major, Title string
	State              string
	Since              time.Time
}

// Badge is the state's colour.
func (r statusRow) Badge() string {
	return map[string]string{fine: "good", slow: "warn", held: "warn", down: "bad"}[r.State]
}

// Word is the state for people.
func (r statusRow) Word() string {
	return map[string]string{fine: "working", slow: "slow", held: "writes are held", down: "not available"}[r.State]
}

// Line says what that means.
func (r statusRow) Line() string {
	switch r.State {
	case slow:
		return "Calls wait longer than usual."
	case held:
		return "Writes are kept and done later; nothing is lost."
	case down:
		return "Reads are refused for now; writes are kept and done later where the API allows it."
	}
	return ""
}

// status shows it to everybody.
func (p *Portal) status(c *call) error {
	ctx := c.Request().Context()
	page := &statusPage{Checked: time.Now(), State: fine}
	page.Groups = p.health(ctx, c.table)
	worst, ill, all := fine, 0, 0
	for _, g := range page.Groups {
		for _, r := range g.APIs {
			all++
			if r.State != fine {
				ill++
			}
			if slices.Index(stateOrder, r.State) > slices.Index(stateOrder, worst) {
				worst = r.State
			}
		}
	}
	page.State, page.Text = worst, "Everything works."
	if ill > 0 {
		page.Text = fmt.Sprintf("%d of %s: see below.", ill, count(all, "API")+" "+map[bool]string{true: "has a problem", false: "have a problem"}[ill == 1])
	}
	news, err := p.options.Store.Announcements(ctx, time.Now())
	if err != nil {
		return err
	}
	for _, a := range news {
		if !a.Starts.IsZero() {
			page.Windows = append(page.Windows, a)
		}
	}
	return c.page("status", "Status", page)
}

// health is how each API is: as the worst of the systems that its operations need.
func (p *Portal) health(ctx context.Context, t *gateway.Table) []statusGroup {
	systems := p.sinces.look(ctx, p.options.Systems)
	rows := map[*gateway.API]*statusRow{}
	for _, o := range t.Operations {
		a := o.API
		if a.Canary != nil || a.Document == nil || a.Document.Governance.Domain == "" && o.Spec.Governance.System == "" {
			continue // trials, and what the gateway answers itself
		}
		if rows[a] == nil {
			rows[a] = &statusRow{Name: a.Name, Major: a.Major, Title: cmp.Or(a.Document.Title, a.Name), State: fine}
		}
		if c, ok := systems[o.Spec.Governance.System]; ok && slices.Index(stateOrder, c.state) > slices.Index(stateOrder, rows[a].State) {
			rows[a].State, rows[a].Since = c.state, c.since
		}
	}
	groups := map[string]*statusGroup{}
	for a, r := range rows {
		domain := cmp.Or(a.Document.Governance.Domain, "other")
		if groups[domain] == nil {
			groups[domain] = &statusGroup{Domain: domain}
		}
		groups[domain].APIs = append(groups[domain].APIs, *r)
	}
	var list []statusGroup
	for _, g := range groups {
		slices.SortFunc(g.APIs, func(a, b statusRow) int { return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(b.Major, a.Major)) })
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b statusGroup) int { return cmp.Compare(a.Domain, b.Domain) })
	return list
}
