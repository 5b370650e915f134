package budget

import (
	"testing"

	"pgregory.net/rapid"
)

// A ring is compared with a list of what it was told.
func TestRing(t *testing.T) {
	type held struct {
		until int64
		u     Units
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.Int64Range(1, 50).Draw(t, "width")
		r := ring{width: width}
		now := rapid.Int64Range(0, 1000).Draw(t, "start")
		r.advance(now, nil)
		var model []held
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				h := held{max(0, now+rapid.Int64Range(-10, 5000).Draw(t, "until")), Units(rapid.Int64Range(1, 9).Draw(t, "units"))}
				r.add(h.until, h.u)
				if (h.until/width+1)*width > now {
					model = append(model, h)
				}
			},
			"remove": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				if !r.remove(model[i].until, model[i].u) {
					t.Fatalf("what expires at %d is gone at %d", model[i].until, now)
				}
				model = append(model[:i], model[i+1:]...)
			},
			"advance": func(t *rapid.T) {
				now += rapid.Int64Range(0, 3000).Draw(t, "step")
				var ended Units
				r.advance(now, func(at int64, u Units) {
					if at > now {
						t.Fatalf("%d units end at %d, and it is %d", u, at, now)
					}
					ended += u
				})
				var want Units
				rest := model[:0]
				for _, h := range model {
					if (h.until/width+1)*width <= now {
						want += h.u
					} else {
						rest = append(rest, h)
					}
				}
				model = rest
				if ended != want {
					t.Fatalf("%d units ended, want %d", ended, want)
				}
			},
			"": func(t *rapid.T) {
				var sum, counted Units
				next := int64(0)
				for _, h := range model {
					sum += h.u
					if end := (h.until/width + 1) * width; next == 0 || end < next {
						next = end
					}
				}
				if r.sum != sum {
					t.Fatalf("the ring holds %d, want %d", r.sum, sum)
				}
				if got := r.next(); got != next {
					t.Fatalf("the next units end at %d, want %d", got, next)
				}
				r.each(func(at int64, u Units) {
					if at <= now {
						t.Fatalf("%d units are held until %d, and it is %d", u, at, now)
					}
					counted += u
				})
				if counted != sum {
					t.Fatalf("the slices hold %d, want %d", counted, sum)
				}
			},
		})
	})
}

func TestRingKnowsWhenUnitsAreFree(t *testing.T) {
	r := ring{width: 10}
	r.add(5, 2)
	r.add(25, 3)
	for u, want := range map[Units]int64{1: 10, 2: 10, 3: 30, 5: 30} {
		if at, ok := r.until(u); !ok || at != want {
			t.Errorf("%d units are free at %d, %v; want %d", u, at, ok, want)
		}
	}
	if _, ok := r.until(6); ok {
		t.Error("there are not 6 units")
	}
}
