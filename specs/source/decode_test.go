package source

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Sample has a field of every sort that Decode knows.
type sample struct {
	Name     string           `yaml:"name" check:"required" doc:"Its name."`
	Kind     string           `yaml:"kind" enum:"red,green" default:"red" doc:"Its colour."`
	Count    int              `yaml:"count" default:"3" min:"1" max:"10" doc:"How many."`
	Share    float64          `yaml:"share" min:"0" max:"0.5"`
	On       bool             `yaml:"on" default:"true"`
	Maybe    *bool            `yaml:"maybe"`
	Wait     Duration         `yaml:"wait" default:"2s" min:"1s" max:"1m"`
	Patience *Duration        `yaml:"patience" max:"1h"`
	Limit    Size             `yaml:"limit" max:"1MiB"`
	Secret   Secret           `yaml:"secret"`
	Words    Strings          `yaml:"words"`
	Numbers  []int            `yaml:"numbers"`
	Colours  []string         `yaml:"colours" enum:"red,green"`
	ByName   map[string]*part `yaml:"by_name"`
	Section  part             `yaml:"section"`
	Optional *part            `yaml:"optional"`
	Any      Node             `yaml:"any"`
	Store    string           `yaml:"store" default:"memory:"`
	common   `yaml:",inline"`
	Node     Node `yaml:",node"`

	ignored string
}

type part struct {
	Size  Size `yaml:"size" default:"64KiB"`
	Depth int  `yaml:"depth" check:"required"`
	Node  Node `yaml:",node"`
}

type common struct {
	Owner string `yaml:"owner" default:"nobody"`
}

func TestDecode(t *testing.T) {
	n := parsed(t, `
name: x
kind: green
count: 0x0A
share: 0.25
on: FALSE
maybe: true
wait: 1500ms
patience: 0.5d
limit: 512
secret: ${env:TOKEN}
words: one
numbers: [1, -2, 1_000]
colours: [red]
by_name: {a: {depth: 1}}
section: {depth: 2, size: 1MiB}
any: [1]
owner: me
`)
	var ps Problems
	var s sample
	s.ignored = "kept"
	Decode(n, &s, &ps)
	if err := ps.Err(); !strings.Contains(err.Error(), "patience") { // half a day is more than an hour
		t.Fatal(err)
	}
	got := strings.TrimSpace(fmt.Sprintln(s.Name, s.Kind, s.Count, s.Share, s.On, *s.Maybe, s.Wait, *s.Patience, s.Limit, s.Secret, s.Words, s.Numbers,
		s.Colours, s.ByName["a"].Depth, s.ByName["a"].Size, s.Section.Depth, s.Section.Size, s.Any.Path(), s.Store, s.Owner, s.ignored))
	want := "x green 10 0.25 false true 1.5s 12h0m0s 512B ${env:TOKEN} [one] [1 -2 1000] [red] 1 64KiB 2 1MiB any memory: me kept"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.Node.Path() != "" || !s.Node.Exists() || s.ByName["a"].Node.Path() != "by_name.a" || s.Section.Node.Position().Line != 16 {
		t.Error("a struct did not get its node")
	}
}

// Defaults also hold inside sections that are absent.
func TestDecodeDefaults(t *testing.T) {
	var ps Problems
	var s sample
	Decode(parsed(t, "name: x"), &s, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	if s.Kind != "red" || s.Count != 3 || !s.On || s.Wait.Std() != 2*time.Second || s.Section.Size != 64<<10 || s.Store != "memory:" || s.Owner != "nobody" {
		t.Errorf("got %+v", s)
	}
	if s.Optional != nil || s.Maybe != nil || s.Patience != nil || s.Any.Exists() {
		t.Errorf("something absent was made up: %+v", s)
	}
	var absent sample
	Decode(Node{}, &absent, &ps)
	if absent.Count != 3 || absent.Section.Size != 64<<10 {
		t.Errorf("got %+v", absent)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{}", `f.yaml:1:1: the key "name" is missing; it says: its name`},
		{"[]", "f.yaml:1:1: expected a mapping, found a list"},
		{"name: x\nnmae: y", `f.yaml:2:1: nmae: unknown key "nmae"; did you mean "name"?`},
		{"name: x\nsection:\n  depth: 1\n  colour: blue", `f.yaml:4:3: section.colour: unknown key "colour"; one of depth, size`},
		{"name: x\nsection: {}", `f.yaml:2:10: section: the key "depth" is missing`},
		{"name: x\nsection:", `f.yaml:2:9: section: the key "depth" is missing`},
		{"name: 5", `f.yaml:1:7: name: expected a string, found an integer; put it in quotes: "5"`},
		{"name: 1.5", `f.yaml:1:7: name: expected a string, found a number; put it in quotes: "1.5"`},
		{"name: true", `f.yaml:1:7: name: expected a string, found a boolean; put it in quotes: "true"`},
		{"name:", `f.yaml:1:6: name: expected a string, found nothing`},
		{"name: [x]", "f.yaml:1:7: name: expected a string, found a list"},
		{"name: {x: 1}", "f.yaml:1:7: name: expected a string, found a mapping"},
		{"name: x\nkind: gren", `f.yaml:2:7: kind: "gren" is not known here; did you mean "green"?`},
		{"name: x\nkind: blue", `f.yaml:2:7: kind: "blue" is not known here; one of green, red`},
		{"name: x\ncolours: [red, blu]", `f.yaml:2:16: colours[1]: "blu" is not known here; one of green, red`},
		{"name: x\ncount: many", "f.yaml:2:8: count: expected an integer, found a string"},
		{"name: x\ncount: 1.5", "f.yaml:2:8: count: expected an integer, found a number"},
		{"name: x\ncount: 0", "f.yaml:2:8: count: 0 is too small; the least is 1"},
		{"name: x\ncount: 11", "f.yaml:2:8: count: 11 is too large; the most is 10"},
		{"name: x\nnumbers: [12345678901234567890]", "f.yaml:2:11: numbers[0]: 12345678901234567890 is too large for an integer"},
		{"name: x\nnumbers: [9223372036854775808]", "f.yaml:2:11: numbers[0]: 9223372036854775808 is too large for an integer"},
		{"name: x\nnumbers: 1", "f.yaml:2:10: numbers: expected a list, found an integer"},
		{"name: x\nshare: half", "f.yaml:2:8: share: expected a number, found a string"},
		{"name: x\nshare: .inf", "f.yaml:2:8: share: .inf is not a finite number"},
		{"name: x\nshare: 0.6", "f.yaml:2:8: share: 0.6 is too large; the most is 0.5"},
		{"name: x\non: 'true'", "f.yaml:2:5: on: expected a boolean, found a string"},
		{"name: x\non: yes", "f.yaml:2:5: on: expected a boolean, found a string"},
		{"name: x\nwait: 5", `f.yaml:2:7: wait: "5" is not valid here; write a duration such as 250ms, 2s, 5m, 24h or 7d`},
		{"name: x\nwait: -1s", `f.yaml:2:7: wait: "-1s" is not valid here; write a duration such as 250ms, 2s, 5m, 24h or 7d`},
		{"name: x\nwait: 10ms", "f.yaml:2:7: wait: 10ms is too small; the least is 1s"},
		{"name: x\nwait: 2m", "f.yaml:2:7: wait: 2m is too large; the most is 1m"},
		{"name: x\nwait: [1s]", "f.yaml:2:7: wait: expected a single value, found a list"},
		{"name: x\nwait:", "f.yaml:2:6: wait: expected a single value, found nothing"},
		{"name: x\npatience: 2h", "f.yaml:2:11: patience: 2h is too large; the most is 1h"},
		{"name: x\nlimit: 2MiB", "f.yaml:2:8: limit: 2MiB is too large; the most is 1MiB"},
		{"name: x\nlimit: 5 apples", `f.yaml:2:8: limit: "5 apples" is not valid here; write a size such as 512, 64KiB or 1MiB`},
		{"name: x\nsecret: hunter2", "f.yaml:2:9: secret: is not a reference to a secret; a secret must not stand in a file; write ${env:NAME} or ${file:/path}"},
		{"name: x\nsecret: [hunter2]", "f.yaml:2:9: secret: expected a single value, found a list"},
		{"name: x\nwords: [a, 1]", `f.yaml:2:12: words[1]: expected a string, found an integer; put it in quotes: "1"`},
		{"name: x\nwords: {a: b}", "f.yaml:2:8: words: expected a list, found a mapping"},
		{"name: x\nby_name: [a]", "f.yaml:2:10: by_name: expected a mapping, found a list"},
		{"name: x\nby_name: {a: 1}", "f.yaml:2:14: by_name.a: expected a mapping, found an integer"},
		{"count: x\nkind: blue\nowner: 1", strings.Join([]string{
			`f.yaml:1:1: the key "name" is missing; it says: its name`,
			"f.yaml:1:8: count: expected an integer, found a string",
			`f.yaml:2:7: kind: "blue" is not known here; one of green, red`,
			`f.yaml:3:8: owner: expected a string, found an integer; put it in quotes: "1"`,
		}, "\n")},
	} {
		var ps Problems
		var s sample
		Decode(parsed(t, c.text), &s, &ps)
		if got := problems(&ps); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestDecodePanicsOnWrongTags(t *testing.T) {
	for name, into := range map[string]any{
		"default of the wrong type": &struct {
			A int `yaml:"a" default:"x"`
		}{},
		"default outside the enumeration": &struct {
			A string `yaml:"a" enum:"x,y" default:"z"`
		}{},
		"a type that cannot be filled": &struct {
			A int `yaml:"a"`
			B any `yaml:"b"`
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			var ps Problems
			Decode(parsed(t, "b: 1"), into, &ps)
		}()
	}
}

func TestScalars(t *testing.T) {
	for text, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "7d": 168 * time.Hour, "1.5d": 36 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "-1d", "99999d", "d", "NaNd", "1w", "-1ns"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is %v", text, d)
		}
	}
	for text, want := range map[string]Size{"512": 512, "0": 0, "64KiB": 65536, "1 MiB": 1 << 20, "2GB": 2e9, "3B": 3} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "9223372036854775807KiB", "KiB", "1TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is %v", text, s)
		}
	}
	for size, want := range map[Size]string{1 << 20: "1MiB", 1500: "1500B", 2000: "2KB", 3 << 30: "3GiB", 0: "0B"} {
		if got := size.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Setenv("HEADRACE_TEST_SECRET", "hunter2")
	t.Setenv("HEADRACE_TEST_EMPTY", "")
	file := t.TempDir() + "/secret"
	write(t, file, "from a file\r\n")
	write(t, file+"2", "\n")
	for ref, want := range map[string]string{
		"${env:HEADRACE_TEST_SECRET}": "hunter2",
		"${file:" + file + "}":        "from a file",
		"${env:HEADRACE_TEST_EMPTY}":  "error: the environment variable HEADRACE_TEST_EMPTY is not set",
		"${file:" + file + "2}":       "error: the secret file " + file + "2 is empty",
		"${file:/does/not/exist}":     "error: the secret file cannot be read: open /does/not/exist: no such file or directory",
	} {
		var s Secret
		if err := s.UnmarshalText([]byte(ref)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Resolve()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want || s.String() != ref || s.IsZero() {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
	for _, text := range []string{"hunter2", "${env:A-B}", "${file:relative}", "x${env:A}", "${env:A}\n", "${vault:x}"} {
		var s Secret
		if err := s.UnmarshalText([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") || !s.IsZero() {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := (Secret{}).Resolve(); err == nil {
		t.Error("nothing was resolved")
	}
}

func TestSchema(t *testing.T) {
	got, err := json.Marshal(Schema(struct {
		Name    string         `yaml:"name" check:"required" doc:"Its name."`
		Kind    string         `yaml:"kind" enum:"red,green" default:"red"`
		Count   int            `yaml:"count" default:"3" min:"1" max:"10"`
		Share   *float64       `yaml:"share" min:"0.5"`
		On      bool           `yaml:"on" default:"true"`
		Wait    Duration       `yaml:"wait" default:"2s" min:"1s"`
		Words   Strings        `yaml:"words"`
		Colours []string       `yaml:"colours" enum:"red,green"`
		ByName  map[string]int `yaml:"by_name"`
		Any     Node           `yaml:"any"`
		Node    Node           `yaml:",node"`
		common  `yaml:",inline"`
	}{}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"additionalProperties":false,"properties":{` +
		`"any":{},` +
		`"by_name":{"additionalProperties":{"type":"integer"},"type":"object"},` +
		`"colours":{"items":{"enum":["red","green"],"type":"string"},"type":"array"},` +
		`"count":{"default":3,"maximum":10,"minimum":1,"type":"integer"},` +
		`"kind":{"default":"red","enum":["red","green"],"type":"string"},` +
		`"name":{"description":"Its name.","type":"string"},` +
		`"on":{"default":true,"type":"boolean"},` +
		`"owner":{"default":"nobody","type":"string"},` +
		`"share":{"minimum":0.5,"type":"number"},` +
		`"wait":{"default":"2s","examples":["2s","5m","24h"],"pattern":"^([0-9.]+(ns|us|µs|ms|s|m|h|d))+$","type":"string"},` +
		`"words":{"oneOf":[{"type":"string"},{"items":{"type":"string"},"type":"array"}]}` +
		`},"required":["name"],"type":"object"}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKeys(t *testing.T) {
	var lines []string
	for _, k := range Keys(sample{}) {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(k.Name, " ", k.Type, " ", k.Default, " ", k.Doc, " ", k.Required)), " "))
	}
	got := strings.Join(lines[:4], "\n")
	want := "name string Its name. true\nkind red | green red Its colour. false\ncount integer 3 How many. false\nshare number false"
	if got != want || len(lines) != 19 || lines[18] != "owner string nobody false" {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}
