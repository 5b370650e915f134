package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/headrace/headrace/gateway/budget/profiles"
)

// grades say what the letters of evidence mean.
var grades = map[string]string{"V": "read at the vendor", "S": "told by others", "M": "from memory"}

// text explains a profile to people.
func (v *profileView) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, by %s; checked %s\n\n%s\n", v.Name, v.Title, v.Vendor, v.Checked, fold(v.Notes, "", textWidth))
	if len(v.Facts) > 0 {
		fmt.Fprint(w, "\nFacts\n")
	}
	for _, f := range v.Facts {
		origin := "default"
		if f.Given {
			origin = "given"
		}
		fmt.Fprintf(w, "  %s = %s (%s)\n%s\n", f.Name, valueText(f.Value), origin, fold(f.explained(), "      ", textWidth))
	}
	fmt.Fprint(w, "\nLimits\n")
	for i := range v.Limits {
		v.Limits[i].text(w, len(v.Limits) > listed)
	}
	if len(v.Limits) > listed {
		l := &v.Limits[0]
		fmt.Fprintf(w, "  all: %s, by %s\n  source: %s (%s, %s)\n", l.Enforcement, scopeWords(l.Scope), l.Source, grades[l.Evidence], l.Checked)
	}
	fmt.Fprint(w, "\nSigns of overload, the first that fits counts\n")
	for _, s := range v.Overload {
		fmt.Fprintf(w, "%s\n      pauses %s; %s\n", fold(s.Words, "  ", textWidth), poolWords(s.Pool), s.Hint)
	}
	v.feedback(w)
	v.writes(w)
}

const textWidth = 100

func (f *factView) explained() string {
	if len(f.Enum) == 0 {
		return f.Doc
	}
	return f.Doc + " One of " + strings.Join(f.Enum, ", ") + "."
}

func valueText(v any) string {
	if n, ok := v.(float64); ok {
		return number(n)
	}
	return fmt.Sprint(v)
}

// text describes a limit; in one line where there are many.
func (l *limitView) text(w io.Writer, many bool) {
	calls := ""
	if len(l.Calls) > 0 {
		calls = " (" + strings.Join(l.Calls, ", ") + ")"
	}
	fmt.Fprintf(w, "  %s: %s%s\n", l.Name, l.Words, calls)
	if many {
		return
	}
	if l.Formula != "" {
		fmt.Fprintf(w, "      formula: %s\n", l.Formula)
	}
	if l.Headroom != "" {
		fmt.Fprintf(w, "      headroom: %s is left to traffic that the gateway does not see\n", l.Headroom)
	}
	fmt.Fprintf(w, "      %s, by %s\n", enforcements[l.Enforcement], scopeWords(l.Scope))
	if l.Pace != "" {
		fmt.Fprintf(w, "%s\n", fold("pace: "+l.Pace, "      ", textWidth))
	}
	if l.Adaptive != "" {
		fmt.Fprintf(w, "      adaptive: %s\n", l.Adaptive)
	}
	fmt.Fprintf(w, "%s\n", fold(fmt.Sprintf("source: %s (%s, %s)", l.Source, grades[l.Evidence], l.Checked), "      ", textWidth))
}

var enforcements = map[string]string{
	"hard":     "hard: never exceeded",
	"soft":     "soft: a call waits as long as it may, then goes all the same",
	"billed":   "billed: counted and shown, never refused",
	"advisory": "advisory: counted and shown, never refused",
}

func scopeWords(scope string) string {
	if scope == "" {
		return "the whole system"
	}
	return scope
}

func poolWords(pool string) string {
	if pool == "" {
		return "all limits of the call"
	}
	return pool
}

func (v *profileView) feedback(w io.Writer) {
	if len(v.Reports)+len(v.Probes) == 0 {
		return
	}
	fmt.Fprint(w, "\nWhat the system tells of its limits\n")
	for _, r := range v.Reports {
		fmt.Fprintf(w, "  %s: %s, %s\n", r.Pool, r.From, r.effect())
	}
	for _, p := range v.Probes {
		fmt.Fprintf(w, "  %s: GET %s, every %s\n", p.Pool, p.Get, p.Every)
	}
}

// effect is what a report does to the gateway's count.
func (r reportView) effect() string {
	if r.Exact {
		return "replaces the gateway's own count"
	}
	return "only adds what others have used"
}

func (v *profileView) writes(w io.Writer) {
	fmt.Fprint(w, "\nRepeated writes\n")
	for _, i := range v.Idempotency {
		class := i.Class
		if i.Header != "" {
			class += " " + i.Header
		}
		if i.TTL != "" {
			class += ", remembered for " + i.TTL
		}
		fmt.Fprintf(w, "  %s: %s\n", strings.Join(i.Calls, ", "), class)
		if i.Notes != "" {
			fmt.Fprintln(w, fold(i.Notes, "      ", textWidth))
		}
		fmt.Fprintf(w, "%s\n", fold(fmt.Sprintf("source: %s (%s)", i.Source, grades[i.Evidence]), "      ", textWidth))
	}
	fmt.Fprint(w, "  all others: none, nothing recognises a repetition\n")
}

// fold breaks a text into lines of a width.
func fold(text, indent string, width int) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		switch {
		case length == 0:
			b.WriteString(indent)
			length = len(indent)
		case length+1+len(word) > width:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}

// profileDocs writes docs/profiles.md, with the default facts.
func profileDocs(w io.Writer) error {
	fmt.Fprint(w, "# Limit profiles\n\nPrinted by `headrace profiles docs`; `headrace profiles show NAME --fact name=value` works a profile out for your facts.\n"+
		"A system takes one over with `profile: NAME` and its facts in `systems/NAME.yaml`; what stands in that file comes first:\n\n"+
		"```yaml\nprofile: netsuite\nurl: https://1234567.suitetalk.api.netsuite.com\nfacts: {tier: premium, suitecloud_plus: 2}\nlimits:\n  - {name: concurrency, headroom: 2}\n```\n\n"+
		"Numbers change: check them against your contract. Evidence V was read at the vendor, S is told by others. Nothing that is only remembered is\nenforced. "+
		"Where a vendor publishes no number, the profile is adaptive: it begins with the number that you give and follows the\nsystem's refusals. "+
		"Every enforced limit also shrinks after a refusal that the gateway's count does not explain, and in long windows the classes\n"+
		"normal and low are paced; `headrace profiles show` says how. Paths are those below the system's URL.\n\n"+
		"| profile | system | limits | evidence | adaptive |\n|---|---|---|---|---|\n")
	var views []*profileView
	for _, name := range profiles.Names() {
		v, err := viewOf(name, nil)
		if err != nil {
			return err
		}
		views = append(views, v)
		fmt.Fprintf(w, "| [%s](#%s) | %s | %s | %s | %s |\n", v.Name, v.Name, v.Title, v.names(), v.evidence(), yes(v.AdaptiveOnly))
	}
	for _, v := range views {
		v.markdown(w)
	}
	return nil
}

// cell makes a text fit for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

func code(text string) string { return "`" + cell(text) + "`" }

func (v *profileView) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n%s, by %s. Checked %s.\n\n%s\n", v.Name, v.Title, v.Vendor, v.Checked, fold(v.Notes, "", 120))
	if len(v.Facts) > 0 {
		fmt.Fprint(w, "\n| fact | default | |\n|---|---|---|\n")
	}
	for _, f := range v.Facts {
		fmt.Fprintf(w, "| `%s` | `%s` | %s |\n", f.Name, valueText(f.Value), cell(f.explained()))
	}
	if len(v.Limits) > listed {
		v.manyLimits(w)
	} else {
		v.fewLimits(w)
	}
	fmt.Fprint(w, "\n| sign of overload | pauses | for |\n|---|---|---|\n")
	for _, s := range v.Overload {
		fmt.Fprintf(w, "| %s | %s | %s |\n", cell(s.Words), poolWords(s.Pool), cell(s.Hint))
	}
	if len(v.Reports)+len(v.Probes) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range v.Reports {
		fmt.Fprintf(w, "- `%s` is told by %s, which %s.\n", r.Pool, r.From, r.effect())
	}
	for _, p := range v.Probes {
		fmt.Fprintf(w, "- `%s` is asked for every %s: `GET %s`.\n", p.Pool, p.Every, p.Get)
	}
	if len(v.Idempotency) > 0 {
		fmt.Fprint(w, "\n| writes | idempotency | | source |\n|---|---|---|---|\n")
	}
	for _, i := range v.Idempotency {
		class := strings.TrimSpace(i.Class + " " + i.Header)
		if i.TTL != "" {
			class += ", " + i.TTL
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s (%s) |\n", code(strings.Join(i.Calls, ", ")), class, cell(i.Notes), cell(i.Source), i.Evidence)
	}
}

func (v *profileView) fewLimits(w io.Writer) {
	fmt.Fprint(w, "\n| limit | with the default facts | formula | scope | enforcement | source |\n|---|---|---|---|---|---|\n")
	for i := range v.Limits {
		l := &v.Limits[i]
		words, formula := l.Words, l.Formula
		if len(l.Calls) > 0 {
			words += "; only " + strings.Join(l.Calls, ", ")
		}
		if l.Headroom != "" {
			words += "; " + l.Headroom + " is left to others"
		}
		if l.Adaptive != "" && v.AdaptiveOnly {
			words += "; " + l.Adaptive
		}
		if formula != "" {
			formula = code(formula)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s | %s (%s, %s) |\n", l.Name, cell(words), formula, scopeWords(l.Scope), l.Enforcement, cell(l.Source), l.Evidence, l.Checked)
	}
}

func (v *profileView) manyLimits(w io.Writer) {
	l := &v.Limits[0]
	fmt.Fprintf(w, "\nSource of all: %s (%s, %s). Scope: %s. Enforcement: %s.\n\n| limit | calls | |\n|---|---|---|\n", l.Source, l.Evidence, l.Checked, scopeWords(l.Scope), l.Enforcement)
	for i := range v.Limits {
		l := &v.Limits[i]
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", l.Name, code(strings.Join(l.Calls, ", ")), cell(l.Words))
	}
}
