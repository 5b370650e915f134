package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"
)

// schema holds the migrations, forwards only: NNNN_name.sql.
//
//go:embed schema/*.sql
var schema embed.FS

// migrate brings a database up to date. One that a newer version has already
// changed is refused: its rows may mean what this version does not know.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, words dialect, options ...goose.ProviderOption) error {
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return err
	}
	var list []*goose.Migration
	last := int64(0)
	for _, name := range names {
		text, err := schema.ReadFile(name)
		if err != nil {
			return err
		}
		var version int64
		if _, err := fmt.Sscanf(path.Base(name), "%04d_", &version); err != nil || version <= last {
			return fmt.Errorf("ledger: migration %s does not come after %d", name, last)
		}
		last = version
		list = append(list, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, words.schema(string(text)))
			return err
		}}, nil))
	}
	options = append(options, goose.WithGoMigrations(list...), goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	p, err := goose.NewProvider(dialect, db, nil, options...)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("ledger: schema: %w", err)
	}
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if at > last {
		return fmt.Errorf("%w: the schema is of version %d, this program knows %d: a newer program has used it", ErrInvalid, at, last)
	}
	return nil
}
