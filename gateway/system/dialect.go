package system

import (
	"context"

	"github.com/headrace/headrace/specs/source"
)

// dialect is how a family of systems speaks. It compiles; the calls that it
// makes are safe for concurrent use and hold no state of requests.
type dialect interface {
	// check reports what is wrong with the system's settings for this dialect.
	check(s *Settings, ps *source.Problems)
	// operation compiles the call key of an operation; nil after a problem.
	operation(b *builder, o *operation) call
	// plain compiles a call without an operation, whose mappings know some
	// variables besides the usual ones; nil after a problem.
	plain(b *builder, c *SessionCall, variables ...string) plain
}

// dialects lists them all by name.
var dialects = map[string]dialect{
	"rest":    rest{},
	"jsonrpc": jsonrpc{},
}

// call is an operation's call, compiled.
type call interface {
	// send carries a task out: it makes as many steps with task.do as the call
	// has, and gives what became of it. ctx ends when the caller leaves.
	send(ctx context.Context, t *task) *Result
	// body tells whether the request's body is mapped, so that it has to be
	// read whole, or is passed on; neither when the call has no body.
	body() (mapped, passed bool)
	// place is that of its steps.
	place() (method, path string)
}
