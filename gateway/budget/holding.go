package budget

import "slices"

// holding keeps the units of calls that have ended until they come back: in
// slices of time where there are many such moments, or by the moment where
// there are few, as with calendar windows. It is in one of the two ways.
type holding struct {
	ring   ring
	listed bool
	list   []ending // by time
	sum    Units
}

// ending is units that come back at a moment.
type ending struct {
	at    int64
	units Units
}

// newHolding makes an empty one. With a width, moments are rounded up to slices
// of it; without, they are exact.
func newHolding(width, now int64) holding {
	h := holding{listed: width == 0}
	h.ring.width = max(1, width)
	h.ring.advance(now, nil)
	return h
}

// advance frees what has been held long enough.
func (h *holding) advance(now int64) {
	if !h.listed {
		h.ring.advance(now, nil)
		h.sum = h.ring.sum
		return
	}
	over := 0
	for over < len(h.list) && h.list[over].at <= now {
		h.sum -= h.list[over].units
		over++
	}
	if over > 0 {
		h.list = slices.Delete(h.list, 0, over)
	}
}

// add holds units until a time, which is not over.
func (h *holding) add(until int64, u Units) {
	if !h.listed {
		h.ring.add(until, u)
		h.sum = h.ring.sum
		return
	}
	if u == 0 {
		return
	}
	h.sum += u
	i := len(h.list)
	for i > 0 && h.list[i-1].at > until {
		i--
	}
	if i > 0 && h.list[i-1].at == until {
		h.list[i-1].units += u
		return
	}
	h.list = slices.Insert(h.list, i, ending{until, u})
}

// remove takes back what add held until a time, as far as it is still there.
func (h *holding) remove(until int64, u Units) {
	if !h.listed {
		h.ring.remove(until, u)
		h.sum = h.ring.sum
		return
	}
	for i := range h.list {
		if h.list[i].at == until {
			u = min(u, h.list[i].units)
			h.list[i].units -= u
			h.sum -= u
			return
		}
	}
}

// shed takes units out that would come back first.
func (h *holding) shed(u Units) {
	if !h.listed {
		h.ring.shed(u)
		h.sum = h.ring.sum
		return
	}
	for i := range h.list {
		part := min(u, h.list[i].units)
		h.list[i].units -= part
		h.sum -= part
		u -= part
	}
}

// until is the time by which so many units have come back, and whether there
// are as many.
func (h *holding) until(u Units) (int64, bool) {
	if !h.listed {
		return h.ring.until(u)
	}
	if h.sum < u || h.sum == 0 {
		return 0, false
	}
	for _, e := range h.list {
		if u -= e.units; u <= 0 && e.units > 0 {
			return e.at, true
		}
	}
	return 0, false
}

// next is when the next units come back; 0 when none are held.
func (h *holding) next() int64 {
	at, _ := h.until(1)
	return at
}

// each calls f for what is held, with the time at which it comes back.
func (h *holding) each(f func(at int64, u Units)) {
	if !h.listed {
		h.ring.each(f)
		return
	}
	for _, e := range h.list {
		f(e.at, e.units)
	}
}

// latest is the time by which all is free; 0 when nothing is held.
func (h *holding) latest() (latest int64) {
	h.each(func(at int64, _ Units) { latest = max(latest, at) })
	return latest
}
