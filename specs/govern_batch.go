package specs

import (
	"fmt"

	"github.com/headrace/headrace/specs/source"
)

// checkBatch looks at the operation that a batch names.
func (l *loader) checkBatch(o *Operation) {
	b := o.Governance.Batch
	if b == nil || b.Operation == "" {
		return
	}
	at := b.Node.At("operation")
	call := l.document.Operation(b.Operation)
	switch {
	case call == nil:
		l.ps.Add(at, fmt.Sprintf("there is no operation %q", b.Operation), source.DidYouMean(b.Operation, l.writes()))
		return
	case call == o:
		l.ps.Add(at, o.ID+" cannot be packed into itself", "write batch at the operations that are packed, not at the path or the root")
		return
	case call.Safe():
		l.ps.Add(at, b.Operation+" is a read", "name the operation that does several writes at once")
	case call.Governance.Batch != nil:
		l.ps.Add(at, b.Operation+" is packed into batches itself", "remove its batch")
	case call.Governance.System != o.Governance.System:
		l.ps.Add(at, fmt.Sprintf("%s is a call of %q, and %s one of %q", b.Operation, call.Governance.System, o.ID, o.Governance.System), "a batch stays within one system")
	}
	for _, p := range l.parameters(call) {
		if p.required {
			l.ps.Add(at, fmt.Sprintf("%s needs the %s parameter %q, which a batch does not have", b.Operation, p.in, p.name), "write it into the path of its call")
		}
	}
	if i := o.Governance.Idempotency; i != nil && i.Class == "header" && !b.Keyed {
		l.ps.Add(b.Node, "class header and a batch contradict each other unless the system looks at the key of each part", "let request pass each part's headers on and write keyed: true, or use natural-key or confirm")
	}
}

// writes are the names of the operations that change something.
func (l *loader) writes() (ids []string) {
	for _, o := range l.document.Operations {
		if !o.Safe() {
			ids = append(ids, o.ID)
		}
	}
	return ids
}
