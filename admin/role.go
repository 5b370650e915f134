package admin

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/registry"
)

// may tells whether one of the roles is enough where any of least is. Admins may
// do everything, and everybody who is known may look; the other roles stand
// beside each other.
func may(roles, least []registry.Role) bool {
	return slices.ContainsFunc(roles, func(role registry.Role) bool {
		switch {
		case role == registry.Bootstrap:
			return slices.Contains(least, registry.Bootstrap)
		case !slices.Contains(registry.Roles(), role):
			return false
		case role == registry.Admin, slices.Contains(least, registry.Viewer):
			return true
		}
		return slices.Contains(least, role)
	})
}

// named lists roles for people.
func named(roles []registry.Role, word string) string {
	var list []string
	for _, r := range roles {
		list = append(list, string(r))
	}
	return strings.Join(list, word)
}
