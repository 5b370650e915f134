package usage

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// Book is what the ledger knows of usage.
type Book struct {
	Ledger *ledger.DB
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

func (b Book) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// pageSize is how many rows are read at once.
const pageSize = 10_000

// mostRows bounds what a report is made of.
const mostRows = 200_000

// all reads rows page by page, up to mostRows.
func (b Book) all(ctx context.Context, f ledger.UsageFilter, use func(ledger.Usage)) error {
	f.Limit = pageSize
	for read := 0; read < mostRows; read += pageSize {
		page, err := b.Ledger.Usages(ctx, f)
		if err != nil {
			return err
		}
		for _, u := range page {
			use(u)
		}
		if len(page) < pageSize {
			return nil
		}
		f.After = &page[len(page)-1]
	}
	return nil
}

// Use is an app's use of an operation.
type Use struct {
	// App is empty for callers whom nobody knows.
	App       string    `json:"app"`
	Operation string    `json:"operation"`
	Calls     int64     `json:"calls"`
	Last      time.Time `json:"last"`
}

// InUse lists who has called a major version in the last days: whoever called
// an earlier minor version of it would be hit by its end, too. Callers whom nobody
// knows, and of whom every call was refused, use nothing: else anybody could keep
// a version from being retired. Those with most calls come first.
func (b Book) InUse(ctx context.Context, api, version string, days int) ([]Use, error) {
	uses, answered := map[[2]string]*Use{}, map[[2]string]bool{}
	from := b.now().UTC().AddDate(0, 0, -days)
	err := b.all(ctx, ledger.UsageFilter{API: api, From: from}, func(u ledger.Usage) {
		if major(u.Version) != major(version) {
			return
		}
		key := [2]string{u.App, u.Operation}
		if uses[key] == nil {
			uses[key] = &Use{App: u.App, Operation: u.Operation}
		}
		uses[key].Calls += u.Calls
		answered[key] = answered[key] || u.App != "" || u.Refused < u.Calls
		if uses[key].Last.Before(u.Last) {
			uses[key].Last = u.Last
		}
	})
	list := make([]Use, 0, len(uses))
	for key, u := range uses {
		if answered[key] {
			list = append(list, *u)
		}
	}
	slices.SortFunc(list, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.App, b.App), cmp.Compare(a.Operation, b.Operation))
	})
	return list, err
}

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// Version is the use of a version.
type Version struct {
	API     string    `json:"api"`
	Version string    `json:"version"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Calls   int64     `json:"calls"`
	// Operations are sorted by name, their apps by calls, the most first.
	Operations []Operation `json:"operations"`
}

// Operation is the use of an operation.
type Operation struct {
	Operation string   `json:"operation"`
	Calls     int64    `json:"calls"`
	Apps      []App    `json:"apps"`
	Fields    []Field  `json:"fields"`
	Unused    []string `json:"unused,omitempty"`
}

// App is an app's part.
type App struct {
	App          string    `json:"app"`
	Calls        int64     `json:"calls"`
	ClientErrors int64     `json:"clientErrors"`
	ServerErrors int64     `json:"serverErrors"`
	MeanMillis   float64   `json:"meanMillis"`
	Last         time.Time `json:"last"`
}

// Field is the use of a part of requests: a JSON pointer into the body, or
// ?NAME of the query.
type Field struct {
	Field string     `json:"field"`
	Calls int64      `json:"calls"`
	Apps  []FieldApp `json:"apps"`
}

// FieldApp is an app that sends a field.
type FieldApp struct {
	App   string    `json:"app"`
	Calls int64     `json:"calls"`
	Last  time.Time `json:"last"`
}

// Period bounds the days of a report, both included. A zero To is today, a zero
// From thirty days before it.
type Period struct{ From, To time.Time }

func (b Book) period(p Period) Period {
	if p.To.IsZero() {
		p.To = b.now()
	}
	p.To = p.To.UTC().Truncate(24 * time.Hour)
	if p.From.IsZero() {
		p.From = p.To.AddDate(0, 0, -DefaultDays)
	}
	p.From = p.From.UTC().Truncate(24 * time.Hour)
	return p
}

// DefaultDays is how far reports, and the question whether a version is in use, look back.
const DefaultDays = 30

// Version tells who has used what of a version; of one app when app is not empty.
func (b Book) Version(ctx context.Context, api, version, app string, p Period) (Version, error) {
	p = b.period(p)
	v := Version{API: api, Version: version, From: p.From, To: p.To, Operations: []Operation{}}
	f := ledger.UsageFilter{API: api, Version: version, App: app, From: p.From, To: p.To}
	operations := map[string]*Operation{}
	of := func(name string) *Operation {
		if operations[name] == nil {
			operations[name] = &Operation{Operation: name, Apps: []App{}, Fields: []Field{}}
		}
		return operations[name]
	}
	err := b.all(ctx, f, func(u ledger.Usage) {
		o := of(u.Operation)
		a := App{App: u.App, Calls: u.Calls, ClientErrors: u.Refused, ServerErrors: u.Failed, Last: u.Last}
		if u.Calls > 0 {
			a.MeanMillis = float64(u.Took.Microseconds()) / 1000 / float64(u.Calls)
		}
		o.Apps = append(o.Apps, a)
		o.Calls += u.Calls
		v.Calls += u.Calls
	})
	if err != nil {
		return Version{}, err
	}
	f.Fields = true
	fields := map[[2]string]*Field{}
	err = b.all(ctx, f, func(u ledger.Usage) {
		key := [2]string{u.Operation, u.Field}
		if fields[key] == nil {
			fields[key] = &Field{Field: u.Field}
		}
		fields[key].Calls += u.Calls
		fields[key].Apps = append(fields[key].Apps, FieldApp{u.App, u.Calls, u.Last})
	})
	if err != nil {
		return Version{}, err
	}
	for key, field := range fields {
		slices.SortFunc(field.Apps, func(a, b FieldApp) int { return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.App, b.App)) })
		o := of(key[0])
		o.Fields = append(o.Fields, *field)
	}
	for _, o := range operations {
		slices.SortFunc(o.Apps, func(a, b App) int { return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.App, b.App)) })
		slices.SortFunc(o.Fields, func(a, b Field) int { return cmp.Compare(a.Field, b.Field) })
		v.Operations = append(v.Operations, *o)
	}
	slices.SortFunc(v.Operations, func(a, b Operation) int { return cmp.Compare(a.Operation, b.Operation) })
	return v, nil
}

// Without adds the declared fields that nobody sends. declared gives those of
// an operation by its name.
func (v *Version) Without(declared func(operation string) []string) {
	for i := range v.Operations {
		o := &v.Operations[i]
		for _, name := range declared(o.Operation) {
			if !slices.ContainsFunc(o.Fields, func(f Field) bool { return f.Field == name }) && !slices.Contains(o.Unused, name) {
				o.Unused = append(o.Unused, name)
			}
		}
	}
}

// Report is what a candidate version would have done with live traffic.
type Report struct {
	API     string    `json:"api"`
	Version string    `json:"version"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	// Checked counts the calls that were tried, Refused those that the version
	// would have refused; Share is their part, from 0 to 1.
	Checked int64   `json:"checked"`
	Refused int64   `json:"refused"`
	Share   float64 `json:"share"`
	// Places are why, those with most calls first. A call may have several.
	Places []Place `json:"places"`
}

// Place is a place at which an app's calls would have been refused.
type Place struct {
	App       string    `json:"app"`
	Operation string    `json:"operation"`
	Pointer   string    `json:"pointer"`
	Calls     int64     `json:"calls"`
	Last      time.Time `json:"last"`
}

// Report tells what a candidate version would have refused.
func (b Book) Report(ctx context.Context, api, version string, p Period) (Report, error) {
	p = b.period(p)
	r := Report{API: api, Version: version, From: p.From, To: p.To, Places: []Place{}}
	f := ledger.UsageFilter{Sort: ledger.Shadow, API: api, Version: version, From: p.From, To: p.To}
	err := b.all(ctx, f, func(u ledger.Usage) {
		r.Checked += u.Calls
		r.Refused += u.Refused
	})
	if err != nil {
		return Report{}, err
	}
	if r.Checked > 0 {
		r.Share = float64(r.Refused) / float64(r.Checked)
	}
	f.Fields = true
	err = b.all(ctx, f, func(u ledger.Usage) {
		r.Places = append(r.Places, Place{u.App, u.Operation, u.Field, u.Calls, u.Last})
	})
	slices.SortFunc(r.Places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.App, b.App), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Pointer, b.Pointer))
	})
	return r, err
}
