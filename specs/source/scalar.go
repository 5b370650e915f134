package source

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time written as 250ms, 2s, 5m, 24h or 7d.
type Duration time.Duration

// Std is the duration in the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalText parses the notation above. Negative durations are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	var parsed time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		if n > 36500 {
			err = strconv.ErrRange
		}
		parsed = time.Duration(n * 24 * float64(time.Hour))
	} else {
		parsed, err = time.ParseDuration(s)
	}
	if err != nil || parsed < 0 {
		return fmt.Errorf("write a duration such as 250ms, 2s, 5m, 24h or 7d")
	}
	*d = Duration(parsed)
	return nil
}

// JSONSchema describes the notation for editors.
func (Duration) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h|d))+$`, "examples": []any{"2s", "5m", "24h"}}
}

// Size is a number of bytes written as 512, 64KiB, 1MiB or 2GiB.
type Size int64

func (s Size) String() string {
	for _, u := range sizeUnits {
		if u.bytes > 1 && int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}}

// UnmarshalText parses the notation above.
func (s *Size) UnmarshalText(text []byte) error {
	t, unit := string(text), int64(1)
	for _, u := range sizeUnits {
		if cut, ok := strings.CutSuffix(t, u.name); ok {
			t, unit = cut, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("write a size such as 512, 64KiB or 1MiB")
	}
	*s = Size(n * unit)
	return nil
}

// JSONSchema describes the notation for editors.
func (Size) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "integer"}, "pattern": `^[0-9]+ ?(B|KB|MB|GB|KiB|MiB|GiB)?$`, "minimum": 0, "examples": []any{"64KiB", "1MiB"}}
}

// Secret is a reference to a secret, never the secret itself: ${env:NAME} or
// ${file:/absolute/path}. Printing a Secret prints the reference.
type Secret struct {
	ref string
}

var secretRef = regexp.MustCompile(`^\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^}]+)\}$`)

// UnmarshalText accepts a reference and nothing else, and never repeats what
// it was given: it might be a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if !secretRef.Match(text) {
		return fmt.Errorf("a secret must not stand in a file; write ${env:NAME} or ${file:/path}")
	}
	s.ref = string(text)
	return nil
}

// JSONSchema describes the notation for editors.
func (Secret) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": secretRef.String()}
}

func (s Secret) String() string { return s.ref }

// IsZero tells whether no reference was given.
func (s Secret) IsZero() bool { return s.ref == "" }

// Resolve reads the secret. Trailing line ends of a file are cut. The error
// names the reference, never the value.
func (s Secret) Resolve() (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(s.ref, "${"), "}"), ":")
	switch kind {
	case "env":
		value, ok := os.LookupEnv(name)
		if !ok || value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	case "file":
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("the secret file cannot be read: %w", err)
		}
		if value := strings.TrimRight(string(data), "\r\n"); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the secret file %s is empty", name)
	}
	return "", fmt.Errorf("no secret is referenced")
}

// Strings is a list of strings; a single string stands for a list of one.
type Strings []string

// DecodeNode accepts a string or a list of strings.
func (s *Strings) DecodeNode(n Node, ps *Problems) {
	if n.Kind() == String {
		*s = Strings{n.Text()}
		return
	}
	var list []string
	Decode(n, &list, ps)
	*s = list
}

// JSONSchema describes the notation for editors.
func (Strings) JSONSchema() map[string]any {
	str := map[string]any{"type": "string"}
	return map[string]any{"oneOf": []any{str, map[string]any{"type": "array", "items": str}}}
}
