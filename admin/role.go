package admin

import (
	"slices"

	"github.com/headrace/headrace/gateway/registry"
)

// may tells whether a role is enough where any of least is. Admins may do
// everything, and everybody who is known may look; the other roles stand beside
// each other.
func may(role registry.Role, least []registry.Role) bool {
	switch {
	case role == registry.Bootstrap:
		return slices.Contains(least, registry.Bootstrap)
	case !slices.Contains(registry.Roles(), role):
		return false
	case role == registry.Admin, slices.Contains(least, registry.Viewer):
		return true
	}
	return slices.Contains(least, role)
}
