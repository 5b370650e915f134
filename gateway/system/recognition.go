package system

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
)

// Recognition is how a system recognises a request that is sent twice.
type Recognition struct {
	// Operation is the operation's key.
	Operation string
	// Class is header, natural-key, confirm or none.
	Class string
	// Header carries Request.IdempotencyKey in the class header, and TTL is how
	// long the system remembers it; zero for ever.
	Header string
	TTL    time.Duration
	// Profile is the system's profile where it is the one that says so; empty
	// where the operation does.
	Profile string
}

// The classes that the system layer has to know.
const (
	byHeader  = "header"
	byNothing = "none"
)

// recognition is what the operation says of repeated writes, and what the
// profile of its system says where the operation is silent: of a call that it
// has read of at the vendor. What others tell is not relied upon unasked.
func (o *operation) recognition(i *specs.Idempotency) Recognition {
	r := Recognition{Operation: o.key, Class: byNothing}
	said := i != nil && i.Class != ""
	if said {
		r.Class, r.Header, r.TTL = i.Class, i.Header, i.TTL.Std()
	}
	p := o.system.profile
	if p == nil || said && (r.Class != byHeader || r.TTL > 0) {
		return r
	}
	method, path := o.call.place()
	_, carries := o.call.(*restCall)
	for n := range p.Idempotency {
		known := &p.Idempotency[n]
		if known.Evidence != "V" || !known.Fits(method, path) {
			continue
		}
		switch {
		case said && strings.EqualFold(known.Header, r.Header):
			r.TTL = known.TTL.Std() // the system forgets whether or not the operation says so
		case said, known.Class == byHeader && !carries:
		default:
			r.Class, r.Header, r.TTL, r.Profile = known.Class, known.Header, known.TTL.Std(), p.Name
		}
		return r
	}
	return r
}

// Recognition is how the system recognises a request of an operation that is
// sent twice, by the operation's key; of class none when there is no such operation.
func (s *Set) Recognition(key string) Recognition {
	if o := s.operations[key]; o != nil {
		return o.repeats
	}
	return Recognition{Operation: key, Class: byNothing}
}

// Recognitions lists them for all writes, by operation.
func (s *Set) Recognitions() []Recognition {
	var all []Recognition
	for _, key := range slices.Sorted(maps.Keys(s.operations)) {
		if o := s.operations[key]; !o.safe {
			all = append(all, o.repeats)
		}
	}
	return all
}
