package specs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Extension is the key under which governance stands in an OpenAPI document.
const Extension = "x-headrace"

// Class is the business criticality of a call.
type Class uint8

// The classes, from the least urgent to the most.
const (
	Low Class = iota
	Normal
	High
	Critical
)

// Classes lists the classes from the most urgent to the least.
var Classes = [...]Class{Critical, High, Normal, Low}

func (c Class) String() string {
	return [...]string{"low", "normal", "high", "critical"}[c&3]
}

// UnmarshalText reads the name of a class.
func (c *Class) UnmarshalText(text []byte) error {
	i := slices.Index([]string{"low", "normal", "high", "critical"}, string(text))
	if i < 0 {
		return fmt.Errorf("one of critical, high, normal, low")
	}
	*c = Class(i)
	return nil
}

// MarshalText gives the name of the class.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// JSONSchema describes the notation for editors.
func (Class) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "enum": []any{"critical", "high", "normal", "low"}}
}

// Layer is the place of an API in the layered model. Calls go downwards only:
// experience, process, system.
type Layer string

// The layers.
const (
	SystemLayer     Layer = "system"
	ProcessLayer    Layer = "process"
	ExperienceLayer Layer = "experience"
)

// APIGovernance is x-headrace at the root of a document: what holds for the
// API as a whole, and the defaults of its operations.
type APIGovernance struct {
	Layer  string `yaml:"layer" enum:"system,process,experience" default:"system" doc:"Layer of the API; calls go downwards only: experience, process, system."`
	Domain string `yaml:"domain" doc:"Business domain, for example orders."`
	Owner  string `yaml:"owner" doc:"Team that answers for the API."`
	Base   string `yaml:"base" doc:"Path under which the API is reached; /NAME/vMAJOR when absent."`
	Status string `yaml:"status" enum:"draft,published,deprecated,retired" default:"published" doc:"Lifecycle state. Drafts are checked but not served; retired versions answer 410."`
	Shadow bool   `yaml:"shadow" doc:"Of a draft: it is tried on the traffic of the version that is served, and what it would have refused is reported. It decides nothing."`

	Canary *Canary `yaml:"canary" doc:"Of a minor version: who meets it before all others do."`

	OperationGovernance `yaml:",inline"`
}

// Canary says which apps meet a new minor version before all others do.
type Canary struct {
	Share int            `yaml:"share" json:"share,omitempty" min:"0" max:"100" doc:"Part of the apps in percent, chosen by their names: the same ones each time, and more when it grows."`
	Apps  source.Strings `yaml:"apps" json:"apps,omitempty" doc:"Apps that meet it in any case."`
	Node  source.Node    `yaml:",node" json:"-"`
}

// OperationGovernance is x-headrace at an operation. The same keys at the path
// or at the root are defaults: the nearer one wins, key by key, and policies by policy.
type OperationGovernance struct {
	System      string           `yaml:"system" doc:"The system that answers, by the name of its file in systems/."`
	Call        source.Node      `yaml:"call" doc:"The system's own call, in the words of its dialect; see the reference of dialects."`
	Policies    Policies         `yaml:"policies" doc:"Policies by name, each with its settings; off removes an inherited one."`
	Wait        *source.Duration `yaml:"wait" doc:"Longest wait for the system's budget before 503; callers may shorten it with Prefer: wait=SECONDS."`
	Timeout     *source.Duration `yaml:"timeout" doc:"Longest time that the system may take for one call."`
	Class       *Class           `yaml:"class" doc:"Business criticality; a plan may lower or raise it."`
	Safe        *bool            `yaml:"safe" doc:"The operation changes nothing although its method says otherwise (a search by POST); it takes the read path."`
	Cost        Costs            `yaml:"cost" doc:"Cost of a call by pool, as a number or a jq expression over the request; 1 when absent."`
	Lane        source.Strings   `yaml:"lane" doc:"Business keys whose writes keep their order, as runtime expressions such as $request.body#/orderId."`
	Sequence    string           `yaml:"sequence" doc:"Number that orders the writes of a lane, as a runtime expression."`
	Idempotency *Idempotency     `yaml:"idempotency" doc:"How a second sending of the same write is recognised."`
	Confirm     *Confirm         `yaml:"confirm" doc:"How to find out whether a write arrived whose answer was lost."`
	OnFailure   string           `yaml:"on_failure" enum:"stop,continue" doc:"Whether a write that failed for good stops its lane."`
	Coalesce    string           `yaml:"coalesce" enum:"latest" doc:"A newer write of the lane replaces older ones that are still held."`
	Batch       *Batch           `yaml:"batch" doc:"The call that takes several queued writes of the operation at once."`
	Flow        *Flow            `yaml:"flow" doc:"The workflow that answers the operation, by its workflowId in flows.arazzo.yaml; for the layers process and experience."`

	// Node is the nearest x-headrace; the operation itself where it has none.
	Node source.Node `yaml:",node"`

	levels []source.Node // every x-headrace that was merged, the nearest first
}

// At is where a key's value stands, be it at the operation, its path or the
// root; Node when it stands nowhere.
func (g OperationGovernance) At(key string) source.Node {
	for _, n := range g.levels {
		if value := n.Get(key); value.Exists() {
			return value
		}
	}
	return g.Node
}

// Says tells whether a key stands anywhere, be it empty.
func (g OperationGovernance) Says(key string) bool {
	return slices.ContainsFunc(g.levels, func(n source.Node) bool { return n.Get(key).Exists() })
}

// Policies are settings by the name of the policy, not decoded yet: the
// policy's Kind knows their shape. A value of off removes an inherited policy.
type Policies map[string]source.Node

// Costs are costs of a call by pool: numbers, or jq expressions over the request.
type Costs map[string]string

// DecodeNode accepts numbers beside strings.
func (c *Costs) DecodeNode(n source.Node, ps *source.Problems) {
	if n.Kind() != source.Map {
		source.Decode(n, (*map[string]string)(c), ps)
		return
	}
	*c = Costs{}
	for _, f := range n.Fields() {
		switch kind := f.Value.Kind(); kind {
		case source.String, source.Int, source.Float:
			(*c)[f.Name] = f.Value.Text()
		default:
			ps.Add(f.Value, "expected a number or an expression, found "+kind.Named(), "")
		}
	}
}

// JSONSchema describes the notation for editors.
func (Costs) JSONSchema() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": []any{"number", "string"}}}
}

// Idempotency says how callers and the system recognise a repeated write.
type Idempotency struct {
	Key    string          `yaml:"key" enum:"required,optional,off" default:"optional" doc:"Whether callers send an Idempotency-Key."`
	Class  string          `yaml:"class" enum:"header,natural-key,confirm,none" doc:"What makes a second sending safe at the system; when absent what the system's profile knows of the call, or else none."`
	Header string          `yaml:"header" doc:"The system's own header for the key, with class header."`
	TTL    source.Duration `yaml:"ttl" doc:"How long the system remembers a key; when absent what the system's profile knows, or else for ever."`
}

// Confirm names the read that tells whether a write arrived.
type Confirm struct {
	Operation string            `yaml:"operation" check:"required" doc:"operationId of a read of the same document."`
	With      map[string]string `yaml:"with" doc:"Parameters of the read, as runtime expressions over the write."`
	When      string            `yaml:"when" check:"required" doc:"jq condition over the read's answer; true means that the write arrived."`

	Node source.Node `yaml:",node"`
}

// Batch names the call of the same system that does several writes of an
// operation at once, and says how they are packed and its answer is split.
type Batch struct {
	Operation string `yaml:"operation" check:"required" doc:"operationId of the system's batch call, of the same document and system."`
	Size      int    `yaml:"size" check:"required" min:"2" max:"1000" doc:"Most writes in one call."`
	Request   string `yaml:"request" check:"required" doc:"jq that makes the batch call's body. Its input is the list of the parts: each write as it would be sent alone, with id, method, path, params, headers and body."`
	Results   string `yaml:"results" check:"required" doc:"jq over the batch call's answer that gives the list of the results: each with status, and headers and body where there are any, as if the write had been sent alone. Those with an id are matched by it, others by their order."`
	Keyed     bool   `yaml:"keyed" doc:"The system looks at the idempotency header of each part, which request passes on; needed with idempotency class header."`

	Node source.Node `yaml:",node"`
}

// Flow names the workflow that answers an operation. A workflowId alone stands
// for workflow.
type Flow struct {
	Workflow string            `yaml:"workflow" check:"required" doc:"workflowId in the flows.arazzo.yaml beside the document."`
	Inputs   map[string]string `yaml:"inputs" doc:"Inputs of the workflow, as runtime expressions over the request. An input that is not named here comes from the parameter of its name, or else from the property of the body with its name; body is the body as a whole."`

	Node source.Node `yaml:",node"`
}

// DecodeNode accepts a workflowId alone.
func (f *Flow) DecodeNode(n source.Node, ps *source.Problems) {
	type plain Flow
	if n.Kind() == source.String {
		*f = Flow{Workflow: n.Text(), Node: n}
		return
	}
	source.Decode(n, (*plain)(f), ps)
}

// Describe names the notation for the reference.
func (Flow) Describe() (typ string, nested any) {
	type plain Flow
	return "text, or a mapping", plain{}
}

// JSONSchema describes the notation for editors.
func (Flow) JSONSchema() map[string]any {
	type plain Flow
	return map[string]any{"oneOf": []any{map[string]any{"type": "string"}, source.Schema(plain{})}}
}

// inherit fills what is not set at the operation from the level above. A flow is
// the operation's own.
func (g OperationGovernance) inherit(above OperationGovernance) OperationGovernance {
	if g.System == "" {
		g.System = above.System
	}
	if !g.Call.Exists() {
		g.Call = above.Call
	}
	g.Wait = first(g.Wait, above.Wait)
	g.Timeout = first(g.Timeout, above.Timeout)
	g.Class = first(g.Class, above.Class)
	g.Safe = first(g.Safe, above.Safe)
	g.Idempotency = first(g.Idempotency, above.Idempotency)
	g.Confirm = first(g.Confirm, above.Confirm)
	g.Batch = first(g.Batch, above.Batch)
	if g.Cost == nil {
		g.Cost = above.Cost
	}
	if g.Lane == nil {
		g.Lane = above.Lane
	}
	if g.Sequence == "" {
		g.Sequence = above.Sequence
	}
	if g.OnFailure == "" {
		g.OnFailure = above.OnFailure
	}
	if g.Coalesce == "" {
		g.Coalesce = above.Coalesce
	}
	merged := Policies{}
	for name, n := range above.Policies {
		merged[name] = n
	}
	for name, n := range g.Policies {
		merged[name] = n
	}
	g.Policies = merged
	g.levels = slices.Concat(g.levels, above.levels)
	return g
}

func first[T any](near, far *T) *T {
	if near != nil {
		return near
	}
	return far
}

// Off tells whether a policy's settings say that it is removed.
func Off(n source.Node) bool {
	return n.Kind() == source.Bool && strings.EqualFold(n.Text(), "false") || n.Text() == "off"
}
