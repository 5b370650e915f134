package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/specs/source"
)

//go:embed overview.html
var overviewHTML string

//go:embed overview.css
var overviewCSS string

// page is the overview, ready to be filled.
type page struct {
	template *template.Template
	// styleHash lets browsers apply this style and no other.
	styleHash string
}

func newPage() page {
	functions := template.FuncMap{
		"style":   func() template.CSS { return template.CSS(overviewCSS) },
		"units":   units,
		"count":   count,
		"ago":     func(t time.Time) string { return since(time.Since(t)) },
		"until":   func(t time.Time) string { return since(time.Until(t)) },
		"now":     time.Now,
		"stamp":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"percent": percent,
	}
	sum := sha256.Sum256([]byte(overviewCSS))
	return page{
		template:  template.Must(template.New("overview").Funcs(functions).Parse(overviewHTML)),
		styleHash: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

// units writes an amount for people: thousands in groups, at most one decimal.
func units(f float64) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(f, 'f', 1, 64), ".")
	text := []byte(whole)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = slices.Insert(text, i, ',')
	}
	if fraction == "0" {
		return string(text)
	}
	return string(text) + "." + fraction
}

// percent is how much of a pool is used, from 0 to 100.
func percent(used, capacity float64) float64 {
	if capacity <= 0 {
		return 100
	}
	return math.Round(min(max(used/capacity, 0), 1)*1000) / 10
}

// since says a duration as people do: in its largest unit, or two of them.
func since(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return count(int(d.Seconds()), "second")
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h " + strconv.Itoa(int(d.Minutes())%60) + " min"
	}
	return strconv.Itoa(int(d.Hours())/24) + " d " + strconv.Itoa(int(d.Hours())%24) + " h"
}

// overviewData is what the page shows.
type overviewData struct {
	Status   status
	Systems  []SystemStatus
	APIs     []api
	Problems []source.Problem
}

// overview is the page for people.
func (a *admin) overview(c echo.Context) error {
	if who, err := a.person(c); err != nil {
		return err
	} else if !may(who.roles, looking()) {
		return forbidden(who, looking())
	}
	var b bytes.Buffer
	err := a.page.template.Execute(&b, overviewData{
		Status:   a.statusNow(),
		Systems:  a.systemList(),
		APIs:     apiList(a.options.Tables.Table()),
		Problems: a.options.Reload().Problems,
	})
	if err != nil {
		return err
	}
	return c.HTMLBlob(http.StatusOK, b.Bytes())
}
