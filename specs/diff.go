package specs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	oasload "github.com/oasdiff/oasdiff/load"

	"github.com/headrace/headrace/specs/source"
)

// Level says what a change means for those who call the API.
type Level string

// The levels.
const (
	// Breaking changes make calls fail that worked, or answers unreadable.
	Breaking Level = "breaking"
	// Risky changes can break callers that rely on more than is promised.
	Risky Level = "risky"
	// Compatible changes break nobody.
	Compatible Level = "compatible"
)

// Change is a difference between two versions of an API.
type Change struct {
	// Position is the place in the new version, or in the old one for what has
	// been removed (Removed).
	source.Position
	Removed bool `json:"removed,omitempty"`
	// Rule names the kind of change, for example request-property-became-required.
	Rule  string `json:"rule"`
	Level Level  `json:"level"`
	// Method, Path and Operation are empty for what concerns the whole document.
	Method    string `json:"method,omitempty"`
	Path      string `json:"path,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Text says what has changed, Reason why it matters where that is not plain.
	Text   string `json:"text"`
	Reason string `json:"reason,omitempty"`
	// ID is the same for the same change wherever it stands, so that an
	// exception can name it.
	ID string `json:"id"`
}

// String gives the change as file:line:column: level METHOD path: what changed [rule, id].
func (c Change) String() string {
	where := strings.TrimSpace(c.Method + " " + c.Path)
	if where != "" {
		where += ": "
	}
	text := fmt.Sprintf("%s: %s: %s%s [%s %s]", c.Position, c.Level, where, c.Text, c.Rule, c.ID)
	if c.Reason != "" {
		text += "; " + c.Reason
	}
	return text
}

// Diff lists what differs between two versions of an API: the breaking changes
// first, then by place. An error means that they cannot be compared.
func Diff(before, after *Contract) (changes []Change, err error) {
	defer func() { // a document must not bring the process down, whatever it holds
		if p := recover(); p != nil {
			changes, err = nil, fmt.Errorf("%s and %s cannot be compared: %v", before, after, p)
		}
	}()
	report, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), before.spec(), after.spec())
	if err != nil {
		return nil, fmt.Errorf("%s and %s cannot be compared: %w", before, after, err)
	}
	found := checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), report, sources, checker.INFO)
	texts := checker.NewDefaultLocalizer()
	for _, c := range found {
		if slices.Contains(versioning, c.GetId()) {
			continue
		}
		changes = append(changes, after.change(c, texts))
	}
	changes = append(changes, governed(before.Document, after.Document)...)
	for i := range changes {
		changes[i].ID = changes[i].identity()
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(a.rank()-b.rank(), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(changes, func(a, b Change) bool { return a.ID == b.ID && a.Position == b.Position }), nil
}

func (c *Contract) spec() *oasload.SpecInfo {
	return &oasload.SpecInfo{Url: c.Whole.File(), Spec: c.model, Version: c.Version}
}

func (c Change) rank() int { return slices.Index([]Level{Breaking, Risky, Compatible}, c.Level) }

// identity does not depend on where the change stands.
func (c Change) identity() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Rule, c.Method, c.Path, c.Text}, "\n")))
	return hex.EncodeToString(sum[:4])
}

var weights = map[checker.Level]Level{checker.ERR: Breaking, checker.WARN: Risky}

// noticed are rules whose changes break no promise, and that callers notice all the
// same who rely on what they have always been given.
var noticed = []string{
	checker.ResponseOptionalPropertyRemovedId, checker.OptionalResponseHeaderRemovedId,
	checker.RequestParameterDefaultValueChangedId, checker.RequestBodyDefaultValueChangedId, checker.RequestPropertyDefaultValueChangedId,
}

// versioning are rules about info.version. A version of ours is named by its
// folder, and whether a change asks for a new major one is for the registry to say.
var versioning = []string{checker.APIVersionNotBumpedId, checker.APIVersionDecreasedId, checker.APIMajorVersionNotBumpedId}

// change translates what the checker found.
func (c *Contract) change(found checker.Change, texts checker.Localizer) Change {
	change := Change{
		Rule: found.GetId(), Level: cmp.Or(weights[found.GetLevel()], Compatible),
		Method: found.GetOperation(), Path: found.GetPath(), Operation: found.GetOperationId(),
		Text: found.GetUncolorizedText(texts), Reason: found.GetComment(texts),
	}
	if change.Level == Compatible && slices.Contains(noticed, change.Rule) {
		change.Level = Risky
	}
	at := found.GetRevisionSource()
	if at == nil || at.Line == 0 {
		if old := found.GetBaseSource(); old != nil && old.Line > 0 {
			at, change.Removed = old, true
		}
	}
	if at == nil || at.Line == 0 {
		change.Position = c.Whole.At("paths", change.Path, strings.ToLower(change.Method)).Position()
		return change
	}
	change.Position = source.Position{File: at.File, Line: at.Line, Column: at.Column}
	return change
}

// governed lists what changes for callers because of the governance.
func governed(before, after *Document) []Change {
	var changes []Change
	if base := before.Governance.Base; base != after.Governance.Base {
		at := after.Governance.At("base")
		changes = append(changes, Change{Position: at.Position(), Rule: "base-changed", Level: Breaking,
			Text: fmt.Sprintf("the base of all paths changed from %q to %q", base, after.Governance.Base)})
	}
	for _, now := range after.Operations {
		i := slices.IndexFunc(before.Operations, func(o *Operation) bool { return o.Method == now.Method && o.Path == now.Path })
		if i < 0 {
			continue
		}
		changes = append(changes, before.Operations[i].governed(now)...)
	}
	return changes
}

// governed compares what the governance asks of callers with that of a newer version.
func (o *Operation) governed(now *Operation) []Change {
	var changes []Change
	add := func(rule, key, text string, level Level) {
		changes = append(changes, Change{Position: now.Governance.At(key).Position(), Rule: rule, Level: level,
			Method: now.Method, Path: now.Path, Operation: now.ID, Text: text})
	}
	if o.key() != "required" && now.key() == "required" {
		add("idempotency-key-became-required", "idempotency", "the Idempotency-Key became required", Breaking)
	}
	if o.key() == "required" && now.key() != "required" {
		add("idempotency-key-became-optional", "idempotency", "the Idempotency-Key is no longer required", Compatible)
	}
	if o.key() != "off" && now.key() == "off" {
		add("idempotency-key-dropped", "idempotency", "the Idempotency-Key is no longer looked at: a second sending is a second write", Breaking)
	}
	return changes
}

// key tells what the operation does with an Idempotency-Key.
func (o *Operation) key() string {
	if i := o.Governance.Idempotency; i != nil {
		return i.Key
	}
	return "optional"
}
