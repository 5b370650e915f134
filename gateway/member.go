package gateway

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Member is a person of an organisation. No call depends on it: it is kept for the
// registry and for those who look after consumers.
type Member struct {
	Organisation string      `yaml:"organisation" check:"required" doc:"The organisation that the person belongs to."`
	Title        string      `yaml:"title" doc:"Name as shown to people."`
	Email        string      `yaml:"email" check:"required" doc:"Address of the person."`
	Role         string      `yaml:"role" enum:"owner,developer,billing,viewer" default:"viewer" doc:"What the person may do for the organisation."`
	Status       string      `yaml:"status" enum:"invited,active,removed" default:"invited" doc:"Whether the person has accepted, or is no longer there."`
	Node         source.Node `yaml:",node"`
}

var memberPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckMember finds what is wrong with the name and the address of a member, which
// stands at n.
func CheckMember(name, organisation, email string, n source.Node, ps *source.Problems) {
	someone, ok := strings.CutPrefix(name, organisation+".")
	if !ok || !memberPattern.MatchString(someone) {
		ps.Add(n, fmt.Sprintf("%q is not a name of a member", name), "ORGANISATION.SOMEONE")
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
		ps.Add(n.At("email"), fmt.Sprintf("%q is not an address", email), "write NAME@HOST")
	}
}

// checkMembers checks those of a consumer file.
func (f *ConsumerFile) checkMembers(ps *source.Problems) {
	dropEmpty(f.Node.At("members"), f.Members, ps)
	for name, m := range f.Members {
		if m.Organisation == "" || m.Email == "" {
			continue // reported when it was read
		}
		CheckMember(name, m.Organisation, m.Email, m.Node, ps)
		if f.Organisations[m.Organisation] == nil {
			dangling(m.Node, "organisation", m.Organisation, f.Organisations, ps)
		}
	}
}
