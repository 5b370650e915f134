package arazzo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Measures of a drawing, in pixels.
const (
	charWidth   = 7.4 // of 13 px sans-serif, rather too much
	boxHeight   = 66
	rowGap      = 52
	columnGap   = 28
	margin      = 24
	laneGap     = 20
	maxLabel    = 44
	minBoxWidth = 150
)

// style makes a drawing readable in light and dark themes, alone or in a page.
const style = `
  .flow { --ink: #1f2933; --soft: #5b6875; --line: #8894a0; --box: #f5f7fa; --write: #dbeafe; --edge: #2563eb; --undo: #b45309; font: 13px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) { .flow { --ink: #e6ebf0; --soft: #a3b0bd; --line: #74818e; --box: #1f2933; --write: #1e3a5f; --edge: #7fb0ff; --undo: #f0b464; } }
  .flow text { fill: var(--ink); } .flow .soft { fill: var(--soft); font-size: 12px; } .flow .name { font-weight: 600; }
  .flow rect { fill: var(--box); stroke: var(--line); } .flow rect.write { fill: var(--write); } .flow rect.optional { stroke-dasharray: 5 4; }
  .flow path { fill: none; stroke: var(--line); stroke-width: 1.5; } .flow path.way { stroke: var(--edge); stroke-dasharray: 6 4; } .flow .wayname { fill: var(--edge); font-size: 12px; }
  .flow path.undo, .flow rect.undo { stroke: var(--undo); stroke-dasharray: 2 3; } .flow .undoname { fill: var(--undo); font-size: 12px; }
  .flow marker path { fill: var(--line); stroke: none; } .flow marker.way path { fill: var(--edge); } .flow marker.undo path { fill: var(--undo); } .flow circle { fill: var(--line); }
`

// Draw writes a workflow as an SVG: its steps from top to bottom, those that
// run side by side in one row, with the ways that actions open on the right and
// what undoes a step on the left. The drawing follows the reader's theme.
func Draw(w io.Writer, flow *Workflow) error {
	d := &drawing{flow: flow}
	d.place()
	d.draw()
	_, err := io.WriteString(w, d.out.String())
	return err
}

type drawing struct {
	flow *Workflow
	rows [][]*Step
	// box is the width of all boxes.
	box           float64
	left, center  float64
	width, height float64
	at            map[*Step]point // the middle of a box's upper edge
	end           point
	ways          []way
	out           strings.Builder
}

type point struct{ x, y float64 }

// way is a line beside the boxes: where an action leads.
type way struct {
	from, to *Step // to is nil for the end
	label    string
	nth      int // of the step's ways
}

// place decides where everything stands.
func (d *drawing) place() {
	row := map[*Step]int{}
	for _, s := range d.flow.Steps {
		for _, i := range s.After {
			row[s] = max(row[s], row[d.flow.Steps[i]]+1)
		}
		for len(d.rows) <= row[s] {
			d.rows = append(d.rows, nil)
		}
		d.rows[row[s]] = append(d.rows[row[s]], s)
	}
	d.box, d.left = minBoxWidth, margin
	widest := 1
	for _, s := range d.flow.Steps {
		for _, line := range lines(s) {
			d.box = max(d.box, textWidth(line)+24)
		}
		if s.Compensation != nil {
			d.left = max(d.left, margin+textWidth(undoLabel(s))+24+40)
		}
		d.collect(s)
	}
	for _, r := range d.rows {
		widest = max(widest, len(r))
	}
	span := float64(widest)*d.box + float64(widest-1)*columnGap
	d.center = d.left + span/2
	d.at = map[*Step]point{}
	y := float64(margin + 76)
	for _, r := range d.rows {
		x := d.center - (float64(len(r))*d.box+float64(len(r)-1)*columnGap)/2 + d.box/2
		for _, s := range r {
			d.at[s] = point{x, y}
			x += d.box + columnGap
		}
		y += boxHeight + rowGap
	}
	d.end = point{d.center, y}
	d.width = d.left + span + margin
	for _, w := range d.ways {
		d.width = max(d.width, d.lane(len(d.ways)-1)+10+textWidth(w.label)+margin)
	}
	d.width = max(d.width, 2*max(textWidth(d.title()), textWidth(d.outputs()))/2+2*margin, d.center+textWidth(d.outputs())/2+margin, margin+textWidth(d.title()))
	d.height = y + 46 + margin
}

// lane is where the i-th way runs down.
func (d *drawing) lane(i int) float64 {
	right := d.left
	for _, p := range d.at {
		right = max(right, p.x+d.box/2)
	}
	return right + laneGap*float64(i+1)
}

// collect lists the ways that a step's actions open.
func (d *drawing) collect(s *Step) {
	nth := 0
	add := func(to *Step, label string) {
		d.ways = append(d.ways, way{s, to, short(label), nth})
		nth++
	}
	for i, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
		when := "✓ "
		if i >= len(s.OnSuccess) {
			when = "✗ "
		}
		label := when + a.Name
		if len(a.Criteria) == 1 {
			label += ": " + a.Criteria[0].Text
		}
		switch {
		case a.Kind == Goto && a.Step != nil:
			add(a.Step, label)
		case a.Kind == Goto && a.Flow != nil:
			add(nil, label+" → "+a.Flow.ID)
		case a.Kind == End && i < len(s.OnSuccess):
			add(nil, label)
		}
	}
}

// lines are the texts in a step's box.
func lines(s *Step) []string {
	return []string{short(s.ID), short(callText(s)), short(strings.Join(marks(s), " · "))}
}

// callText names what a step calls.
func callText(s *Step) string {
	switch {
	case s.Flow != nil:
		return "workflow " + s.Flow.ID
	case s.Call == nil:
		return ""
	}
	api := ""
	if src := s.Call.Source; src != nil {
		if api = src.Name; src.API != "" {
			api = src.API + "/" + src.Major
		}
	}
	if o := s.Call.Operation; o != nil {
		return api + " " + o.Method + " " + o.Path
	}
	if s.Call.ID != "" {
		return api + " " + s.Call.ID
	}
	return strings.TrimSpace(api + " " + s.Call.Method + " " + s.Call.Path)
}

// marks are what else matters of a step.
func marks(s *Step) []string {
	var list []string
	if s.Writes() {
		list = append(list, "writes")
	}
	if s.Optional {
		list = append(list, "optional")
	}
	if s.Class != nil {
		list = append(list, s.Class.String())
	}
	if s.Timeout > 0 {
		list = append(list, "at most "+s.Timeout.String())
	}
	for _, a := range s.OnFailure {
		if a.Kind == Retry {
			text := fmt.Sprintf("retry %d×", a.RetryLimit)
			if a.RetryAfter > 0 {
				text += " after " + a.RetryAfter.Round(time.Millisecond).String()
			}
			list = append(list, text)
			break
		}
	}
	return list
}

func undoLabel(s *Step) string { return short("undone by " + callText(s.Compensation)) }

func (d *drawing) title() string { return short(d.flow.ID) }

func (d *drawing) outputs() string {
	names := outputNames(d.flow.Outputs)
	if len(names) == 0 {
		return "end"
	}
	return short("end: " + strings.Join(names, ", "))
}

// short cuts a text to what a label holds.
func short(text string) string {
	if utf8.RuneCountInString(text) <= maxLabel {
		return text
	}
	return string([]rune(text)[:maxLabel-1]) + "…"
}

func textWidth(text string) float64 { return charWidth * float64(utf8.RuneCountInString(text)) }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.out, format, args...) }

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escape keeps a text inside its element; characters that XML does not have are left out.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, text)
	return xmlEscaper.Replace(text)
}

func (d *drawing) draw() {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="flow" role="img" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n", d.width, d.height, d.width, d.height)
	d.printf("<title>%s</title>\n<desc>%s</desc>\n<style>%s</style>\n", escape(d.flow.ID), escape(d.describe()), style)
	d.printf("<defs>")
	for _, name := range []string{"line", "way", "undo"} {
		d.printf(`<marker id="flow-%s" class="%s" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>`, name, name)
	}
	d.printf("</defs>\n")
	d.text(margin, margin+8, "name", "start", d.title())
	d.text(margin, margin+26, "soft", "start", short(d.flow.Summary))
	start := point{d.center, margin + 44}
	d.printf(`<circle cx="%.1f" cy="%.1f" r="5"/>`+"\n", start.x, start.y)
	d.lines(start)
	for _, s := range d.flow.Steps {
		d.step(s)
	}
	d.printf(`<circle cx="%.1f" cy="%.1f" r="5"/>`+"\n", d.end.x, d.end.y)
	d.text(d.end.x, d.end.y+24, "soft", "middle", d.outputs())
	for i, w := range d.ways {
		d.way(i, w)
	}
	d.printf("</svg>\n")
}

// describe says in words what the drawing shows.
func (d *drawing) describe() string {
	var parts []string
	for _, row := range d.rows {
		var names []string
		for _, s := range row {
			names = append(names, s.ID)
		}
		parts = append(parts, strings.Join(names, " beside "))
	}
	return "Steps: " + strings.Join(parts, ", then ")
}

// lines draws which step waits for which.
func (d *drawing) lines(start point) {
	waited := map[int]bool{}
	for _, s := range d.flow.Steps {
		to := d.at[s]
		if len(s.After) == 0 {
			d.line(start, to)
		}
		for _, i := range s.After {
			waited[i] = true
			if !d.implied(s, i) {
				from := d.at[d.flow.Steps[i]]
				d.line(point{from.x, from.y + boxHeight}, to)
			}
		}
	}
	for i, s := range d.flow.Steps {
		if !waited[i] {
			from := d.at[s]
			d.line(point{from.x, from.y + boxHeight}, point{d.end.x, d.end.y - 5})
		}
	}
}

// implied tells that a step waits for another by way of a third.
func (d *drawing) implied(s *Step, i int) bool {
	return slices.ContainsFunc(s.After, func(j int) bool { return j != i && slices.Contains(d.flow.Steps[j].After, i) })
}

// line goes straight down past the rows between, and to the side in the last gap.
func (d *drawing) line(from, to point) {
	down := max(from.y, to.y-rowGap)
	middle := (down + to.y) / 2
	d.printf(`<path d="M%.1f %.1fV%.1fC%.1f %.1f %.1f %.1f %.1f %.1f" marker-end="url(#flow-line)"/>`+"\n", from.x, from.y, down, from.x, middle, to.x, middle, to.x, to.y)
}

func (d *drawing) text(x, y float64, class, anchor, text string) {
	if text != "" {
		d.printf(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escape(text))
	}
}

func (d *drawing) step(s *Step) {
	p := d.at[s]
	class := "step"
	if s.Writes() {
		class += " write"
	}
	if s.Optional {
		class += " optional"
	}
	d.printf(`<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="8" class="%s"/>`+"\n", escape(s.Description), p.x-d.box/2, p.y, d.box, boxHeight, class)
	for i, line := range lines(s) {
		d.text(p.x, p.y+20+18*float64(i), []string{"name", "", "soft"}[i], "middle", line)
	}
	d.printf("</g>\n")
	if s.Compensation == nil {
		return
	}
	label := undoLabel(s)
	width, x := textWidth(label)+24, p.x-d.box/2-40
	y := p.y + 18
	d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="30" rx="6" class="undo"/>`+"\n", x-width, y, width)
	d.text(x-width/2, y+20, "undoname", "middle", label)
	d.printf(`<path class="undo" d="M%.1f %.1fH%.1f" marker-end="url(#flow-undo)"/>`+"\n", p.x-d.box/2, y+15, x)
}

// way draws where an action leads: out of the box to the right, along a lane of
// its own, and back. Its label stands behind all lanes, in the height where it begins.
func (d *drawing) way(i int, w way) {
	from, lane := d.at[w.from], d.lane(i)
	begin := point{from.x + d.box/2, from.y + 12 + float64(w.nth)*15}
	end := point{d.end.x + 8, d.end.y}
	if w.to != nil {
		to := d.at[w.to]
		end = point{to.x + d.box/2, to.y + boxHeight - 6}
	}
	d.printf(`<path class="way" d="M%.1f %.1fH%.1fV%.1fH%.1f" marker-end="url(#flow-way)"/>`+"\n", begin.x, begin.y, lane, end.y, end.x)
	d.text(d.lane(len(d.ways)-1)+10, begin.y+4, "wayname", "start", w.label)
}
