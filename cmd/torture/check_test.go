package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// logs makes the logs of a run in which all went well: writes of two lanes, of
// which each was acknowledged before the next was sent, some with a final
// answer and some with 202.
func logs() ([]*sent, []effect) {
	start := time.Now()
	var writes []*sent
	var effects []effect
	for i := range 40 {
		o := order{ID: fmt.Sprintf("w%d", i), Order: fmt.Sprintf("o%d", i%2), Number: i/2 + 1}
		if i%3 == 0 {
			o.Customer, o.Location = "c", "l"
		}
		first := start.Add(time.Duration(i) * time.Second)
		s := &sent{order: o, operation: byConfirm, first: first, acknowledged: first.Add(500 * time.Millisecond), status: 201, write: "id" + o.ID, state: "delivered"}
		if i%2 == 1 {
			s.status = 202
		}
		writes = append(writes, s)
		effects = append(effects, effect{ID: o.ID, Operation: s.operation, Lanes: o.lanes(), At: first.Add(time.Minute)})
	}
	return writes, effects
}

func TestCheckOfAGoodRun(t *testing.T) {
	writes, effects := logs()
	v := check(writes, effects)
	if v.bad() || v.acknowledged != 40 || v.held != 20 || v.delivered != 40 {
		t.Errorf("%+v", v)
	}
}

// Each fault that is put into the logs of a good run is found, and nothing else.
func TestCheckFindsSeededFaults(t *testing.T) {
	without := func(effects []effect, id string) []effect {
		var rest []effect
		for _, e := range effects {
			if e.ID != id {
				rest = append(rest, e)
			}
		}
		return rest
	}
	swap := func(effects []effect, i, j int) []effect {
		effects[i], effects[j] = effects[j], effects[i]
		return effects
	}
	for _, c := range []struct {
		name  string
		spoil func([]*sent, []effect) ([]*sent, []effect)
		want  verdict
	}{
		{"a write that was answered at once is not done", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, without(e, "w4")
		}, verdict{lost: 1}},
		{"a held write is delivered by its state and not done", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, without(e, "w5")
		}, verdict{lost: 1}},
		{"the gateway has forgotten a held write", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[5].state, w[5].missing = "", true
			return w, without(e, "w5")
		}, verdict{lost: 1}},
		{"a write that was answered is still doubtful, and was not done", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[4].state = "doubtful"
			return w, without(e, "w4")
		}, verdict{lost: 1}},
		{"a write is done twice", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, append(e[:8:8], append([]effect{e[7]}, e[8:]...)...)
		}, verdict{doubled: 1}},
		{"a write is done three times", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, append(e[:8:8], append([]effect{e[7], e[7]}, e[8:]...)...)
		}, verdict{doubled: 2}},
		{"a write nobody acknowledged is done twice", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[39].acknowledged, w[39].status, w[39].state = time.Time{}, 0, ""
			return w, append(e, e[39])
		}, verdict{doubled: 1}},
		{"a key stands for two writes", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[6].other = "another"
			return w, e
		}, verdict{doubled: 1}},
		{"two writes of a lane change places", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, swap(e, 10, 14)
		}, verdict{inversions: 2}}, // 10 after 12 and 14; 12 after 14
		{"two writes change places in the lane of the customer alone", func(w []*sent, e []effect) ([]*sent, []effect) {
			e[9], e[10], e[11], e[12] = e[10], e[11], e[12], e[9] // 9 and 12 share customer and location
			return w, without(without(e, "w11"), "w10")
		}, verdict{inversions: 2, lost: 2}},
		{"a put is repeated after a later one", func(w []*sent, e []effect) ([]*sent, []effect) {
			late := e[10]
			late.Repeat = true
			return w, append(e[:14:14], append([]effect{late}, e[14:]...)...)
		}, verdict{inversions: 1}},
		{"a write has no final state", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[5].state = "held"
			return w, without(e, "w5")
		}, verdict{unsettled: 1}},
		{"a write is doubtful and nobody has been told", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[5].state = "doubtful"
			return w, e
		}, verdict{unsettled: 1}},
		{"a refused write is done", func(w []*sent, e []effect) ([]*sent, []effect) {
			w[5].state, w[5].dead = "refused", true
			return w, e
		}, verdict{wrong: 1}},
		{"the ERP does what nobody sent", func(w []*sent, e []effect) ([]*sent, []effect) {
			return w, append(e, effect{ID: "stray"})
		}, verdict{wrong: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := check(c.spoil(logs()))
			got := verdict{lost: v.lost, doubled: v.doubled, inversions: v.inversions, unsettled: v.unsettled, wrong: v.wrong}
			if got.lost != c.want.lost || got.doubled != c.want.doubled || got.inversions != c.want.inversions || got.unsettled != c.want.unsettled || got.wrong != c.want.wrong {
				t.Errorf("got %+v, want %+v\n%s", got, c.want, strings.Join(v.examples, "\n"))
			}
			if !v.bad() || len(v.examples) == 0 {
				t.Error("it does not count as bad, or names no example")
			}
		})
	}
}

// What is no fault is not taken for one.
func TestCheckAllows(t *testing.T) {
	writes, effects := logs()
	// Writes that were under way together may be done in any order.
	writes[12].first = writes[10].first
	effects[10], effects[12] = effects[12], effects[10]
	// A doubtful dead letter may have been done or not.
	writes[20].state, writes[20].dead, writes[20].status = "doubtful", true, 504
	writes[21].state, writes[21].dead, writes[21].status = "doubtful", true, 504
	// A put that is repeated at once changes nothing.
	again := effects[20]
	again.Repeat = true
	effects = append(effects[:21:21], append([]effect{again}, effects[22:]...)...)
	// A refused write is not done; one that was never acknowledged may be.
	writes[22].state, writes[22].status = "refused", 422
	effects = append(effects[:22:22], effects[23:]...)
	writes[39].acknowledged, writes[39].status, writes[39].state = time.Time{}, 0, ""
	if v := check(writes, effects); v.bad() {
		t.Errorf("%+v", v)
	}
}
