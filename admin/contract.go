package admin

import (
	"embed"
	"net/http"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

//go:embed openapi.yaml
var openapi embed.FS

// contract is openapi.yaml, compiled.
type contract struct {
	document *specs.Document
	public   []byte
}

// newContract compiles the document, which is part of the program: what is
// wrong with it is a fault of the program.
func newContract() *contract {
	var ps source.Problems
	d := specs.Load(openapi, ".", &ps)
	if err := ps.Err(); err != nil {
		panic(err)
	}
	public, err := d.Public()
	if err != nil {
		panic(err)
	}
	return &contract{d, public}
}

// operation is the description of a route. None of them is without.
func (c *contract) operation(r *route) *specs.Operation {
	for _, op := range c.document.Operations {
		if op.Method == r.method && op.Path == r.described() {
			return op
		}
	}
	panic("admin: openapi.yaml does not describe " + r.method + " " + r.path)
}

// document answers the API's own description.
func (a *admin) document(k *call) error {
	return k.Blob(http.StatusOK, "application/json", a.contract.public)
}
