package buffer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/specs"
)

// The idempotency classes: what makes a second sending safe.
const (
	byHeader  = "header"
	byNature  = "natural-key"
	byConfirm = "confirm"
	byNothing = "none"
)

// operation is a write operation, compiled.
type operation struct {
	set       *Set
	key       string // API/vMAJOR/operationId, the same in a canary version
	call      string // what the system layer calls it
	system    string
	api       *gateway.API
	spec      *specs.Operation
	consumers *gateway.Consumers

	lanes    []lane
	sequence *specs.Expression
	goesOn   bool // lanes go on when a write is dead
	coalesce bool

	keys     string // required, optional or off
	class    string
	ttl      time.Duration // of the system's own keys; zero for ever
	confirms bool
	timeout  time.Duration
}

// lane is a business key: its name and where its value stands.
type lane struct {
	name string
	from specs.Expression
}

// compile makes a write operation; nil after a problem.
func compile(s *Set, b *gateway.Binding) *operation {
	before := b.Problems.Len()
	g := &b.Operation.Governance
	o := &operation{
		set: s, call: b.API.Key(b.Operation), key: b.API.Name + "/" + b.API.Major + "/" + b.Operation.ID, system: g.System, api: b.API, spec: b.Operation, consumers: b.Consumers,
		goesOn: g.OnFailure == "continue", coalesce: g.Coalesce == "latest", keys: "optional",
	}
	for _, text := range g.Lane {
		from, err := specs.ParseExpression(text)
		if err != nil {
			return nil // reported when it was read
		}
		o.lanes = append(o.lanes, lane{laneName(from), from})
	}
	if g.Sequence != "" {
		from, err := specs.ParseExpression(g.Sequence)
		if err != nil {
			return nil // reported when it was read
		}
		o.sequence = &from
	}
	repeats := s.system.Recognition(o.call)
	o.class, o.ttl = repeats.Class, repeats.TTL
	if i := g.Idempotency; i != nil {
		o.keys = i.Key
		if o.class == byHeader && !s.system.SendsKey(o.call) {
			b.Problems.Add(g.At("idempotency").At("class"), "the system's dialect has no header for the key", "use natural-key, confirm or none")
		}
	}
	o.confirms = g.Confirm != nil
	o.timeout = s.system.Timeout(o.call)
	if b.Problems.Len() > before {
		return nil
	}
	return o
}

// laneName is what a business key is called: the last name of its place, so
// that the same key in a path and in a body is the same lane.
func laneName(e specs.Expression) string {
	if e.In != "body" {
		return e.Name
	}
	for _, token := range slices.Backward(e.Pointer) {
		if _, err := strconv.Atoi(token); err != nil {
			return token
		}
	}
	return "body"
}

// longestValue is the longest value of a business key in bytes that is kept as
// it is; longer ones are kept by their hash.
const longestValue = 200

// laneKeys are the business keys of a request: NAME=VALUE, without repetitions.
// A key that the request does not have is left out.
func (o *operation) laneKeys(r *system.Request) ([]string, error) {
	var keys []string
	for _, l := range o.lanes {
		values, err := r.Values(l.from)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if key := laneKey(l.name, v); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) > maxLanes {
		return nil, &gateway.Error{Problem: gateway.InvalidBody, Detail: fmt.Sprintf("the request names %d business keys; at most %d are kept in order together", len(keys), maxLanes)}
	}
	return keys, nil
}

// maxLanes is how many lanes a write may stand in.
const maxLanes = 64

func laneKey(name, value string) string {
	if len(value) > longestValue {
		sum := sha256.Sum256([]byte(value))
		value = "sha256:" + hex.EncodeToString(sum[:])
	}
	return name + "=" + value
}

// sequenceOf is the write's number in its lane; nil where the operation has none.
func (o *operation) sequenceOf(r *system.Request) (*int64, error) {
	if o.sequence == nil {
		return nil, nil
	}
	values, err := r.Values(*o.sequence)
	if err != nil {
		return nil, err
	}
	if len(values) == 1 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			return &n, nil
		}
	}
	return nil, &gateway.Error{
		Problem:    gateway.InvalidBody,
		Violations: []specs.Violation{{In: o.sequence.In, Name: o.sequence.Name, Pointer: o.sequence.JSONPointer(), Detail: "must be a whole number, which orders the writes"}},
	}
}

// revoked says why an app may not have its write sent any more; empty if it
// may.
func (o *operation) revoked(app string, k *kept) string {
	if !k.Subscribed {
		return o.consumers.Revoked(app, "")
	}
	if k.Through != "" {
		return o.consumers.Revoked(app, k.Through)
	}
	return o.consumers.Revoked(app, o.api.Name+"/"+o.api.Major)
}
