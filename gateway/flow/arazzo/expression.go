package arazzo

// Expression is a compiled runtime expression. It is immutable and safe for
// concurrent use.
type Expression struct {
	text  string
	root  root
	name  string   // of a parameter, input, step, workflow, …
	more  string   // the output of a step or workflow
	steps []string // where the value stands inside what was found
}

// root is what an expression begins with.
type root uint8

// String gives the expression as it was written.
func (e *Expression) String() string { return e.text }

// Value is a compiled value: a literal, an expression, a text with expressions in
// it, or a list or mapping of such. It is immutable and safe for concurrent use.
type Value struct{ eval func(Scope) (any, bool) }

// Eval gives the value; ok is false when it is absent. What is returned belongs
// to the caller as far as it is not a part of the scope's own values, which must not be changed.
func (v Value) Eval(s Scope) (value any, ok bool) {
	if v.eval == nil {
		return nil, false
	}
	return v.eval(s)
}

// Criterion is a compiled condition. It is immutable and safe for concurrent use.
type Criterion struct {
	// Text is the condition as it was written, Kind is simple, regex or jsonpath.
	Text, Kind string
	holds      func(Scope) (bool, error)
}

// Holds tells whether the condition holds. The error says that it could not be
// decided within bounds; it is never the caller's fault.
func (c *Criterion) Holds(s Scope) (bool, error) { return c.holds(s) }
