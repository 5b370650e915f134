package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// Test is one test of a mapping, as it stands in mappings/NAME_test.yaml.
type Test struct {
	Name    string      `yaml:"name" check:"required" doc:"What the test shows."`
	Input   source.Node `yaml:"input" doc:"What the mapping maps; null when absent."`
	Request source.Node `yaml:"request" doc:"The $request, as far as it matters."`
	Session source.Node `yaml:"session" doc:"The $session."`
	Headers source.Node `yaml:"headers" doc:"The $headers of the system's answer."`
	App     string      `yaml:"app" doc:"The $app."`
	Status  int         `yaml:"status" doc:"The $status of the system's answer."`
	Now     string      `yaml:"now" default:"2000-01-01T00:00:00Z" doc:"The time that now gives, as in RFC 3339."`
	Want    source.Node `yaml:"want" doc:"The value that must come out. Numbers must be equal, digit by digit but for trailing zeros."`
	Error   string      `yaml:"error" doc:"A part of the error that must come instead."`
	Node    source.Node `yaml:",node"`
}

// Result is how a test ended.
type Result struct {
	// Mapping and Test name what was tested; Position is where the test stands.
	Mapping, Test string
	source.Position
	// Failure says what was not as it should be; it is empty when all is well.
	Failure string
}

// RunTests runs the tests of all mappings of a workspace, in the order of the
// files. What is wrong with mappings and tests themselves goes to ps.
func RunTests(fsys fs.FS, limits Limits, ps *source.Problems) []Result {
	l := Open(fsys, limits, ps)
	var results []Result
	var again source.Problems // Open has reported what is not read
	walk(fsys, &again, func(name string) {
		if stem, ok := strings.CutSuffix(name, testSuffix); ok {
			results = append(results, l.runFile(fsys, name, stem+fileSuffix, ps)...)
		}
	})
	return results
}

func (l *Library) runFile(fsys fs.FS, file, mapping string, ps *source.Problems) []Result {
	m, ok := l.files[mapping]
	if !ok {
		ps.AddFile(file, fmt.Sprintf("there is no mapping %s to be tested", mapping), "")
		return nil
	}
	root := source.Read(fsys, file, source.DefaultLimits, ps)
	if !root.Exists() || m == nil {
		return nil
	}
	if root.Kind() != source.List {
		ps.Add(root, "tests are a list", "write - name: …")
	}
	var results []Result
	for _, n := range root.Items() {
		var t Test
		before := ps.Len()
		source.Decode(n, &t, ps)
		in := t.input(ps)
		if (t.Error == "") == !t.Want.Exists() {
			ps.Add(t.Node, "a test needs either want or error", "")
		}
		if ps.Len() == before {
			results = append(results, Result{Mapping: mapping, Test: t.Name, Position: t.Node.Position(), Failure: t.run(m, in)})
		}
	}
	return results
}

func (t *Test) input(ps *source.Problems) Input {
	now, err := time.Parse(time.RFC3339, t.Now)
	if err != nil && t.Now != "" {
		ps.Add(t.Node.At("now"), fmt.Sprintf("%q is not a time", t.Now), "write for example 2026-11-23T08:00:00Z")
	}
	in := Input{Value: valueOf(t.Input), Session: valueOf(t.Session), Headers: valueOf(t.Headers), App: t.App, Status: t.Status, Now: now}
	request := map[string]any{"method": "GET", "path": map[string]any{}, "query": map[string]any{}, "headers": map[string]any{}, "body": in.Value}
	for _, f := range t.Request.Fields() {
		if _, known := request[f.Name]; !known {
			ps.Add(f.Key, fmt.Sprintf("$request has no %q", f.Name), source.DidYouMean(f.Name, []string{"method", "path", "query", "headers", "body"}))
		}
		request[f.Name] = valueOf(f.Value)
	}
	in.Request = request
	return in
}

func valueOf(n source.Node) any {
	if !n.Exists() {
		return nil
	}
	value, err := Decode(n.AppendJSON(nil))
	if err != nil { // what was parsed as YAML has a JSON form
		return nil
	}
	return value
}

// run gives what failed, or nothing.
func (t *Test) run(m *Mapping, in Input) string {
	data, err := m.JSON(context.Background(), in)
	if t.Error != "" {
		switch {
		case err == nil:
			return fmt.Sprintf("gives %s instead of an error", short(data))
		case !strings.Contains(quoting(err), t.Error):
			return "fails, but otherwise: " + quoting(err)
		}
		return ""
	}
	if err != nil {
		return quoting(err)
	}
	got, err := Decode(data)
	if err != nil {
		return err.Error()
	}
	if where, same := equal("", got, valueOf(t.Want)); !same {
		text := fmt.Sprintf("gives %s instead of %s", short(at(got, where)), short(at(valueOf(t.Want), where)))
		if where != "" {
			text += " at " + where
		}
		return text
	}
	return ""
}

// short is the beginning of a JSON text.
func short(data []byte) string {
	const most = 200
	if len(data) > most {
		return string(bytes.ToValidUTF8(data[:most], nil)) + "…"
	}
	return string(data)
}

// equal compares two values; where leads to the first difference as a JSON pointer.
func equal(where string, got, want any) (string, bool) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return equalObjects(where, g, w)
		}
		return where, false
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return where, false
		}
		for i := range w {
			if p, same := equal(fmt.Sprintf("%s/%d", where, i), g[i], w[i]); !same {
				return p, false
			}
		}
		return "", true
	case json.Number:
		g, ok := got.(json.Number)
		return where, ok && sameNumber(g, w)
	}
	return where, got == want
}

func equalObjects(where string, got, want map[string]any) (string, bool) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(got)), maps.Keys(want))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		below := where + "/" + pointerEscape.Replace(name)
		g, gok := got[name]
		w, wok := want[name]
		if gok != wok {
			return below, false
		}
		if p, same := equal(below, g, w); !same {
			return p, false
		}
	}
	return "", true
}

var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// at gives what a JSON pointer leads to, as JSON.
func at(value any, pointer string) []byte {
	for _, word := range strings.Split(pointer, "/")[1:] {
		word = pointerUnescape.Replace(word)
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[word]
			if !ok {
				return []byte("nothing")
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(word)
			if err != nil || i >= len(v) {
				return []byte("nothing")
			}
			value = v[i]
		}
	}
	data, err := AppendJSON(nil, value, 1<<20)
	if err != nil {
		return []byte(err.Error())
	}
	return data
}

// sameNumber compares two numbers by their digits, without rounding.
func sameNumber(a, b json.Number) bool {
	an, ad, ae := digits(string(a))
	bn, bd, be := digits(string(b))
	return ad == bd && (ad == "" || an == bn && ae == be)
}

// digits splits a JSON number into its sign, its digits without zeros at
// either end, and the power of ten of the last one. Zero has no digits.
func digits(text string) (negative bool, mantissa string, exponent int64) {
	text, negative = strings.CutPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		fmt.Sscan(text[i+1:], &exponent)
		text = text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	exponent -= int64(len(fraction))
	mantissa = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(mantissa, "0")
	return negative, trimmed, exponent + int64(len(mantissa)-len(trimmed))
}
