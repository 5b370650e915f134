package flow

import (
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Set is the flows of one table: the layer of its process and experience APIs.
type Set struct {
	flows     *Flows
	buffer    *buffer.Set
	consumers *gateway.Consumers
	linker    *arazzo.Linker
	apis      map[string]*gateway.API     // by NAME/vMAJOR
	lower     map[string]*lower           // by API/vMAJOR/operationId
	entries   map[string]*entry           // by the same
	documents map[string]*arazzo.Document // by hash
	texts     map[string][]byte           // of the documents, by hash
}

// lower is an operation that steps call.
type lower struct {
	op *gateway.Operation
	// handler answers it behind what holds for calls of flows, too; check is that alone.
	handler, check gateway.Handler
}

// entry is an operation that a workflow answers.
type entry struct {
	*arazzo.Entry
	key   string // API/vMAJOR/operationId
	keys  string // whether it wants idempotency keys: required, optional or off
	usual int    // the status of an answer whose workflow names none
	// passing tells that nothing of it is kept.
	passing bool
}

// maxDocument bounds an Arazzo document in bytes.
const maxDocument = 4 << 20

// Build compiles the flows of a table's APIs. The buffer's set must be that of
// the same table. All that is wrong goes to ps.
func (f *Flows) Build(fsys fs.FS, apis []*gateway.API, consumers *gateway.Consumers, lowest *buffer.Set, ps *source.Problems) *Set {
	s := &Set{
		flows: f, buffer: lowest, consumers: consumers, apis: map[string]*gateway.API{}, lower: map[string]*lower{}, entries: map[string]*entry{},
		documents: map[string]*arazzo.Document{}, texts: map[string][]byte{},
		linker: &arazzo.Linker{Mappings: lowest.System().Library()},
	}
	for _, api := range apis {
		s.apis[api.Name+"/"+api.Major] = api
		a := arazzo.API{Name: api.Name, Major: api.Major, Document: api.Document}
		if layered(api) {
			a.Flows = s.parse(fsys, api, ps)
		}
		s.linker.APIs = append(s.linker.APIs, a)
	}
	for i, a := range s.linker.APIs {
		if a.Flows == nil {
			continue
		}
		for id, e := range s.linker.Link(a, ps) {
			key := a.Name + "/" + a.Major + "/" + id
			s.entries[key] = entryOf(e, apis[i], key)
		}
	}
	return s
}

// layered tells whether flows answer an API.
func layered(api *gateway.API) bool {
	g := api.Document.Governance
	return g.Status != "retired" && g.Layer != "" && specs.Layer(g.Layer) != specs.SystemLayer
}

func (s *Set) parse(fsys fs.FS, api *gateway.API, ps *source.Problems) *arazzo.Document {
	name := path.Join("apis", api.Name, api.Version, arazzo.FileName)
	data, err := source.ReadBytes(fsys, name, maxDocument)
	if err != nil {
		ps.Add(api.Document.Governance.At("layer"), "an API of the layer "+api.Document.Governance.Layer+" is answered by flows, and "+name+" cannot be read", "write the workflows there")
		return nil
	}
	d := arazzo.Parse(fsys, name, ps)
	if d != nil {
		s.documents[d.Hash], s.texts[d.Hash] = d, data
	}
	return d
}

// compile compiles a document that an operation of an API went by.
func (s *Set) compile(data []byte, operation string, ps *source.Problems) *arazzo.Document {
	name, rest, _ := strings.Cut(operation, "/")
	major, _, _ := strings.Cut(rest, "/")
	for _, a := range s.linker.APIs {
		if a.Name != name || a.Major != major {
			continue
		}
		at := path.Join("apis", name, "1.0.0", arazzo.FileName)
		if a.Flows = arazzo.Parse(single{at, data}, at, ps); a.Flows != nil {
			s.linker.Link(a, ps)
		}
		return a.Flows
	}
	ps.AddFile(arazzo.FileName, "there is no API "+name+"/"+major+" any more", "")
	return nil
}

func entryOf(e *arazzo.Entry, api *gateway.API, key string) *entry {
	n := &entry{Entry: e, key: key, keys: "optional", usual: e.Operation.Success()}
	if i := e.Operation.Governance.Idempotency; i != nil && i.Key != "" {
		n.keys = i.Key
	}
	n.passing = !e.Workflow.Writes || specs.Layer(api.Document.Governance.Layer) == specs.ExperienceLayer
	if n.usual == 0 {
		n.usual = http.StatusOK
	}
	return n
}

// Bind makes the handler of an operation. Problems go to the binding; the
// handler is nil then.
func (s *Set) Bind(b *gateway.Binding) gateway.Handler {
	e := s.entries[b.API.Name+"/"+b.API.Major+"/"+b.Operation.ID]
	if e == nil {
		if b.Operation.Governance.Flow == nil {
			b.Problems.Add(b.Operation.Node, "nothing says which workflow answers", "set x-headrace.flow to a workflowId of "+arazzo.FileName)
		}
		return nil
	}
	return func(x *gateway.Exchange) (*gateway.Response, error) { return s.serve(x, e) }
}

// Lower tells of an operation that steps may call: handler answers it, behind
// what holds for calls of flows, too, and check is that alone.
func (s *Set) Lower(op *gateway.Operation, handler, check gateway.Handler) {
	s.lower[op.API.Name+"/"+op.API.Major+"/"+op.Spec.ID] = &lower{op: op, handler: handler, check: check}
}

// Documents lists the documents, for who draws them.
func (s *Set) Documents() []*arazzo.Document {
	var list []*arazzo.Document
	for _, a := range s.linker.APIs {
		if a.Flows != nil {
			list = append(list, a.Flows)
		}
	}
	return list
}
