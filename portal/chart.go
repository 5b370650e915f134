package portal

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// chart is a row of bars over days, drawn on the server. Its text stands beside
// the drawing, not in it, so that it is readable at any width; colours are
// classes of the style sheet, so that both themes have their own.
type chart struct {
	Title string
	// About says in a sentence what the drawing shows, for who does not see it.
	About  string
	Series []series
	Top    string // the label of the top line
	First  string
	Last   string
	SVG    template.HTML
}

// series is one part of each bar. Class is a class of the style sheet.
type series struct{ Name, Class string }

// bar is one day.
type bar struct {
	day    time.Time
	values []float64 // by series, from the bottom up
	says   string
}

// Empty tells that there is nothing to see.
func (c *chart) Empty() bool { return c.SVG == "" }

// newChart draws bars that are stacked by series. unit says a value in words.
func newChart(title string, bars []bar, parts []series, unit func(float64) string) *chart {
	c := &chart{Title: title, Series: parts}
	most, sum := 0.0, 0.0
	for _, b := range bars {
		total := 0.0
		for _, v := range b.values {
			total += v
		}
		most, sum = max(most, total), sum+total
	}
	if len(bars) == 0 || sum == 0 {
		return c
	}
	top := ceiling(most)
	c.Top, c.First, c.Last = unit(top), bars[0].day.Format("2 Jan"), bars[len(bars)-1].day.Format("2 Jan")
	c.About = fmt.Sprintf("%s by day from %s to %s; the highest day has %s. The table below has all numbers.", title, c.First, c.Last, unit(most))
	c.SVG = draw(bars, parts, top)
	return c
}

// ceiling is the next round number: 1, 2 or 5 times a power of ten.
func ceiling(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*p >= v {
			return f * p
		}
	}
	return 10 * p
}

// draw makes the SVG: a day is ten wide, the top is 100 high. Everything in it
// is a number or was escaped.
func draw(bars []bar, parts []series, top float64) template.HTML {
	var b strings.Builder
	width := 10 * len(bars)
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d 100" preserveAspectRatio="none" aria-hidden="true" focusable="false">`, width)
	for _, y := range []int{0, 50, 100} {
		fmt.Fprintf(&b, `<line class="rule" x1="0" y1="%d" x2="%d" y2="%d"/>`, y, width, y)
	}
	for i, day := range bars {
		fmt.Fprintf(&b, `<g><title>%s</title><rect class="touch" x="%d" y="0" width="10" height="100"/>`, template.HTMLEscapeString(day.says), 10*i)
		y := 100.0
		for s, v := range day.values {
			if v <= 0 {
				continue
			}
			h := max(v/top*100, 0.8) // a single failure among thousands is still seen
			y = max(y-h, 0)
			fmt.Fprintf(&b, `<rect class="%s" x="%g" y="%.2f" width="7" height="%.2f"/>`, parts[s].Class, float64(10*i)+1.5, y, h)
		}
		b.WriteString("</g>")
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// thousands writes a number as people read it: 12,345.
func thousands(n int64) string { return number(strconv.FormatInt(n, 10)) }

// thousandsOf is thousands for templates.
func thousandsOf(n any) (string, error) {
	switch n := n.(type) {
	case int:
		return thousands(int64(n)), nil
	case int64:
		return thousands(n), nil
	}
	return "", fmt.Errorf("%v is no number", n)
}

// millis writes a time as people read it: 0.4 ms, 18 ms, 2.3 s.
func millis(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// share writes a part as people read it: 0 %, 0.3 %, 12 %.
func share(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "<0.1 %"
	case p < 10:
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.0f %%", p)
}
