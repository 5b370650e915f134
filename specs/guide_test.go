package specs

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

func TestGuide(t *testing.T) {
	const document = "openapi: 3.1.0\ninfo: {title: Orders, version: 1.0.0}\npaths: {}\n"
	for _, c := range []struct {
		guide, want, wrong string
	}{
		{"# Orders\n", "# Orders\n", ""},
		{strings.Repeat("x", GuideSize), strings.Repeat("x", GuideSize), ""},
		{strings.Repeat("x", GuideSize+1), "", "apis/orders/1.0.0/guide.md: is longer than 256KiB"},
		{"\xff", "", "apis/orders/1.0.0/guide.md: is not UTF-8"},
	} {
		var ps source.Problems
		d := Load(fstest.MapFS{"apis/orders/1.0.0/openapi.yaml": {Data: []byte(document)}, "apis/orders/1.0.0/guide.md": {Data: []byte(c.guide)}}, "apis/orders/1.0.0", &ps)
		switch err := ps.Err(); {
		case c.wrong == "" && (err != nil || d.Guide != c.want):
			t.Errorf("%v, %d bytes", err, len(d.Guide))
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%v, not %s", err, c.wrong)
		}
	}
	var ps source.Problems
	if d := Load(fstest.MapFS{"apis/orders/1.0.0/openapi.yaml": {Data: []byte(document)}}, "apis/orders/1.0.0", &ps); ps.Err() != nil || d.Guide != "" {
		t.Errorf("%v", ps.Err())
	}
}
