package ledger

import (
	"context"
	"testing"
	"path/filepath"
	"github.com/headrace/headrace/specs"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil { t.Fatal(err) }
	defer db.Close()
	for i := range 3 {
		r, err := db.Append(ctx, &Write{System: "erp", Class: specs.Class(i), Lanes: []string{"a","b"}, Request: []byte("x"), Hand: i == 0})
		if err != nil { t.Fatal(err) }
		t.Logf("%+v", r)
	}
	c, err := db.Claim(ctx, "erp", Room{Max: 10})
	t.Log(c, err)
	l, err := db.List(ctx, Filter{})
	for _, w := range l.Writes { t.Logf("%+v %v", w, err) }
}
