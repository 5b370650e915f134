package main

import (
	"maps"
	"testing"
)

func TestReadBenchmarks(t *testing.T) {
	got := readBenchmarks(`goos: linux
BenchmarkAdmit/pools=1-2         	 1000	       900.5 ns/op	     480 B/op	       1 allocs/op
BenchmarkAdmit/pools=1-2         	 1000	       850 ns/op	     480 B/op	       2 allocs/op
BenchmarkRefuse 	 5 	 70 ns/op
--- BENCH: BenchmarkRefuse
PASS
`)
	want := map[string]float64{
		"BenchmarkAdmit/pools=1 ns/op": 850, "BenchmarkAdmit/pools=1 B/op": 480, "BenchmarkAdmit/pools=1 allocs/op": 1,
		"BenchmarkRefuse ns/op": 70,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
