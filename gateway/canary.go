package gateway

import (
	"hash/fnv"
	"slices"

	"github.com/headrace/headrace/specs"
)

// Canary says which apps meet a version before the others.
type Canary struct {
	specs.Canary
	picked []bool // by App.index
}

// NewCanary chooses the apps that meet a canary version of an API. The same
// apps are chosen again, and more of them when the share grows. It gives the
// canary the subscriptions of its major version.
func NewCanary(api *API, c specs.Canary, consumers *Consumers) {
	api.Canary = &Canary{Canary: c, picked: make([]bool, len(consumers.Apps))}
	for name, app := range consumers.Apps {
		api.Canary.picked[app.index] = slices.Contains(c.Apps, name) || shareOf(api, name) < uint32(c.Share)
	}
	if main := consumers.apis[api.Name+"/"+api.Major]; main != nil {
		api.subscriptions = main.subscriptions
	}
}

// shareOf is the place of an app between 0 and 99.
func shareOf(api *API, app string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(api.Name + "/" + api.Major + "/" + app))
	n := h.Sum32()
	n ^= n >> 16 // names that differ at their end alone are mixed, too (MurmurHash3's finish)
	n *= 0x85ebca6b
	n ^= n >> 13
	n *= 0xc2b2ae35
	n ^= n >> 16
	return n % 100
}

// Picks tells whether an app meets the canary. Callers whom nobody knows do not.
func (c *Canary) Picks(app *App) bool { return app != nil && c.picked[app.index] }

// VersionHeader tells a caller which version has answered, where there is a canary.
const VersionHeader = "X-Api-Version"

// Divert makes what has to run once the caller is known: apps that the canary
// picks go on with op, whose chain begins behind StageIdentify. main is the version of all others, which
// has identified the caller: credentials are taken out of a request when they
// are looked at. A security scheme of main that was met is met in the canary
// where that declares the same one.
func (c *Canary) Divert(main *API, op *Operation) Policy {
	var alike [][2]uint32
	for _, here := range main.Document.Schemes {
		for _, there := range op.Spec.Document.Schemes {
			if here.Alike(there) {
				alike = append(alike, [2]uint32{here.Bit, there.Bit})
			}
		}
	}
	return func(next Handler) Handler {
		return func(x *Exchange) (*Response, error) {
			if !c.Picks(x.App) {
				x.SetHeader(VersionHeader, main.Version)
				return next(x)
			}
			met := x.Identified
			x.Identified = 0
			for _, bits := range alike {
				if met&bits[0] != 0 {
					x.Identified |= bits[1]
				}
			}
			x.Operation, x.Class, x.headers = op, op.Class, nil
			x.SetHeader(VersionHeader, op.API.Version)
			return op.Handler(x)
		}
	}
}

// Only makes what has to run once the caller is known in the canary itself:
// apps that it does not pick find nothing.
func (c *Canary) Only(version string) Policy {
	return func(next Handler) Handler {
		return func(x *Exchange) (*Response, error) {
			if !c.Picks(x.App) {
				return nil, &Error{Problem: NotFound, Detail: "no API has an operation at this path"}
			}
			x.SetHeader(VersionHeader, version)
			return next(x)
		}
	}
}
