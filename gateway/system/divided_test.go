package system

import (
	"strings"
	"testing"
)

// Requests have the same name when they wait for the same places.
func TestLines(t *testing.T) {
	limits := "{name: all, capacity: 9}, {name: posts, capacity: 1, operations: [post*]}"
	for _, c := range []struct {
		name, limits string
		divided      bool
		// lines are those of an operation by an app: "OPERATION APP NAME".
		lines []string
	}{
		{"all alike", "{name: all, capacity: 9}", false, []string{"post shop all", "read shop all", "read other all"}},
		{"some operations", limits, true, []string{"post shop all posts", "postAll shop all posts", "read shop all"}},
		{"some calls", "{name: calls, capacity: 1, calls: ['POST /*']}", true, []string{"post shop calls", "read shop "}},
		{"each app", "{name: each, capacity: 1, scope: '{app}'}", true, []string{"post shop each/shop", "read other each/other"}},
		{"each operation", "{name: each, capacity: 1, scope: '{operation}'}", true, []string{"post shop each/post", "read other each/read"}},
		{"no such operation", limits, true, []string{"none shop "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			paths := at("POST", "/x", "post", "") + at("POST", "/y", "postAll", "") + at("GET", "/z", "read", "")
			var got seen
			w := open(t, plan{system: "limits: [" + c.limits + "]", paths: paths}, got.answers(200, "{}"))
			if d := w.set.Divided("erp"); d != c.divided {
				t.Errorf("divided: %t", d)
			}
			for _, line := range c.lines {
				word := strings.SplitN(line, " ", 3)
				if name := strings.TrimSpace(w.set.Line("orders/v1/"+word[0], word[1])); name != word[2] {
					t.Errorf("%s by %s waits for %q, want %q", word[0], word[1], name, word[2])
				}
			}
			if w.set.Divided("none") {
				t.Error("a system that is not there is divided")
			}
		})
	}
}
