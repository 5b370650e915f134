package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// archive keeps writes in a folder that are about to be deleted: one JSON a
// line, as an export gives them, in a file for each day. They are on disk when
// it returns. A write may be there twice after a crash, or by two replicas.
type archive string

func (a archive) keep(list []*ledger.Record) (err error) {
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, r := range list {
		if err := out.Encode(fullViewOf(r)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(string(a), 0o700); err != nil {
		return err
	}
	name := filepath.Join(string(a), "writes-"+time.Now().UTC().Format(time.DateOnly)+".jsonl")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := endLine(f); err != nil {
		return err
	}
	if _, err := f.Write(lines.Bytes()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncFolder(string(a))
}

// endLine ends the last line of a file, which a crash may have torn.
func endLine(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], end-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte("\n"))
	return err
}

// syncFolder makes the name of a new file durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
