package countertest

import (
	"context"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway"
)

type concurrencyScript struct {
	Limit int
	Steps []move
}

// move is a call that begins, or one that ends.
type move struct {
	Wait  time.Duration
	Key   string
	Begin bool
}

var concurrencyScripts = rapid.Custom(func(t *rapid.T) concurrencyScript {
	one := rapid.Custom(func(t *rapid.T) move {
		return move{
			Wait: time.Duration(rapid.SampledFrom([]int64{0, 1, int64(time.Second), int64(10 * time.Minute)}).Draw(t, "wait")),
			Key:  rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), Begin: rapid.Bool().Draw(t, "begin"),
		}
	})
	return concurrencyScript{
		Limit: rapid.IntRange(1, 5).Draw(t, "limit"), Steps: rapid.SliceOfN(one, 1, 80).Draw(t, "moves"),
	}
})

func (s concurrencyScript) play(counters gateway.Counters, terms Terms) error {
	l := counters.Concurrency("concurrency", s.Limit)
	under := map[string]int{}
	for i, m := range s.Steps {
		terms.sleep(m.Wait)
		if !m.Begin {
			if under[m.Key] > 0 {
				l.Release(m.Key)
				under[m.Key]--
			}
			continue
		}
		v, err := l.Acquire(context.Background(), m.Key)
		if err != nil {
			return err
		}
		want := gateway.Verdict{OK: under[m.Key] < s.Limit, Limit: int64(s.Limit)}
		if want.OK {
			under[m.Key]++
		}
		want.Remaining = int64(s.Limit - under[m.Key])
		if v != want {
			return fmt.Errorf("move %d: %+v, the model says %+v", i, v, want)
		}
	}
	return nil
}
