package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// stand is a system layer that answers nothing.
type stand struct{ systems map[string]source.Node }

func (s stand) Bind(b *gateway.Binding) gateway.Handler {
	if name := b.Operation.Governance.System; !s.systems[name].Exists() {
		b.Problems.Add(b.Operation.Governance.At("system"), fmt.Sprintf("there is no system %q", name), "")
	}
	return func(*gateway.Exchange) (*gateway.Response, error) {
		return nil, &gateway.Error{Problem: gateway.NotFound}
	}
}
func (stand) CheckUse(*source.Problems) {}
func (stand) Close()                    {}

type recorder struct{}

func (recorder) Prepare(*gateway.Operation) {}
func (recorder) Begin(*gateway.Exchange)    {}
func (recorder) End(*gateway.Exchange)      {}

type rate struct {
	Rate string `yaml:"rate" check:"required"`
}

// kinds are the policies that the tests name.
func kinds() []gateway.Kind {
	pass := func(next gateway.Handler) gateway.Handler { return next }
	return []gateway.Kind{
		gateway.Define(gateway.Kind{Name: "deprecate", Stage: gateway.StageDeprecate, Levels: gateway.LevelAPI, Doc: "d"}, func(*gateway.Binding, dates) gateway.Policy { return pass }),
		gateway.Define(gateway.Kind{Name: "subscription", Stage: gateway.StageSubscription, Levels: gateway.LevelAPI, Doc: "s"}, func(*gateway.Binding, struct{}) gateway.Policy { return pass }),
		gateway.Define(gateway.Kind{Name: "throttle", Stage: gateway.StageThrottle, Levels: gateway.LevelAPI | gateway.LevelPlan, Doc: "t"}, func(*gateway.Binding, rate) gateway.Policy { return pass }),
	}
}

// world is a registry on a ledger of its own, with a gateway that follows it
// and a directory.
type world struct {
	*testing.T
	ctx     context.Context
	ledger  *ledger.DB
	r       *Registry
	live    *workspace.Live
	gateway *gateway.Gateway
	dir     string
	made    int
	options Options
}

var by = ledger.By{Actor: "ada", Role: "architect", Reason: "because"}

func newWorld(t *testing.T) *world {
	w := &world{T: t, ctx: t.Context(), dir: t.TempDir()}
	var err error
	w.ledger, err = ledger.Open(w.ctx, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Replica: "one", Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	t.Cleanup(func() { w.ledger.Close() })
	w.write("headrace.yaml", "{}")
	w.gateway = gateway.New(gateway.Options{Recorder: recorder{}})
	w.live = workspace.NewLive(w.dir, workspace.Options{
		Kinds: kinds(),
		Systems: func(_ fs.FS, systems map[string]source.Node, _ *source.Problems) workspace.SystemLayer {
			return stand{systems}
		},
		Registry: func() (workspace.Layer, error) { return w.r.Layer(w.ctx) },
	}, w.gateway, slog.New(slog.DiscardHandler))
	w.options = Options{
		Ledger: w.ledger, Check: w.live.Check, Over: w.live.Over, Diff: removed,
		NewKey: func() Key {
			w.made++
			text := fmt.Sprintf("hr_prefix%02d_secret", w.made)
			sum := sha256.Sum256([]byte(text))
			return Key{text, fmt.Sprintf("prefix%02d", w.made), "sha256:" + hex.EncodeToString(sum[:])}
		},
	}
	w.r = New(w.options)
	return w
}

// removed finds operations that are gone.
func removed(before, after Place) (list []Change, err error) {
	var ps source.Problems
	old, _ := workspace.Inspect(before.Files, before.Dir, &ps)
	now, _ := workspace.Inspect(after.Files, after.Dir, &ps)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	for _, o := range old.Operations {
		if now.Operation(o.ID) == nil {
			list = append(list, Change{Position: o.Node.Position(), ID: "gone-" + o.ID, Rule: "gone", Level: Breaking, Where: o.Method + " " + o.Path, Text: "was removed"})
		}
	}
	return list, nil
}

func (w *world) write(name, content string) {
	w.Helper()
	file := filepath.Join(w.dir, name)
	w.ok(os.MkdirAll(filepath.Dir(file), 0o755))
	w.ok(os.WriteFile(file, []byte(content), 0o600))
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused expects a refusal whose text holds what is given.
func (w *world) refused(err error, why Why, text string) *Refusal {
	w.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Why != why || !strings.Contains(err.Error(), text) {
		w.Fatalf("got %v, want %s %q", err, why, text)
	}
	return r
}

// faulty expects problems of files.
func (w *world) faulty(err error, text string) {
	w.Helper()
	var faults *source.Error
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), text) {
		w.Fatalf("got %v, want a problem %q", err, text)
	}
}

// routes are what the gateway serves after it has read everything again.
func (w *world) routes() string {
	w.Helper()
	w.ok(w.live.Reload())
	var list []string
	for _, o := range w.gateway.Table().Operations {
		list = append(list, o.API.Version+" "+o.Spec.Method+" "+o.Route)
	}
	return strings.Join(list, ", ")
}

// document has an operation for each path.
func document(paths ...string) map[string][]byte {
	text := "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp, policies: {subscription: {}}}\npaths:\n"
	for _, p := range paths {
		text += "  /" + p + ":\n    get: {operationId: " + p + ", responses: {\"200\": {description: ok}}}\n"
	}
	return map[string][]byte{"openapi.yaml": []byte(text)}
}

func (w *world) erp() {
	w.Helper()
	_, err := w.r.PutFile(w.ctx, by, "systems/erp.yaml", []byte("url: http://127.0.0.1:9\n"), ledger.Any)
	w.ok(err)
}

func (w *world) publish(version string, paths ...string) Publication {
	w.Helper()
	p, err := w.r.Publish(w.ctx, by, Release{API: "orders", Version: version, Files: document(paths...)})
	w.ok(err)
	return p
}

func (w *world) put(kind, name, text string) {
	w.Helper()
	_, err := w.r.Put(w.ctx, by, kind, name, []byte(text), ledger.Any)
	w.ok(err)
}
