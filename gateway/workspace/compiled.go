package workspace

import (
	"crypto/sha256"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Compiled remembers documents and parsed files by what they were made from,
// and what was found right, so that the next table compiles only what has changed. The zero value is ready to use,
// and safe for concurrent use.
type Compiled struct {
	mu    sync.Mutex
	round int
	kept  map[string][]*compiled // by folder or file, the newest last
	sound map[*specs.Document]proof
}

// proof is what the chains of a document were compiled with when nothing was
// wrong: the settings of the plans that its callers may be on.
type proof struct{ plans []source.Node }

func proofOf(c *gateway.Consumers, api *gateway.API) proof {
	var p proof
	for _, plan := range c.PlansFor(api) {
		p.plans = append(p.plans, plan.Node)
	}
	return p
}

// same compares by identity: a parsed file that has not changed is the same one.
func (p proof) same(o proof) bool {
	return slices.EqualFunc(p.plans, o.plans, func(a, b source.Node) bool { return a.Exists() && a.YAML() == b.YAML() })
}

// proved tells whether all chains of an API were compiled for an earlier table.
func (c *Compiled) proved(consumers *gateway.Consumers, api *gateway.API) bool {
	c.mu.Lock()
	before, ok := c.sound[api.Document]
	c.mu.Unlock()
	return ok && before.same(proofOf(consumers, api))
}

// width is how many documents are compiled at a time: on all cores before the
// first table, and on half of them once there are calls to be answered.
func (c *Compiled) width() int {
	cores := runtime.GOMAXPROCS(0)
	if c.serving() {
		return max(1, cores/2)
	}
	return cores
}

// serving tells that a table was built before.
func (c *Compiled) serving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sound) > 0
}

// prove remembers a table in which nothing is wrong.
func (c *Compiled) prove(t *gateway.Table) {
	sound := map[*specs.Document]proof{}
	for _, api := range t.APIs {
		sound[api.Document] = proofOf(t.Consumers, api)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sound = sound
}

// compiled is a document, or a parsed file, and the contents of all names that
// were looked at for it.
type compiled struct {
	from     map[string]string
	document *specs.Document
	node     source.Node
	used     int // the last round
}

// How long and how many: a version of a document that is tried does not push
// out the one that is served.
const (
	keptRounds   = 16
	keptVersions = 2
)

// begin starts a round, and forgets what has not been used for long.
func (c *Compiled) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
	for name, list := range c.kept {
		if list[len(list)-1].used < c.round-keptRounds {
			delete(c.kept, name)
		}
	}
}

// find finds what was made from the present contents.
func (c *Compiled) find(name string, fsys fs.FS, x *index) *compiled {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.kept[name]
	for i, k := range list {
		if k.same(fsys, x) {
			k.used = c.round
			list[i], list[len(list)-1] = list[len(list)-1], k // the newest last
			return k
		}
	}
	return nil
}

func (k *compiled) same(fsys fs.FS, x *index) bool {
	for name, content := range k.from {
		if x.content(fsys, name) != content {
			return false
		}
	}
	return true
}

func (c *Compiled) keep(name string, k *compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[string][]*compiled{}
	}
	k.used = c.round
	list := append(c.kept[name], k)
	c.kept[name] = list[max(0, len(list)-keptVersions):]
}

// load loads a document, or finds it under a name. Those with problems are
// loaded each time.
func (c *Compiled) load(name string, fsys fs.FS, x *index, dir string, ps *source.Problems) *specs.Document {
	if k := c.find(name, fsys, x); k != nil {
		return k.document
	}
	seen := &watched{fsys: fsys, index: x, from: map[string]string{}}
	before := ps.Len()
	d := specs.Load(seen, dir, ps)
	if d != nil && ps.Len() == before && seen.still() {
		c.keep(name, &compiled{from: seen.from, document: d})
	}
	return d
}

// read parses a file, or finds it.
func (c *Compiled) read(fsys fs.FS, x *index, name string, ps *source.Problems) source.Node {
	if k := c.find(name, fsys, x); k != nil {
		return k.node
	}
	before := ps.Len()
	n := source.Read(fsys, name, source.DefaultLimits, ps)
	if hash := hashOf(fsys, name); ps.Len() == before && hash != "" && hash == x.hashes[name] {
		c.keep(name, &compiled{from: map[string]string{name: hash}, node: n})
	}
	return n
}

// watched is a file system that notes what is looked at.
type watched struct {
	fsys   fs.FS
	index  *index
	mu     sync.Mutex
	from   map[string]string
	listed bool // a folder was listed: what that gave is not noted
}

// still tells that what was read is what the index knows: a file may have
// changed between the two looks.
func (w *watched) still() bool {
	for name, content := range w.from {
		if w.index.hashes[name] != "" && hashOf(w.fsys, name) != content {
			return false
		}
	}
	return !w.listed
}

func (w *watched) note(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.from[name]; !ok {
		w.from[name] = w.index.content(w.fsys, name)
	}
}

func (w *watched) Open(name string) (fs.File, error) {
	w.note(name)
	return w.fsys.Open(name)
}

func (w *watched) Stat(name string) (fs.FileInfo, error) {
	w.note(name)
	return fs.Stat(w.fsys, name)
}

func (w *watched) ReadDir(name string) ([]fs.DirEntry, error) {
	w.mu.Lock()
	w.listed = true
	w.mu.Unlock()
	return fs.ReadDir(w.fsys, name)
}

// Inspect loads a document aside, and tells which files outside its folder it
// is made of, by their hashes.
func Inspect(fsys fs.FS, dir string, ps *source.Problems) (d *specs.Document, uses map[string]string) {
	seen := &watched{fsys: fsys, index: &index{}, from: map[string]string{}}
	d = specs.Load(seen, dir, ps)
	uses = map[string]string{}
	for name, content := range seen.from {
		if len(content) == 2*sha256.Size && !strings.HasPrefix(name, dir+"/") {
			uses[name] = content
		}
	}
	return d, uses
}
