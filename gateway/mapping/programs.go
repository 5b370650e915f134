package mapping

import (
	"sync"

	"github.com/itchyny/gojq"
)

// programs are the compiled copies of one mapping. gojq's del and |= write to
// maps of their input and of the program's constants: always the value that is
// there already, but two runs that share them would still break the process.
// So a run has a copy, and what is shared besides ($session), to itself. There
// are as many copies as there have been runs at the same time.
type programs struct {
	query   *gojq.Query
	options []gojq.CompilerOption

	mu   sync.Mutex
	free []*gojq.Code
}

// maxFree bounds the copies that are kept.
const maxFree = 256

func (p *programs) take() (*gojq.Code, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		code := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return code, nil
	}
	p.mu.Unlock()
	return gojq.Compile(p.query, p.options...)
}

func (p *programs) put(code *gojq.Code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < maxFree {
		p.free = append(p.free, code)
	}
}
