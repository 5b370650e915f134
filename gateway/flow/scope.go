package flow

import "github.com/headrace/headrace/gateway/flow/arazzo"

// scope is what expressions see at one point of a frame.
type scope struct {
	frame    *frame
	outputs  map[string]any
	exchange *arazzo.Exchange
}

func (s *scope) Inputs() map[string]any     { return s.frame.inputs }
func (s *scope) Outputs() map[string]any    { return s.outputs }
func (s *scope) Exchange() *arazzo.Exchange { return s.exchange }

func (s *scope) Step(id string) (map[string]any, bool) {
	s.frame.mu.Lock()
	defer s.frame.mu.Unlock()
	outputs, ok := s.frame.outputs[id]
	return outputs, ok
}

func (s *scope) Flow(id string) (inputs, outputs map[string]any, ok bool) {
	r := s.frame.run
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.over[id]
	return o.inputs, o.outputs, ok
}

// values evaluates outputs; those that are absent are left out.
func values(list []arazzo.Output, s arazzo.Scope) map[string]any {
	out := make(map[string]any, len(list))
	for _, o := range list {
		if v, ok := o.Value.Eval(s); ok {
			out[o.Name] = v
		}
	}
	return out
}
