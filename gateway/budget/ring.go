package budget

// ring sums units by the slice of time in which they become free. Expiries are
// rounded up to the end of their slice, so that nothing is free too early. Its
// memory depends on the span of time that it covers, not on the number of calls.
// All times are nanoseconds since some epoch.
type ring struct {
	width int64   // length of a slice
	first int64   // the earliest slice that is not over
	slots []Units // slice i is at i modulo the length, a power of two
	sum   Units
}

// advance forgets the slices that are over; each that held anything is told
// to ended, with the time of its end.
func (r *ring) advance(now int64, ended func(at int64, u Units)) {
	next := now/r.width + 1
	if next <= r.first {
		return
	}
	for r.sum != 0 && r.first < next {
		slot := &r.slots[r.first&int64(len(r.slots)-1)]
		if u := *slot; u != 0 {
			*slot = 0
			r.sum -= u
			if ended != nil {
				ended(r.first*r.width, u)
			}
		}
		r.first++
	}
	r.first = next
}

// slice is the slice at whose end units that expire at a time are free: always after it.
func (r *ring) slice(at int64) int64 { return at/r.width + 1 }

// add counts units until a time; what is over already is left out.
func (r *ring) add(until int64, u Units) {
	i := r.slice(until)
	if i < r.first || u == 0 {
		return
	}
	if need := i - r.first + 1; need > int64(len(r.slots)) {
		r.grow(need)
	}
	r.slots[i&int64(len(r.slots)-1)] += u
	r.sum += u
}

// remove takes back what add counted, and tells whether it was still there.
func (r *ring) remove(until int64, u Units) bool {
	i := r.slice(until)
	if i < r.first || i >= r.first+int64(len(r.slots)) {
		return false
	}
	slot := &r.slots[i&int64(len(r.slots)-1)]
	u = min(u, *slot)
	*slot -= u
	r.sum -= u
	return true
}

// shed takes out units that would be free first.
func (r *ring) shed(u Units) {
	for i := r.first; u > 0 && r.sum > 0; i++ {
		slot := &r.slots[i&int64(len(r.slots)-1)]
		part := min(u, *slot)
		*slot -= part
		r.sum -= part
		u -= part
	}
}

func (r *ring) grow(need int64) {
	n := int64(16)
	for n < need {
		n *= 2
	}
	slots := make([]Units, n)
	for i := range int64(len(r.slots)) {
		at := r.first + i
		slots[at&(n-1)] = r.slots[at&int64(len(r.slots)-1)]
	}
	r.slots = slots
}

// next is the end of the earliest slice that holds anything; 0 when none does.
func (r *ring) next() int64 {
	at, _ := r.until(1)
	return at
}

// until is the time by which so many units have become free, and whether there
// are as many.
func (r *ring) until(u Units) (int64, bool) {
	if r.sum < u || r.sum == 0 {
		return 0, false
	}
	for i := r.first; ; i++ {
		if u -= r.slots[i&int64(len(r.slots)-1)]; u <= 0 {
			return i * r.width, true
		}
	}
}

// each calls f for what is held, with the time at which it becomes free.
func (r *ring) each(f func(at int64, u Units)) {
	for i := r.first; i < r.first+int64(len(r.slots)); i++ {
		if u := r.slots[i&int64(len(r.slots)-1)]; u != 0 {
			f(i*r.width, u)
		}
	}
}
