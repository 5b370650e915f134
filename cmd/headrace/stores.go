package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/headrace/headrace/admin"
	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/telemetry"
	"github.com/headrace/headrace/gateway/workspace"
)

// stores keep the counts of a server: what consumers have used, and what the
// systems' budgets hold. They share one client.
type stores struct {
	client   counter.Client // nil when everything is kept in memory
	shared   *counter.Redis // nil likewise
	counters gateway.Counters
	budgets  budget.Store
	replica  *counter.Shared // what budgets is then
	memory   *budget.Memory  // what budgets is otherwise
}

// memoryStores keep the counts in the process.
func memoryStores() *stores {
	memory := budget.NewMemory()
	return &stores{counters: counter.New(), budgets: memory, memory: memory}
}

// remember makes budgets that are counted in memory go on from what the process
// before this one may have spent. What is counted in Redis outlasts it anyway.
func (s *stores) remember(ctx context.Context, d budget.Diary, log *slog.Logger) error {
	if s.memory == nil {
		return nil
	}
	err := s.memory.Remember(ctx, d, func(system string, err error) {
		log.Warn("what a system's budget has spent cannot be written down; a crash would forget it", "system", system, "error", err)
	})
	if err != nil {
		return fmt.Errorf("what has been spent of the budgets cannot be read: %w", err)
	}
	return nil
}

// openStores makes the stores that headrace.yaml names. It does not wait for
// Redis: a server starts without it, as it goes on without it.
func openStores(c workspace.Stores, log *slog.Logger) (*stores, error) {
	if c.Counters.InMemory() {
		return memoryStores(), nil
	}
	client, err := dialCounters(c.Counters)
	if err != nil {
		return nil, err
	}
	budgets, err := counter.Open(client, counter.Options{
		Replica: c.Name(), Alone: c.Alone.Std(), Replicas: c.Replicas, ColdStart: c.ColdStart, Log: log,
	})
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("stores: %w", err)
	}
	shared := counter.NewRedis(client, counter.RedisOptions{Log: log})
	return &stores{client: client, shared: shared, counters: shared, budgets: budgets, replica: budgets}, nil
}

// dialCounters makes a client of the Redis that keeps the counters.
func dialCounters(c workspace.Counters) (counter.Client, error) {
	address := counter.Address{Hosts: c.Hosts, Master: c.Master, Cluster: c.Cluster, TLS: c.TLS, User: c.User, DB: c.DB}
	if !c.Password.IsZero() {
		var err error
		if address.Password, err = c.Password.Resolve(); err != nil {
			return nil, fmt.Errorf("stores.counters: %w", err)
		}
	}
	client, err := counter.Dial(address)
	if err != nil {
		return nil, fmt.Errorf("stores.counters: %w", err)
	}
	return client, nil
}

// close says goodbye to the other replicas, or writes down what the budgets have
// spent. Nothing must be counted any more.
func (s *stores) close(log *slog.Logger) {
	if s.memory != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.memory.Close(ctx); err != nil {
			log.Warn("what the budgets have spent cannot be written down", "error", err)
		}
	}
	if s.client != nil {
		s.replica.Close()
		s.shared.Close()
		s.client.Close()
	}
}

// standing is how a store stands: the counters, or the budget of a system.
type standing struct {
	store, system string
	// limited tells of a budget that has limits.
	limited bool
	budget.Standing
}

// standings lists the counters first, then the budgets of the systems.
func (p *parts) standings() []standing {
	all := []standing{{store: "counters", Standing: budget.Standing{Mode: budget.ModeMemory, Replicas: 1, Share: 1, Since: p.started}}}
	if p.stores.shared != nil {
		all[0].Standing = p.stores.shared.Standing()
	}
	if names := p.systemNames.Load(); names != nil {
		for _, name := range slices.Sorted(slices.Values(*names)) {
			set := p.served.Load()
			all = append(all, standing{store: "budget", system: name, limited: set != nil && set.Limited(name), Standing: p.stores.budgets.Standing(name)})
		}
	}
	return all
}

// storeStatus says it for the admin API.
func (p *parts) storeStatus() []admin.StoreStatus {
	var all []admin.StoreStatus
	for _, s := range p.standings() {
		status := admin.StoreStatus{
			Store: s.store, System: s.system, Mode: s.Mode, Replicas: s.Replicas, Share: s.Share, Kept: s.Kept, Since: s.Since,
			Cause: string(s.Cause), Until: s.Until, Limited: s.limited, Joined: s.Joined,
		}
		if breaker := breakerOf(s.Suspension); breaker != "closed" {
			status.Breaker, status.Left = breaker, s.Suspension.For
		}
		all = append(all, status)
	}
	return all
}

// storeUse says it for the metrics.
func (p *parts) storeUse() []telemetry.StoreUse {
	var all []telemetry.StoreUse
	for _, s := range p.standings() {
		all = append(all, telemetry.StoreUse{Store: s.store, System: s.system, Mode: s.Mode, Replicas: s.Replicas, Share: s.Share, Unsettled: s.Unsettled, Kept: s.Kept})
	}
	return all
}
