package buffer

import (
	"context"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// recover makes doubtful what was under way when a replica ended.
func (b *Buffer) recover() {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	n, err := 0, error(nil)
	for more := 1; more > 0 && err == nil; n += more {
		more, err = b.ledger.Recover(ctx, b.options.Grace, b.longest())
	}
	switch {
	case err != nil && b.ctx.Err() == nil:
		b.log.Warn("lost claims cannot be looked for", "error", err)
	case n > 0:
		b.log.Warn("writes were under way when their replica ended; they are doubtful now", "writes", n)
		b.wakeAll()
	}
}

// maintain does what time demands.
func (b *Buffer) maintain() {
	var recovered, retained time.Time
	for b.sleep(time.Second) {
		ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
		if _, err := b.ledger.Sweep(ctx); err != nil && b.ctx.Err() == nil {
			b.log.Warn("the ledger cannot be swept", "error", err)
		}
		if now := time.Now(); now.Sub(recovered) > b.options.Lease/4 {
			recovered = now
			b.recover()
		}
		if now := time.Now(); now.Sub(retained) > b.options.Retain {
			retained = now
			b.retain(ctx)
		}
		cancel()
	}
}

// maxSteps bounds what is deleted in a minute.
const maxSteps = 20

func (b *Buffer) retain(ctx context.Context) {
	settings := b.settings.Load()
	kept := settings.Retention
	if settings.Archive != "" {
		kept.Archive = archive(settings.Archive).keep
	}
	for range maxSteps {
		n, err := b.ledger.Retain(ctx, kept)
		if err != nil && b.ctx.Err() == nil {
			b.log.Warn("old writes cannot be deleted", "error", err)
		}
		if n == 0 || err != nil || !b.sleep(100*time.Millisecond) {
			return
		}
	}
}

// renew keeps the claims of this process valid.
func (b *Buffer) renew() {
	for {
		t := time.NewTimer(b.options.Lease / 4)
		select {
		case <-b.given.Done():
			t.Stop()
			return
		case <-t.C:
			b.renewOnce()
		}
	}
}

func (b *Buffer) renewOnce() {
	b.mu.Lock()
	claims := make([]*claim, 0, len(b.claims))
	for c := range b.claims {
		claims = append(claims, c)
	}
	b.mu.Unlock()
	if len(claims) == 0 {
		return
	}
	raw := make([]*ledger.Claimed, len(claims))
	for i, c := range claims {
		raw[i] = c.Claimed
	}
	ctx, cancel := context.WithTimeout(b.given, b.options.Lease/4)
	defer cancel()
	from := time.Now()
	lost, err := b.ledger.Renew(ctx, b.options.Lease, raw...)
	if err != nil {
		b.log.Warn("claims cannot be renewed", "claims", len(claims), "error", err)
		return
	}
	gone := make(map[*ledger.Claimed]bool, len(lost))
	for _, c := range lost {
		gone[c] = true
	}
	for _, c := range claims {
		if gone[c.Claimed] {
			c.until.Store(0)
			c.cancel()
			continue
		}
		c.renewed(from, b.options.Lease)
	}
}
