// Package policies lists the policies of Headrace.
package policies

import (
	"log/slog"
	"slices"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/apikey"
	"github.com/headrace/headrace/policies/cache"
	"github.com/headrace/headrace/policies/concurrency"
	"github.com/headrace/headrace/policies/cors"
	"github.com/headrace/headrace/policies/deprecate"
	"github.com/headrace/headrace/policies/header"
	"github.com/headrace/headrace/policies/ip"
	"github.com/headrace/headrace/policies/jwt"
	"github.com/headrace/headrace/policies/mtls"
	"github.com/headrace/headrace/policies/quota"
	"github.com/headrace/headrace/policies/scope"
	"github.com/headrace/headrace/policies/size"
	"github.com/headrace/headrace/policies/subscription"
	"github.com/headrace/headrace/policies/throttle"
	"github.com/headrace/headrace/policies/validate"
)

// Options are what policies need of the process.
type Options struct {
	// Counters keep what consumers have used.
	Counters gateway.Counters
	// Log is told what no caller is told, for example that an issuer's keys
	// cannot be fetched.
	Log *slog.Logger
	// Own is the gateway's own token endpoint; nil when it has none.
	Own jwt.Own
}

// All makes every policy, in the order in which calls meet them. The kinds own
// what outlasts tables: make them once a process.
func All(o Options) []gateway.Kind {
	identify := []gateway.Kind{apikey.Kind(), jwt.Kind(o.Log, o.Own), mtls.Kind()}
	return slices.Concat(
		[]gateway.Kind{cors.Kind(), ip.Kind(), size.Kind(), deprecate.Kind()},
		identify,
		[]gateway.Kind{
			scope.Kind(identify), subscription.Kind(identify), header.Kind(),
			throttle.Kind(o.Counters), quota.Kind(o.Counters), concurrency.Kind(o.Counters),
			validate.Kind(), cache.Kind(),
		},
	)
}
