package portal

import "github.com/labstack/echo/v4"

// visitor is who looks at the portal.
type visitor struct {
	account      string // id of the account
	email, name  string
	organisation string // the one that the visitor acts for; empty for none
	// role is the member's in that organisation: owner, developer, billing or viewer.
	role    string
	manager bool
	// acting is the account of a manager who looks through this visitor's eyes;
	// nothing can be changed then. Empty otherwise.
	acting string
}

// Name is what the visitor is called on pages.
func (v *visitor) Name() string {
	if v.name != "" {
		return v.name
	}
	return v.email
}

// may tells whether the visitor is at least what a route asks for; nil is nobody.
func (v *visitor) may(least who) bool {
	switch {
	case least == anyone:
		return true
	case v == nil:
		return false
	}
	switch least {
	case signedIn:
		return true
	case member:
		return v.organisation != ""
	case developer:
		return v.organisation != "" && (v.role == "developer" || v.role == "owner")
	case owner:
		return v.organisation != "" && v.role == "owner"
	case manager:
		return v.manager
	}
	return false
}

// visitor finds out who looks; nil when nobody is signed in.
func (p *Portal) visitor(echo.Context) (*visitor, error) { return nil, nil }
