package workspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headrace/headrace/specs/source"
)

func secret(t *testing.T, ref string) (s source.Secret) {
	t.Helper()
	if err := s.UnmarshalText([]byte(ref)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCounters(t *testing.T) {
	for text, want := range map[string]Counters{
		"memory:":                                 {},
		"redis://localhost":                       {Hosts: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/3":                 {Hosts: []string{"10.0.0.1:7000"}, DB: 3},
		"redis://[::1]:7000":                      {Hosts: []string{"[::1]:7000"}},
		"redis://[::1]":                           {Hosts: []string{"[::1]:6379"}},
		"rediss://u:${env:P}@h/":                  {Hosts: []string{"h:6379"}, TLS: true, User: "u", Password: secret(t, "${env:P}")},
		"redis://:${file:/run/a@b/c:d}@h:1":       {Hosts: []string{"h:1"}, Password: secret(t, "${file:/run/a@b/c:d}")},
		"redis+sentinel://a,b:1/main/2":           {Hosts: []string{"a:26379", "b:1"}, Master: "main", DB: 2},
		"rediss+cluster://u:${env:P}@a,b:1,[::2]": {Hosts: []string{"a:6379", "b:1", "[::2]:6379"}, Cluster: true, TLS: true, User: "u", Password: secret(t, "${env:P}")},
	} {
		var got Counters
		if err := got.parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.String() != text || got.InMemory() != (text == "memory:") {
			t.Errorf("%s prints as %s, in memory: %v", text, got, got.InMemory())
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b source.Secret) bool { return a == b }), cmpopts.IgnoreUnexported(Counters{})); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestCountersRefused(t *testing.T) {
	for text, want := range map[string]string{
		"": "write memory:", "memory": "write memory:", "redis:": "write memory:", "http://h": "write memory:", "redis+://h": "write memory:", "redis+x://h": "write memory:",
		"redis://u:s3cret@h": "must not stand in a file", "redis://s3cret@h": "must not stand in a file", "redis://u:${env:A}s3cret@h": "must not stand in a file",
		"redis://": "HOST:PORT", "redis://h:0": "HOST:PORT", "redis://h:x": "HOST:PORT", "redis+cluster://a,,b": "HOST:PORT", "redis://a b": "HOST:PORT",
		"redis://a,b": "one host", "redis://h/x": "number of a database", "redis://h/-1": "number of a database", "redis://h?db=s3cret": "ends with its path",
		"redis+sentinel://a": "name of the master", "redis+sentinel://a/": "name of the master", "redis+cluster://a/1": "no databases",
	} {
		var c Counters
		err := c.parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if !c.InMemory() || fmt.Sprint(c) != "" {
			t.Errorf("%q left %+v behind", text, c)
		}
	}
}

// FuzzCounters looks for addresses that are accepted and hold a password.
func FuzzCounters(f *testing.F) {
	for _, seed := range []string{"memory:", "redis://u:${env:P}@h:1/2", "redis+sentinel://a,b/m/1", "redis+cluster://[::1],b", "redis://u:p@h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c Counters
		if c.parse(text) != nil || c.InMemory() {
			return
		}
		if at := strings.LastIndex(text, "@"); at >= 0 && c.Password.IsZero() {
			t.Errorf("%q is accepted with a password as it is", text)
		}
		var again Counters
		if err := again.parse(c.String()); err != nil || again.String() != text {
			t.Errorf("%q is read as %q, %v", text, again, err)
		}
	})
}

func TestStoresWait(t *testing.T) {
	read := func(text string) *Config {
		var c Config
		var ps source.Problems
		source.Decode(source.Parse("headrace.yaml", []byte(text), source.DefaultLimits, &ps), &c, &ps)
		if ps.Len() > 0 {
			t.Fatal(ps.List())
		}
		return &c
	}
	old := read("{}")
	if got := old.Stores; !got.Counters.InMemory() || got.Alone.Std().Hours() != 1 || got.ColdStart != "free" || got.Name() == "" {
		t.Errorf("the defaults are %+v, named %q", got, got.Name())
	}
	now := read("stores: {counters: 'redis://h', replica: a, alone: 2h, cold_start: occupied}")
	want := []string{"stores.counters", "stores.replica", "stores.alone", "stores.cold_start"}
	if d := cmp.Diff(want, old.Waiting(now)); d != "" {
		t.Error(d)
	}
	if now.Stores.Name() != "a" {
		t.Errorf("named %q", now.Stores.Name())
	}
}
