package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// Limits bound one run of a mapping. Zero stands for the default.
type Limits struct {
	// Time is the longest that a run may take; ten times that for one of a few
	// thousand instructions, which was rather kept waiting than busy.
	Time time.Duration
	// Output is the largest JSON in bytes that it may give.
	Output int64
}

// DefaultLimits leave room for documents of some hundred kilobytes.
var DefaultLimits = Limits{Time: 100 * time.Millisecond, Output: 1 << 20}

// variables are known to every mapping, in the order of Input.values.
var variables = []string{"$request", "$session", "$app", "$status", "$headers", nowVariable}

// Mapping is a compiled mapping. It is immutable and safe for concurrent use.
type Mapping struct {
	// Name is the file, or where the mapping stands inline.
	Name string

	programs *programs
	limits   Limits
	uses     uses
}

// Input is what one run of a mapping sees. Values are those of encoding/json
// with numbers as json.Number (see Decode); they are not changed.
type Input struct {
	Value   any
	Request any
	Session any
	Headers any
	// App and Status are null for the mapping when they are zero.
	App    string
	Status int
	// Now is what the mapping takes for the present.
	Now time.Time
	// More are the values of the variables that were declared to Compile.
	More []any
}

func (in *Input) values() []any {
	values := make([]any, len(variables), len(variables)+len(in.More))
	values[0], values[1], values[4] = in.Request, in.Session, in.Headers
	if in.App != "" {
		values[2] = in.App
	}
	if in.Status != 0 {
		values[3] = in.Status
	}
	values[5] = float64(in.Now.UnixMicro()) / 1e6
	return append(values, in.More...)
}

// NeedsBody tells whether the mapping looks at the request's body, as its input
// or through $request. It may say so without need, never the other way round.
func (m *Mapping) NeedsBody() bool { return m.uses.input || m.uses.body }

// NeedsInput tells whether the mapping looks at its input.
func (m *Mapping) NeedsInput() bool { return m.uses.input }

// NeedsRequestBody tells whether the mapping looks at $request.body.
func (m *Mapping) NeedsRequestBody() bool { return m.uses.body }

// NeedsRequest tells whether the mapping mentions $request.
func (m *Mapping) NeedsRequest() bool { return m.uses.request }

// Error is why a mapping gave nothing.
type Error struct {
	// Mapping is the name of the mapping.
	Mapping string
	// Said is the text that the mapping itself gave to error; it is meant for
	// the caller. It is empty when the mapping failed by mistake.
	Said string
	// Cause may quote the data that was mapped.
	Cause error
}

// Error is fit for logs: of what gojq says, it leaves out the data that was
// mapped, which may be a password or a customer's.
func (e *Error) Error() string {
	text := e.Cause.Error()
	if e.Said == "" {
		text = withoutData(text)
	}
	return "mapping " + e.Mapping + ": " + text
}

// quoting is the error with the data that it complains of, for tests.
func quoting(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return "mapping " + e.Mapping + ": " + e.Cause.Error()
	}
	return err.Error()
}

// withoutData cuts a message of gojq before it quotes a value: in parentheses,
// or as JSON.
func withoutData(text string) string {
	if i := strings.IndexAny(text, `("[{`); i >= 0 {
		text = strings.TrimRight(text[:i], " :")
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

var (
	errNothing  = errors.New("it gives no value")
	errSeveral  = errors.New("it gives more than one value")
	errTooSlow  = errors.New("it takes too long")
	errTooLarge = errors.New("its output is too large")
	errTooDeep  = errors.New("its output is nested too deeply")
	errNoNumber = errors.New("its output has a number that JSON cannot hold")
)

// start runs the mapping and hands what comes out to use, which must not keep
// any of it.
func (m *Mapping) start(ctx context.Context, in Input, use func(gojq.Iter, *stopwatch) error) (err error) {
	code, err := m.programs.take()
	if err != nil {
		return &Error{Mapping: m.Name, Cause: err}
	}
	defer func() {
		if p := recover(); p != nil { // the program may be left in any state
			err = &Error{Mapping: m.Name, Cause: fmt.Errorf("it broke down: %v", p)}
			return
		}
		m.programs.put(code)
	}()
	if m.uses.session {
		in.Session = clone(in.Session)
	}
	clock := &stopwatch{Context: ctx, end: time.Now().Add(m.limits.Time), limit: m.limits.Time}
	return use(code.RunWithContext(clock, in.Value, in.values()...), clock)
}

// run hands the one value that comes out to use. The error is an *Error, that
// of ctx, or that of use.
func (m *Mapping) run(ctx context.Context, in Input, use func(value any) error) error {
	return m.start(ctx, in, func(iter gojq.Iter, clock *stopwatch) error {
		value, ok := iter.Next()
		if !ok {
			return &Error{Mapping: m.Name, Cause: errNothing}
		}
		if err, failed := value.(error); failed {
			return m.failure(ctx, clock, err)
		}
		second, more := iter.Next()
		if err, failed := second.(error); failed {
			return m.failure(ctx, clock, err)
		}
		if more {
			return &Error{Mapping: m.Name, Cause: errSeveral}
		}
		return use(value)
	})
}

func (m *Mapping) failure(ctx context.Context, clock *stopwatch, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if clock.over {
		return &Error{Mapping: m.Name, Cause: errTooSlow}
	}
	e := &Error{Mapping: m.Name, Cause: err}
	// Only what the mapping says by error carries a value; gojq's own errors do not.
	if said, ok := errors.AsType[gojq.ValueError](err); ok {
		e.Said, _ = said.Value().(string)
	}
	return e
}

// Value maps an input and gives the value that comes out. Errors are an *Error
// or that of ctx, here and below.
func (m *Mapping) Value(ctx context.Context, in Input) (value any, err error) {
	err = m.run(ctx, in, func(v any) error {
		value = clone(v)
		return nil
	})
	return value, err
}

// JSON maps an input and gives the value that comes out as JSON.
func (m *Mapping) JSON(ctx context.Context, in Input) (data []byte, err error) {
	err = m.run(ctx, in, func(v any) error {
		data, err = m.encode(v)
		return err
	})
	return data, err
}

func (m *Mapping) encode(v any) ([]byte, error) {
	data, err := AppendJSON(nil, v, m.limits.Output)
	if err != nil {
		return nil, &Error{Mapping: m.Name, Cause: err}
	}
	return data, nil
}

// Text maps an input to a text, as the function Text does.
func (m *Mapping) Text(ctx context.Context, in Input) (text string, ok bool, err error) {
	err = m.run(ctx, in, func(v any) (err error) {
		if text, ok, err = Text(v); err != nil {
			err = &Error{Mapping: m.Name, Cause: err}
		}
		return err
	})
	return text, ok, err
}

// Text gives a value as a text: strings as they are, numbers and booleans as in
// JSON. null gives ok = false. Lists and objects are errors.
func Text(value any) (text string, ok bool, err error) {
	switch v := value.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	case []any, map[string]any:
		return "", false, fmt.Errorf("it gives an %s where a text is needed", gojq.TypeOf(v))
	}
	data, err := AppendJSON(nil, value, maxDigits)
	return string(data), err == nil, err
}

// Is maps an input to a condition: everything but false and null is true.
func (m *Mapping) Is(ctx context.Context, in Input) (yes bool, err error) {
	err = m.run(ctx, in, func(v any) error {
		yes = v != nil && v != false
		return nil
	})
	return yes, err
}

// Any tells whether any of the values that a mapping gives passes a test. A
// mapping that fails gives no further value.
func (m *Mapping) Any(ctx context.Context, in Input, test func(value any) bool) bool {
	found := false
	err := m.start(ctx, in, func(iter gojq.Iter, _ *stopwatch) error {
		for !found {
			value, ok := iter.Next()
			if _, failed := value.(error); failed || !ok {
				return nil
			}
			found = test(value)
		}
		return nil
	})
	return found && err == nil
}

// clone copies a value as deep as it can be changed.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, item := range v {
			m[name] = clone(item)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, item := range v {
			l[i] = clone(item)
		}
		return l
	}
	return value
}

// Number is an integer of a mapping's result; ok is false for anything else.
func Number(value any) (n int, ok bool) {
	switch v := value.(type) {
	case int:
		return v, true
	case json.Number:
		i, err := v.Int64()
		return int(i), err == nil
	case float64:
		return int(v), v == float64(int(v))
	}
	return 0, false
}

// Float is a number of a mapping's result; ok is false for anything else.
func Float(value any) (f float64, ok bool) {
	f, ok = gojq.ToFloat64(value)
	return f, ok && !math.IsNaN(f) && !math.IsInf(f, 0)
}
