package buffer

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/ledger"
)

// why says in sentences what a write waits for.
func (b *Buffer) why(ctx context.Context, e *ledger.Explanation) []string {
	r := e.Record
	switch {
	case r.Dead:
		return []string{"it needs a decision: " + cmp.Or(r.Reason, r.Group)}
	case r.State.Final():
		return []string{"it is over: " + string(r.State)}
	case r.State == ledger.Sending:
		return b.whySending(ctx, r)
	case r.State == ledger.Doubtful:
		return []string{fmt.Sprintf("its answer was lost; what became of it is found out after %s", r.NotBefore.UTC().Format(time.RFC3339))}
	}
	why := b.whyHeld(e)
	if r.Ready {
		why = append(why, b.whyLimited(ctx, r.System)...)
	}
	if len(why) == 0 {
		why = append(why, "nothing stands before it but the budget of "+r.System)
	}
	return why
}

// whySending tells whether a write is at its system or in the line before it,
// as far as this replica knows.
func (b *Buffer) whySending(ctx context.Context, r *ledger.Record) []string {
	own, sent := b.sentAt(r.ID)
	switch {
	case !own:
		return []string{fmt.Sprintf("it is with %s, or next in the line of its budget", r.System)}
	case sent.IsZero():
		return append([]string{"it is next in the line of the budget of " + r.System}, b.whyLimited(ctx, r.System)...)
	}
	return []string{fmt.Sprintf("it is with %s since %s", r.System, sent.UTC().Format(time.RFC3339))}
}

// sentAt is when this replica has let a request of a write through; zero when it
// has not yet. own tells that it carries the write.
func (b *Buffer) sentAt(id string) (own bool, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.claims {
		if c.ID != id || c.Doubtful {
			continue
		}
		if sent := c.sent.Load(); sent != 0 {
			at = time.Unix(0, sent)
		}
		return true, at
	}
	return false, at
}

// whyHeld tells what keeps a held write from being claimed.
func (b *Buffer) whyHeld(e *ledger.Explanation) []string {
	r := e.Record
	var why []string
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if e.SystemPaused {
		say("the system %s is paused", r.System)
	}
	for _, a := range e.Before {
		switch {
		case a.Head == "paused":
			say("the key %s is paused", a.Lane)
		case a.Head != r.ID && a.Head != "":
			say("%d of the key %s go first; at their head is %s, which is %s", a.Writes, a.Lane, a.Head, a.HeadState)
		}
	}
	if r.Gap {
		say("it waits for earlier numbers of its sequence")
	}
	if r.NotBefore.After(time.Now()) {
		say("it is not sent before %s: %s", r.NotBefore.UTC().Format(time.RFC3339), r.Reason)
	}
	g := b.gate(r.System)
	g.mu.Lock()
	shut, failures := g.shut, g.failures
	g.mu.Unlock()
	if failures > 0 {
		say("%s did not take writes %d times in a row; the next tries at %s", r.System, failures, shut.UTC().Format(time.RFC3339))
	}
	if r.Ready && e.Ahead > 0 {
		say("%d ready writes are claimed before it", e.Ahead)
	}
	return why
}

// whyLimited names the limits of a system that calls stand in line for here.
func (b *Buffer) whyLimited(ctx context.Context, system string) []string {
	set := b.acquire()
	if set == nil {
		return nil
	}
	defer set.Release()
	var why []string
	for _, p := range set.system.Awaited(ctx, system) {
		why = append(why, awaitedText(system, p))
	}
	return why
}

func awaitedText(system string, p budget.PoolState) string {
	waiting := 0
	for _, n := range p.Waiting {
		waiting += n
	}
	name := fmt.Sprintf("%q", p.Name)
	if p.Scope != "" {
		name += " for " + p.Scope
	}
	text := fmt.Sprintf("calls in line for the limit %s of %s: %d", name, system, waiting)
	if p.Effective > 0 {
		text += fmt.Sprintf("; %.4g of %.4g are taken", p.Used, p.Effective)
	}
	if !p.PausedUntil.IsZero() {
		text += "; it is paused until " + p.PausedUntil.UTC().Format(time.RFC3339)
	} else if !p.RoomAt.IsZero() {
		text += "; the next come back at " + p.RoomAt.UTC().Format(time.RFC3339)
	}
	return text
}
