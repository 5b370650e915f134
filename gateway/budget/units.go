package budget

import "math"

// Units are thousandths of a pool's unit. Counts are kept in whole numbers, so
// that nothing is gained or lost by rounding.
type Units int64

const unit = 1000.0

// maxUnits bounds what can be configured, and what a call can cost: sums are
// far from overflow.
const maxUnits = 1e12

// cost rounds upwards: a call never occupies less than it costs. What is not a
// number costs the most.
func cost(n float64) Units {
	if !(n < maxUnits) {
		return Units(maxUnits * unit)
	}
	return Units(math.Ceil(max(n, 0)*unit - 1e-6))
}

// room rounds downwards: a pool never holds more than its capacity.
func room(n float64) Units { return Units(math.Floor(n*unit + 1e-6)) }

// Float is the number of units.
func (u Units) Float() float64 { return float64(u) / unit }
