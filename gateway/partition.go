package gateway

import (
	"net/netip"

	"github.com/headrace/headrace/specs"
)

// Partition says whose calls a limit counts together. Limits that are
// configured at one place count in one partition, whatever the operation.
type Partition struct {
	// Name is what the counts are kept under, stable over reloads.
	Name string

	plan, address bool
}

// Partition makes the partition of a limit. by is
//   - app: each app, over all operations that take the settings from the same place;
//   - operation: each app, operation by operation;
//   - plan: all apps of the subscription's plan together;
//   - address: each client address.
func (b *Binding) Partition(by string) Partition {
	place := b.Place()
	if by == "operation" {
		place = b.Scope()
		if b.Plan != nil {
			place += "/" + b.API.Name + "/" + b.API.Major + "/" + b.Operation.ID
		}
	}
	return Partition{Name: by + " " + place, plan: by == "plan", address: by == "address"}
}

// Key names the caller within the partition. A caller without an app is
// counted by where it is (Origin).
func (p Partition) Key(x *Exchange) string {
	switch {
	case p.plan && x.Subscription != nil:
		return x.Subscription.Plan.Name
	case !p.address && x.App != nil:
		return x.App.Name
	}
	return "@" + x.Origin()
}

// Origin says where the caller is: its IPv4 address, or the /64 of its IPv6
// address, because one caller has all of it.
func (x *Exchange) Origin() string {
	address := x.Address
	if !address.IsValid() {
		remote, err := netip.ParseAddrPort(x.Request.RemoteAddr)
		if err != nil {
			return x.Request.RemoteAddr
		}
		address = remote.Addr()
	}
	if address = address.Unmap(); address.Is6() {
		return netip.PrefixFrom(address.WithZone(""), 64).Masked().String()
	}
	return address.String()
}

// Place names where the settings stand, stable over reloads: plan/gold,
// orders/v1 for the root of a document, orders/v1 /orders/{id} for a path, or
// orders/v1/createOrder. Operations that inherit the settings share the place.
func (b *Binding) Place() string {
	if b.Plan != nil {
		return b.Scope()
	}
	d := b.API.Document
	if d == nil || !b.Settings.Exists() {
		return b.Scope()
	}
	api := b.API.Name + "/" + b.API.Major
	if b.inherited(d.Governance.Policies) {
		return api
	}
	for _, o := range d.Operations {
		if o != b.Operation && o.Path == b.Operation.Path && b.inherited(o.Governance.Policies) {
			return api + " " + o.Path
		}
	}
	return b.Scope()
}

// inherited tells whether the settings are among policies that stand elsewhere.
func (b *Binding) inherited(policies specs.Policies) bool {
	for _, n := range policies {
		if n == b.Settings {
			return true
		}
	}
	return false
}
