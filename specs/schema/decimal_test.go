package schema

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

var decimals = rapid.Custom(func(t *rapid.T) string {
	digits := rapid.StringMatching(`(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?`).Draw(t, "digits")
	if rapid.Bool().Draw(t, "round") {
		digits = rapid.StringMatching(`[1-9]0{0,22}(\.0{1,3})?`).Draw(t, "round digits")
	}
	sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
	exponent := rapid.SampledFrom([]string{"", "e0", "E5", "e+19", "e-19", "e-3", "e40"}).Draw(t, "exponent")
	return sign + digits + exponent
})

func rational(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%s is no number", s)
	}
	return r
}

func TestDecimalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals.Draw(t, "a"), decimals.Draw(t, "b")
		x, y := rational(t, a), rational(t, b)
		d, e := parseDecimal([]byte(a)), parseDecimal([]byte(b))
		if got := d.compare(&e); got != x.Cmp(y) {
			t.Fatalf("compare(%s, %s) = %d", a, b, got)
		}
		if got := d.integer(); got != x.IsInt() {
			t.Fatalf("integer(%s) = %v", a, got)
		}
		n := d.normal()
		if n.compare(&d) != 0 {
			t.Fatalf("normal(%s) is another number", a)
		}
		m := e.normal()
		if m.neg = false; m.mant == 0 {
			return
		}
		if got := d.multipleOf(&m); got != new(big.Rat).Quo(x, y).IsInt() {
			t.Fatalf("multipleOf(%s, %s) = %v", a, b, got)
		}
	})
}

// Exponents that no machine number holds are compared without being written out.
func TestFarExponents(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1e999999999", "1e999999998", 1}, {"-1e999999999", "1", -1}, {"1e-999999999", "0", 1}, {"0e999999999", "0", 0},
		{"1e99999999999999999999", "9", 1}, {"1e-99999999999999999999", "1e-5", -1},
	} {
		a, b := parseDecimal([]byte(c.a)), parseDecimal([]byte(c.b))
		if got := a.compare(&b); got != c.want {
			t.Errorf("compare(%s, %s) = %d", c.a, c.b, got)
		}
	}
	seven := parseDecimal([]byte("7"))
	for text, want := range map[string]bool{"7e999999999": true, "1e999999999": false, "1e-999999999": false} {
		if d := parseDecimal([]byte(text)); d.multipleOf(&seven) != want {
			t.Errorf("%s", text)
		}
	}
}

func TestEnumDescription(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprint("value-", i)))
	}
	for want, values := range map[string][]string{
		`"a"`: {`"a"`}, `one of "a", "b"`: {`"a"`, `"b"`},
		`one of "value-0", "value-1", "value-2", "value-3", "value-4", "value-5", "value-6", "value-7", "value-8" and 91 others`: many,
	} {
		if got := describeEnum(values); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
