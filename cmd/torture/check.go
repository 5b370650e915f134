package main

import (
	"fmt"
	"slices"
	"time"
)

// sent is what a client knows of one write.
type sent struct {
	order     order
	operation string
	// first is when it was sent first, acknowledged when the gateway had taken
	// responsibility for it: with a final answer, or with 202. It is zero when
	// no acknowledgement came; the write may or may not be there then.
	first, acknowledged time.Time
	// status is the answer that acknowledged it, write the gateway's name for it.
	status int
	write  string
	tries  int
	// other is another name that a repetition under the same key got.
	other string
	// state and dead are the write's state at the end, by the gateway; missing
	// tells that the gateway does not know it.
	state   string
	dead    bool
	missing bool
	reason  string
}

// The states that are final, besides dead ones.
var finalStates = []string{"delivered", "refused", "cancelled", "expired", "superseded"}

func (s *sent) settled() bool { return s.dead || slices.Contains(finalStates, s.state) }

// expectedDead tells that a dead letter is what had to become of it: the ERP
// refuses it, or nothing can tell whether it was done. One that was sent twice
// and refused the second time may be doubtful, too: the first may have been done.
func (s *sent) expectedDead() bool {
	return s.order.Poison || s.operation == byNothing && s.state == "doubtful"
}

// succeeded tells that the client was told that it was done, or can see it.
func (s *sent) succeeded() bool {
	return s.state == "delivered" || !s.acknowledged.IsZero() && s.status/100 == 2 && s.status != 202
}

// verdict is what a checker found. All but the counts have to be zero.
type verdict struct {
	acknowledged, held, delivered, deadLetters, unacknowledged int

	lost, doubled, inversions, unsettled int
	// wrong counts outcomes that are not what the ERP did: refused and done, or
	// an effect that nobody asked for.
	wrong int
	// examples name a few of each.
	examples []string
}

func (v *verdict) add(n *int, format string, args ...any) {
	if *n++; *n <= 5 {
		v.examples = append(v.examples, fmt.Sprintf(format, args...))
	}
}

func (v *verdict) bad() bool { return v.lost+v.doubled+v.inversions+v.unsettled+v.wrong > 0 }

// check compares what the clients were promised with what the ERP did.
func check(writes []*sent, effects []effect) *verdict {
	v := &verdict{}
	byID := make(map[string]*sent, len(writes))
	for _, s := range writes {
		byID[s.order.ID] = s
	}
	done := v.effects(byID, effects)
	for _, s := range writes {
		v.promise(s, done[s.order.ID])
	}
	v.order(byID, effects)
	return v
}

// effects counts the effects of each write that are not mere repetitions.
func (v *verdict) effects(byID map[string]*sent, effects []effect) map[string]int {
	done := make(map[string]int, len(effects))
	for _, e := range effects {
		if byID[e.ID] == nil {
			v.add(&v.wrong, "wrong: the ERP did %s, which nobody sent", e.ID)
			continue
		}
		if e.Repeat {
			continue
		}
		if done[e.ID]++; done[e.ID] > 1 {
			v.add(&v.doubled, "doubled: %s, by %s, was done %d times", e.ID, e.Operation, done[e.ID])
		}
	}
	return done
}

// promise looks at one write.
func (v *verdict) promise(s *sent, done int) {
	if s.acknowledged.IsZero() {
		v.unacknowledged++
		return
	}
	v.acknowledged++
	if s.status == 202 {
		v.held++
	}
	if s.state == "delivered" {
		v.delivered++
	}
	if s.dead {
		v.deadLetters++
	}
	switch {
	case s.missing:
		v.add(&v.lost, "lost: %s was acknowledged with %d, and the gateway does not know %s", s.order.ID, s.status, s.write)
	case s.succeeded() && done == 0:
		v.add(&v.lost, "lost: %s was answered with %d and is %s, and the ERP has not done it", s.order.ID, s.status, s.state)
	case !s.settled():
		v.add(&v.unsettled, "unsettled: %s (%s, %s) is %s", s.order.ID, s.operation, s.write, s.state)
	case s.state == "refused" && done > 0:
		v.add(&v.wrong, "wrong: %s is refused, and the ERP has done it", s.order.ID)
	}
	if s.other != "" {
		v.add(&v.doubled, "doubled: %s was kept as %s and, under the same key, as %s", s.order.ID, s.write, s.other)
	}
}

// order finds effects that came before one of a write of the same lane that had
// been acknowledged before theirs was sent.
func (v *verdict) order(byID map[string]*sent, effects []effect) {
	latest := map[string]*sent{} // by lane: the write done so far that was sent last
	for _, e := range effects {
		s := byID[e.ID]
		if s == nil {
			continue
		}
		for _, lane := range e.Lanes {
			before := latest[lane]
			switch {
			case before == nil:
				latest[lane] = s
			case !s.acknowledged.IsZero() && s.acknowledged.Before(before.first):
				v.add(&v.inversions, "inverted in %s: %s (%s) was acknowledged before %s (%s) was sent, and done after it", lane, s.order.ID, s.operation, before.order.ID, before.operation)
			case s.first.After(before.first):
				latest[lane] = s
			}
		}
	}
}
