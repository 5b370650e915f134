package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The sorts of usage.
const (
	Calls  = "calls"  // what callers did
	Shadow = "shadow" // what a candidate version thinks of it
)

// Usage is how much something was used on a day, or over several.
type Usage struct {
	UsageKey
	// Day is its first moment in UTC; zero where days were added up.
	Day time.Time
	// Calls counts all of them; Refused those answered 4xx, Failed those answered
	// 5xx. In the sort Shadow, Refused are those that the version would have refused.
	Calls, Refused, Failed int64
	// Took is the time of all calls together.
	Took time.Duration
	// Last is when the last of them ended.
	Last time.Time
}

// UsageKey is what usage is counted by.
type UsageKey struct {
	// Sort is Calls or Shadow.
	Sort, API, Version, Operation string
	// App is empty for callers whom nobody knows.
	App string
	// Field is empty for the calls themselves.
	Field string
}

func (k UsageKey) parts() []string {
	return []string{k.Sort, k.API, k.Version, k.Operation, k.App, k.Field}
}

func compareUsage(a, b *Usage) int {
	return cmp.Or(slices.Compare(a.parts(), b.parts()), a.Day.Compare(b.Day))
}

// usageStep is how many rows one transaction adds to, so that it does not hold
// up writes for long.
const usageStep = 200

const dayLong = 24 * time.Hour

// AddUsage adds to what is known of each key and day. It returns how many rows
// of the beginning of the list were added: all of them, or fewer with an error.
// Rows of one key and day may come again and again; Last never goes back.
func (db *DB) AddUsage(ctx context.Context, rows []Usage) (added int, err error) {
	for part := range slices.Chunk(rows, usageStep) {
		sorted := slices.Clone(part) // in one order, so that replicas do not wait for each other in circles
		slices.SortFunc(sorted, func(a, b Usage) int { return compareUsage(&a, &b) })
		err := db.alone(ctx, func(w *work) error {
			for i := range sorted {
				if err := w.addUsage(&sorted[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return added, err
		}
		added += len(part)
	}
	return added, nil
}

func (w *work) addUsage(u *Usage) error {
	return w.do(`INSERT INTO usage (sort, api, version, operation, app, field, day, calls, refused, failed, micros, seen)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (sort, api, version, operation, app, field, day) DO UPDATE SET
	calls = usage.calls + excluded.calls, refused = usage.refused + excluded.refused, failed = usage.failed + excluded.failed,
	micros = usage.micros + excluded.micros, seen = CASE WHEN usage.seen < excluded.seen THEN excluded.seen ELSE usage.seen END`,
		u.Sort, u.API, u.Version, u.Operation, u.App, u.Field, dayOf(u.Day), u.Calls, u.Refused, u.Failed, u.Took.Microseconds(), micro(u.Last))
}

func dayOf(t time.Time) int64 { return t.Unix() / int64(dayLong/time.Second) }

// UsageFilter chooses usage. Empty fields choose all.
type UsageFilter struct {
	// Sort is Calls when empty.
	Sort, API, Version, Operation, App string
	// Fields chooses the fields of requests instead of the calls.
	Fields bool
	// From and To bound the days, both of them included.
	From, To time.Time
	// Daily gives a row for each day; otherwise days are added up.
	Daily bool
	// After goes on behind the last row of the page before.
	After *Usage
	// Limit is how many rows are given at most; 1000 when zero, and at most 10000.
	Limit int
}

// Usages lists usage, sorted by its key and day.
func (db *DB) Usages(ctx context.Context, f UsageFilter) ([]Usage, error) {
	f.Sort, f.Limit = cmp.Or(f.Sort, Calls), cmp.Or(f.Limit, 1000)
	if f.Limit < 0 || f.Limit > 10_000 {
		return nil, fmt.Errorf("%w: between 1 and 10000 rows", ErrInvalid)
	}
	q := usageQuery{}
	q.where("sort = %s", f.Sort)
	for _, c := range []struct{ column, value string }{{"api", f.API}, {"version", f.Version}, {"operation", f.Operation}, {"app", f.App}} {
		if c.value != "" {
			q.where(c.column+" = %s", c.value)
		}
	}
	if f.Fields {
		q.where("field <> %s", "")
	} else {
		q.where("field = %s", "")
	}
	if !f.From.IsZero() {
		q.where("day >= %s", dayOf(f.From))
	}
	if !f.To.IsZero() {
		q.where("day <= %s", dayOf(f.To))
	}
	day, group := "0", usageColumns
	if f.Daily {
		day, group = "day", usageColumns+", day"
	}
	if f.After != nil {
		var values []any
		for _, part := range f.After.parts() {
			values = append(values, part)
		}
		if f.Daily {
			values = append(values, dayOf(f.After.Day))
		}
		q.where("("+group+") > ("+strings.TrimSuffix(strings.Repeat("%s, ", len(values)), ", ")+")", values...)
	}
	sql := "SELECT " + usageColumns + ", " + day + `, CAST(SUM(calls) AS bigint), CAST(SUM(refused) AS bigint), CAST(SUM(failed) AS bigint),
	CAST(SUM(micros) AS bigint), MAX(seen) FROM usage WHERE ` + strings.Join(q.conditions, " AND ") + " GROUP BY " + group + " ORDER BY " + group + fmt.Sprintf(" LIMIT %d", f.Limit)
	var list []Usage
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var u Usage
			var day, took, seen int64
			err := r.Scan(&u.Sort, &u.API, &u.Version, &u.Operation, &u.App, &u.Field, &day, &u.Calls, &u.Refused, &u.Failed, &took, &seen)
			u.Took, u.Last = time.Duration(took)*time.Microsecond, moment(seen)
			if f.Daily {
				u.Day = time.Unix(day*int64(dayLong/time.Second), 0).UTC()
			}
			list = append(list, u)
			return err
		}, sql, q.values...)
	})
	return list, err
}

const usageColumns = "sort, api, version, operation, app, field"

// usageQuery puts conditions together with their parameters.
type usageQuery struct {
	conditions []string
	values     []any
}

// where adds a condition in which each %s stands for a value.
func (q *usageQuery) where(condition string, values ...any) {
	places := make([]any, len(values))
	for i, v := range values {
		q.values = append(q.values, v)
		places[i] = fmt.Sprintf("?%d", len(q.values))
	}
	q.conditions = append(q.conditions, fmt.Sprintf(condition, places...))
}

// ForgetUsage deletes the usage of the days before one.
func (db *DB) ForgetUsage(ctx context.Context, before time.Time) error {
	return db.alone(ctx, func(w *work) error { return w.do("DELETE FROM usage WHERE day < ?1", dayOf(before)) })
}
