package main

import (
	"encoding/json"
	"net/http"
	"time"
)

// batch does several writes in a call, each by itself. What befalls the call
// befalls all of them; single ones have mishaps of their own.
func (e *erp) batch(w http.ResponseWriter, body []byte, m mishap, takes time.Duration, sort int) {
	var in struct{ Parts []order }
	if err := json.Unmarshal(body, &in); err != nil || len(in.Parts) == 0 {
		answer(w, http.StatusBadRequest, map[string]any{"error": "not a batch"})
		return
	}
	e.mu.Lock()
	e.counts.Batches++
	e.counts.Batched += len(in.Parts)
	e.mu.Unlock()
	switch m {
	case dropped:
		hangUp()
	case overloaded:
		saturated(w, sort)
		return
	case brokenBefore:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "broken"})
		return
	}
	time.Sleep(takes)
	done := len(in.Parts)
	if m == brokenAfter { // in the middle
		done /= 2
	}
	results := []any{}
	for i := range in.Parts[:done] {
		results = append(results, e.part(&in.Parts[i]))
	}
	switch m {
	case unanswered:
		hangUp()
	case brokenAfter:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "broken"})
	default:
		answer(w, http.StatusOK, map[string]any{"results": results})
	}
}

// part does one write of a batch.
func (e *erp) part(o *order) map[string]any {
	result := func(status int, text string) map[string]any {
		return map[string]any{"status": status, "body": map[string]any{"id": o.ID, "state": text}}
	}
	e.mu.Lock()
	luck := e.random.Float64()
	if e.calm {
		luck = 1
	}
	e.mu.Unlock()
	switch {
	case o.Poison:
		return result(http.StatusUnprocessableEntity, "the order is wrong")
	case luck < 0.01:
		return result(http.StatusInternalServerError, "broken")
	case luck < 0.02:
		return result(http.StatusTooManyRequests, "no room")
	}
	wrong := e.refusesWrongly()
	e.perform(byBatch, "", o)
	switch {
	case wrong:
		return result(http.StatusUnprocessableEntity, "the order is wrong")
	case luck < 0.03:
		return result(http.StatusInternalServerError, "broken")
	}
	return result(http.StatusCreated, "booked")
}
