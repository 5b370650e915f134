package arazzo

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// truth tells whether a value is taken for true as a condition: everything but
// false and null.
func truth(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	}
	return true
}

// compare applies an operator as the specification says: strings regardless of
// case, texts that are numbers as numbers beside numbers, and null equal to itself
// alone. What has no order is neither less nor greater.
func compare(operator string, a, b any) bool {
	switch operator {
	case "==":
		return equal(a, b)
	case "!=":
		return !equal(a, b)
	}
	order, ok := order(a, b)
	if !ok {
		return false
	}
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name, value := range x {
			other, ok := y[name]
			if !ok || !equal(value, other) {
				return false
			}
		}
		return true
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.EqualFold(x, y)
		}
	}
	order, ok := order(a, b)
	return ok && order == 0
}

// order compares two numbers, two strings, or a number and a text that is one.
func order(a, b any) (order int, ok bool) {
	x, xs := a.(string)
	y, ys := b.(string)
	if xs && ys {
		return strings.Compare(strings.ToLower(x), strings.ToLower(y)), true
	}
	m, mok := number(a)
	n, nok := number(b)
	if !mok || !nok {
		return 0, false
	}
	return orderNumbers(m, n), true
}

// number gives the text of a number; ok is false for what is none.
func number(value any) (text string, ok bool) {
	switch v := value.(type) {
	case json.Number:
		return v.String(), true
	case string:
		if len(v) > maxDigits || v == "" || !json.Valid([]byte(v)) || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
			return "", false
		}
		return v, true
	}
	return "", false
}

// maxDigits bounds texts that are taken for numbers, and numbers that are
// compared digit by digit.
const maxDigits = 64

// orderNumbers compares exactly, except for numbers that are longer than any
// business has.
func orderNumbers(a, b string) int {
	if i, err := strconv.ParseInt(a, 10, 64); err == nil {
		if j, err := strconv.ParseInt(b, 10, 64); err == nil {
			switch {
			case i < j:
				return -1
			case i > j:
				return 1
			}
			return 0
		}
	}
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case len(a) > maxDigits || len(b) > maxDigits || x > 1e300 || x < -1e300 || x < 1e-300 && x > -1e-300:
		return 0
	}
	m, mok := new(big.Rat).SetString(a)
	n, nok := new(big.Rat).SetString(b)
	if !mok || !nok {
		return 0
	}
	return m.Cmp(n)
}
