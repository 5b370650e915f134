package main

import (
	"context"
	"time"

	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/telemetry"
	"github.com/headrace/headrace/specs"
)

// measured has the telemetry measure writes.
type measured struct{ *telemetry.Telemetry }

func (m measured) WriteEnded(system string, class specs.Class, e buffer.Ended) {
	state := e.State
	if e.Dead {
		state = "dead"
	}
	m.Telemetry.WriteEnded(telemetry.WriteEnd{System: system, Class: class, State: state, Attempts: e.Attempts, Waited: e.Waited, Astray: e.Astray})
}

// runUse says how many runs are not over, for the metrics.
func (p *parts) runUse() []telemetry.RunUse {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, oldest, err := p.ledger.RunCounts(ctx)
	if err != nil {
		return nil
	}
	var all []telemetry.RunUse
	for _, s := range []ledger.RunState{ledger.Running, ledger.Stuck} {
		u := telemetry.RunUse{State: string(s), Runs: counts[s]}
		if !oldest[s].IsZero() {
			u.Oldest = time.Since(oldest[s])
		}
		all = append(all, u)
	}
	return all
}

// writeUse says what the buffer holds, for the metrics.
func (p *parts) writeUse() []telemetry.WriteUse {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var all []telemetry.WriteUse
	now := time.Now()
	for _, name := range p.buffer.Systems() {
		stats, err := p.ledger.Stats(ctx, name)
		if err != nil {
			return all
		}
		for _, class := range specs.Classes {
			c := stats.Class[class]
			u := telemetry.WriteUse{System: name, Class: class, Writes: c.Writes, Bytes: c.Bytes, Doubtful: c.Doubtful, Dead: c.Dead}
			if !c.Oldest.IsZero() {
				u.Oldest = now.Sub(c.Oldest)
			}
			all = append(all, u)
		}
	}
	return all
}
