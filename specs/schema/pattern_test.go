package schema

import (
	"regexp"
	"testing"
)

var patternCases = []struct {
	expr, how string // how it is compared: runs, linear or back
	good, bad []string
}{
	{`^[A-Z]{3}$`, "runs", []string{"EUR"}, []string{"EU", "EURO", "eur", "EUR\n", ""}},
	{`^SO-[0-9]{4,10}$`, "runs", []string{"SO-1234", "SO-1234567890"}, []string{"SO-123", "SO-12345678901", "so-1234", "SO-1234x"}},
	{`^a*b+c?$`, "runs", []string{"b", "aabbc"}, []string{"", "aac", "abcc"}},
	{`^[^/]+$`, "runs", []string{"a b", "é😀\n"}, []string{"", "a/b"}},
	{`^é{2}[à-ü]*$`, "runs", []string{"éé", "ééàü"}, []string{"é", "ééa"}},
	{`^$`, "runs", []string{""}, []string{"a"}},
	{`^\d+\.\d{2}$`, "runs", []string{"12.34"}, []string{"12.3", "١٢.٣٤", "12x34"}},
	{`^a+a$`, "linear", []string{"aa", "aaa"}, []string{"a", ""}},
	{`^[a-z]*[a-z0-9]$`, "linear", []string{"a", "ab1"}, []string{"", "1a"}},
	{`abc`, "linear", []string{"xabcx"}, []string{"ab"}},
	{`^(EUR|USD)$`, "linear", []string{"EUR"}, []string{"GBP"}},
	{`^'[^']*(''[^']*)*'$`, "linear", []string{"'it''s'"}, []string{"'it's'"}},
	{`^.$`, "runs", []string{"a", "😀"}, []string{"\n", "\r", "\u2028", "ab"}},
	{`^\s\S$`, "runs", []string{"\u00a0a", "\ufeff\u0000", "\vé"}, []string{"aa", "  "}},
	{`^[\s\S]$`, "runs", []string{"\n", "a", "😀"}, []string{""}},
	{`^[^\s]$`, "runs", []string{"a"}, []string{"\u2003", " "}},
	{`^\u00e9\ud83d\ude00\u{1F600}\x41\cA$`, "runs", []string{"é😀😀A\x01"}, []string{"e"}},
	{`^[[:alpha:]]$`, "runs", []string{"a]", ":]", "[]"}, []string{"a", "b"}},
	{`^[\b]\0$`, "runs", []string{"\b\x00"}, []string{"b0"}},
	{`\bcat\b`, "linear", []string{"a cat."}, []string{"concat"}},
	{`^\p{Lu}\P{L}$`, "runs", []string{"Ä1"}, []string{"ä1"}},
	{`^\/a\-b$`, "runs", []string{"/a-b"}, nil},
	{`^(?<year>\d{4})$`, "linear", []string{"2026"}, []string{"26"}},
	{`^(?!.*admin).+$`, "back", []string{"user"}, []string{"an admin"}},
	{`^(?!x)[a-z]+$`, "back", []string{"abc"}, []string{"abc\n", "xbc"}},
	{`^(a)\1$`, "back", []string{"aa"}, []string{"ab"}},
	{`^a{1,2000}$`, "back", []string{"a"}, []string{""}},
	{`^[^]$`, "back", []string{"\n"}, []string{""}},
	{`^[\w-.]+$`, "runs", []string{"a-."}, []string{"a b"}},
}

func TestPatterns(t *testing.T) {
	for _, c := range patternCases {
		p := compilePattern(c.expr)
		how := "back"
		if p.runs != nil {
			how = "runs"
		} else if p.linear != nil {
			how = "linear"
		}
		if p.err != nil || how != c.how {
			t.Errorf("%s: %s, %v", c.expr, how, p.err)
			continue
		}
		for want, list := range map[bool][]string{true: c.good, false: c.bad} {
			for _, content := range list {
				if got, err := (&walker{}).match(p, []byte(content)); got != want || err != nil {
					t.Errorf("%s on %q: %v, %v", c.expr, content, got, err)
				}
			}
		}
	}
}

// FuzzRuns compares runs with the expression that they were made of.
func FuzzRuns(f *testing.F) {
	for _, c := range patternCases {
		for _, content := range append(c.good, c.bad...) {
			f.Add(c.expr, content)
		}
	}
	f.Fuzz(func(t *testing.T, expr, content string) {
		translated, same := translatePattern(expr)
		if !same || len(expr) > 200 {
			return
		}
		re, err := regexp.Compile(translated)
		if err != nil {
			return
		}
		if runs := compileRuns(translated); runs != nil && runs.match([]byte(content)) != re.MatchString(content) {
			t.Errorf("%s on %q: %v", expr, content, runs.match([]byte(content)))
		}
	})
}
