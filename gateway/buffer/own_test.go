package buffer_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// The path of the status resource belongs to the gateway.
func TestPathIsTaken(t *testing.T) {
	w := newWorld(t, nil)
	w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(document, "{system: erp,", "{base: /writes, system: erp,", 1))
	var ps source.Problems
	files, dir := buffer.Document()
	table, _ := workspace.Build(workspace.Load(w.files, &ps), workspace.Options{
		Kinds: []gateway.Kind{identify()},
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			return w.buffer.Build(w.fleet.Build(fsys, systems, ps))
		},
		Own: []workspace.Own{{Files: files, Dir: dir, Layer: w.buffer.Resource()}},
	}, &ps)
	table.Close()
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), "the gateway answers /writes itself") {
		t.Errorf("%v", err)
	}
}

// A class that the system's dialect cannot keep is refused where it stands.
func TestKeyWithoutHeader(t *testing.T) {
	w := newWorld(t, nil)
	w.files["systems/erp.yaml"].Data = append([]byte("dialect: jsonrpc\n"), w.files["systems/erp.yaml"].Data...)
	w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(`openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, call: {method: common.db}}
paths:
  /keyed:
    post:
      operationId: keyed
      x-headrace: {idempotency: {class: header, header: X-Once}}
      responses: {default: {description: any}}
`)
	var ps source.Problems
	table, _ := workspace.Build(workspace.Load(w.files, &ps), workspace.Options{
		Kinds: []gateway.Kind{identify()},
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			return w.buffer.Build(w.fleet.Build(fsys, systems, ps))
		},
	}, &ps)
	table.Close()
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), "dialect has no header for the key") {
		t.Errorf("%v", err)
	}
}
