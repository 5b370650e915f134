package main

import (
	"context"
	"time"

	"github.com/headrace/headrace/admin"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/telemetry"
	"github.com/headrace/headrace/specs"
)

// systems is the state of all systems of the current table.
func (p *parts) systems() []system.Status {
	set := p.served.Load()
	if set == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return set.Status(ctx)
}

// systemStatus says it for the admin API.
func (p *parts) systemStatus() []admin.SystemStatus {
	var all []admin.SystemStatus
	for _, s := range p.systems() {
		waiting := s.Budget.Waiting
		status := admin.SystemStatus{
			Name: s.Name, Title: s.Title, Dialect: s.Dialect, URL: s.URL, Credential: s.Credential, Breaker: s.Breaker, InFlight: s.InFlight,
			Waiting: admin.Waiting{Critical: waiting[specs.Critical], High: waiting[specs.High], Normal: waiting[specs.Normal], Low: waiting[specs.Low]},
		}
		for _, pool := range s.Budget.Pools {
			status.Pools = append(status.Pools, admin.PoolStatus{
				Name: pool.Name, Scope: pool.Scope, Used: pool.Used, Capacity: pool.Capacity, RoomAt: pool.RoomAt, PausedUntil: pool.PausedUntil,
			})
		}
		all = append(all, status)
	}
	return all
}

// systemUse says it for the metrics.
func (p *parts) systemUse() []telemetry.SystemUse {
	var all []telemetry.SystemUse
	for _, s := range p.systems() {
		use := telemetry.SystemUse{System: s.Name, Breaker: s.Breaker, InFlight: s.InFlight, Waiting: s.Budget.Waiting}
		for _, pool := range s.Budget.Pools {
			use.Pools = append(use.Pools, telemetry.PoolUse{
				Pool: pool.Name, Scope: pool.Scope, Used: pool.Used, Capacity: pool.Capacity, Paused: !pool.PausedUntil.IsZero(),
			})
		}
		all = append(all, use)
	}
	return all
}
