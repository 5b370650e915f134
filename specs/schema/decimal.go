package schema

import (
	"bytes"
	"cmp"
	"math/bits"
)

// decimal is a number by its digits: mantissa times ten to the exp.
type decimal struct {
	neg bool
	// mant holds up to 19 digits. Numbers with more have them in long, without
	// zeros at either end.
	mant uint64
	long []byte
	exp  int64
}

// shortDigits is how many decimal digits fit into a uint64 in any case.
const shortDigits = 19

// farExponent bounds exponents, so that sums of them do not overflow. Larger
// ones are taken for this one.
const farExponent = 1 << 40

var powers = [shortDigits + 1]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// parseDecimal reads a number of RFC 8259 that was scanned before.
func parseDecimal(src []byte) decimal {
	var d decimal
	i, digits := 0, 0
	if src[0] == '-' {
		d.neg, i = true, 1
	}
	start, fraction := i, false
	for ; i < len(src); i++ {
		c := src[i]
		if c == '.' {
			fraction = true
			continue
		}
		if c-'0' > 9 {
			break
		}
		if fraction {
			d.exp--
		}
		if d.mant != 0 || c != '0' {
			digits++
		}
		if digits <= shortDigits {
			d.mant = d.mant*10 + uint64(c-'0')
		}
	}
	if digits > shortDigits {
		d.lengthen(src[start:i])
	}
	if i < len(src) {
		d.exp += exponent(src[i+1:])
	}
	return d
}

func exponent(src []byte) int64 {
	neg := src[0] == '-'
	if src[0] == '-' || src[0] == '+' {
		src = src[1:]
	}
	var e int64
	for _, c := range src {
		if e = e*10 + int64(c-'0'); e > farExponent {
			e = farExponent
		}
	}
	if neg {
		return -e
	}
	return e
}

// lengthen takes digits, with or without a point, that do not fit into mant.
func (d *decimal) lengthen(src []byte) {
	long := make([]byte, 0, len(src))
	for _, c := range src {
		if c != '.' {
			long = append(long, c)
		}
	}
	long = bytes.TrimLeft(long, "0")
	trimmed := bytes.TrimRight(long, "0")
	d.exp += int64(len(long) - len(trimmed))
	if d.mant, d.long = 0, trimmed; len(trimmed) <= shortDigits {
		d.long = nil
		for _, c := range trimmed {
			d.mant = d.mant*10 + uint64(c-'0')
		}
	}
}

func (d *decimal) zero() bool { return d.mant == 0 && d.long == nil }

// normal is the same number without zeros at the end of its digits.
func (d decimal) normal() decimal {
	if d.mant == 0 {
		if d.long == nil {
			return decimal{}
		}
		return d
	}
	for d.mant%10 == 0 {
		d.mant /= 10
		d.exp++
	}
	return d
}

// integer tells whether the number is whole, however it is written.
func (d decimal) integer() bool { return d.exp >= 0 || d.normal().exp >= 0 }

func (d *decimal) digits() int64 {
	if d.long != nil {
		return int64(len(d.long))
	}
	n := (bits.Len64(d.mant)*1233)>>12 + 1
	if d.mant < powers[n-1] {
		n--
	}
	return int64(n)
}

// compare is negative, zero or positive, as a is less than, equal to or greater than b.
func (d *decimal) compare(e *decimal) int {
	switch {
	case d.zero() && e.zero():
		return 0
	case d.zero():
		return sign(!e.neg)
	case e.zero() || d.neg != e.neg:
		return sign(d.neg)
	}
	c := d.magnitude(e)
	if d.neg {
		return -c
	}
	return c
}

func sign(negative bool) int {
	if negative {
		return -1
	}
	return 1
}

// magnitude compares without regard to the sign. Neither number is zero.
func (d *decimal) magnitude(e *decimal) int {
	if d.exp == e.exp && d.long == nil && e.long == nil {
		return cmp.Compare(d.mant, e.mant)
	}
	m, n := d.digits(), e.digits()
	if c := cmp.Compare(m+d.exp, n+e.exp); c != 0 {
		return c
	}
	if d.long == nil && e.long == nil {
		a, b := d.mant, e.mant
		if m < n {
			a *= powers[n-m]
		} else {
			b *= powers[m-n]
		}
		return cmp.Compare(a, b)
	}
	return bytes.Compare(d.normal().appendDigits(nil), e.normal().appendDigits(nil))
}

func (d decimal) appendDigits(b []byte) []byte {
	if d.long != nil {
		return append(b, d.long...)
	}
	for i := d.digits() - 1; i >= 0; i-- {
		b = append(b, '0'+byte(d.mant/powers[i]%10))
	}
	return b
}

// multipleOf tells whether d divided by a positive m is whole. m is normal and
// has at most 19 digits.
func (d decimal) multipleOf(m *decimal) bool {
	if d.zero() {
		return true
	}
	d = d.normal()
	// The digits of d do not end in zero, so nothing that needs a factor of
	// ten in them divides.
	e := d.exp - m.exp
	if e < 0 {
		return false
	}
	rest := d.mant % m.mant
	for _, c := range d.long {
		rest = mulmod(rest, 10, m.mant)
		rest = addmod(rest, uint64(c-'0')%m.mant, m.mant)
	}
	for base := 10 % m.mant; e > 0 && rest != 0; e >>= 1 {
		if e&1 == 1 {
			rest = mulmod(rest, base, m.mant)
		}
		base = mulmod(base, base, m.mant)
	}
	return rest == 0
}

func mulmod(a, b, m uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	_, rest := bits.Div64(hi%m, lo, m)
	return rest
}

func addmod(a, b, m uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	_, rest := bits.Div64(carry%m, sum, m)
	return rest
}
