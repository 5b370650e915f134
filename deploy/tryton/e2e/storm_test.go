package main

import (
	"errors"
	"testing"
	"time"
)

// What the books and the callers say of a sale decides where it is counted.
func TestStand(t *testing.T) {
	gaveUp := errors.New("no answer")
	for name, c := range map[string]struct {
		told error
		entry
		want standing
	}{
		"complete":                  {nil, entry{1, 1, 1}, standing{right: 1}},
		"no sale":                   {nil, entry{}, standing{lost: 1}},
		"no invoice":                {nil, entry{1, 0, 0}, standing{lost: 1}},
		"invoice not posted":        {nil, entry{1, 1, 0}, standing{lost: 1}},
		"two sales":                 {nil, entry{2, 2, 2}, standing{doubled: 1}},
		"two invoices":              {nil, entry{1, 2, 1}, standing{doubled: 1}},
		"given up, nothing there":   {gaveUp, entry{}, standing{failed: 1}},
		"given up, a draft there":   {gaveUp, entry{1, 0, 0}, standing{failed: 1, done: 1}},
		"given up, all there":       {gaveUp, entry{1, 1, 1}, standing{failed: 1, done: 1, right: 1}},
		"given up, two sales there": {gaveUp, entry{2, 0, 0}, standing{failed: 1, done: 1, doubled: 1}},
	} {
		l := load{told: map[string]error{"A": c.told}, books: books{"A": c.entry}, took: 2 * time.Second}
		c.want.begun, c.want.goodput = 1, float64(c.want.right)/2
		if got := l.stand(); got != c.want {
			t.Errorf("%s: it is %+v, should be %+v", name, got, c.want)
		}
	}
}

// A creation answers with the sale, or with the page that was found when its
// answer was lost.
func TestSaleID(t *testing.T) {
	for text, want := range map[string]int{
		`{"saleId": 7, "lines": []}`:                7,
		`{"items": [{"saleId": 8}], "offset": 0}`:   8,
		`{"items": [{"saleId": 8}, {"saleId": 9}]}`: 0,
		`{"items": []}`:                             0,
		`null`:                                      0,
		`[`:                                         0,
	} {
		got, err := saleID([]byte(text))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%s gives %d, %v", text, got, err)
		}
	}
}
